"""What people do by command where changes are reviewed: their commits are requests, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.review.body import edited_comment
from reconciler.review.forge import MARK
from tests.stack.engines import gitea  # noqa: F401
from tests.stack.gitea import Gitea
from tests.stack.review import Review, review_at
from tests.stack.test_review import steps

pytestmark = pytest.mark.stack
WISH = "manifests/public/eu1/shop/vs-orders.yaml"


@pytest.fixture
def adopted(gitea: Gitea, tmp_path: Path) -> Review:  # noqa: F811
    """The first exposure is merged."""
    review = review_at(gitea, tmp_path).start()
    review.passes()
    review.merge(review.only()["number"])
    return review


def test_a_revert_is_proposed_and_holds_once_it_is_merged(adopted: Review) -> None:
    done = adopted.run("revert", "eu1/shop/orders", "--reason", "it leaks")
    assert done.code == 0, done.err
    pull = adopted.only()
    assert pull["html_url"] in done.out
    assert "Reason: it leaks" in pull["body"]
    assert WISH in adopted.files()
    assert adopted.passes().plan["summary"]["hold"] == 0
    adopted.merge(pull["number"], "squash")
    (row,) = adopted.passes().rows("hold")
    assert row["code"] == "WHF208"


def test_a_hold_that_the_branch_refuses_is_proposed(adopted: Review) -> None:
    adopted.gitea.protect(adopted.origin)
    done = adopted.run("hold", "eu1/shop/orders", "--reason", "freeze")
    assert done.code == 0, done.err
    pull = adopted.only()
    assert pull["html_url"] in done.out
    adopted.merge(pull["number"])
    assert "holds/eu1/shop/orders.yaml" in adopted.files()
    done = adopted.run("release", "eu1/shop/orders")
    assert adopted.only()["html_url"] in done.err
    assert "holds/eu1/shop/orders.yaml" in adopted.files()


def test_a_comment_of_a_stranger_gives_nobodys_work_away(adopted: Review) -> None:
    adopted.expose("eu1", "stock")
    adopted.passes()
    adopted.push_to("wharfinger/eu1/shop", {"README.md": b"mine\n"}, "My work")
    adopted.gitea.api("PATCH", f"/repos/{adopted.origin.slug}", {"private": False})
    eve = adopted.gitea.account("eve-" + adopted.origin.slug.split("-")[-1])
    pull = adopted.only()
    head = pull["head"]["sha"]
    path = f"/repos/{adopted.origin.slug}/issues/{pull['number']}/comments"
    for text in (edited_comment(pull["html_url"], head), f"{MARK} hello"):
        adopted.gitea.api("POST", path, {"body": text}, account=eve)
    for _ in range(2):
        assert steps(adopted.passes()) == {"eu1/shop": "edited"}
    pull = adopted.only()
    assert pull["head"]["sha"] == head
    assert "wharfinger/edited" in [each["name"] for each in pull["labels"]]


def test_another_account_of_ours_says_it_once_too(adopted: Review) -> None:
    adopted.expose("eu1", "stock")
    adopted.passes()
    adopted.push_to("wharfinger/eu1/shop", {"README.md": b"mine\n"}, "My work")
    other = adopted.gitea.account("next-" + adopted.origin.slug.split("-")[-1])
    adopted.gitea.grant(adopted.origin, other)
    adopted.environment["WHARFINGER_REPO"] = adopted.origin.url_of(other)
    for _ in range(3):
        assert steps(adopted.passes()) == {"eu1/shop": "edited"}
    number = adopted.only()["number"]
    path = f"/repos/{adopted.origin.slug}/issues/{number}"
    assert len(adopted.gitea.api("GET", f"{path}/comments")) == 1
    adopted.gitea.api("PUT", f"{path}/labels", {"labels": []})
    assert steps(adopted.passes()) == {"eu1/shop": "rebuilt"}

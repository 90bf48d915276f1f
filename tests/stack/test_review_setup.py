"""What docs/review.md says of tokens, limits, labels and rules of a branch, on a real Gitea."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests import documents
from tests.stack.engines import gitea  # noqa: F401
from tests.stack.gitea import Gitea
from tests.stack.process import wait_until
from tests.stack.review import Review, review_at
from tests.stack.test_review import steps, weigh

pytestmark = pytest.mark.stack
SHOP = "wharfinger/eu1/shop"
CHECK = "wharfinger check"


@pytest.fixture
def review(gitea: Gitea, tmp_path: Path) -> Review:  # noqa: F811
    return review_at(gitea, tmp_path).start()


@pytest.fixture
def adopted(review: Review) -> Review:
    """The first exposure is merged already."""
    review.passes()
    review.merge(review.only()["number"])
    review.passes()
    return review


def settings(review: Review, **more: object) -> None:
    """Other keys of `review` in the settings."""
    made = {"mode": "pull-request", "forge": "gitea", **more}
    review.commit({"wharfinger.yaml": review.settings(review=made)}, "Set up anew")


def at(review: Review, number: int, kind: str = "pulls") -> str:
    return f"/repos/{review.origin.slug}/{kind}/{number}"


def names(pull: dict[str, Any]) -> list[str]:
    return sorted(each["name"] for each in pull["labels"])


@pytest.mark.parametrize(
    ("scopes", "code"),
    [("write:repository,write:issue", 0), ("write:repository", 5)],
)
def test_a_token_needs_no_more_rights_than_these(
    review: Review, scopes: str, code: int
) -> None:
    account = review.gitea.scoped(review.bot, scopes)
    review.environment["WHARFINGER_REPO"] = review.origin.url_of(account)
    done = review.passes(code)
    assert ("WHF407" in done.err) is bool(code)


def test_more_requests_than_may_be_open_wait_and_say_so(adopted: Review) -> None:
    settings(adopted, maxOpen=1, labels=["ingress", "net/edge"])
    adopted.expose("eu1", "stock")
    adopted.write("eu1/svc-users.yaml", documents.service("users", 31001, "data"))
    users = documents.virtual_service("users", space="data")
    adopted.write("eu1/users.yaml", users)
    done = adopted.passes(0, "--write-back=on")
    assert steps(done) == {"eu1/data": "opened", "eu1/shop": "waiting"}
    assert names(adopted.only()) == ["ingress", "net/edge", "wharfinger/creates"]
    waiting = (adopted.clusters / "eu1/stock.yaml").read_text()
    assert "waits to be proposed" in waiting


def test_labels_of_people_stay_and_their_text_until_it_is_built_again(
    adopted: Review,
) -> None:
    weigh(adopted, "orders", 10)
    adopted.passes()
    pull = adopted.only()
    label = {"name": "mine", "color": "#ff0000"}
    path = f"/repos/{adopted.origin.slug}/labels"
    made = adopted.gitea.api("POST", path, label)
    labels = f"{at(adopted, pull['number'], 'issues')}/labels"
    adopted.gitea.api("POST", labels, {"labels": [made["id"]]})
    body = f"Ticket 42\n\n{pull['body']}"
    adopted.gitea.api("PATCH", at(adopted, pull["number"]), {"body": body})
    assert steps(adopted.passes()) == {"eu1/shop": "kept"}
    assert adopted.only()["body"].startswith("Ticket 42")
    weigh(adopted, "orders", 20)
    assert steps(adopted.passes()) == {"eu1/shop": "rebuilt"}
    assert "Ticket 42" not in adopted.only()["body"]
    assert "mine" in names(adopted.only())


def test_deleting_the_branch_of_a_request_is_a_no(adopted: Review) -> None:
    weigh(adopted, "orders", 10)
    adopted.passes()
    adopted.git("push", "-q", "origin", f":{SHOP}")
    wait_until(lambda: adopted.pulls() == [], "Gitea closes the request")
    (row,) = adopted.passes().rows("hold")
    assert row["code"] == "WHF212"


def test_what_merges_by_itself_waits_for_the_required_check(adopted: Review) -> None:
    settings(adopted, autoMerge=["create"])
    rule = {"enable_status_check": True, "status_check_contexts": [CHECK]}
    adopted.gitea.protect(adopted.origin, **rule)
    adopted.expose("eu1", "stock")
    adopted.passes()
    assert adopted.passes().plan["commit"] is None
    pull = adopted.only()
    status = {"state": "success", "context": CHECK}
    path = f"/repos/{adopted.origin.slug}/statuses/{pull['head']['sha']}"
    adopted.gitea.api("POST", path, status)
    adopted.merges_by_itself(pull["number"])
    assert "manifests/public/eu1/shop/vs-stock.yaml" in adopted.files()

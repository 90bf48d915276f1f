"""What people do by command where changes are reviewed: their commits are requests, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stack.engines import gitea  # noqa: F401
from tests.stack.gitea import Gitea
from tests.stack.review import Review, review_at

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

"""A no stays a no: when groups change around it, and when the wish comes back to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stack.engines import gitea  # noqa: F401
from tests.stack.gitea import Gitea
from tests.stack.review import Review, review_at
from tests.stack.test_review import steps, weigh

pytestmark = pytest.mark.stack
SERVICE = "manifests/public/service.yaml"


@pytest.fixture
def review(gitea: Gitea, tmp_path: Path) -> Review:  # noqa: F811
    return review_at(gitea, tmp_path).start()


def test_a_declined_adoption_is_not_proposed_by_namespace(review: Review) -> None:
    review.passes()
    review.gitea.close_pull(review.origin, review.only()["number"])
    review.expose("eu1", "stock")
    review.passes()
    review.merge(review.only()["number"])
    done = review.passes()
    assert [each["name"] for each in done.rows("hold")] == ["orders"]
    assert review.pulls() == []


def test_a_wish_that_comes_back_to_a_no_is_declined(review: Review) -> None:
    weigh(review, "orders", 10)
    review.passes()
    review.gitea.close_pull(review.origin, review.only()["number"])
    weigh(review, "orders", 20)
    assert steps(review.passes()) == {"first.adoption": "opened"}
    weigh(review, "orders", 10)
    assert steps(review.passes()) == {"first.adoption": "closed"}
    assert review.passes().rows("hold") != []


def test_files_of_a_gateway_can_be_declined(review: Review) -> None:
    gateway = {
        "name": "public", "renderer": "istio-classic", "namespace": "ingress",
        "ports": {"range": "20000-20099"},
    }  # fmt: skip
    review.commit({"wharfinger.yaml": review.settings(gateways=[gateway])}, "Istio")
    review.passes()
    review.merge(review.only()["number"])
    review.passes()
    review.commit({SERVICE: None}, "Try it without a Service")
    assert steps(review.passes()) == {"gateway.public": "opened"}
    review.gitea.close_pull(review.origin, review.only()["number"])
    assert steps(review.passes()) == {}
    assert review.pulls() == []

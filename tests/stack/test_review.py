"""Pull requests from proposal to revert, on a real Gitea with the real command."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stack.engines import gitea  # noqa: F401
from tests.stack.gitea import Gitea
from tests.stack.review import Review, review_at

pytestmark = pytest.mark.stack
WISH = "manifests/public/eu1/shop/vs-orders.yaml"


@pytest.fixture
def review(gitea: Gitea, tmp_path: Path) -> Review:  # noqa: F811
    return review_at(gitea, tmp_path).start()


def test_a_wish_is_proposed_merged_and_served(review: Review) -> None:
    done = review.passes()
    assert [each["step"] for each in done.plan["requests"]] == ["opened"]
    assert review.files("manifests") == []
    pull = review.only()
    assert pull["title"].startswith("Expose eu1/shop/orders at tcp.example.com:20")
    Path("/tmp/review/body.md").write_text(pull["body"])
    again = review.passes()
    assert [each["step"] for each in again.plan["requests"]] == ["kept"]
    assert review.only()["head"]["sha"] == pull["head"]["sha"]
    review.merge(pull["number"])
    assert WISH in review.files()
    done = review.passes()
    assert [each["step"] for each in done.plan["requests"]] == ["swept"]
    assert done.rows("create") == []
    assert review.branches() == []
    assert review.passes().plan["requests"] == []

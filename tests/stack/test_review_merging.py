"""What a forge was asked to merge by itself, when that is not what it would merge any more."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reconciler.repo.trailers import ABSENT, diff_digest
from tests.stack.engines import gitea  # noqa: F401
from tests.stack.gitea import Gitea, GiteaError
from tests.stack.process import wait_until
from tests.stack.review import Review, review_at

pytestmark = pytest.mark.stack
SHOP = "wharfinger/eu1/shop"
STOCK = "manifests/public/eu1/shop/vs-stock.yaml"
TRUSTED = {"mode": "pull-request", "forge": "gitea", "autoMerge": ["create"]}


@pytest.fixture
def armed(gitea: Gitea, tmp_path: Path) -> Review:  # noqa: F811
    """A creation that merges by itself as soon as somebody approves it."""
    review = review_at(gitea, tmp_path).start(review=TRUSTED)
    review.passes()
    wait_until(lambda: _merged(review), "the adoption is merged")
    review.passes()
    rule = {"enable_push": True, "required_approvals": 1}
    gitea.protect(review.origin, **rule)
    review.expose("eu1", "stock")
    review.passes()
    assert "It merges by itself" in review.only()["body"]
    return review


def _merged(review: Review) -> bool:
    try:
        review.merge(review.only()["number"])
    except GiteaError:
        return False
    return True


def is_armed(review: Review) -> bool:
    """Whether Gitea is going to merge; only taking it back says so."""
    path = f"/repos/{review.origin.slug}/pulls/{review.only()['number']}/merge"
    try:
        review.gitea.api("DELETE", path)
    except GiteaError as error:
        if error.status != 404:
            raise
        return False
    return True


def test_a_creation_waits_for_its_approval_alone(armed: Review) -> None:
    armed.passes()
    assert is_armed(armed)


def test_a_removal_is_not_merged_because_a_creation_was_to_be(armed: Review) -> None:
    (armed.clusters / "eu1/orders.yaml").unlink()
    armed.passes()
    assert "[!CAUTION]" in armed.only()["body"]
    assert not is_armed(armed)


def test_changes_of_people_are_merged_by_people(armed: Review) -> None:
    armed.push_to(SHOP, {STOCK: b"# theirs\n"}, "Try something")
    armed.passes()
    assert not is_armed(armed)


def test_settings_that_trust_no_more_are_believed(armed: Review) -> None:
    review = {"mode": "pull-request", "forge": "gitea"}
    armed.commit({"wharfinger.yaml": armed.settings(review=review)}, "Trust less")
    armed.passes()
    assert "It never merges by itself" in armed.only()["body"]
    assert not is_armed(armed)


def test_what_merges_by_itself_is_what_was_proposed(armed: Review) -> None:
    """Whoever may push can write our trailers, where no key is given."""
    armed.git("fetch", "-q", "origin")
    before = armed.git("show", f"origin/{SHOP}:{STOCK}")
    forge(armed, before + "\n# evil\n")
    armed.passes()
    armed.git("fetch", "-q", "origin")
    assert armed.git("show", f"origin/{SHOP}:{STOCK}").strip() == before.strip()


def forge(review: Review, text: str) -> None:
    """One commit on the request's branch with another wish and trailers that match it."""
    review.git("checkout", "-q", "-B", "forged", f"origin/{SHOP}")
    message = review.git("log", "-1", "--format=%B")
    (review.work / STOCK).write_text(text)
    review.git("add", "-A")
    review.git("commit", "-q", "--amend", "-m", message)
    raw = review.git("diff-tree", "-r", "--no-commit-id", "--no-renames", "HEAD")
    lines = []
    for line in raw.splitlines():
        _, _, old, new, _, path = line.split()
        gone = "0" * 40
        old, new = (ABSENT if each == gone else each for each in (old, new))
        lines.append((path.encode(), old, new))
    forged = re.sub(r"sha256:[0-9a-f]{64}", diff_digest(lines), message, count=1)
    review.git("commit", "-q", "--amend", "-m", forged)
    review.git("push", "-q", "--force", "origin", f"forged:{SHOP}")
    review.git("checkout", "-q", "main")

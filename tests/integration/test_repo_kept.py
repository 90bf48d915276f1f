"""What is kept of `git log` in the clone says the same as git, and is never trusted when cut."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from reconciler.model.repository import CommitFact
from reconciler.repo import kept
from reconciler.repo.disk import LOG, UNUSED
from reconciler.repo.transport import Git
from tests.integration.remotes import NOW, Place, draft, git

A, B = "ports/p/1.yaml", "ports/p/2.yaml"


@pytest.fixture(autouse=True)
def worth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every log, however short."""
    monkeypatch.setattr(kept, "_WORTH", 0)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The revisions that git was asked for."""
    found: list[list[str]] = []
    real = Git.log

    def log(self: Git, revisions: list[str], paths: list[str]) -> bytes:
        found.append(list(revisions))
        return real(self, revisions, paths)

    monkeypatch.setattr(Git, "log", log)
    return found


def file_of(place: Place, cache: str = "cache") -> Path:
    """The one kept log."""
    (found,) = (place.root / cache).glob(f"repositories/*.git/{LOG}*")
    return found


def facts(place: Place, cache: str = "cache") -> tuple[CommitFact, ...]:
    """History as a new process sees it."""
    return place.open(cache=cache).history().commits


def test_a_new_process_asks_for_what_came_since(
    place: Place, asked: list[list[str]]
) -> None:
    first = place.commits(A, "1")
    repository = place.open()
    tip = repository.push([draft(B, b"ours")], repository.head().commit, "", NOW)
    assert [fact.id for fact in facts(place)] == [tip, first]
    assert asked == [[tip]]
    assert [fact.ours for fact in facts(place)] == [True, False]
    assert len(asked) == 1
    last = place.commits(A, "2")
    assert [fact.id for fact in facts(place)] == [last, tip, first]
    assert asked[1:] == [[last, f"^{tip}"]]
    assert facts(place) == facts(place, "other")


def test_a_merge_and_a_rewound_branch_are_read_as_git_says(place: Place) -> None:
    first = place.commits(A, "1")
    work = place.person()
    git(work, "checkout", "-q", "-b", "side")
    (work / B).write_text("side")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "side")
    place_side = git(work, "rev-parse", "HEAD")
    git(work, "checkout", "-q", "main")
    place.commits(A, "2")
    facts(place)
    git(work, "merge", "-q", "--no-ff", "-m", "merge", "side")
    git(work, "push", "-q", "origin", "main")
    assert facts(place) == facts(place, "other")
    assert place_side not in [fact.id for fact in facts(place)]
    # the old tip is only the second parent of the new one
    git(work, "checkout", "-q", "-b", "swap", "side")
    git(work, "merge", "-q", "--no-ff", "-m", "swapped", "main")
    git(work, "push", "-q", "-f", "origin", "swap:main")
    assert facts(place) == facts(place, "third")
    git(place.bare, "update-ref", "refs/heads/main", first)
    assert [fact.id for fact in facts(place)] == [first]


@pytest.mark.parametrize("damage", [b"", b"short", b"x" * 500])
def test_a_damaged_file_is_not_looked_at(place: Place, damage: bytes) -> None:
    place.commits(A, "1")
    before = facts(place)
    file = file_of(place)
    whole = file.read_bytes()
    file.write_bytes(damage)
    assert facts(place) == before
    assert file.read_bytes() == whole
    file.write_bytes(whole[:-3])
    assert facts(place) == before


def test_folders_have_files_of_their_own_and_unread_ones_are_swept(
    place: Place,
) -> None:
    place.commits(A, "1")
    place.commits(f"us/{A}", "2")
    assert len(facts(place)) == 1
    file = file_of(place)
    ours = place.open(path="us").history().commits
    assert [fact.id for fact in ours] == [place.tip()]
    old = time.time() - UNUSED - 60
    os.utime(file, (old, old))
    place.open(path="us").history()
    assert not file.exists()
    assert len(facts(place)) == 1


def test_a_cache_that_takes_no_more_files_changes_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.commits(A, "1")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept.os, "replace", full)
    assert len(facts(place)) == 1
    clones = place.root / "cache" / "repositories"
    assert not [*clones.glob(f"*.git/{LOG}*"), *clones.glob("*.git/tmp_log_*")]

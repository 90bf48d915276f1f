"""Requests merged under a forge's own words, on real git: recognised by what they were."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.model.repository import CommitFact, CommitId
from reconciler.repo.squashes import named_requests
from tests.integration.remotes import NOW, Place, draft, git

WISH = "manifests/public/eu1/shop/vs-orders.yaml"
PORT = "ports/public/20017.yaml"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.commits("README.md", "hello")
    return made


def proposed(place: Place, number: int = 7, ref: str = "refs/pull/{}/head") -> str:
    """A request of ours that the remote keeps under its number; returns its commit."""
    repository = place.open()
    base = repository.head().commit
    at = (base, CommitId(""))
    change = draft(WISH, b"wish\n", "Expose it")
    tip = repository.branches().push("request", change, at, ("plan", NOW))
    git(place.bare, "update-ref", ref.format(number), tip)
    git(place.bare, "update-ref", "-d", "refs/heads/request")
    return tip


def squashed(place: Place, commit: str, message: str) -> None:
    """As a forge squashes: the same change, its own words."""
    work = place.person()
    git(work, "fetch", "-q", str(place.bare), commit)
    git(work, "cherry-pick", "--no-commit", commit)
    git(work, "commit", "-q", "-m", message)
    git(work, "push", "-q", "origin", "HEAD:main")


def newest(place: Place, cache: str = "other") -> CommitFact:
    """As a process that never saw the request."""
    return place.open(cache=cache).history().commits[0]


@pytest.mark.parametrize(
    ("message", "ref"),
    [
        ("Expose it (#7)", "refs/pull/{}/head"),
        ("Expose it\n\nReviewed-on: https://git.example.com/a/b/pulls/7", "refs/pull/{}/head"),
        ("Merge\n\nSee merge request group/project!7", "refs/merge-requests/{}/head"),
        ("Merged PR (pull request #7)", "refs/pull/{}/head"),
    ],
)  # fmt: skip
def test_a_squash_without_our_words_is_ours(
    place: Place, message: str, ref: str
) -> None:
    squashed(place, proposed(place, ref=ref), message)
    fact = newest(place)
    assert (fact.ours, fact.renderer) == (True, 3)
    assert newest(place, "a third").ours


def test_a_merge_of_a_squash_is_ours(place: Place) -> None:
    """GitLab squashes on the branch and merges that, both under its own words."""
    commit = proposed(place, ref="refs/merge-requests/{}/head")
    work = place.person()
    git(work, "checkout", "-q", "-b", "side")
    git(work, "fetch", "-q", str(place.bare), commit)
    git(work, "cherry-pick", "--no-commit", commit)
    git(work, "commit", "-q", "-m", "Expose it")
    git(work, "checkout", "-q", "main")
    words = "Merge branch 'x' into 'main'\n\nSee merge request group/project!7"
    git(work, "merge", "-q", "--no-ff", "-m", words, "side")
    git(work, "push", "-q", "origin", "HEAD:main")
    assert newest(place).ours


def test_one_more_change_in_it_makes_it_a_persons(place: Place) -> None:
    commit = proposed(place)
    work = place.person()
    git(work, "fetch", "-q", str(place.bare), commit)
    git(work, "cherry-pick", "--no-commit", commit)
    (work / "ports").mkdir()
    (work / "ports" / "x").write_text("more")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "Expose it (#7)")
    git(work, "push", "-q", "origin", "HEAD:main")
    assert not newest(place).ours


def test_a_number_of_another_request_or_of_none_helps_nobody(place: Place) -> None:
    commit = proposed(place)
    git(place.bare, "update-ref", "refs/pull/8/head", place.tip())
    squashed(place, commit, "Expose it (#8)")
    assert not newest(place).ours
    squashed_again = newest(place, "a third")
    assert not squashed_again.ours


def test_a_remote_that_keeps_no_requests_says_nothing(place: Place) -> None:
    commit = proposed(place)
    git(place.bare, "update-ref", "refs/keep/it", commit)
    git(place.bare, "update-ref", "-d", "refs/pull/7/head")
    squashed(place, commit, "Expose it (#7)")
    assert not newest(place).ours


def test_a_request_that_cannot_be_brought_stops_no_pass(place: Place) -> None:
    """Whoever opens a request chooses its objects, also such as no fetch takes."""
    squashed(place, proposed(place), "Expose it (#7)")
    who = "A <a@example.com> 1 +0000"
    broken = place.root / "broken"
    broken.write_text(f"tree {'1' * 40}\nauthor {who}\ncommitter {who}\n\nbad\n")
    args = ("hash-object", "-t", "commit", "-w", "--literally", str(broken))
    bad = git(place.bare, *args)
    (place.bare / "refs" / "pull" / "8").mkdir(parents=True)
    (place.bare / "refs" / "pull" / "8" / "head").write_text(f"{bad}\n")
    place.commits("manifests/public/eu1/shop/vs-x.yaml", "x", "Add another (#8)")
    newer, older = place.open(cache="other").history().commits[:2]
    assert (newer.ours, older.ours) == (False, True)


def test_what_people_revert_by_a_request_of_their_own_stays_theirs(
    place: Place,
) -> None:
    squashed(place, proposed(place), "Expose it (#7)")
    work = place.person()
    git(work, "revert", "--no-edit", "HEAD")
    git(work, "commit", "-q", "--amend", "-m", "Take it back (#9)")
    git(work, "push", "-q", "origin", "HEAD:main")
    git(place.bare, "update-ref", "refs/pull/9/head", place.tip())
    history = place.open(cache="other").history().commits
    assert [fact.ours for fact in history] == [False, True]


@pytest.mark.parametrize(
    ("message", "numbers"),
    [
        ("Expose it (#12)", (12,)),
        ("Expose it (!12)", (12,)),
        ("Merge pull request #12 from a/b\n\nExpose it", (12,)),
        ("Merge pull request 'Expose it' (#12) from a into main", (12,)),
        ("see #12 for more", ()),
        ("It is\n\n(#12)", ()),
        ("Expose it (#12345678901)", ()),
        ("x" * 70_000 + "(#12)", ()),
    ],
)
def test_numbers_are_taken_where_forges_write_them(
    message: str, numbers: tuple[int, ...]
) -> None:
    assert named_requests(message) == numbers

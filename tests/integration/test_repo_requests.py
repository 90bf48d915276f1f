"""Branches of requests on real repositories: brought, judged, built and pushed with a lease."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from reconciler.errors import Blocked, Conflict, Unavailable
from reconciler.model.repository import CommitDraft, CommitId, FileWrite
from reconciler.model.reviews import Offered
from reconciler.repo import Credentials, Repository
from tests.integration.remotes import NOW, Line, Place, git, web

PREFIX = "wharfinger/"
NAME = "wharfinger/eu1/shop"
STAMP = ("sha256:plan", NOW)
NONE = CommitId("")
WISH, PORT = "manifests/public/eu1/shop/vs-a.yaml", "ports/public/1.yaml"


def draft(files: dict[str, bytes | None], subject: str = "Expose it") -> CommitDraft:
    writes = tuple(FileWrite(path=path, data=data) for path, data in files.items())
    return CommitDraft(subject=subject, body="", units=(), writes=writes)


WANTED = draft({WISH: b"wish\n", PORT: b"port\n"})


@pytest.fixture
def repository(place: Place) -> Repository:
    place.commits("README.md", "one\ntwo\nthree\n")
    place.commits(PORT, "old\n")
    return place.open()


def push(
    repository: Repository, wanted: CommitDraft = WANTED, expected: CommitId = NONE
) -> CommitId:
    at = (repository.head().commit, expected)
    return repository.branches().push(NAME, wanted, at, STAMP)


def look(repository: Repository) -> Offered:
    """The branch as the next pass sees it."""
    repository.fetch()
    branches = repository.branches()
    tip = branches.bring(PREFIX)[NAME]
    return branches.offered(NAME, tip, repository.head().commit)


def on_branch(place: Place, *steps: Sequence[str]) -> Path:
    """A person on the request's branch; git commands follow, then it is pushed."""
    work = place.person()
    git(work, "fetch", "-q", "origin")
    git(work, "checkout", "-q", "-B", "theirs", f"origin/{NAME}")
    for step in steps:
        git(work, *step)
    git(work, "push", "-q", "--force", "origin", f"theirs:{NAME}")
    git(work, "checkout", "-q", "main")
    return work


def write(place: Place, path: str, text: str, *steps: Sequence[str]) -> None:
    """A person's commit on the request's branch."""
    work = on_branch(place)
    git(work, "checkout", "-q", "theirs")
    (work / path).parent.mkdir(parents=True, exist_ok=True)
    (work / path).write_text(text)
    for step in (("add", "-A"), ("commit", "-q", "-m", "by hand"), *steps):
        git(work, *step)
    git(work, "push", "-q", "origin", f"theirs:{NAME}")
    git(work, "checkout", "-q", "main")


def test_what_is_pushed_is_brought_and_is_ours(
    place: Place, repository: Repository
) -> None:
    tip = push(repository)
    assert git(place.bare, "rev-parse", NAME) == tip
    found = look(repository)
    assert (found.branch, found.tip) == (NAME, tip)
    assert found.files == {WISH: b"wish\n", PORT: b"port\n"}
    assert found.before == {WISH: None, PORT: b"old\n"}
    assert (found.ours, found.conflicts) == (True, False)
    assert "Wharfinger-Digest: sha256:" in repository.branches().trailers(tip)


def test_only_branches_below_the_prefix_are_brought_and_gone_ones_forgotten(
    place: Place, repository: Repository
) -> None:
    tip = push(repository)
    for name in ("feature", "wharfinger-2/eu1/shop", "wharfinger/eu1/other"):
        git(place.bare, "branch", name, tip)
    branches = repository.branches()
    assert branches.bring(PREFIX) == {NAME: tip, "wharfinger/eu1/other": tip}
    git(place.bare, "branch", "-D", NAME)
    assert branches.bring(PREFIX) == {"wharfinger/eu1/other": tip}
    git(place.bare, "branch", "-D", "wharfinger/eu1/other")
    git(place.bare, "branch", "wharfinger/eu1", tip)  # where a folder of refs was
    assert branches.bring(PREFIX) == {"wharfinger/eu1": tip}


def test_a_remote_that_is_away_is_unavailable(
    place: Place, repository: Repository
) -> None:
    place.bare.rename(place.root / "away.git")
    with pytest.raises(Unavailable):
        repository.branches().bring(PREFIX)


@pytest.mark.parametrize("path", ["README.md", WISH, "ports/public/2.yaml", "x/y"])
def test_a_commit_of_people_makes_it_theirs(
    place: Place, repository: Repository, path: str
) -> None:
    push(repository)
    write(place, path, "by hand\n")
    assert not look(repository).ours


def test_update_branch_rebase_and_rewording_leave_it_ours(
    place: Place, repository: Repository
) -> None:
    push(repository)
    place.commits("README.md", "one\ntwo\nthree\nfour\n")
    on_branch(place, ("merge", "-q", "origin/main"))
    found = look(repository)
    assert found.ours
    assert set(found.files) == {WISH, PORT}
    place.commits("other.md", "x\n")
    on_branch(place, ("rebase", "-q", "origin/main"))
    assert look(repository).ours
    message = git(place.bare, "log", "-1", "--format=%B", NAME)
    reworded = message.replace("Expose it", "Expose it, please")
    on_branch(place, ("commit", "-q", "--amend", "-m", reworded))
    assert look(repository).ours
    on_branch(place, ("commit", "-q", "--amend", "-m", "Expose it"))
    assert not look(repository).ours


def test_a_merge_that_brings_more_than_main_is_theirs(
    place: Place, repository: Repository
) -> None:
    push(repository)
    place.commits("README.md", "one\ntwo\nthree\nfour\n")
    work = on_branch(place)
    git(work, "checkout", "-q", "theirs")
    git(work, "merge", "-q", "--no-commit", "--no-ff", "origin/main")
    (work / WISH).write_text("evil\n")
    git(work, "commit", "-q", "-a", "-m", "Merge main")
    git(work, "push", "-q", "origin", f"theirs:{NAME}")
    git(work, "checkout", "-q", "main")
    assert not look(repository).ours


@pytest.mark.parametrize("mode", ["120000", "100755"])
@pytest.mark.parametrize("path", [WISH, PORT, "README.md"])
def test_a_file_of_another_kind_makes_it_theirs(
    place: Place, repository: Repository, path: str, mode: str
) -> None:
    push(repository)
    blob = git(place.bare, "rev-parse", f"{NAME}:{path}")
    on_branch(
        place,
        ("update-index", "--cacheinfo", f"{mode},{blob},{path}"),
        ("commit", "-q", "--amend", "--no-edit"),
        ("reset", "-q", "--hard"),
    )
    assert not look(repository).ours


def test_a_name_that_is_no_text_makes_it_theirs(
    place: Place, repository: Repository
) -> None:
    push(repository)
    work = on_branch(place)
    git(work, "checkout", "-q", "theirs")
    Path(bytes(work).decode(), "manifests").mkdir(exist_ok=True)
    with open(bytes(work) + b"/manifests/\xff.yaml", "wb") as file:
        file.write(b"x")
    git(work, "add", "-A")
    git(work, "commit", "-q", "--amend", "--no-edit")
    git(work, "push", "-q", "--force", "origin", f"theirs:{NAME}")
    found = look(repository)
    assert not found.ours
    assert not found.conflicts


def merge_tree(place: Place) -> bool:
    """Whether git itself would not merge the branch cleanly."""
    argv = ("git", "merge-tree", "--write-tree", "main", NAME)
    done = subprocess.run(argv, cwd=place.bare, capture_output=True, timeout=60)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode == 1


@pytest.mark.parametrize(
    ("ours", "theirs", "wanted"),
    [
        ({"README.md": "ONE\ntwo\nthree\n"}, {"README.md": "one\ntwo\nTHREE\n"}, False),
        ({"README.md": "ONE\ntwo\nthree\n"}, {"README.md": "one!\ntwo\nthree\n"}, True),
        ({"README.md": "ONE\ntwo\nthree\n"}, {"README.md": "ONE\ntwo\nthree\n"}, False),
        ({WISH: "a\n"}, {WISH: "b\n"}, True),
        ({WISH: "a\n"}, {WISH: "a\n"}, False),
        ({WISH: "a\n"}, {"x.md": "b\n"}, False),
        ({PORT: None}, {PORT: "new\n"}, True),
        ({PORT: None}, {PORT: None}, False),
        ({"a/b": "x\n"}, {"a": "y\n"}, True),
    ],
)
def test_conflicts_are_those_of_git(
    place: Place,
    repository: Repository,
    ours: dict[str, str | None],
    theirs: dict[str, str | None],
    wanted: bool,
) -> None:
    content = {path: text.encode() if text else None for path, text in ours.items()}
    push(repository, draft(content))
    for path, text in theirs.items():
        if text is None:
            work = place.person()
            git(work, "rm", "-q", path)
            git(work, "commit", "-q", "-m", "gone")
            git(work, "push", "-q", "origin", "HEAD:main")
        else:
            place.commits(path, text)
    found = look(repository)
    assert found.conflicts == merge_tree(place) == wanted


def test_what_main_has_already_conflicts_with_nothing(
    place: Place, repository: Repository
) -> None:
    tip = push(repository)
    work = place.person()
    git(work, "fetch", "-q", "origin")
    git(work, "merge", "-q", tip)
    git(work, "push", "-q", "origin", "HEAD:main")
    found = look(repository)
    assert (found.files, found.ours, found.conflicts) == ({}, True, False)


def test_an_unrelated_history_is_theirs_and_conflicts(
    place: Place, repository: Repository
) -> None:
    push(repository)
    on_branch(
        place,
        ("checkout", "-q", "--orphan", "alone"),
        ("commit", "-q", "-m", "alone"),
        ("branch", "-q", "-M", "theirs"),
    )
    found = look(repository)
    assert (found.ours, found.conflicts) == (False, True)


def test_more_files_than_anybody_reads_are_theirs(
    place: Place, repository: Repository
) -> None:
    many = {f"manifests/{n % 50}/{n}.yaml": b"x" for n in range(20_001)}
    push(repository, draft(dict(many)))
    found = look(repository)
    assert (found.files, found.before, found.ours) == ({}, {}, False)


def test_the_lease_is_on_exactly_the_tip_that_was_seen(
    place: Place, repository: Repository
) -> None:
    first = push(repository)
    other = draft({WISH: b"other\n"})
    with pytest.raises(Conflict, match=NAME):
        push(repository, other)
    second = push(repository, other, first)
    assert git(place.bare, "rev-parse", NAME) == second
    write(place, "README.md", "theirs\n")
    theirs = git(place.bare, "rev-parse", NAME)
    with pytest.raises(Conflict):
        push(repository, WANTED, second)
    assert git(place.bare, "rev-parse", NAME) == theirs
    repository.branches().delete(NAME, second)
    assert git(place.bare, "rev-parse", NAME) == theirs
    repository.branches().delete(NAME, CommitId(theirs))
    assert repository.branches().bring(PREFIX) == {}
    repository.branches().delete(NAME, CommitId(theirs))


def test_the_same_push_by_two_is_one_of_the_first(
    place: Place, repository: Repository
) -> None:
    """Two passes of one second make the same commit; only one of them opens a request."""
    push(repository)
    with pytest.raises(Conflict):
        push(repository)
    assert git(place.bare, "rev-list", "--count", f"main..{NAME}") == "1"


def test_a_refusal_is_said(place: Place, repository: Repository) -> None:
    place.hook(
        "update", f"[ $1 != refs/heads/{NAME} ] || {{ echo no-bots >&2; exit 1; }}"
    )
    with pytest.raises(Blocked, match="no-bots") as caught:
        push(repository)
    assert NAME in str(caught.value)
    assert repository.branches().bring(PREFIX) == {}


def test_a_push_whose_answer_is_lost_is_looked_up(place: Place) -> None:
    """Cut the answer after k bytes: told or untold, the branch is whole or not there."""
    place.commits(PORT, "old\n")
    told = untold = 0
    with web(place.root) as server:
        line = Line(server.port)
        try:
            repository = place.open(f"http://127.0.0.1:{line.port}/remote.git")
            for k in (*range(1, 1400, 200), None):
                line.cut(None, k)
                try:
                    tip = push(repository)
                    told += 1
                    line.whole()
                    assert repository.branches().bring(PREFIX) == {NAME: tip}
                except Unavailable:
                    untold += 1
                line.whole()
                found = repository.branches().bring(PREFIX)
                assert found in ({}, {NAME: found.get(NAME)})
                if found:
                    repository.branches().delete(NAME, found[NAME])
            assert told
            assert untold
        finally:
            line.close()


def test_a_closed_request_tells_what_it_proposed(
    place: Place, repository: Repository
) -> None:
    tip = push(repository)
    git(place.bare, "update-ref", "refs/pull/7/head", tip)
    git(place.bare, "branch", "-D", NAME)
    fresh = place.open(cache="another")
    branches = fresh.branches()
    assert not branches.bring_commit(tip, ())
    assert not branches.bring_commit(tip, ("refs/pull/8/head",))
    assert branches.bring_commit(tip, ("refs/pull/8/head", "refs/pull/7/head"))
    assert branches.proposed(tip) == (
        {WISH: b"wish\n", PORT: b"port\n"},
        {WISH: None, PORT: b"old\n"},
    )


@pytest.mark.parametrize("commit", ["", "nonsense", "0" * 40, "main", "HEAD", "a" * 41])
def test_a_commit_that_is_none_is_not_there(
    repository: Repository, commit: str
) -> None:
    assert not repository.branches().bring_commit(commit, ("refs/pull/7/head",))


def test_edits_of_people_leave_what_was_proposed(
    place: Place, repository: Repository
) -> None:
    push(repository)
    for number in range(3):
        write(place, "README.md", f"{number}\n")
    found = look(repository)
    proposed = repository.branches().proposed(found.tip)
    assert proposed is not None
    assert set(proposed[0]) == {WISH, PORT}
    for number in range(20):
        write(place, "README.md", f"more {number}\n")
    assert repository.branches().proposed(look(repository).tip) is None
    assert repository.branches().proposed(repository.head().commit) is None


def test_with_signing_on_only_signed_commits_are_ours(
    place: Place, tmp_path: Path
) -> None:
    for name in ("key", "other"):
        argv = (
            "ssh-keygen",
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-f",
            str(tmp_path / name),
        )
        subprocess.run(argv, check=True, timeout=30)
    public = " ".join((tmp_path / "key.pub").read_text().split()[:2])
    place.commits(PORT, "old\n")
    signing = Credentials(signing_key=str(tmp_path / "key"))
    repository = place.open(credentials=signing)
    repository.trust((public,))
    tip = push(repository)
    assert look(repository).ours
    assert repository.branches().proposed(tip) is not None
    for number, credentials in enumerate(
        (Credentials(), Credentials(signing_key=str(tmp_path / "other")))
    ):
        mallory = place.open(credentials=credentials, cache=f"mallory-{number}")
        forged = push(mallory, draft({WISH: b"evil\n"}), tip)
        found = look(repository)
        assert (found.tip, found.ours) == (forged, False)
        assert repository.branches().proposed(forged) is None
        tip = forged


@pytest.mark.parametrize("after", ["", "README.md"])
def test_main_merged_into_a_branch_does_not_speak_for_the_request(
    place: Place, repository: Repository, after: str
) -> None:
    trailers = repository.branches().trailers(push(repository))
    ours = draft({"manifests/public/eu1/shop/vs-b.endpoints.yaml": b"new\n"})
    base = repository.head().commit
    repository.push([ours], base, "sha256:plan", NOW)
    on_branch(place, ("merge", "-q", "--no-edit", "origin/main"))
    if after:
        write(place, after, "by hand\n")
    tip = look(repository).tip
    branches = repository.branches()
    proposed = branches.proposed(tip)
    assert proposed is not None
    assert set(proposed[0]) == {WISH, PORT}
    assert branches.trailers(tip) == trailers


def test_a_file_that_is_none_of_ours_makes_it_theirs(repository: Repository) -> None:
    push(repository, draft({WISH: b"wish\n", ".github/workflows/x.yaml": b"evil\n"}))
    assert not look(repository).ours

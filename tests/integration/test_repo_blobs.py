"""A repository that we share with others costs about our part of it, on every kind of server."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.errors import Blocked, Unavailable
from reconciler.model.repository import BlobId, FileWrite
from reconciler.repo import Credentials, Repository
from reconciler.repo.children import Limits, run_child
from reconciler.repo.disk import size
from tests.integration.remotes import NOW, Place, Web, draft, git, web

A, B = "ports/p/1.yaml", "manifests/g/c/ns/vs-x.yaml"
OTHERS = 6_000_000
OURS = 400_000


@pytest.fixture
def shared(place: Place) -> Place:
    """A repository with much of others beside our folder, some of it in old commits."""
    module = '[submodule "x"]\n\tpath = x\n\turl = https://host/x\n'
    place.commits(".gitmodules", module)
    (place.work / "big").mkdir()
    for number in range(3):
        (place.work / "big/data").write_bytes(os.urandom(OTHERS // 3))
        place.commits(f"us/{A}", f"{number}\n")
        place.commits(f"us/{B}", f"wish {number}\n")
    git(place.bare, "config", "uploadpack.allowFilter", "true")
    return place


@pytest.fixture
def served(shared: Place) -> Iterator[Web]:
    """It, over HTTP."""
    with web(shared.root) as server:
        yield server


def view(place: Place, server: Web, **more: object) -> Repository:
    """Our folder of it, fetched."""
    return place.open(f"{server.url}/remote.git", path="us", timeout=60.0, **more)


def clone_of(place: Place, cache: str = "cache") -> Path:
    """The one clone in a cache folder."""
    (found,) = (place.root / cache / "repositories").glob("*.git")
    return found


def is_partial(clone: Path) -> bool:
    """Whether git knows that files may be missing."""
    return "promisor" in (clone / "config").read_text()


def old_blobs(repository: Repository) -> list[BlobId]:
    """All that the facts of history name."""
    changes = [
        change for fact in repository.history().commits for change in fact.changes
    ]
    return list(dict.fromkeys(change.new for change in changes if change.new))


def test_a_shared_repository_costs_about_our_part(shared: Place, served: Web) -> None:
    repository = view(shared, served)
    assert repository.head().files[A].data == b"2\n"
    assert repository.head().files[B].data == b"wish 2\n"
    assert [fact.id for fact in repository.history().commits] == shared.ids()[:-1]
    assert size(clone_of(shared)) < OURS < OTHERS < size(shared.bare)
    shared.commits(f"us/{A}", "3\n")
    repository.fetch()
    assert repository.head().files[A].data == b"3\n"
    assert size(clone_of(shared)) < OURS


def test_old_files_come_together_with_the_first_that_is_read(
    shared: Place, served: Web
) -> None:
    repository = view(shared, served)
    repository.head()
    blobs = old_blobs(repository)
    read = repository.history().read
    before = len(served.seen)
    first = read(blobs[-1])
    asked = len(served.seen) - before
    assert first in (b"0\n", b"wish 0\n")
    texts = {read(blob) for blob in blobs}
    assert texts >= {b"0\n", b"1\n", b"2\n", b"wish 0\n", b"wish 1\n"}
    assert len(served.seen) == before + asked
    assert asked <= 3
    assert size(clone_of(shared)) < OURS


def test_a_file_of_an_old_commit_is_fetched(shared: Place, served: Web) -> None:
    repository = view(shared, served)
    old = repository.history().commits[-1].id
    assert repository.read_at(old, A) == b"0\n"
    assert repository.read_at(old, B) is None


def test_nothing_is_fetched_by_reading_history_or_pushing(
    shared: Place, served: Web
) -> None:
    repository = view(shared, served)
    base = repository.head().commit
    before = len(served.seen)
    assert repository.history().commits
    assert repository.is_ancestor(base)
    assert len(served.seen) == before
    tip = repository.push([draft(A, b"new\n")], base, "", NOW)
    assert shared.tip() == tip
    assert git(shared.bare, "show", f"main:us/{A}") == "new"
    assert git(shared.bare, "rev-parse", "main:big/data")
    asked = len(served.seen) - before
    assert asked <= 3  # what is there, is there a login, the pack
    repository.fetch()
    assert repository.head().files[A].data == b"new\n"
    assert repository.history().commits[0].ours
    git(shared.bare, "fsck", "--strict", "--no-dangling")


def test_files_that_we_pushed_are_not_asked_for(shared: Place, served: Web) -> None:
    repository = view(shared, served)
    head = repository.head()
    writes = tuple(
        FileWrite(path=f"manifests/g/{n}.yaml", data=b"%d\n" % n) for n in range(20)
    )
    repository.push([draft(A, None), draft(B, b"b\n")], head.commit, "", NOW)
    base = repository.head().commit
    change = draft(A, b"a\n")
    both = (*change.writes, *writes)
    tip = repository.push(
        [type(change)(subject="s", body="", units=(), writes=both)], base, "", NOW
    )
    before = len(served.seen)
    assert len(repository.head().files) == 22
    assert len(served.seen) == before
    assert repository.head().commit == tip


@pytest.mark.parametrize("damage", ["truncate", "drop", "marks", "config"])
def test_a_broken_filtered_clone_is_made_again(
    shared: Place, served: Web, damage: str
) -> None:
    view(shared, served).head()
    clone = clone_of(shared)
    for path in clone.glob("objects/*/*"):
        if damage == "truncate":
            path.chmod(0o600)
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        elif damage == "drop" or (damage == "marks" and path.suffix == ".promisor"):
            path.unlink()
    if damage == "config":
        (clone / "config").write_text("[core]\n\tbare = true\n")
    shared.commits(f"us/{A}", "healed\n")
    repository = view(shared, served)
    assert repository.head().files[A].data == b"healed\n"
    assert [fact.id for fact in repository.history().commits] == shared.ids()[:-1]
    texts = {repository.history().read(blob) for blob in old_blobs(repository)}
    assert b"0\n" in texts
    repository.push([draft(A, b"on\n")], repository.head().commit, "", NOW)


def test_packing_keeps_what_is_missing_missing(shared: Place, served: Web) -> None:
    repository = view(shared, served)
    clone = clone_of(shared)
    base = repository.push([draft(A, b"x\n")], repository.head().commit, "", NOW)
    with repository._clone.lock() as lock:
        ended = repository._git._run(["gc", "--quiet"], repository._git._limits(lock))
    assert (ended.code, ended.errors) == (0, b"")
    assert is_partial(clone)
    assert size(clone) < OURS
    again = view(shared, served)
    assert again.head().files[A].data == b"x\n"
    assert again.push([draft(A, b"y\n")], base, "", NOW) == shared.tip()
    git(clone, "fsck", "--strict", "--no-dangling", GIT_ALLOW_PROTOCOL="none")


def test_a_server_that_cannot_filter_gives_everything(
    shared: Place, served: Web
) -> None:
    git(shared.bare, "config", "uploadpack.allowFilter", "false")
    repository = view(shared, served)
    clone = clone_of(shared)
    assert not is_partial(clone)
    assert not list(clone.glob("objects/pack/*.promisor"))
    assert size(clone) > OTHERS * 0.9
    assert repository.head().files[A].data == b"2\n"
    before = len(served.seen)
    texts = {repository.history().read(blob) for blob in old_blobs(repository)}
    assert b"0\n" in texts
    assert len(served.seen) == before
    git(clone, "fsck", "--strict", "--no-dangling")
    git(shared.bare, "config", "uploadpack.allowFilter", "true")
    shared.commits(f"us/{A}", "3\n")
    assert view(shared, served).head().files[A].data == b"3\n"
    assert not is_partial(clone)


def test_a_server_that_refuses_single_files_gives_everything_once(
    shared: Place,
) -> None:
    with web(shared.root, old=True) as served:
        repository = view(shared, served)
        assert is_partial(clone_of(shared))
        assert repository.head().files[A].data == b"2\n"
        assert not is_partial(clone_of(shared))
        assert size(clone_of(shared)) > OTHERS * 0.9
        repository.push([draft(A, b"3\n")], repository.head().commit, "", NOW)
        before = size(clone_of(shared))
        again = view(shared, served)
        assert again.head().files[A].data == b"3\n"
        assert abs(size(clone_of(shared)) - before) < OURS
        assert not is_partial(clone_of(shared))


def test_a_server_that_stops_to_give_single_files_costs_one_pass(
    shared: Place, served: Web
) -> None:
    view(shared, served).head()
    ours = shared.ids()[:-1]
    with web(shared.root, old=True) as older:
        repository = view(shared, older, cache="older")
        # as if the first files had come while the server was newer
        clone, source = clone_of(shared, "older"), clone_of(shared)
        shutil.rmtree(clone)
        shutil.copytree(source, clone)
        repository = view(shared, older, cache="older")
        repository.head()
        old = old_blobs(repository)[-1]
        with pytest.raises(Unavailable, match="run again"):
            repository.history().read(old)
        with pytest.raises(Unavailable):
            repository.read_at(ours[-1], A)
        repository.fetch()
        assert repository.history().read(old) in (b"0\n", b"wish 0\n")
        assert not is_partial(clone)
        assert [fact.id for fact in repository.history().commits] == ours


def test_a_path_remote_filters_when_its_configuration_says_so(shared: Place) -> None:
    repository = shared.open(path="us")
    assert repository.head().files[A].data == b"2\n"
    assert size(clone_of(shared)) < OURS
    git(shared.bare, "config", "--unset", "uploadpack.allowFilter")
    other = shared.open(path="us", cache="other")
    assert other.head().files[A].data == b"2\n"
    assert not is_partial(clone_of(shared, "other"))


def test_a_repository_of_our_own_is_not_filtered(place: Place) -> None:
    git(place.bare, "config", "uploadpack.allowFilter", "true")
    place.commits(A, "1")
    place.open().head()
    assert not is_partial(clone_of(place))


def test_two_views_share_a_filtered_clone(shared: Place, served: Web) -> None:
    view(shared, served).head()
    whole = shared.open(f"{served.url}/remote.git", timeout=60.0)
    assert is_partial(clone_of(shared))
    assert whole.head().files == {}
    assert view(shared, served).head().files[A].data == b"2\n"


def test_a_login_is_needed_for_single_files_too_and_stands_nowhere(
    shared: Place,
) -> None:
    with web(shared.root, login="ada:pass-word") as served:
        login = Credentials(username="ada", password="pass-word")
        repository = view(shared, served, credentials=login)
        assert repository.head().files[A].data == b"2\n"
        found = [p for p in (shared.root / "cache").rglob("*") if p.is_file()]
        assert not [p for p in found if b"pass-word" in p.read_bytes()]


def test_a_remote_that_is_gone_is_not_a_broken_clone(
    shared: Place, served: Web
) -> None:
    repository = view(shared, served)
    shared.bare.rename(shared.root / "elsewhere")
    with pytest.raises(Unavailable, match="cannot be fetched"):
        repository.head()
    (shared.root / "elsewhere").rename(shared.bare)
    assert repository.head().files[A].data == b"2\n"
    assert is_partial(clone_of(shared))


def test_a_link_or_a_submodule_in_our_folder_is_not_asked_for(
    shared: Place, served: Web
) -> None:
    work = shared.person()
    (work / "us/ports/p/link").symlink_to("../../../big/data")
    gitlink = f"160000,{shared.tip()},us/ports/p/module"
    git(work, "update-index", "--add", "--cacheinfo", gitlink)
    git(work, "add", "us/ports/p/link")
    git(work, "commit", "-q", "-m", "odd")
    git(work, "push", "-q", "origin", "HEAD:main")
    repository = view(shared, served)
    files = repository.head().files
    assert files["ports/p/link"].data == files["ports/p/module"].data == b""
    with pytest.raises(Blocked):
        repository.push(
            [draft("ports/p/module/x", b"")], repository.head().commit, "", NOW
        )


def test_other_branches_are_brought_without_files_and_pruned(
    shared: Place, served: Web
) -> None:
    repository = view(shared, served)
    work = shared.person()
    data = (work / "big/data").read_bytes()
    git(work, "checkout", "-q", "-b", "r/one")
    (work / "big/data").write_bytes(data + b"a little more")  # a delta, when sent thin
    (work / "us" / A).write_text("asked\n")
    git(work, "commit", "-q", "-a", "-m", "asked")
    git(work, "push", "-q", "origin", "r/one")
    tip = git(work, "rev-parse", "HEAD")
    assert repository.branches().bring("r/") == {"r/one": tip}
    assert size(clone_of(shared)) < OURS
    assert repository.read_at(tip, A) == b"asked\n"
    git(work, "push", "-q", "origin", ":r/one")
    assert repository.branches().bring("r/") == {}


def test_no_child_but_a_fetch_knows_where_missing_files_are(
    shared: Place, served: Web
) -> None:
    repository = view(shared, served)
    big = git(shared.bare, "rev-parse", "main:big/data")
    before = len(served.seen)
    git_ = repository._git
    with repository._clone.lock() as lock:
        for remote in (False, True):
            argv = ["cat-file", "blob", big]
            ended = git_._run(argv, git_._limits(lock), remote=remote)
            assert ended.code != 0
    assert len(served.seen) == before


def test_a_question_longer_than_a_pipe_gets_through(tmp_path: Path) -> None:
    text = b"x" * 3_000_000
    ended = run_child(["wc", "-c"], dict(os.environ), Limits(seconds=30), text)
    assert ended.output.strip() == b"3000000"
    ended = run_child(["sleep", "30"], dict(os.environ), Limits(seconds=0.3), text)
    assert ended.timed_out

"""What changed since a commit that we knew: exactly what reading everything again would say."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.model.repository import CommitId
from reconciler.model.updates import Changes
from reconciler.repo import Credentials, Repository
from tests.integration.remotes import NOW, Place, draft, git

A, B, C = "ports/p/1.yaml", "ports/p/2.yaml", "manifests/p/eu1/shop/vs-a.yaml"


class Watcher:
    """Somebody who read everything once and follows from there."""

    def __init__(self, place: Place, keys: tuple[str, ...] = (), **more: object):
        self.place, self.keys, self.more = place, keys, more
        self.repository = place.open(cache="watcher", **more)
        self.commits = self.repository.history(keys).commits
        self.head = self.repository.head()
        self.warm = place.open(cache="warm", **more)  # asks for whole values again
        self.warm.history(keys)
        self.warm.head()

    def asks(self) -> Changes | None:
        """Fetches and asks."""
        self.repository.fetch()
        return self.repository.since(self.head.commit)

    def follows(self) -> Changes:
        """What changed, after a comparison with somebody who reads everything anew."""
        found = self.asks()
        assert found is not None
        self.agrees(found)
        return found

    def agrees(self, found: Changes) -> None:
        """Compare what is known with these changes to what a fresh clone says."""
        fresh = self.place.open(cache=os.urandom(4).hex(), **self.more)
        facts = fresh.history(self.keys).commits
        assert found.base == self.head.commit
        assert found.tip == fresh.head().commit
        assert (*found.commits, *self.commits) == facts
        self.warm.fetch()
        assert self.warm.head() == fresh.head()
        assert self.warm.history().commits == facts
        files = dict(self.head.files)
        for path, file in found.files.items():
            assert files.get(path) != file, path
            files.pop(path) if file is None else files.update({path: file})
        assert files == fresh.head().files
        self.commits, self.head = facts, fresh.head()


def ours(place: Place, *paths: str, data: bytes = b"1\n", **more: object) -> Repository:
    """Commits of ours, one for each path, in one push."""
    repository = place.open(**more)
    drafts = [draft(path, data, f"Set {path}") for path in paths]
    repository.push(drafts, repository.head().commit, "sha256:p", NOW)
    return repository


def test_nothing_changed(place: Place) -> None:
    ours(place, A)
    watcher = Watcher(place)
    found = watcher.follows()
    assert (found.files, found.commits) == ({}, ())


def test_commits_of_ours_and_of_people(place: Place) -> None:
    ours(place, A)
    watcher = Watcher(place)
    ours(place, B, C)
    assert [fact.ours for fact in watcher.follows().commits] == [True, True]
    place.commits(A, "2\n")
    assert [fact.ours for fact in watcher.follows().commits] == [False]
    place.commits("README.md", "nobody cares")
    found = watcher.follows()
    assert (found.files, found.commits) == ({}, ())


def test_what_was_changed_and_changed_back_is_no_file(place: Place) -> None:
    ours(place, A)
    watcher = Watcher(place)
    place.commits(A, "2\n")
    place.commits(A, "1\n")
    found = watcher.follows()
    assert found.files == {}
    assert len(found.commits) == 2


def test_our_own_push_needs_no_child(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours(place, A, B, C)
    watcher = Watcher(place)
    tip = watcher.repository.push(
        [draft(A, None), draft(C, b"2\n", "Move")], watcher.head.commit, "", NOW
    )
    with monkeypatch.context() as only:
        only.setattr(subprocess, "Popen", None)
        found = watcher.repository.since(watcher.head.commit)
    assert found is not None
    assert found.tip == tip
    watcher.agrees(found)


def test_nor_does_one_of_many_commits(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours(place, A)
    watcher = Watcher(place)
    drafts = [draft(f"ports/p/{port}.yaml", b"x") for port in range(20000, 20130)]
    watcher.repository.push(drafts, watcher.head.commit, "", NOW)
    with monkeypatch.context() as only:
        only.setattr(subprocess, "Popen", None)
        only.setattr("reconciler.repo.since.differences", None)
        found = watcher.repository.since(watcher.head.commit)
    assert found is not None
    watcher.agrees(found)


def test_a_very_large_push_is_followed_by_comparison(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours(place, A)
    watcher = Watcher(place)
    monkeypatch.setattr("reconciler.repo.bulk._TOLD", 20)
    drafts = [draft(f"ports/p/{port}.yaml", b"x") for port in range(20000, 20030)]
    watcher.repository.push(drafts, watcher.head.commit, "", NOW)
    assert len(watcher.follows().commits) == 30


def test_a_push_is_told_also_where_large_folders_are_not_read(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours(place, *(f"ports/p/{port}.yaml" for port in range(20000, 20150)))
    watcher = Watcher(place)
    watcher.repository.push([draft(A, b"x")], watcher.head.commit, "", NOW)
    with monkeypatch.context() as only:
        only.setattr("reconciler.repo.since.differences", None)
        found = watcher.repository.since(watcher.head.commit)
    assert found is not None
    watcher.agrees(found)


@pytest.mark.parametrize("commits", [3, 25])
def test_large_folders_and_many_commits(place: Place, commits: int) -> None:
    ports = [f"ports/p/{port}.yaml" for port in range(20000, 20400)]
    place.commits(ports[0], "first\n")
    for path in ports:
        (place.work / path).write_text(path)
    place.commits(ports[-1], "last\n")
    watcher = Watcher(place)
    some = random.Random(commits)
    for _ in range(commits):
        path = some.choice(ports)
        (place.work / some.choice(ports)).unlink(missing_ok=True)
        place.commits(path, str(some.random()))
        place.commits(f"ports/p/{some.randrange(30000)}.yaml", "new")
    assert len(watcher.follows().commits) == 2 * commits


def test_links_programs_and_folders_in_place_of_files(place: Place) -> None:
    ours(place, A, C)
    watcher = Watcher(place)
    work = place.person()
    (work / A).chmod(0o755)
    (work / "ports/p/link.yaml").symlink_to("1.yaml")
    place.commits("manifests-not/x", "beside")
    assert watcher.follows().files[A] is not None
    (work / C).unlink()
    (work / C).mkdir()
    place.commits(f"{C}/inside", "a folder now")
    watcher.follows()
    (work / C / "inside").unlink()
    (work / C).rmdir()
    git(work, "rm", "-rq", "ports")
    (work / "ports").write_text("a file named as a folder of ours")
    place.commits(C, "a file again")
    watcher.follows()


def test_merges(place: Place) -> None:
    ours(place, A)
    watcher = Watcher(place)
    work = place.person()
    git(work, "checkout", "-qb", "side")
    (work / B).write_text("side\n")
    git(work, "add", "-A")
    git(work, "commit", "-qm", "on the side")
    git(work, "checkout", "-q", "main")
    ours(place, C)
    git(work, "pull", "-q")
    git(work, "merge", "-q", "--no-ff", "side", "-m", "Merge branch 'side'")
    git(work, "push", "-q", "origin", "HEAD:main")
    assert len(watcher.follows().commits) == 2


def test_main_merged_backward_is_no_continuation(place: Place) -> None:
    ours(place, A)
    work = place.person()
    git(work, "checkout", "-qb", "side")
    ours(place, B)
    watcher = Watcher(place)
    (work / C).parent.mkdir(parents=True)
    (work / C).write_text("side\n")
    git(work, "add", "-A")
    git(work, "commit", "-qm", "on the side")
    git(work, "fetch", "-q")
    git(work, "merge", "-q", "--no-ff", "origin/main", "-m", "backward")
    git(work, "push", "-q", "origin", "HEAD:main")
    assert watcher.asks() is None


def test_a_rewound_branch_is_no_continuation(place: Place) -> None:
    ours(place, A)
    ours(place, B)
    watcher = Watcher(place)
    git(place.bare, "update-ref", "refs/heads/main", place.ids()[1])
    assert watcher.asks() is None
    assert watcher.repository.since(CommitId("0" * 40)) is None
    assert watcher.repository.since(CommitId("")) is None


def test_settings_make_everything_new_also_when_they_are_changed_back(
    place: Place,
) -> None:
    place.commits("wharfinger.yaml", "a: 1\n")
    watcher = Watcher(place)
    place.commits("wharfinger.yaml", "a: 2\n")
    assert watcher.asks() is None
    place.commits("wharfinger.yaml", "a: 1\n")
    assert watcher.asks() is None


def test_a_merge_that_only_the_remote_can_explain_makes_everything_new(
    place: Place,
) -> None:
    ours(place, C)
    watcher = Watcher(place)
    place.commits(C, "2\n", "Change the route (#12)")
    assert watcher.asks() is None


def test_a_name_with_a_slash_makes_everything_new(place: Place) -> None:
    ours(place, A)
    watcher = Watcher(place)
    repo = watcher.repository._clone.repo
    port = repo[repo[repo[watcher.head.commit].tree["ports"].id]["p"].id]["1.yaml"].id
    odd = repo.odb.write(2, b"100644 p/2.yaml\0" + bytes(port.raw))
    root = repo.odb.write(2, b"40000 ports\0" + bytes(odd.raw))
    git(place.bare, "config", "receive.fsck.fullPathname", "ignore")
    env = {"GIT_DIR": str(watcher.repository._clone.folder)}
    made = git(
        place.root,
        "commit-tree",
        str(root),
        "-p",
        watcher.head.commit,
        "-m",
        "x",
        **env,
    )
    git(place.root, "push", "-q", str(place.bare), f"{made}:refs/heads/main", **env)
    assert watcher.asks() is None


def test_nobody_is_answered_who_did_not_read_the_history(place: Place) -> None:
    ours(place, A)
    repository = place.open(cache="other")
    base = repository.head().commit
    assert repository.since(base) is None
    repository.history()
    assert repository.since(base) is not None


def test_a_clone_made_again_has_to_be_read_again(place: Place) -> None:
    ours(place, A)
    watcher = Watcher(place)
    with watcher.repository._clone.lock() as lock:
        watcher.repository._afresh(lock)
    ours(place, B)
    assert watcher.asks() is None
    assert len(watcher.repository.history().commits) == 2


def test_head_and_history_stay_right(place: Place) -> None:
    ours(place, A)
    watcher = Watcher(place)
    ours(place, B)
    watcher.follows()
    place.commits(C, "by hand")
    watcher.follows()
    assert watcher.repository.history()
    assert watcher.repository.head() == watcher.head
    assert watcher.repository.history().commits == watcher.commits


def test_head_and_history_after_our_push_need_no_child(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.commits("wharfinger.yaml", "a: 1\n")
    ours(place, A, B)
    watcher = Watcher(place)
    drafts = [draft(A, None), draft(C, b"2\n")]
    watcher.repository.push(drafts, watcher.head.commit, "", NOW)
    with monkeypatch.context() as only:
        only.setattr(subprocess, "Popen", None)
        head, commits = (
            watcher.repository.head(),
            watcher.repository.history().commits,
        )
    fresh = place.open(cache="fresh")
    assert head == fresh.head()
    assert commits == fresh.history().commits


def test_files_of_one_folder_in_a_clone_without_files(place: Place) -> None:
    git(place.bare, "config", "uploadpack.allowFilter", "true")
    git(place.bare, "config", "uploadpack.allowAnySHA1InWant", "true")
    place.commits("apps/huge.txt", "not ours")
    more = {"path": "ingress/prod", "url": f"file://{place.bare}"}
    ours(place, A, **more)
    watcher = Watcher(place, **more)
    ours(place, B, C, **more)
    place.commits("apps/huge.txt", "still not ours")
    place.commits(A, "the same name elsewhere")
    place.commits(f"ingress/prod/{A}", "by hand\n")
    found = watcher.follows()
    assert set(found.files) == {A, B, C}
    assert len(found.commits) == 3


@pytest.fixture
def key(tmp_path: Path) -> tuple[str, str]:
    """A private key file and its public line."""
    path = tmp_path / "key"
    keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path]
    subprocess.run(keygen, check=True, timeout=30)
    return str(path), path.with_suffix(".pub").read_text().strip()


def signed(place: Place, key: tuple[str, str], *paths: str) -> None:
    """Signed commits of ours in one push."""
    repository = place.open(credentials=Credentials(signing_key=key[0]))
    repository.history((key[1],))
    drafts = [draft(path, b"1\n") for path in paths]
    repository.push(drafts, repository.head().commit, "sha256:p", NOW)


@pytest.mark.parametrize("listed", [False, True])
def test_signatures_count_from_the_first_key_on(
    place: Place, key: tuple[str, str], listed: bool
) -> None:
    ours(place, A)
    if listed:
        place.commits("wharfinger.yaml", f"signing:\n  keys: ['{key[1]}']\n")
    watcher = Watcher(place, (key[1],))
    ours(place, B)
    signed(place, key, "ports/p/3.yaml")
    ours(place, "ports/p/4.yaml")
    told = [fact.ours for fact in watcher.follows().commits]
    assert told == [False, True, not listed]
    ours(place, "ports/p/5.yaml")
    signed(place, key, "ports/p/6.yaml")
    assert [fact.ours for fact in watcher.follows().commits] == [True, False]


def test_other_keys_make_everything_new(place: Place, key: tuple[str, str]) -> None:
    ours(place, A)
    watcher = Watcher(place)
    watcher.repository.trust((key[1],))
    ours(place, B)
    assert watcher.asks() is None


def _person(place: Place, some: random.Random) -> None:
    work = place.person()
    for _ in range(some.randrange(1, 4)):
        path = work / f"ports/p/{some.randrange(1, 9)}.yaml"
        if path.exists() and some.random() < 0.4:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(str(some.randrange(3)))
    place.commits(some.choice(["README.md", C]), str(some.random()))


def _reverts(place: Place, some: random.Random) -> None:
    work = place.person()
    commit = some.choice(place.ids()[:3])
    if git(work, "rev-list", "--parents", "-1", commit).count(" ") != 1:
        return
    git(work, "revert", "--no-commit", "-X", "theirs", commit)
    place.commits("README.md", str(some.random()), "Revert something")


def _merges(place: Place, some: random.Random) -> None:
    work = place.person()
    git(work, "checkout", "-q", "-B", "side", place.ids()[-1])
    name = f"clusters/{some.randrange(10**9)}.yaml"
    (work / "clusters").mkdir(exist_ok=True)
    (work / name).write_text("x")
    git(work, "add", "-A")
    git(work, "commit", "-qm", "side")
    git(work, "checkout", "-q", "main")
    git(work, "merge", "-q", "--no-ff", "side", "-m", "Merge")
    git(work, "push", "-q", "origin", "HEAD:main")


def _ours(place: Place, some: random.Random) -> None:
    paths = [
        f"ports/p/{some.randrange(1, 9)}.yaml" for _ in range(some.randrange(1, 4))
    ]
    ours(place, *dict.fromkeys(paths), data=str(some.randrange(5)).encode())


ACTS: tuple[Callable[[Place, random.Random], None], ...]
ACTS = (_person, _reverts, _merges, _ours, _ours)


@pytest.mark.parametrize("seed", range(4))
def test_any_history_is_followed_exactly(place: Place, seed: int) -> None:
    some = random.Random(seed)
    ours(place, A)
    place.commits("README.md", "0")
    watcher = Watcher(place)
    for _ in range(4):
        for _ in range(some.randrange(1, 5)):
            some.choice(ACTS)(place, some)
        watcher.follows()

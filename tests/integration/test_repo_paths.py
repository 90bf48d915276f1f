"""The history of a few paths says what the whole history says of them, with an index or without."""

from __future__ import annotations

import random
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.errors import Blocked, Usage
from reconciler.model.repository import CommitDraft, CommitFact, CommitId, FileWrite
from reconciler.repo import Credentials, Remote, Repository, paths
from reconciler.repo.side_branch import SideBranch
from tests.bench.bigrepo import START, STEP, Size, Unit, generate
from tests.integration.remotes import NOBODY, NOW, Place, draft, git

SIZE = Size(commits=300, files=45)
LATE = datetime(2099, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generated") / "ingress.git"
    generate(folder, SIZE)
    return folder


def opened(bare: Path, cache: Path) -> Repository:
    made = Repository.open(Remote(url=str(bare), credentials=NOBODY), cache)
    made.fetch()
    return made


def whole(repository: Repository, path: str) -> list[CommitFact]:
    """What the reader of all history says of one path."""
    return [
        commit
        for commit in repository.history().commits
        if any(change.path == path for change in commit.changes)
    ]


@pytest.mark.parametrize("many", [paths._MANY, 10])
def test_a_few_paths_are_told_as_the_whole_history_tells_them(
    generated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    monkeypatch.setattr(paths, "_MANY", many)
    repository = opened(generated, tmp_path)
    for number in (0, 3, 14):
        for path in Unit(number).created():
            trail = repository.paths.trail([path])
            assert [each.commit for each in trail.commits] == whole(repository, path)
    graphs = list(tmp_path.rglob("objects/info/commit-graphs/*.graph"))
    assert bool(graphs) == (many == 10)


def test_several_paths_and_folders_are_in_the_order_of_first_parents(
    generated: Path, tmp_path: Path
) -> None:
    repository = opened(generated, tmp_path)
    order = [commit.id for commit in repository.history().commits]
    some = [f"{Unit(number).stem}.yaml" for number in (2, 5, 9)]
    for asked in (some, ["manifests/g0", "ports/g0"], some * 30):
        found = [each.commit.id for each in repository.paths.trail(asked).commits]
        assert found == [each for each in order if each in set(found)]
        assert len(found) > 10


def test_the_commit_at_a_moment_is_what_git_says(
    generated: Path, tmp_path: Path
) -> None:
    repository = opened(generated, tmp_path)
    for seed in range(20):
        seconds = START + random.Random(seed).randrange(-STEP, 301 * STEP)
        moment = datetime.fromtimestamp(seconds, UTC)
        args = ("rev-list", "-1", "--first-parent", f"--before={seconds}", "main")
        assert repository.paths.commit_at(moment) == git(generated, *args)
    assert repository.paths.commit_at(LATE) == repository.paths.tip


def test_a_clock_that_went_wrong_changes_no_order(place: Place) -> None:
    repository = place.open()
    tip = repository.head().commit
    for days in (0, 900, 1, 2):
        data = f"{days}\n".encode()
        one = [draft("ports/p/1.yaml", data)]
        tip = repository.push(one, tip, "", NOW + timedelta(days=days))
    landed = [each.landed for each in repository.paths.trail(["ports"]).commits]
    assert landed == [NOW + timedelta(days=each) for each in (2, 1, 1, 0)]
    at = int((NOW + timedelta(days=1)).timestamp())
    said = git(place.bare, "rev-list", "-1", "--first-parent", f"--before={at}", "main")
    assert repository.paths.commit_at(NOW + timedelta(days=1)) == said


def test_paths_are_those_of_our_folder(place: Place) -> None:
    place.commits("infra/ports/p/1.yaml", "a: 1\n")
    place.commits("ports/p/1.yaml", "a: 2\n")
    remote = Remote(url=str(place.bare), path="infra", credentials=NOBODY)
    repository = Repository.open(remote, place.root / "cache")
    repository.fetch()
    (only,) = repository.paths.trail(["ports/p/1.yaml"]).commits
    assert [change.path for change in only.commit.changes] == ["ports/p/1.yaml"]
    assert repository.paths.names("ports") == ("p",)
    assert repository.paths.file("ports/p/1.yaml") == b"a: 1\n"
    assert repository.paths.file("ports/p/2.yaml") is None


def test_an_unborn_branch_has_no_trail(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "-b", "main", "bare.git")
    repository = opened(tmp_path / "bare.git", tmp_path / "cache")
    assert repository.paths.trail(["ports"]).commits == ()
    assert repository.paths.commit_at(NOW) == ""
    assert repository.paths.names("ports") == ()
    assert repository.paths.full("1234567") == ""


def test_only_commits_of_the_branch_are_found_by_their_digits(place: Place) -> None:
    tip = place.commits("ports/p/1.yaml", "a: 1\n")
    repository = place.open()
    assert repository.paths.full(tip[:9]) == tip
    work = place.person()
    git(work, "checkout", "-q", "--orphan", "other")
    git(work, "commit", "-q", "--allow-empty", "-m", "elsewhere")
    git(work, "push", "-q", "origin", "other")
    elsewhere = git(work, "rev-parse", "HEAD")
    for text in (
        elsewhere,
        "main",
        "HEAD",
        "",
        "0000000",
        f"{tip}^",
        "refs/heads/main",
    ):
        assert repository.paths.full(text) == ""


def test_a_persons_own_commit_is_foreign_whatever_its_words(place: Place) -> None:
    repository = place.open()
    forged = "Wharfinger-Digest: sha256:" + "0" * 64
    one = replace(draft("ports/p/1.yaml", b"1\n"), by_hand=True, body=f"x\n\n{forged}")
    repository.push([one], repository.head().commit, "", NOW)
    (fact,) = [each.commit for each in repository.paths.trail(["ports"]).commits]
    assert not fact.ours
    assert f"\n> {forged}" in git(place.bare, "log", "-1", "--format=%B", "main")


def side(place: Place) -> SideBranch:
    remote = Remote(url=str(place.bare), credentials=NOBODY)
    made = SideBranch.open(remote, place.root / "cache")
    made.fetch()
    return made


def test_a_patch_tells_new_changed_removed_and_binary_files(place: Place) -> None:
    place.commits("ports/p/1.yaml", "a: 1\n")
    place.commits("ports/p/2.yaml", "no newline")
    repository = side(place)
    base = repository.head().commit
    writes = (
        FileWrite(path="ports/p/1.yaml", data=None),
        FileWrite(path="ports/p/2.yaml", data=b"\x00\xff binary"),
        FileWrite(path="ports/p/3.yaml", data=b"new"),
    )
    one = CommitDraft(subject="x", body="", units=(), writes=writes, by_hand=True)
    patch = repository.patch([one], base, NOW)
    work = place.person()
    (place.root / "the.patch").write_bytes(patch)
    git(work, "apply", "--index", str(place.root / "the.patch"))
    tree = git(work, "write-tree")
    made = repository.propose([one], base, "topic", NOW)
    assert git(place.bare, "rev-parse", f"{made}^{{tree}}") == tree
    assert git(place.bare, "rev-parse", "topic") == made
    assert git(place.bare, "rev-parse", "main") == base
    assert repository.patch([], base, NOW) == b""


def test_a_taken_branch_is_never_moved(place: Place) -> None:
    place.commits("ports/p/1.yaml", "a: 1\n")
    repository = side(place)
    base = repository.head().commit
    one, other = (
        replace(draft("ports/p/1.yaml", data), by_hand=True)
        for data in (b"1\n", b"2\n")
    )
    made = repository.propose([one], base, "topic", NOW)
    with pytest.raises(Usage, match="already"):
        repository.propose([other], base, "topic", NOW)
    assert git(place.bare, "rev-parse", "topic") == made
    with pytest.raises(Usage, match="the branch itself"):
        repository.propose([other], base, "main", NOW)
    place.hook("pre-receive", "echo no >&2; exit 1\n")
    with pytest.raises(Blocked, match="refused"):
        repository.propose([other], CommitId(base), "another", NOW)


def test_signed_commits_elsewhere_decide_what_is_older_than_the_key(
    place: Place,
) -> None:
    """An unsigned commit with the right digest after the first signed one is foreign."""
    key = place.root / "key"
    keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
    subprocess.run(keygen, check=True, timeout=30)
    public = key.with_suffix(".pub").read_text().strip()
    path = "ports/p/1.yaml"
    for data, login in ((b"1", ""), (b"2", str(key)), (b"3", "")):
        repository = place.open(credentials=Credentials(signing_key=login))
        where = "ports/p/2.yaml" if login else path
        base = repository.head().commit
        repository.push([draft(where, data)], base, "sha256:p", NOW)
    repository = place.open()
    repository.trust((public,))
    found = [each.commit for each in repository.paths.trail([path]).commits]
    assert [commit.ours for commit in found] == [False, True]
    assert found == whole(repository, path)
    signed = repository.paths.trail(["ports/p/2.yaml"]).commits[0]
    assert signed.commit.ours

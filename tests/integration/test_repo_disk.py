"""The cache stays bounded over many passes, and a full disk is an error and no more."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from reconciler.errors import ReconcileError, Unavailable
from reconciler.model.repository import CommitDraft, FileWrite
from reconciler.repo import Repository
from reconciler.repo.disk import UNUSED, is_full, size
from tests.integration.remotes import NOW, Place, draft, git

A = "ports/p/1.yaml"
STORY = (
    "import sys; from tests.integration import test_repo_disk as story; "
    "story.full_disk_story(sys.argv[1])"
)
MOUNTED = 'mount -t tmpfs -o size=6m tmpfs "$1" && exec "$2" -c "$3" "$4"'


def cache_of(place: Place, cache: str = "cache") -> Path:
    """Where the clones are."""
    return place.root / cache / "repositories"


def clone_of(place: Place, cache: str = "cache") -> Path:
    """The one clone in a cache folder."""
    (found,) = cache_of(place, cache).glob("*.git")
    return found


def loose(clone: Path) -> int:
    """How many objects have a file of their own."""
    return sum(1 for _ in clone.glob("objects/??/*"))


def packs(clone: Path) -> int:
    """How many packs there are."""
    return sum(1 for _ in clone.glob("objects/pack/*.pack"))


def wide(number: int) -> CommitDraft:
    """A commit of about thirty objects."""
    paths = [f"ports/p{each}/1.yaml" for each in range(14)]
    data = b"%d\n" % number
    writes = tuple(FileWrite(path=path, data=data + path.encode()) for path in paths)
    return CommitDraft(subject="wide", body="", units=(), writes=writes)


def test_many_passes_leave_a_bounded_clone(place: Place) -> None:
    git(place.bare, "config", "uploadpack.allowFilter", "true")
    place.commits(f"us/{A}", "1")
    writer = place.open(path="us", cache="writer")
    reader = place.open(path="us", cache="reader")
    clones = [clone_of(place, "writer"), clone_of(place, "reader")]
    most_loose = most_packs = 0
    for number in range(115):
        base = writer.head().commit
        tip = writer.push([wide(number)], base, "", NOW)
        reader.fetch()
        assert reader.head().commit == tip
        most_loose = max(most_loose, *map(loose, clones))
        most_packs = max(most_packs, *map(packs, clones))
    assert 2000 < most_loose < 4500
    assert 20 < most_packs <= 33
    assert max(map(loose, clones)) < 2000  # some packing took place
    assert len(reader.history().commits) == 116
    assert len(writer.history().commits) == 116
    git(place.bare, "gc", "-q")
    for clone in clones:
        git(clone, "fsck", "--no-dangling", GIT_ALLOW_PROTOCOL="none")


def test_commits_that_were_not_pushed_go_away(place: Place) -> None:
    place.commits(A, "1")
    repository = place.open()
    place.hook("pre-receive", "exit 1")
    before = loose(clone_of(place))
    for number in range(3):
        with pytest.raises(ReconcileError):
            repository.push([wide(number)], repository.head().commit, "", NOW)
    assert loose(clone_of(place)) > before + 80
    for path in clone_of(place).glob("objects/??/*"):
        os.utime(path, (time.time() - 86400, time.time() - 86400))
    with repository._clone.lock() as lock:
        repository._git._run(["gc", "--quiet"], repository._git._limits(lock))
    assert loose(clone_of(place)) == 0
    assert repository.head().files[A].data == b"1"


def test_one_broken_clone_is_kept_for_a_day(place: Place) -> None:
    place.commits(A, "1")
    for _ in range(3):
        place.open().head()
        (clone_of(place) / "HEAD").unlink()
    repository = place.open()
    (aside,) = cache_of(place).glob("*.broken")
    repository.fetch()
    assert aside.exists()
    old = time.time() - 2 * 86400
    os.utime(aside, (old, old))
    repository.fetch()
    assert not aside.exists()


def test_a_clone_that_nobody_uses_is_removed(place: Place) -> None:
    place.commits(A, "1")
    git(place.bare, "branch", "other", "main")
    place.open(branch="other").head()
    (first,) = cache_of(place).glob("*.git")
    (lock,) = cache_of(place).glob("*.lock")
    first.with_suffix(".broken").mkdir()
    first.with_suffix(".trust").write_text("")
    recent = time.time() - UNUSED + 3600
    os.utime(lock, (recent, recent))
    place.open()
    assert first.exists()
    old = time.time() - UNUSED - 60
    os.utime(lock, (old, old))
    place.open()
    left = {path.suffix for path in cache_of(place).iterdir() if path.stem == lock.stem}
    assert left == set()
    assert place.open(branch="other").head().files[A].data == b"1"


def test_a_clone_in_use_is_not_removed(place: Place) -> None:
    place.commits(A, "1")
    git(place.bare, "branch", "other", "main")
    other = place.open(branch="other")
    (lock,) = cache_of(place).glob("*.lock")
    old = time.time() - UNUSED - 60
    with other._clone.lock():
        os.utime(lock, (old, old))
        place.open()
        assert other._clone.folder.exists()
    assert other.head().files[A].data == b"1"


def test_whoever_waited_for_a_removed_clone_makes_a_new_one(place: Place) -> None:
    place.commits(A, "1")
    repository = place.open()
    clone = clone_of(place)
    lock = clone.with_suffix(".lock")
    inode = lock.stat().st_ino
    lock.rename(lock.with_suffix(".gone"))  # so that its inode is not given again
    with repository._clone.lock():
        assert lock.stat().st_ino != inode
        with pytest.raises(Unavailable, match="another process"):
            place.unfetched(timeout=0.1)


def test_leftovers_are_swept_and_files_being_written_are_not(place: Place) -> None:
    place.commits(A, "1")
    repository = place.open()
    clone = clone_of(place)
    (clone / "objects/ab").mkdir(exist_ok=True)
    killed = ["objects/pack/tmp_pack_x", "objects/pack/.tmp-1-pack-x.pack", "gc.pid"]
    written = ["objects/ab/tmp_obj_x", "objects/tmp_object_git2_x"]
    for name in (*killed, *written):
        (clone / name).write_text("")
    memory = clone / "wharfinger-verified"
    with memory.open("wb") as file:
        file.truncate(33 << 20)
    repository.fetch()
    assert [name for name in (*killed, *written) if (clone / name).exists()] == written
    assert not memory.exists()
    for name in written:
        os.utime(clone / name, (0, 0))
    repository.fetch()
    assert not [name for name in written if (clone / name).exists()]


def test_a_full_disk_is_an_error_and_heals(place: Place) -> None:
    disk = place.root / "disk"
    disk.mkdir()
    mapped = [] if os.geteuid() == 0 else ["--map-root-user"]
    own = ["unshare", *mapped, "--mount"]
    if subprocess.run([*own, "true"], capture_output=True).returncode != 0:
        # A kernel that gives this user no mounts of its own: words are all that can be tried.
        assert is_full(place.root, "fatal: write error: No space left on device")
        return
    argv = [*own, "sh", "-c", MOUNTED, "sh", str(disk), sys.executable]
    argv += [STORY, str(place.root)]
    done = subprocess.run(
        argv,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "whole story\n"


def full_disk_story(root: str) -> None:
    """Runs where `disk` is a file system of 6 MiB."""
    place = Place(Path(root))
    disk = place.root / "disk"
    (place.root / "random").write_bytes(os.urandom(600_000))
    place.commits(A, "1")
    _grow(place)
    repository = place.open(cache="disk/cache")
    clone = clone_of(place, "disk/cache")
    inode = clone.stat().st_ino
    _fill(disk)
    _grow(place)
    _is_told(repository.fetch)
    assert repository.head().files[A].data == b"1"
    base = repository.head().commit
    _is_told(partial(repository.push, [draft(A, b"2" * 9000)], base, "", NOW))
    _is_told(partial(place.open, cache="disk/other"))
    assert clone.stat().st_ino == inode  # a full disk breaks no clone
    (disk / "filler").unlink()
    again = place.open(cache="disk/cache")
    assert again.push([draft(A, b"2")], again.head().commit, "", NOW) == place.tip()
    assert clone.stat().st_ino == inode
    for _ in range(2):
        _grow(place)
    again.fetch()
    assert size(clone) > 3_000_000  # there is no room for two of them
    del again, repository  # an open pack keeps its room
    gc.collect()
    (clone / "HEAD").unlink()
    healed = place.open(cache="disk/cache")
    assert healed.head().files[A].data == b"2"
    assert not clone.with_suffix(".broken").exists()
    sys.stdout.write("whole story\n")


def _grow(place: Place) -> None:
    """A commit of 800 kB that does not compress."""
    (place.person() / "others").write_bytes(os.urandom(800_000))
    place.commits("note", str(time.time_ns()))


def _fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            return


def _is_told(act: Callable[[], object]) -> None:
    try:
        act()
    except Unavailable as exc:
        text = f"{exc.what} {exc.hint}".lower()
        assert "no space left" in text or "is full" in text, text
        assert "room" in text or "XDG_CACHE_HOME".lower() in text, text
        return
    raise AssertionError("a full disk went unnoticed")


def test_a_relative_cache_is_below_where_we_started(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.commits(A, "1")
    monkeypatch.chdir(place.root)
    remote = place.unfetched(cache="first").remote
    repository = Repository.open(remote, Path("relative"), 3)
    repository.fetch()
    monkeypatch.chdir("/")
    assert repository.head().files[A].data == b"1"
    assert clone_of(place, "relative").is_dir()

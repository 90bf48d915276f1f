"""Keeps the cache folder bounded: what nobody uses any more is removed (does I/O).

All of it is done by a process that holds the lock of the clone it touches.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

LOG = "wharfinger-log-"  # what is kept of `git log`, one file for each set of paths
NOTE = "wharfinger-note-"  # of a pass that left nothing to do, one for each folder
UNUSED = 30 * 86400.0  # seconds until a clone that nobody opened is removed
_ASIDE = 86400.0  # seconds that a broken clone is kept for whoever wants to know why
_WRITING = (
    3600.0  # seconds; libgit2 writes objects without our lock, but not for so long
)
_MEMORY = 32 << 20  # bytes of verified signatures
_LEAST = 256 << 10  # bytes; with less, whatever fails, fails for want of room
_FULL = ("no space left on device", "disk quota exceeded")


def sweep(folder: Path) -> None:
    """Remove what killed processes left in a clone, and its broken predecessor after a day."""
    stale = [*folder.glob("*.lock"), *folder.glob("refs/**/*.lock"), folder / "gc.pid"]
    stale += folder.glob("objects/pack/tmp_*")
    stale += folder.glob("objects/pack/.tmp-*")
    stale += folder.glob("objects/info/*.lock")
    stale += folder.glob("fast_import_crash_*")
    written = [*folder.glob("objects/tmp_*"), *folder.glob("objects/??/tmp_*")]
    written += [*folder.glob("tmp_log_*"), *folder.glob("objects/info/*/*.lock")]
    stale += [path for path in written if _age(path) > _WRITING]
    kept = [*folder.glob(f"{LOG}*"), *folder.glob(f"{NOTE}*")]
    stale += [path for path in kept if _age(path) > UNUSED]
    memory = folder / "wharfinger-verified"
    with suppress(OSError):
        stale += [memory] if memory.stat().st_size > _MEMORY else []
    for path in stale:
        path.unlink(missing_ok=True)
    aside = folder.with_suffix(".broken")
    if _age(aside) > _ASIDE:
        shutil.rmtree(aside, ignore_errors=True)


def put_aside(folder: Path) -> None:
    """Move a broken clone out of the way; where it leaves no room for a new one it goes."""
    aside = folder.with_suffix(".broken")
    shutil.rmtree(aside, ignore_errors=True)
    if not folder.exists():
        return
    if shutil.disk_usage(folder).free < 2 * size(folder):
        shutil.rmtree(folder)
        return
    folder.rename(aside)
    os.utime(aside)


def size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    found = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            found += path.lstat().st_size
    return found


def is_full(folder: Path, said: str) -> bool:
    """Whether something failed because the disk is full; `said` is what was said about it."""
    if any(mark in said.lower() for mark in _FULL):
        return True
    with suppress(OSError):
        return shutil.disk_usage(folder.parent).free < _LEAST
    return False


def is_untidy(folder: Path, loose: int, packs: int) -> bool:
    """Whether a clone has about so many loose objects or packs: as git guesses, without git."""
    sample = sum(1 for _ in folder.glob("objects/17/*"))
    return 256 * sample > loose or len(list(folder.glob("objects/pack/*.pack"))) > packs


def forget_unused(own: Path, limit: float = UNUSED) -> None:
    """Remove clones beside `own` whose lock nobody has taken for `limit` seconds."""
    for lock in own.parent.glob("*.lock"):
        if lock != own.with_suffix(".lock") and _age(lock) > limit:
            with suppress(OSError):
                _forget(lock, limit)


def _forget(lock: Path, limit: float) -> None:
    descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not is_lock(descriptor, lock) or _age(lock) <= limit:
            return  # somebody was faster
        for path in _parts(lock):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        lock.unlink()  # last: an interrupted removal is taken up again
    finally:
        os.close(descriptor)


def _parts(lock: Path) -> Iterator[Path]:
    for suffix in (".git", ".broken", ".trust"):
        if (path := lock.with_suffix(suffix)).exists():
            yield path


def is_lock(descriptor: int, lock: Path) -> bool:
    """Whether an open file is still the lock that a path names."""
    try:
        return os.path.samestat(os.fstat(descriptor), lock.stat())
    except OSError:
        return False


def _age(path: Path) -> float:
    try:
        return time.time() - path.lstat().st_mtime
    except OSError:
        return 0.0

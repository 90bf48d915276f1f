"""The bare clone in the cache folder: made, locked, repaired; nothing in it is irreplaceable.

It has the whole history; where the repository is shared with others, files come only when they
are asked for (`blobs.py`). One lock file per clone: whoever holds it may change refs and packs. Its descriptor is handed to
the children, so that a child that outlives a killed parent still keeps others out.
"""

from __future__ import annotations

import fcntl
import gc
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pygit2

from reconciler.errors import Unavailable
from reconciler.repo.disk import forget_unused, is_full, is_lock, put_aside, sweep

# What libgit2 says of a clone with missing or damaged objects, refs or files.
BROKEN = (KeyError, pygit2.GitError, OSError)
PROMISOR = "wharfinger"  # the name under which git remembers that files may be missing


class Clone:
    """One clone on disk and a handle on it. Threads and processes each open their own."""

    def __init__(self, folder: Path, wait: float, *, filtered: bool = False) -> None:
        """`wait`: seconds until somebody else's lock is an error. Raises Unavailable.

        `filtered`: a new clone is made without files, where the server can.
        """
        self.folder = folder
        self._wait = wait
        self._filtered = filtered
        self.repo: Any = None
        self._packs: frozenset[str] = frozenset()
        try:
            folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self.lock():
                self.repo = self._opened()
                forget_unused(folder)
        except (OSError, pygit2.GitError) as exc:
            said = exc.strerror if isinstance(exc, OSError) else ascii(str(exc))[1:-1]
            raise Unavailable(
                f"the cache folder cannot be used: {said or 'input/output error'}",
                where=str(folder.parent),
                hint="name another one in XDG_CACHE_HOME",
            ) from exc

    @contextmanager
    def lock(self) -> Iterator[int]:
        """Be the only one to change the clone; the descriptor is for children to inherit."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        path = self.folder.with_suffix(".lock")
        deadline = time.monotonic() + self._wait
        while True:
            descriptor = os.open(path, flags, 0o600)
            try:
                self._acquire(descriptor, deadline)
                if not is_lock(descriptor, path):
                    continue  # the clone was unused for so long that somebody removed it
                os.utime(descriptor)
                yield descriptor
                return
            finally:
                os.close(descriptor)

    def _acquire(self, descriptor: int, deadline: float) -> None:
        pause = 0.01
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Unavailable(
                        f"another process has worked on the clone for {self._wait:g} s",
                        where=str(self.folder),
                        hint="wait for it, or end it if it hangs",
                    ) from None
            time.sleep(pause)
            pause = min(0.2, pause * 1.5)

    def sweep(self) -> None:
        """Remove what killed processes left; only under the lock, where nobody else works."""
        sweep(self.folder)

    def renew(self) -> None:
        """Move the clone aside and make an empty one; only under the lock."""
        if self.repo is not None:
            self.repo.free()
        # libgit2 shares open packs by path and pygit2's handles are cycles: without this the
        # new clone would meet the broken packs of the old one.
        gc.collect()
        whole = not self._filtered or self._whole.exists()
        put_aside(self.folder)
        pygit2.init_repository(str(self.folder), bare=True)
        self.repo = pygit2.Repository(str(self.folder))
        if whole:
            self._whole.touch()

    def let_go(self) -> None:
        """Close packs that somebody's packing removed: open, they keep descriptors and the disk."""
        try:
            names = os.listdir(self.folder / "objects" / "pack")
        except OSError:
            return  # a clone without packs, or one that is made again just now
        packs = frozenset(each for each in names if each.endswith(".pack"))
        if not packs >= self._packs:
            self.repo.free()
        self._packs = packs

    def is_partial(self) -> bool:
        """Whether files may be missing that the remote has."""
        return f"remote.{PROMISOR}.promisor" in self.repo.config

    def filters(self) -> bool:
        """Whether the next fetch leaves files out: as the first one did."""
        if self.is_partial():
            return True
        fresh = next(self.folder.glob("objects/pack/*.pack"), None) is None
        return fresh and self._filtered and not self._whole.exists()

    def stop_filtering(self) -> None:
        """Take note, under the lock, that the server does not hand out single files."""
        self._whole.touch()

    def is_refused(self) -> bool:
        """Whether files are missing that cannot be had, so that it must be made again."""
        return self._whole.exists() and self.is_partial()

    def is_whole(self) -> None:
        """Take note, under the lock, that the server left nothing out."""
        config = self.repo.config
        for key in [each.name for each in config if each.name.startswith("remote.")]:
            del config[key]
        for mark in self.folder.glob("objects/pack/*.promisor"):
            mark.unlink()
        self._whole.touch()

    def check_room(self, said: str) -> None:
        """Raises Unavailable when something failed because the disk is full."""
        if is_full(self.folder, said):
            raise Unavailable(
                "the disk with the cache folder is full",
                where=str(self.folder.parent),
                hint="make room, or name another folder in XDG_CACHE_HOME",
            )

    @property
    def _whole(self) -> Path:
        return self.folder / "wharfinger-whole"

    def tip(self, ref: str) -> str:
        """The commit that a ref of the clone names. Raises one of BROKEN."""
        target = self.repo.references[ref].target
        return str(self.repo[target].id)

    def set_tip(self, ref: str, commit: str) -> None:
        """Point a ref of the clone at a commit, or remove it for an empty one."""
        if commit:
            self.repo.references.create(ref, commit, force=True)
            return
        with suppress(KeyError):
            self.repo.references.delete(ref)

    def _opened(self) -> Any:
        """A handle; a clone that cannot be one, or lacks history, is made again."""
        try:
            repo = pygit2.Repository(str(self.folder))
        except pygit2.GitError:
            self.renew()
            return self.repo
        grafted = (self.folder / "info" / "grafts").exists()
        if repo.is_bare and not repo.is_shallow and not grafted:
            return repo
        self.renew()
        return self.repo


def is_filtered(folder: Path) -> bool:
    """Whether a clone on disk says that files may be missing."""
    try:
        config = (folder / "config").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "promisor = true" in config

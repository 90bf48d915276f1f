"""The bare clone in the cache folder: made, locked, repaired; nothing in it is irreplaceable.

One lock file per clone: whoever holds it may change refs and packs. Its descriptor is handed to
the children, so that a child that outlives a killed parent still keeps others out.
"""

from __future__ import annotations

import fcntl
import gc
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pygit2

from reconciler.errors import Unavailable

# What libgit2 says of a clone with missing or damaged objects, refs or files.
BROKEN = (KeyError, pygit2.GitError, OSError)


class Clone:
    """One clone on disk and a handle on it. Threads and processes each open their own."""

    def __init__(self, folder: Path, wait: float) -> None:
        """`wait`: seconds until somebody else's lock is an error. Raises Unavailable."""
        self.folder = folder
        self._wait = wait
        self.repo: Any = None
        try:
            folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self.lock():
                self.repo = self._opened()
        except OSError as exc:
            raise Unavailable(
                f"the cache folder cannot be used: {exc.strerror or 'input/output error'}",
                where=str(folder.parent),
                hint="name another one in XDG_CACHE_HOME",
            ) from exc

    @contextmanager
    def lock(self) -> Iterator[int]:
        """Be the only one to change the clone; the descriptor is for children to inherit."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self.folder.with_suffix(".lock"), flags, 0o600)
        try:
            self._acquire(descriptor)
            yield descriptor
        finally:
            os.close(descriptor)

    def _acquire(self, descriptor: int) -> None:
        deadline = time.monotonic() + self._wait
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
        stale = [*self.folder.glob("*.lock"), *self.folder.glob("refs/**/*.lock")]
        stale += self.folder.glob("objects/pack/tmp_*")
        stale += self.folder.glob("objects/info/*.lock")
        for path in stale:
            path.unlink(missing_ok=True)

    def renew(self) -> None:
        """Move the clone aside and make an empty one; only under the lock."""
        if self.repo is not None:
            self.repo.free()
        # libgit2 shares open packs by path and pygit2's handles are cycles: without this the
        # new clone would meet the broken packs of the old one.
        gc.collect()
        if self.folder.exists():
            aside = self.folder.with_suffix(".broken")
            shutil.rmtree(aside, ignore_errors=True)
            self.folder.rename(aside)
        pygit2.init_repository(str(self.folder), bare=True)
        self.repo = pygit2.Repository(str(self.folder))

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

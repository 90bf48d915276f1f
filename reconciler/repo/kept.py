"""What `git log` said of our folders, kept in the clone: a new process asks for the rest (I/O).

Commits never change, so what was said of them stays true. The file goes with the clone when
that is made again, and one that is cut or of another history is not looked at.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from reconciler.repo.clone import Clone
from reconciler.repo.disk import LOG
from reconciler.repo.objects import Repo
from reconciler.repo.transport import Git

_WORTH = 1 << 20  # bytes that were not kept yet; for less nothing is written
_MARK = 64  # hexadecimal digits of the check sum, before the rest of the file


class KeptLog:
    """Reads the log of one set of paths from the tip to the root."""

    def __init__(self, git: Git) -> None:
        self._git = git

    def read(self, clone: Clone, tip: str, paths: Sequence[str]) -> bytes:
        """As `Git.log`. Raises BrokenClone, or one of BROKEN."""
        name = hashlib.sha256("\0".join(paths).encode()).hexdigest()[:16]
        file = clone.folder / f"{LOG}{name}"
        before, said = _kept(file)
        if before == tip:
            return said
        if not before or not on_first_parents(clone.repo, tip, before):
            said = self._git.log([tip], paths)
            new = len(said)
        else:
            more = self._git.log([tip, f"^{before}"], paths)
            new, said = len(more), more + said
        if new > _WORTH:
            with suppress(OSError):
                _keep(file, tip, said)
        return said


def on_first_parents(repo: Repo, tip: str, old: str) -> bool:
    """Whether `old` is reached from the tip by first parents alone."""
    if old not in repo or not repo.descendant_of(tip, old):
        return False
    commit = repo[tip]
    while str(commit.id) != old:
        if not commit.parent_ids:
            return False
        commit = repo[commit.parent_ids[0]]
    return True


def _kept(file: Path) -> tuple[str, bytes]:
    """The tip and what was said up to it; both empty when nothing usable is there."""
    try:
        data = file.read_bytes()
    except OSError:
        return "", b""
    mark, packed = data[:_MARK], data[_MARK:]
    if hashlib.sha256(packed).hexdigest().encode() != mark:
        return "", b""
    with suppress(OSError):
        os.utime(file)  # files that nobody reads are swept
    tip, _, said = zlib.decompress(packed).partition(b"\n")
    return tip.decode("ascii"), said


def _keep(file: Path, tip: str, said: bytes) -> None:
    packed = zlib.compress(tip.encode("ascii") + b"\n" + said, 1)
    mark = hashlib.sha256(packed).hexdigest().encode()
    descriptor, made = tempfile.mkstemp(dir=file.parent, prefix="tmp_log_")
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(mark)
            out.write(packed)
        os.replace(made, file)
    except OSError:
        os.unlink(made)
        raise

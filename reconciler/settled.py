"""Finds out whether nothing has changed since the last note, before anything is planned (does I/O).

Loaded by a cold process before the planner is, so it imports no settings and no client. The
note lies in the clone and is a cache as the clone is: whoever can write there can make a pass
say that there is nothing to do, but never make it do something.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from reconciler.directory import will_write
from reconciler.fingerprints import fingerprint, folders_of
from reconciler.note import MAX_BYTES, Ground, Note, pack, unpack
from reconciler.repo import NOTE, Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a person asks of a pass. `mode` is `--write-back`, empty where nothing is written."""

    mode: str
    now: datetime
    environment: Mapping[str, str]


def recall(repository: Repository, asked: Asked) -> Note | None:
    """The note of a pass that would say just what this one would; the branch was fetched."""
    note = _read(_file(repository))
    if note is None or not note.holds(ground(repository), asked.now):
        return None
    roots = [Path(root) for root, _ in note.roots]
    if asked.mode and note.written and not _as_written(note, asked, roots):
        return None
    seen = zip(roots, (found for _, found in note.roots), strict=True)
    return note if all(_is_same(root, found) for root, found in seen) else None


def _as_written(note: Note, asked: Asked, roots: list[Path]) -> bool:
    """Whether as little is written now as was then."""
    return note.written == asked.mode and not any(
        will_write(asked.mode, root, asked.environment) for root in roots
    )


def _is_same(root: Path, found: tuple[str, ...]) -> bool:
    try:
        folders = folders_of(root)
    except OSError:
        return False
    if len(folders) != len(found):
        return False
    known = frozenset(found)
    return all(fingerprint(folder) in known for folder in folders)


def ground(repository: Repository) -> Ground:
    """What a pass stands on here and now."""
    remote = repository.remote
    return Ground(
        program=_program(),
        place=(repository.url, remote.branch, remote.path),
        work=os.getcwd(),
        head=repository.paths.tip,
    )


def _program() -> str:
    """A digest of our own text and of the interpreter; empty where modules are no files."""
    package = Path(__file__).parent
    digest = hashlib.blake2b(sys.version.encode(), digest_size=32)
    try:
        for file in sorted(package.rglob("*.py")):
            digest.update(f"\0{file.relative_to(package)}\0".encode())
            digest.update(file.read_bytes())
    except OSError:
        return ""
    return digest.hexdigest()


def keep(repository: Repository, note: Note) -> None:
    """Leave a note; where that fails there is none, which only costs time."""
    file = _file(repository)
    data = pack(note)
    if len(data) > MAX_BYTES:
        return
    with suppress(OSError):
        descriptor, made = tempfile.mkstemp(dir=file.parent, prefix="tmp_log_")
        try:
            with os.fdopen(descriptor, "wb") as out:
                out.write(data)
            os.replace(made, file)
        except OSError:
            os.unlink(made)
            raise


def forget(repository: Repository) -> None:
    """Take the note away: what it said is no longer so."""
    with suppress(OSError):
        _file(repository).unlink(missing_ok=True)


def _file(repository: Repository) -> Path:
    name = hashlib.sha256(repository.remote.path.encode()).hexdigest()[:16]
    return repository.paths.folder / f"{NOTE}{name}"


def _read(file: Path) -> Note | None:
    try:
        if file.stat().st_size > MAX_BYTES:
            return None
        return unpack(file.read_bytes())
    except OSError:
        return None

"""Trees and blobs of a bare clone through pygit2: read them, and edit them in memory (does I/O).

Links are listed and never followed; a file beyond `MAX_FILE` is listed without its content, as
nothing of ours is that large. Names that no tree should have are left out: nobody may own them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from reconciler.errors import Blocked, Unavailable
from reconciler.model.repository import BlobId, File, FileWrite
from reconciler.repo.differences import RawChange
from reconciler.repo.trailers import ABSENT, DiffLine

ROOTS = ("clusters", "ports", "hosts", "manifests", "holds")
SETTINGS = "wharfinger.yaml"
MAX_FILE = 1 << 20
MAX_FILES = 1_000_000
MAX_TOTAL = 1 << 30
TREE, BLOB, EXECUTABLE = 0o040000, 0o100644, 0o100755

_NAME = re.compile(r"[A-Za-z0-9._@+-]{1,255}\Z")
_NEVER = frozenset({".", "..", ".git", ".gitmodules"})

Nested = dict[str, Any]
_Listed = tuple[str, Any, int]  # path, id and mode
Repo = Any  # pygit2.Repository; its stubs do not know what an object is


def subtree(repo: Repo, tree: Any, folder: str) -> Any | None:
    """The tree of a folder, `None` when there is none."""
    for part in folder.split("/") if folder else ():
        if tree is None or part not in tree or tree[part].filemode != TREE:
            return None
        tree = repo[tree[part].id]
    return tree


def decoded(path: bytes) -> str:
    """A path as text; what is not UTF-8 is spelled out, which no path of ours is."""
    return path.decode("utf-8", "backslashreplace")


class HeadReader:
    """Reads our files at a commit, within limits of number and size."""

    def __init__(self, repo: Repo, bring: Callable[[Iterable[Any]], None]) -> None:
        """`bring` is told the ids of all files before they are read."""
        self._repo = repo
        self._bring = bring
        self._odb = repo.odb
        self._left = MAX_TOTAL

    def read(self, tree: Any | None) -> dict[str, File]:
        """Our files below a tree by path. Raises Unavailable beyond the limits."""
        found: dict[str, File] = {}
        if tree is None:
            return found
        listed = list(islice(self._listed(tree), MAX_FILES + 1))
        if len(listed) > MAX_FILES:
            raise _too_large(f"more than {MAX_FILES} files")
        self._bring(oid for _, oid, mode in listed if mode in (BLOB, EXECUTABLE))
        for path, oid, mode in listed:
            found[path] = self._file(oid, mode)
        return found

    def _listed(self, tree: Any) -> Iterator[_Listed]:
        for entry in tree:
            name = decoded(entry.raw_name)
            if name == SETTINGS and entry.filemode != TREE:
                yield name, entry.id, int(entry.filemode)
            elif name in ROOTS and entry.filemode == TREE:
                yield from self._walk(self._repo[entry.id], name)

    def _walk(self, tree: Any, prefix: str) -> Iterator[_Listed]:
        for entry in tree:
            name = decoded(entry.raw_name)
            if "/" in name or name in ("", ".", ".."):
                continue
            path, mode = f"{prefix}/{name}", int(entry.filemode)  # slow to ask for
            if mode == TREE:
                yield from self._walk(self._repo[entry.id], path)
            else:
                yield path, entry.id, mode

    def _file(self, oid: Any, mode: int) -> File:
        data = read_blob(self._odb, oid) if mode in (BLOB, EXECUTABLE) else b""
        self._left -= len(data)
        if self._left < 0:
            raise _too_large(f"more than {MAX_TOTAL >> 20} MiB of files")
        return File(blob=BlobId(str(oid)), data=data, mode=mode)


def read_blob(odb: Any, blob: Any) -> bytes:
    """A blob's content; empty beyond `MAX_FILE`, decided before it is read. Raises KeyError."""
    _, size = odb.read_header(blob)
    return bytes(odb.read(blob)[1]) if size <= MAX_FILE else b""


def blob_at(repo: Repo, tree: Any | None, path: str) -> BlobId | None:
    """The id of the regular file at a path of a tree."""
    folder, _, name = path.rpartition("/")
    at = subtree(repo, tree, folder)
    if at is None or name not in at or at[name].filemode not in (BLOB, EXECUTABLE):
        return None
    return BlobId(str(at[name].id))


def changed(repo: Repo, old: Any | None, new: Any | None) -> Iterator[DiffLine]:
    """Every file that differs between two trees; equal subtrees are never opened."""
    return _changed(repo, old, new, b"")


def _changed(
    repo: Repo, old: Any | None, new: Any | None, prefix: bytes
) -> Iterator[DiffLine]:
    before = {entry.raw_name: entry for entry in old} if old is not None else {}
    after = {entry.raw_name: entry for entry in new} if new is not None else {}
    for name in before.keys() | after.keys():
        one, other = before.get(name), after.get(name)
        if _mark(one) == _mark(other):
            continue
        path = prefix + name
        trees = (_tree(repo, one), _tree(repo, other))
        if trees != (None, None):
            yield from _changed(repo, *trees, path + b"/")
        files = (_leaf(one), _leaf(other))
        if files != (ABSENT, ABSENT):
            yield path, *files


def _mark(entry: Any | None) -> tuple[str, int] | None:
    return None if entry is None else (str(entry.id), int(entry.filemode))


def _tree(repo: Repo, entry: Any | None) -> Any | None:
    return repo[entry.id] if entry is not None and entry.filemode == TREE else None


def _leaf(entry: Any | None) -> str:
    return str(entry.id) if entry is not None and entry.filemode != TREE else ABSENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """The outcome of an edit: the new root tree's id and what differs from the old one."""

    tree: Any
    changes: tuple[RawChange, ...]


def edit(repo: Repo, base: Any | None, writes: Mapping[str, bytes | None]) -> Edited:
    """Set or remove paths in a tree, in memory; emptied folders vanish, all else stays.

    Raises Blocked where a file stands in the way of a folder or a folder in that of a file.
    """
    nested: Nested = {}
    for path, data in writes.items():
        *folders, name = path.split("/")
        at = nested
        for folder in folders:
            at = at.setdefault(folder, {})
        at[name] = data
    changes: list[RawChange] = []
    made = _edit(repo, base, nested, ("", changes))
    return Edited(
        tree=made if made is not None else repo.TreeBuilder().write(),
        changes=tuple(sorted(changes, key=lambda each: each.path)),
    )


def _edit(
    repo: Repo, base: Any | None, nested: Nested, into: tuple[str, list[RawChange]]
) -> Any | None:
    prefix, changes = into
    builder = repo.TreeBuilder(base) if base is not None else repo.TreeBuilder()
    for name, what in nested.items():
        entry = builder.get(name)
        path = f"{prefix}{name}"
        folder = entry is not None and entry.filemode == TREE
        if isinstance(what, dict):
            if entry is not None and not folder:
                raise in_the_way(path, "a file", "a folder")
            below = _tree(repo, entry)
            made: Any | None = _edit(repo, below, what, (f"{path}/", changes))
            mode = TREE
        else:
            if folder:
                raise in_the_way(path, "a folder", "a file")
            made, mode = None if what is None else repo.create_blob(what), BLOB
            if _mark(entry) != (None if made is None else (str(made), BLOB)):
                changes.append(_change(path, entry, made))
        if made is not None:
            builder.insert(name, made, mode)
        elif entry is not None:
            builder.remove(name)
    return builder.write() if len(builder) else None


def _change(path: str, entry: Any | None, made: Any | None) -> RawChange:
    old = b"000000" if entry is None else b"%06o" % entry.filemode
    new = (b"000000", ABSENT) if made is None else (b"100644", str(made))
    return RawChange(path.encode(), (old, new[0]), (_leaf(entry), new[1]))


def in_the_way(path: str, found: str, expected: str) -> Blocked:
    """Somebody put something where we write."""
    return Blocked(
        f"{found} stands where {expected} of ours belongs",
        where=path,
        hint="move it elsewhere or remove it in a commit",
    )


def merged(writes: Sequence[FileWrite], folder: str) -> dict[str, bytes | None]:
    """Writes by path from the repository's root. Raises Blocked for a path that is no name."""
    prefix = f"{folder}/" if folder else ""
    for write in writes:
        parts = write.path.split("/")
        if any(not _NAME.match(part) or part.lower() in _NEVER for part in parts):
            raise Blocked(
                "this is no path that is written here", where=ascii(write.path)
            )
    return {f"{prefix}{write.path}": write.data for write in writes}


def _too_large(what: str) -> Unavailable:
    return Unavailable(
        f"the ingress repository has {what} in our folders",
        hint="use a repository or a folder (--path) of its own",
    )

"""Trees and blobs of a bare clone through pygit2: read, change and compare (does I/O).

Comparing prunes by object id: equal subtrees are never opened, so a commit costs what it
changed and not what exists (libgit2's own diff walks everything).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reconciler.model.repository import BlobId, File, FileChange, FileWrite

ROOTS = ("clusters", "ports", "hosts", "manifests", "holds")
SETTINGS = "wharfinger.yaml"
MAX_FILE = 4 * 1024 * 1024
TREE, BLOB = 0o040000, 0o100644

Nested = dict[str, Any]
Repo = Any  # pygit2.Repository; its stubs do not know what an object is


def subtree(repo: Repo, tree: Any, folder: str) -> Any | None:
    """The tree of a folder, `None` when there is none."""
    for part in folder.split("/") if folder else ():
        if tree is None or part not in tree or tree[part].filemode != TREE:
            return None
        tree = repo[tree[part].id]
    return tree


def read_files(repo: Repo, tree: Any | None) -> dict[str, File]:
    """Our files below a tree by path. Links and huge files come without data."""
    found: dict[str, File] = {}
    if tree is None:
        return found
    for entry in tree:
        if entry.name == SETTINGS:
            found[SETTINGS] = _file(repo, entry)
        elif entry.name in ROOTS and entry.filemode == TREE:
            for path, each in _walk(repo, repo[entry.id], entry.name):
                found[path] = _file(repo, each)
    return found


def _walk(repo: Repo, tree: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for entry in tree:
        path = f"{prefix}/{entry.name}"
        if entry.filemode == TREE:
            yield from _walk(repo, repo[entry.id], path)
        else:
            yield path, entry


def _file(repo: Repo, entry: Any) -> File:
    data = b""
    if entry.filemode in (BLOB, 0o100755) and repo[entry.id].size <= MAX_FILE:
        data = repo[entry.id].data
    return File(blob=BlobId(str(entry.id)), data=data, mode=int(entry.filemode))


def changed_paths(
    repo: Repo, old: Any | None, new: Any | None, prefix: str = ""
) -> Iterator[FileChange]:
    """Every path that differs between two trees."""
    before = {entry.name: entry for entry in old} if old is not None else {}
    after = {entry.name: entry for entry in new} if new is not None else {}
    for name in sorted(before.keys() | after.keys()):
        one, other = before.get(name), after.get(name)
        if one is not None and other is not None and _same(one, other):
            continue
        path = f"{prefix}{name}"
        trees = (_tree(repo, one), _tree(repo, other))
        if trees != (None, None):
            yield from changed_paths(repo, *trees, f"{path}/")
        blobs = (_blob(one), _blob(other))
        if blobs != (None, None):
            yield FileChange(path=path, old=blobs[0], new=blobs[1])


def _same(one: Any, other: Any) -> bool:
    return bool(one.id == other.id and one.filemode == other.filemode)


def _tree(repo: Repo, entry: Any | None) -> Any | None:
    return repo[entry.id] if entry is not None and entry.filemode == TREE else None


def _blob(entry: Any | None) -> BlobId | None:
    return (
        BlobId(str(entry.id)) if entry is not None and entry.filemode != TREE else None
    )


def write_tree(repo: Repo, base: Any | None, writes: Mapping[str, bytes | None]) -> Any:
    """The id of the tree with these paths set or removed; empty folders vanish."""
    nested: Nested = {}
    for path, data in writes.items():
        *folders, name = path.split("/")
        at = nested
        for folder in folders:
            at = at.setdefault(folder, {})
        at[name] = data
    made = _write(repo, base, nested)
    return made if made is not None else repo.TreeBuilder().write()


def _write(repo: Repo, base: Any | None, nested: Nested) -> Any | None:
    builder = repo.TreeBuilder(base) if base is not None else repo.TreeBuilder()
    for name, what in nested.items():
        entry = builder.get(name)
        if isinstance(what, dict):
            below = (
                repo[entry.id] if entry is not None and entry.filemode == TREE else None
            )
            made = _write(repo, below, what)
            if made is not None:
                builder.insert(name, made, TREE)
            elif entry is not None:
                builder.remove(name)
        elif what is not None:
            builder.insert(name, repo.create_blob(what), BLOB)
        elif entry is not None:
            builder.remove(name)
    return builder.write() if len(builder) else None


def blob_at(repo: Repo, tree: Any | None, path: str) -> BlobId | None:
    """The id of the blob at a path of a tree."""
    folder, _, name = path.rpartition("/")
    at = subtree(repo, tree, folder)
    return _blob(at[name]) if at is not None and name in at else None


def merged(writes: Sequence[FileWrite], folder: str) -> dict[str, bytes | None]:
    """Writes by path from the repository's root."""
    prefix = f"{folder}/" if folder else ""
    return {f"{prefix}{write.path}": write.data for write in writes}

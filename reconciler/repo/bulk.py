"""Makes the commits of a large plan through `git fast-import`: one pack, no loose objects (I/O).

The commits are the very same that `build_chain` makes. What differs from the base is worked out
here, since digests and signatures are part of the messages; git writes the trees.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from reconciler.model.repository import CommitDraft, CommitId
from reconciler.repo.clone import Clone
from reconciler.repo.commits import Chain, Stamp, build_chain, message_of, person_of
from reconciler.repo.differences import (
    NOTHING,
    TREE,
    RawChange,
    ReadTree,
    Unusual,
    entries,
)
from reconciler.repo.objects import in_the_way, merged
from reconciler.repo.trailers import ABSENT
from reconciler.repo.transport import Git
from reconciler.repo.written import blob_id

MANY = 150  # writes from which on starting git is worth it
COMMITS = 15  # so many, too: each of them writes large folders again
_TOLD = 5_000  # changes that are remembered
_MADE = "refs/wharfinger-made/chain"
_FILE = b"100644"

_Leaf = tuple[bytes, str]  # mode and id
_ABSENT: _Leaf = (NOTHING, ABSENT)


def make_chain(
    git: Git,
    clone: Clone,
    drafts: Sequence[CommitDraft],
    base: CommitId,
    stamp: Stamp,
) -> Chain:
    """As `build_chain`, to be called without the clone's lock.

    Of very many writes it is not told what each commit changed: `made` is empty then. Raises
    BrokenClone where git cannot write.
    """
    if len(drafts) >= COMMITS or sum(len(each.writes) for each in drafts) >= MANY:
        try:
            return _Import(clone, base, stamp).run(git, drafts)
        except Unusual:
            pass  # entries that only libgit2 knows how to leave alone
    return build_chain(clone.repo, drafts, base, stamp)


class _Import:
    """One run of `git fast-import`."""

    def __init__(self, clone: Clone, base: CommitId, stamp: Stamp) -> None:
        self._clone, self._base, self._stamp = clone, base, stamp
        odb = clone.repo.odb
        tree = str(clone.repo[base].tree_id) if base else ""
        self._root = _Folder(lambda name: bytes(odb.read(name)[1]), tree)
        self._made = 0
        self._told: list[tuple[RawChange, ...]] = []

    def run(self, git: Git, drafts: Sequence[CommitDraft]) -> Chain:
        """Make the commits; nothing refers to them afterwards."""
        with self._clone.lock() as lock:
            self._clone.set_tip(_MADE, "")
            git.fast_import(self._stream(drafts), lock)
            if not self._made:
                return Chain(self._base, {})
            tip = CommitId(self._clone.tip(_MADE))
            self._clone.set_tip(_MADE, "")
        if len(self._told) < self._made:
            return Chain(tip, {})
        names = self._names(tip)
        return Chain(tip, dict(zip(names, reversed(self._told), strict=True)))

    def _names(self, tip: CommitId) -> Iterator[str]:
        """The commits that were made, the newest first."""
        at: str = tip
        for _ in range(self._made):
            yield at
            parents = self._clone.repo[at].parent_ids
            at = str(parents[0]) if parents else ""

    def _tell(self, changes: tuple[RawChange, ...]) -> None:
        self._made += 1
        if sum(map(len, self._told), len(changes)) <= _TOLD:
            self._told.append(changes)

    def _stream(self, drafts: Sequence[CommitDraft]) -> Iterator[bytes]:
        author, person = self._stamp[0], person_of(self._stamp)
        who = b"%s <%s> %d +0000" % (person.raw_name, person.raw_email, person.time)
        yield b"feature done\n"
        for draft in drafts:
            writes = merged(draft.writes, author.folder)
            changes = tuple(self._root.write(writes))
            if not changes and (draft.writes or not draft.by_hand):
                continue
            text = message_of(draft, changes, self._stamp).encode()
            start = "" if self._made else self._base
            self._tell(changes)
            yield b"commit %s\nauthor %s\ncommitter %s\n" % (_MADE.encode(), who, who)
            yield b"data %d\n%s\n" % (len(text), text)
            yield b"from %s\n" % start.encode() if start else b""
            yield b"".join(_commands(changes, writes))
        yield b"done\n"


def _commands(
    changes: Iterable[RawChange], writes: Mapping[str, bytes | None]
) -> Iterator[bytes]:
    for change in changes:
        path = b'"%s"' % change.path.replace(b'"', b'\\"')
        data = writes[change.path.decode()]
        if data is None:
            yield b"D %s\n" % path
        else:
            yield b"M 100644 inline %s\ndata %d\n%s\n" % (path, len(data), data)


class _Folder:
    """A folder of the tree that is being made, read from the base when it is looked into."""

    __slots__ = ("_inside", "_read", "_tree")

    def __init__(self, read: ReadTree, tree: str) -> None:
        """`tree` is its id, empty for a new folder."""
        self._read, self._tree = read, tree
        self._inside: dict[bytes, _Folder | _Leaf] | None = None

    def write(self, writes: Mapping[str, bytes | None]) -> Iterator[RawChange]:
        """Set or remove files; what differs from before, by path.

        Raises Blocked where a file stands in the way of a folder or a folder in that of a file.
        """
        for path in sorted(writes):
            data = writes[path]
            new = _ABSENT if data is None else (_FILE, blob_id(data))
            old = self._put(path.encode(), new)
            if old != new:
                modes, ids = (old[0], new[0]), (old[1], new[1])
                yield RawChange(path.encode(), modes, ids)

    def _put(self, path: bytes, new: _Leaf) -> _Leaf:
        """Set or remove one file; what was there."""
        *parts, name = path.split(b"/")
        way = [self]
        for part in parts:
            below = way[-1].inside.get(part)
            if isinstance(below, tuple):
                raise in_the_way(path.decode(), "a file", "a folder")
            if below is None:
                below = way[-1].inside[part] = _Folder(self._read, "")
            way.append(below)
        found = way[-1].inside.pop(name, _ABSENT)
        if isinstance(found, _Folder):
            raise in_the_way(path.decode(), "a folder", "a file")
        if new != _ABSENT:
            way[-1].inside[name] = new
        while parts and not way.pop().inside:  # emptied folders vanish
            del way[-1].inside[parts.pop()]
        return found

    @property
    def inside(self) -> dict[bytes, _Folder | _Leaf]:
        """What is in it by name, to be changed in place. Raises Unusual."""
        if self._inside is None:
            listed = entries(self._read(self._tree)) if self._tree else {}
            self._inside = {
                name: _Folder(self._read, leaf[1]) if leaf[0] == TREE else leaf
                for name, leaf in listed.items()
            }
        return self._inside

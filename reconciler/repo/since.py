"""What the tip has beyond a commit whose history was read: its files and its facts (does I/O).

Up to a few commits are compared in Python, since starting git takes longer; what this process has
pushed itself is not even compared. Whatever could change what older commits count for makes
the answer `None`: then everything has to be read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from reconciler.model.repository import BlobId, CommitId, File, Head, History
from reconciler.model.updates import Changes
from reconciler.repo.attribution import Judge
from reconciler.repo.blobs import Blobs
from reconciler.repo.clone import Clone
from reconciler.repo.differences import RawChange, ReadTree, Unusual, differences
from reconciler.repo.history import HistoryReader, Read
from reconciler.repo.kept import on_first_parents
from reconciler.repo.objects import (
    SETTINGS,
    HeadReader,
    Repo,
    decoded,
    read_blob,
    subtree,
)
from reconciler.repo.rawlog import split_log
from reconciler.repo.trailers import ABSENT
from reconciler.repo.transport import Git
from reconciler.repo.written import Written

_REGULAR = (b"100644", b"100755")
_FEW = 20  # commits that are compared here
_REMEMBERED = 16  # tips whose history was read

Made = Mapping[str, tuple[RawChange, ...]]
"""Commits that this process made, with what they change."""


class Follower(HistoryReader):
    """A history whose continuation can be told apart from what was known."""

    def __init__(self, git: Git, judge: Judge, folder: str, blobs: Blobs) -> None:
        super().__init__(git, judge, folder, blobs)
        self._known: dict[tuple[str, tuple[str, ...]], bool] = {}
        self._made: Made = {}
        self._written: Written = {}

    def read(self, clone: Clone, tip: str, keys: tuple[str, ...]) -> History:
        """As `HistoryReader.read`; the tip is one that `since` can start from."""
        history = super().read(clone, tip, keys)
        self._know(tip, keys, self._began)
        return history

    def head(self, clone: Clone, tip: CommitId, before: Head | None) -> Head:
        """Our files at the tip; from those of a head shortly before it only what differs."""
        repo = clone.repo
        if not tip:
            return Head(commit=tip, files={})
        near = self._plainly(repo, before.commit, tip) if before is not None else None
        if before is None or near is None or any(map(self._matters, near.net)):
            tree = subtree(repo, repo[tip].tree, self._prefix.rstrip("/"))
            files = HeadReader(repo, self._blobs.bring).read(tree)
            return Head(commit=tip, files=files)
        changed = {**before.files, **dict(self._files(repo, near.net))}
        files = {path: file for path, file in changed.items() if file is not None}
        return Head(commit=tip, files=files)

    def remember(self, made: Made, written: Written) -> None:
        """What these commits change need not be found out, nor what they wrote be read again.

        Only the newest push is kept.
        """
        self._made, self._written = made, written

    def since(
        self, clone: Clone, base: CommitId, tip: CommitId, keys: tuple[str, ...]
    ) -> Changes | None:
        """What `tip` has beyond `base`, a tip that `read` or this was asked for before.

        `None` where all must be read again. Raises BrokenClone or one of BROKEN for a clone
        that must be made again.
        """
        began = self._known.get((base, keys)) if base else None
        if began is None:
            return None
        try:
            found = self._near(clone.repo, base, tip) or self._far(clone, base, tip)
        except Unusual:
            return None
        if found is None or any(map(self._matters, found.net)):
            return None
        commits = self._facts(clone.repo, found)
        if any(each.asks is not None for each in commits) or _sets(commits):
            return None
        first = len(commits) if began else self._first_signed(commits, keys)
        facts = tuple(self._judged(commits, first, keys))
        files = dict(self._files(clone.repo, found.net))
        self._know(tip, keys, first > 0 or began)
        if found.is_line and self._sides is not None and self._sides[0] == (base, keys):
            self._sides = ((tip, keys), self._sides[1])  # no merge, no other side
        aside = self._aside(clone, tip, keys)
        return Changes(base=base, tip=tip, files=files, commits=facts, aside=aside)

    def _know(self, tip: str, keys: tuple[str, ...], began: bool) -> None:
        self._known[tip, keys] = began
        while len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]

    def _near(self, repo: Repo, base: str, tip: str) -> _Found | None:
        """A few commits after `base`; `None` where it is far away, or not below."""
        names = _line(repo, base, tip, self._made)
        if names is None:
            return None
        read = _trees(repo)
        few = [(name, self._changes(repo, name, read)) for name in names]
        is_line = all(len(repo[name].parent_ids) == 1 for name in names)
        return _Found(few, _composed(each for _, each in reversed(few)), is_line)

    def _plainly(self, repo: Repo, base: str, tip: str) -> _Found | None:
        """The same; `None` also for what only git understands."""
        try:
            return self._near(repo, base, tip) if base and tip else None
        except Unusual:
            return None

    def _far(self, clone: Clone, base: str, tip: str) -> _Found | None:
        """Any number of commits after `base`; `None` beside its line."""
        if not on_first_parents(clone.repo, tip, base):
            return None
        many = list(split_log(self._git.log([tip, f"^{base}"], self._paths())))
        ends = [str(clone.repo[each].tree_id) for each in (base, tip)]
        return _Found(many, differences(_trees(clone.repo), *ends), False)

    def _up_to(self, clone: Clone, tip: str) -> tuple[Read, ...]:
        """As before, but without git for a few commits more."""
        near = self._plainly(clone.repo, self._tip, tip)
        if near is None:
            return super()._up_to(clone, tip)
        return (*self._facts(clone.repo, near), *self._commits)

    def _facts(self, repo: Repo, found: _Found) -> tuple[Read, ...]:
        """Those that git would find: commits that touch our folders."""
        raw = [each for each in found.commits if any(map(self._counts, each[1]))]
        return tuple(self._commit(repo, *each) for each in raw)

    def _changes(self, repo: Repo, name: str, read: ReadTree) -> list[RawChange]:
        if name in self._made:
            return list(self._made[name])
        commit = repo[name]
        parent = repo[commit.parent_ids[0]]
        return differences(read, str(parent.tree_id), str(commit.tree_id))

    def _counts(self, change: RawChange) -> bool:
        return self._touches(change.path)

    def _matters(self, change: RawChange) -> bool:
        """Settings, and names that two readers could understand differently."""
        if not self._touches(change.path):
            return False
        below = decoded(change.path).removeprefix(self._prefix)
        plain = change.path.decode("utf-8", "replace") == decoded(change.path)
        odd = any(part in ("", ".", "..") for part in below.split("/"))
        return odd or not plain or below.split("/", 1)[0] == SETTINGS

    def _first_signed(self, commits: tuple[Read, ...], keys: tuple[str, ...]) -> int:
        """Where commits are still old enough to be judged by digest: as `_first_key`."""
        for index in range(len(commits) - 1, -1, -1):
            claim = commits[index].claim
            if keys and claim is not None and self._judge.signed(claim, keys):
                return index + 1
        return 0

    def _files(
        self, repo: Repo, net: Iterable[RawChange]
    ) -> Iterator[tuple[str, File | None]]:
        unknown: list[tuple[str, RawChange]] = []
        for each in net:
            path = decoded(each.path).removeprefix(self._prefix)
            # Without a slash it is a file where a folder of ours belongs.
            if not self._touches(each.path) or "/" not in path:
                continue
            known = self._written.get(path)
            if known is not None and (known.blob, b"100644") == _new(each):
                yield path, known
            else:
                unknown.append((path, each))
        regular = (each for _, each in unknown if each.modes[1] in _REGULAR)
        self._blobs.bring(each.ids[1] for each in regular)
        for path, each in unknown:
            yield path, _file(repo, each)


@dataclass(frozen=True, slots=True)
class _Found:
    """Commits with their whole diffs, newest first, and what all of them changed together.

    `is_line` is true where none of them is a merge.
    """

    commits: list[tuple[str, list[RawChange]]]
    net: list[RawChange]
    is_line: bool


def _line(repo: Repo, base: str, tip: str, made: Made) -> list[str] | None:
    """The first parents from the tip down to `base`, without it; `None` where it is not near."""
    names: list[str] = []
    at, unknown = tip, 0
    while at != base:
        parents = repo[at].parent_ids
        names.append(at)
        unknown += at not in made
        if not parents or unknown > _FEW:
            return None
        at = str(parents[0])
    return names


def _trees(repo: Repo) -> ReadTree:
    """Reads trees; two commits in a row share one."""
    odb = repo.odb
    return lru_cache(maxsize=64)(lambda name: bytes(odb.read(name)[1]))


def _composed(found: Iterable[list[RawChange]]) -> list[RawChange]:
    """What several changes are together, the oldest first."""
    total: dict[bytes, RawChange] = {}
    for changes in found:
        for each in changes:
            before = total.get(each.path, each)
            modes = (before.modes[0], each.modes[1])
            total[each.path] = RawChange(each.path, modes, (before.ids[0], each.ids[1]))
    return [
        each
        for each in total.values()
        if each.modes[0] != each.modes[1] or each.ids[0] != each.ids[1]
    ]


def _sets(commits: Iterable[Read]) -> bool:
    """Whether settings were written, also if they are now as they were before."""
    changes = (change for each in commits for change in each.fact.changes)
    return any(change.path == SETTINGS for change in changes)


def _new(change: RawChange) -> tuple[str, bytes]:
    return change.ids[1], change.modes[1]


def _file(repo: Repo, change: RawChange) -> File | None:
    mode, blob = change.modes[1], change.ids[1]
    if blob == ABSENT:
        return None
    data = read_blob(repo.odb, blob) if mode in _REGULAR else b""
    return File(blob=BlobId(blob), data=data, mode=int(mode, 8))

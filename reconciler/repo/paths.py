"""History of a few paths alone: git walks to the commits that touched them (does I/O).

A whole history has a hundred thousand commits, one port's has five. With a commit-graph that has
changed-path filters git opens almost none of the others' trees; it is written into the clone,
which is only a cache, when many commits are not in it yet.

With signing on, commits older than the first key are judged by digest: the settings' own history
and the oldest signed commits are looked at as well, whatever paths they touched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from reconciler.model.repository import BlobId, CommitFact, CommitId, History
from reconciler.model.trails import Landed, Trail
from reconciler.repo.clone import Clone
from reconciler.repo.differences import RawChange
from reconciler.repo.history import HistoryReader, reader
from reconciler.repo.objects import SETTINGS, blob_at, decoded, read_blob, subtree
from reconciler.repo.rawlog import split_log
from reconciler.repo.trailers import SIGNATURE
from reconciler.repo.transport import BrokenClone

_SINGLY = 60  # paths are asked for one by one up to here: git filters for one path only
_BROUGHT = 100  # commits of one merge that are looked at
_SIGNED = 8  # oldest signed commits that are tried
_MESSAGE = 1 << 16
_MANY = 2000  # commits outside of the graph that make it worth to write it
_GRAPH = ("--reachable", "--changed-paths", "--split")
_MARK = "wharfinger-graph"
_LAST_SECOND = 253_402_300_799  # the year 9999
_HEX = re.compile(r"[0-9a-f]{7,40}\Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


_Place = tuple[int, int]
"""Where a commit is among the first parents (0 is the tip), and the second it landed."""


class PathReader(HistoryReader):
    """Reads the history of paths; one object for one question."""

    _placed: tuple[str, dict[str, _Place]] = ("", {})

    def trail(
        self, clone: Clone, tip: str, keys: tuple[str, ...], paths: Sequence[str]
    ) -> Trail:
        """The trail of files (`*.yaml`) or folders of ours, up to the tip.

        Raises BrokenClone or one of BROKEN for a clone that must be made again.
        """
        if not tip:
            return Trail(commits=(), read=reader(clone))
        places = self._places(clone, tip)
        found: dict[str, list[RawChange]] = {}
        for group in _groups([*paths, SETTINGS] if keys else paths):
            literal = [f":(literal){self._prefix}{path}" for path in group]
            found.update(split_log(self._git.log([tip], literal)))
        for name in self._oldest_signed(tip) if keys else ():
            found[name] = self._changes(clone, name)
        names = sorted(found, key=places.__getitem__)
        self._commits = tuple(
            self._commit(clone.repo, name, found[name]) for name in names
        )
        facts = [
            fact
            for fact in self._attributed(clone.repo, keys)
            if any(_within(change.path, paths) for change in fact.changes)
        ]
        self._blobs.bring(
            blob
            for fact in facts
            for change in fact.changes
            for blob in (change.old, change.new)
            if blob is not None and _within(change.path, paths)
        )
        history = History(commits=tuple(facts), read=reader(clone))
        return Trail(
            commits=tuple(
                self._landed(clone, fact, _moment(places[fact.id][1])) for fact in facts
            ),
            read=self._blobs.reading(history).read,
        )

    def _oldest_signed(self, tip: str) -> list[str]:
        """The oldest commits that carry a signature, which may be anybody's."""
        args = ["log", "--first-parent", "--format=%H", f"--grep=^{SIGNATURE}: "]
        output = self._git.ask([*args, "--end-of-options", tip])
        return output.decode("ascii").split()[-_SIGNED:]

    def _changes(self, clone: Clone, name: str) -> list[RawChange]:
        """A commit's whole diff to its first parent."""
        parents = [f"^{each}" for each in clone.repo[name].parent_ids[:1]]
        return dict(split_log(self._git.log([name, *parents], []))).get(name, [])

    def commit(self, clone: Clone, name: str, keys: tuple[str, ...]) -> Landed | None:
        """One commit by its whole id, with its changes to its first parent.

        `None` when it changed nothing. `landed` is its own time.
        """
        changes = self._changes(clone, name)
        if not changes:
            return None
        self._commits = (self._commit(clone.repo, name, changes),)
        (fact,) = self._attributed(clone.repo, keys)
        return self._landed(clone, fact, fact.time)

    def full(self, clone: Clone, tip: str, text: str) -> str:
        """The whole id of a commit that the tip is or descends from, else an empty text."""
        if not tip or not _HEX.match(text):
            return ""
        repo = clone.repo
        try:
            found = repo.revparse_single(text)
        except (KeyError, ValueError):
            return ""
        name = str(found.id)
        below = found.type_str == "commit" and (
            name == tip or repo.descendant_of(tip, name)
        )
        return name if below else ""

    def brought(
        self, clone: Clone, commit: CommitId, keys: tuple[str, ...]
    ) -> tuple[Landed, ...]:
        """The commits that a merge brought, newest first, at most a hundred; else none."""
        parents = [str(each) for each in clone.repo[commit].parent_ids]
        found: list[Landed] = []
        for other in parents[1:]:
            output = self._git.log([other, f"^{parents[0]}"], [])
            names = list(split_log(output))[: _BROUGHT - len(found)]
            self._commits = tuple(
                self._commit(clone.repo, name, changes) for name, changes in names
            )
            facts = self._attributed(clone.repo, keys)
            found += [self._landed(clone, fact, fact.time) for fact in facts]
        return tuple(found)

    def commit_at(self, clone: Clone, tip: str, moment: datetime) -> CommitId:
        """The commit that the branch had at a moment; empty when it had none."""
        places = self._places(clone, tip) if tip else {}
        return next(
            (CommitId(name) for name, at in places.items() if _moment(at[1]) <= moment),
            CommitId(""),
        )

    def names(self, clone: Clone, tip: str, path: str) -> tuple[str, ...]:
        """Names of what is in a folder of ours at the tip."""
        if not tip:
            return ()
        repo = clone.repo
        tree = subtree(repo, repo[tip].tree, f"{self._prefix}{path}")
        return tuple(decoded(entry.raw_name) for entry in tree or ())

    def file(self, clone: Clone, tip: str, path: str) -> bytes | None:
        """A regular file of ours at the tip."""
        if not tip:
            return None
        repo = clone.repo
        tree = subtree(repo, repo[tip].tree, self._prefix.rstrip("/"))
        blob = blob_at(repo, tree, path)
        return None if blob is None else self.blob(clone, blob)

    def blob(self, clone: Clone, blob: BlobId) -> bytes:
        """A blob's content."""
        self._blobs.bring((blob,))
        return read_blob(clone.repo.odb, blob)

    def _places(self, clone: Clone, tip: str) -> dict[str, _Place]:
        if self._placed[0] != tip:
            self._placed = (tip, self._walked(clone, tip))
        return self._placed[1]

    def _walked(self, clone: Clone, tip: str) -> dict[str, _Place]:
        lines = self._git.ask(
            ["rev-list", "--first-parent", "--timestamp", "--end-of-options", tip]
        ).splitlines()
        self._index(clone, len(lines))
        places = {}
        earliest = _LAST_SECOND
        for index, line in enumerate(lines):
            stamp, _, name = line.partition(b" ")
            earliest = min(earliest, max(0, int(stamp)))
            places[name.decode("ascii")] = (index, earliest)
        return places

    def _index(self, clone: Clone, commits: int) -> None:
        """Write the commit-graph when many commits came since; failing costs only speed.

        It takes no lock of ours: git has one for it, and fetches of others go on meanwhile.
        """
        mark = clone.folder / _MARK
        known = 0
        with suppress(OSError, ValueError):
            known = int(mark.read_text(encoding="ascii"))
        if commits - known < _MANY:
            return
        with suppress(BrokenClone):
            self._git.ask(["commit-graph", "write", *_GRAPH])
        with suppress(OSError):
            mark.write_text(str(commits), encoding="ascii")

    def _landed(self, clone: Clone, fact: CommitFact, landed: datetime) -> Landed:
        commit = clone.repo[fact.id]
        return Landed(
            commit=fact,
            landed=landed,
            committer=commit.committer.raw_name.decode("utf-8", "replace")[:120],
            message=commit.raw_message[:_MESSAGE].decode("utf-8", "replace"),
            parents=len(commit.parent_ids),
        )


class Paths:
    """What `Repository.paths` gives: a reader, bound to the fetched tip and its keys.

    `healing` reads again from a new clone where the present one is broken.
    """

    def __init__(
        self,
        reader: PathReader,
        healing: Callable[[Callable[[], Any]], Any],
        at: Callable[[], tuple[Clone, CommitId, tuple[str, ...]]],
    ) -> None:
        self._reader = reader
        self._healing = healing
        self._at = at

    @property
    def tip(self) -> CommitId:
        """The fetched tip, empty for an unborn branch."""
        return self._at()[1]

    @property
    def folder(self) -> Path:
        """The clone on disk, where what is kept beside it goes when it goes."""
        return self._at()[0].folder

    def trail(self, paths: Sequence[str]) -> Trail:
        """The commits that touched files (`*.yaml`) or folders, newest first."""

        def read() -> Trail:
            clone, tip, keys = self._at()
            return self._reader.trail(clone, tip, keys, paths)

        found: Trail = self._healing(read)
        return found

    def commit(self, name: str) -> Landed | None:
        """One commit by its whole id, `None` when it changed nothing."""

        def read() -> Landed | None:
            clone, _, keys = self._at()
            return self._reader.commit(clone, name, keys)

        found: Landed | None = self._healing(read)
        return found

    def full(self, text: str) -> str:
        """The whole id of a commit below the tip, empty when there is no such one."""

        def read() -> str:
            clone, tip, _ = self._at()
            return self._reader.full(clone, tip, text)

        found: str = self._healing(read)
        return found

    def brought(self, commit: CommitId) -> tuple[Landed, ...]:
        """The commits that a merge brought, newest first, at most a hundred."""

        def read() -> tuple[Landed, ...]:
            clone, _, keys = self._at()
            return self._reader.brought(clone, commit, keys)

        found: tuple[Landed, ...] = self._healing(read)
        return found

    def commit_at(self, moment: datetime) -> CommitId:
        """The commit that the branch had at a moment; empty when it had none."""
        found: CommitId = self._healing(
            lambda: self._reader.commit_at(*self._at()[:2], moment)
        )
        return found

    def names(self, path: str) -> tuple[str, ...]:
        """Names of what is in a folder at the tip."""
        found: tuple[str, ...] = self._healing(
            lambda: self._reader.names(*self._at()[:2], path)
        )
        return found

    def blob(self, blob: BlobId) -> bytes:
        """A blob's content."""
        found: bytes = self._healing(lambda: self._reader.blob(self._at()[0], blob))
        return found

    def file(self, path: str) -> bytes | None:
        """A regular file at the tip."""
        found: bytes | None = self._healing(
            lambda: self._reader.file(*self._at()[:2], path)
        )
        return found


def _moment(seconds: int) -> datetime:
    return _EPOCH + timedelta(seconds=seconds)


def _groups(paths: Sequence[str]) -> Iterator[Sequence[str]]:
    """Files one by one when they are few; folders together, as most commits touch them."""
    files = [path for path in paths if path.endswith(".yaml")]
    folders = [path for path in paths if not path.endswith(".yaml")]
    if len(files) > _SINGLY:
        yield [*files, *folders]
        return
    yield from ([path] for path in files)
    if folders:
        yield folders


def _within(path: str, paths: Sequence[str]) -> bool:
    return any(path == each or path.startswith(f"{each}/") for each in paths)

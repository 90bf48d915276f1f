"""Blobs that a filtered clone lacks: asked for by id, in one batch (does I/O).

A filtered clone has all commits and trees, and only those files that somebody asked for. Nothing
is fetched behind our back: libgit2 cannot, and the children may not. A server that filters but
refuses to hand out single objects makes the clone a whole one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pygit2

from reconciler.errors import Unavailable
from reconciler.model.repository import BlobId, History
from reconciler.repo.clone import Clone
from reconciler.repo.disk import is_full
from reconciler.repo.transport import BrokenClone, Git

_BATCH = 100_000  # ids in one question: 4 MiB


class Blobs:
    """Brings blobs into one clone; does nothing in a whole one."""

    def __init__(self, clone: Clone, git: Git) -> None:
        self._clone = clone
        self._git = git

    @property
    def clone(self) -> Clone:
        """The clone that they are brought into."""
        return self._clone

    def bring(self, wanted: Iterable[Any]) -> None:
        """Fetch those of the wanted blobs (ids) that are missing.

        Raises Unavailable or Unauthorised when the remote does not answer, BrokenClone when it
        answers and does not give them: the clone is then made again, without a filter.
        """
        if not self._clone.is_partial():
            return
        odb = self._clone.repo.odb
        names = dict.fromkeys(str(each) for each in wanted)
        missing = [name for name in names if pygit2.Oid(hex=name) not in odb]
        if not missing:
            return
        with self._clone.lock() as lock:
            for start in range(0, len(missing), _BATCH):
                self._batch(missing[start : start + _BATCH], lock)
            self._git.tidy(lock)

    def reading(self, history: History) -> History:
        """The history with a reader that fetches: the first miss brings all that it names."""
        if not self._clone.is_partial():
            return history
        read, asked = history.read, False

        def fetching(blob: BlobId) -> bytes:
            nonlocal asked
            if pygit2.Oid(hex=blob) not in self._clone.repo.odb:
                self._ask(() if asked else _named_in(history), blob)
                asked = True
            return read(blob)

        return replace(history, read=fetching)

    def _ask(self, more: Iterable[BlobId], blob: BlobId) -> None:
        try:
            self.bring((blob, *more))
        except BrokenClone as exc:
            raise Unavailable(
                f"the remote does not give the file {blob[:10]}",
                where=self._git.address.url,
                hint="run again: the next fetch brings all files",
            ) from exc

    def _batch(self, names: list[str], lock: int) -> None:
        ended = self._git.fetch_objects(names, lock)
        if ended.code == 0:
            return
        failure = self._git.failure(ended, "files of the repository cannot be fetched")
        if ended.timed_out or not isinstance(failure, Unavailable):
            raise failure
        if is_full(self._clone.folder, failure.what):
            raise failure
        looked, _ = self._git.branches("", lock)
        if looked.code != 0:
            raise failure
        self._clone.stop_filtering()
        raise BrokenClone(failure.what)


def _named_in(history: History) -> Iterable[BlobId]:
    for commit in history.commits:
        for change in commit.changes:
            yield from (blob for blob in (change.old, change.new) if blob)

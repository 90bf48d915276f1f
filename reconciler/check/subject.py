"""What is judged: files, their history, and the change that they come from; pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from reconciler.ledger import Touch, touches
from reconciler.model.changes import Change
from reconciler.model.repository import BlobId, File, History
from reconciler.settings import Settings

Blobs = frozenset[tuple[str, BlobId]]


def _nothing_read(blob: BlobId) -> bytes:
    raise KeyError(blob)


NO_HISTORY = History(commits=(), read=_nothing_read)


@dataclass(frozen=True, kw_only=True)
class Review:
    """A change under review: `settings` and `history` are those of its base.

    What decides about a change is never taken from the change itself: it could bring its own
    signing key, quarantine or tenants. `signed` says that commits of ours carry signatures, so
    that attributed commits of the change can be told from forged ones; without, anybody can
    compute the digest and only the base's commits are believed.
    """

    change: Change
    settings: Settings | None
    history: History
    signed: bool
    now: datetime

    @cached_property
    def touched(self) -> Mapping[str, list[Touch]]:
        """Every path's changes up to the base, newest first."""
        return touches(self.history)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """An ingress repository at a commit. `settings` is `None` where they are not valid."""

    files: Mapping[str, File]
    settings: Settings | None = None
    history: History = NO_HISTORY
    review: Review | None = None

    @cached_property
    def written(self) -> Blobs:
        """(path, blob) of all that attributed commits ever wrote, the change's included."""
        return _written(self.history)

    @cached_property
    def believed(self) -> Blobs:
        """As `written`, without what only claims to be ours (see Review)."""
        if self.review is None or self.review.signed:
            return self.written
        return _written(self.review.history)


def _written(history: History) -> Blobs:
    return frozenset(
        (change.path, change.new)
        for commit in history.commits
        if commit.ours
        for change in commit.changes
        if change.new is not None
    )

"""What history says of a few paths, with what forges write into messages; pure values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from reconciler.model.repository import CommitFact, ReadBlob


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """One first-parent commit that touched the paths, and how it came to the branch.

    `landed` is when it counts, UTC: the earliest committer's time of it and of everything that
    was built on it. Clocks go wrong, the order of first parents does not, and a commit cannot be
    newer than the next one; `git rev-list -1 --first-parent --before=TIME` answers the same.
    `message` is the whole message as it stands: text of strangers. `parents` is their number.
    """

    commit: CommitFact
    landed: datetime
    committer: str
    message: str
    parents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """All commits that touched the paths, newest first; each lists all of its changes."""

    commits: tuple[Landed, ...]
    read: ReadBlob

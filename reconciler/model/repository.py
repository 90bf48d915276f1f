"""What the ingress repository says: files at HEAD and the facts of its history; pure values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NewType

CommitId = NewType("CommitId", str)
BlobId = NewType("BlobId", str)

ReadBlob = Callable[[BlobId], bytes]
"""Returns the content of a blob of this repository; blobs never change, so this is a function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One regular file at HEAD. `mode` other than 0o100644 is never ours."""

    blob: BlobId
    data: bytes
    mode: int = 0o100644


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The tip of the branch: its commit (empty for an unborn branch) and files by path.

    Paths are relative to the folder that `--path` names; only `wharfinger.yaml` and what lies
    under `clusters/ ports/ hosts/ manifests/ holds/` is in here.
    """

    commit: CommitId
    files: Mapping[str, File]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """One path of a commit's diff to its first parent; `None` where the file is absent."""

    path: str
    old: BlobId | None
    new: BlobId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitFact:
    """One commit of the first-parent history.

    `ours` means attributed: its digest trailer matches its diff and, where signing is on, the
    signature verifies. `renderer` is the renderer version that it was made with (0: not ours).
    `time` is the committer's, UTC.
    """

    id: CommitId
    time: datetime
    author: str
    subject: str
    ours: bool
    renderer: int
    changes: tuple[FileChange, ...]
    released: tuple[str, ...] = ()  # units whose hold this attributed commit ended


Aside = Callable[[str, CommitId | None], tuple[CommitFact, ...]]
"""Foreign commits that changed a path on another side of a merge than the first parents' history.

Without those that a commit of that history (`None`: no one) contains. They are no part of the
history: they only say what people decided there.
"""


def nothing_aside(path: str, since: CommitId | None) -> tuple[CommitFact, ...]:
    """What lies aside in a history without merges."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """First-parent history, newest first, whole; only changes under our folders are listed."""

    commits: tuple[CommitFact, ...]
    read: ReadBlob
    aside: Aside = nothing_aside


@dataclass(frozen=True, slots=True, kw_only=True)
class FileWrite:
    """A path and its new content; `None` removes it."""

    path: str
    data: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitDraft:
    """One commit to make: a short factual message and the files it sets or removes.

    `units` are the units it is about (their string forms), `released` those whose hold it ends.
    `by_hand` makes it a person's own commit, without our trailers: it is a decision that the
    next pass meets as it meets a `git revert`.
    """

    subject: str
    body: str
    units: tuple[str, ...]
    writes: tuple[FileWrite, ...]
    released: tuple[str, ...] = ()
    by_hand: bool = False

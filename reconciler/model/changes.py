"""A change of an ingress repository as `check` judges it: two trees and what differs; pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.model.repository import BlobId, CommitId, File

REGULAR, EXECUTABLE, LINK, SUBMODULE = 0o100644, 0o100755, 0o120000, 0o160000


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One entry of a tree that is no folder: its object and Git's mode for it."""

    blob: BlobId
    mode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PathChange:
    """A path from the repository's root that differs; `None` where it is not there."""

    path: str
    old: Node | None
    new: Node | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a branch would change: from the merge base (`base`) to its tip (`head`).

    `before` and `after` are our files of the two, as in `Head`; `paths` is everything that
    differs in the whole repository and `names` every path of `head`, both from the root.
    `folder` is where our files are: empty, or with a slash at its end.
    """

    base: CommitId
    head: CommitId
    folder: str
    before: Mapping[str, File]
    after: Mapping[str, File]
    paths: tuple[PathChange, ...]
    names: tuple[str, ...]

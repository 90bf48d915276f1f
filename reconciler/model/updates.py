"""What changed since somebody last looked: in clusters, and on the branch; pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.model.clusters import (
    DestinationRule,
    EndpointSlice,
    Node,
    Service,
    VirtualService,
)
from reconciler.model.repository import Aside, CommitFact, CommitId, File, nothing_aside

Object = VirtualService | Service | Node | EndpointSlice | DestinationRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """One object of a cluster before and after; `None` where it is not there.

    Both sides are of one type and speak of one object (an EndpointSlice has no name here: its
    two sides are matched by whoever makes the delta).
    """

    old: Object | None
    new: Object | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What became known of one cluster. `deltas` is `None` where it must be looked at as a whole:

    it is new, gone, became known or unknown, or was listed anew.
    """

    cluster: str
    deltas: tuple[Delta, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What the branch has beyond a commit that we knew and that is an ancestor on first parents.

    `files` are our paths whose content differs, with what is there now (`None`: nothing).
    `commits` are the new facts, newest first; `aside` is that of the tip's history.
    """

    base: CommitId
    tip: CommitId
    files: Mapping[str, File | None]
    commits: tuple[CommitFact, ...]
    aside: Aside = nothing_aside

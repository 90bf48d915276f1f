"""What the planner is given; pure values. Nothing else may influence a plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from reconciler.model.claims import ClusterClaims
from reconciler.model.clusters import InventoryFailure
from reconciler.model.plans import Look
from reconciler.model.repository import FileWrite, Head, History
from reconciler.model.reviews import Declined, Reservation
from reconciler.model.units import Placement, UnitAddresses, UnitFiles, UnitId, Wish
from reconciler.settings import Gateway, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """The renderers as plain functions; stages do not import each other."""

    version: int
    unit: Callable[[Placement, UnitAddresses, Gateway, Settings], UnitFiles]
    addresses: Callable[[UnitAddresses, Gateway, Settings], bytes]
    gateway_files: Callable[
        [Gateway, Settings, frozenset[int], Mapping[str, bytes]], tuple[FileWrite, ...]
    ]
    unsupported: Callable[[Wish, Gateway], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """One pass: what was observed, what Git says, and what people allowed.

    `looks` are earlier complete looks at which units were missing. `proven` are units whose
    content at HEAD serves traffic on a gateway. `assume_confirmed` is for a plan that only
    shows: what would be deleted after the second look. `released` are units whose hold a person
    ends now. `accept_*` are digests that a person passed. `only` limits the pass to some
    clusters; `None` means all. `units` are those that are decided, `None` means all: `claims` are
    then theirs alone, and everything that could have changed is among them. `gateways` are those
    whose units this process writes, `None` means all. `withheld` are units whose deletion or
    rewrite the last pass over everything withheld, or one over some units since: where `units`
    are some, theirs stays withheld; a pass over everything judges anew. `arriving` are the new
    clusters of all inventories where `claims` are not of all (see `arrivals.newcomers`). `reserved` is what open
    requests take, `declined` what people closed a request about.
    """

    settings: Settings
    head: Head
    history: History
    claims: tuple[ClusterClaims, ...]
    now: datetime
    failures: tuple[InventoryFailure, ...] = ()
    looks: tuple[Look, ...] = ()
    proven: frozenset[tuple[UnitId, str]] = frozenset()
    released: frozenset[UnitId] = frozenset()
    only: frozenset[str] | None = None
    units: frozenset[UnitId] | None = None
    gateways: frozenset[str] | None = None
    withheld: frozenset[UnitId] = frozenset()
    assume_confirmed: bool = False
    accept_deletions: str = ""
    accept_rewrites: str = ""
    accept_arrivals: str = ""
    arriving: frozenset[str] | None = None
    reserved: tuple[Reservation, ...] = ()
    declined: tuple[Declined, ...] = ()

"""What exposed VirtualServices ask for, decoded and checked one by one; pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.codes import Code
from reconciler.model.clusters import ClusterView
from reconciler.model.units import UnitAddresses, UnitId, Wish


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The VirtualService behind a claim, as far as write-back needs it.

    `annotations` are all of the object's; only our own keys are ever compared or written.
    """

    unit: UnitId
    uid: str
    resource_version: str
    generation: int
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Why a wish cannot be granted, in words that say what to do."""

    code: Code
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A wish that is well formed and that the tenant may have.

    `gateway` is the annotation's value, empty when absent. `requests` are (route, port) in
    order of the route's name, `preferred` likewise, but another port will do. `missing` are keys of destinations without any address yet.
    `left_out` names addresses that exist and must not be used (forbidden nodes), with reasons.
    """

    wish: Wish
    addresses: UnitAddresses
    gateway: str = ""
    requests: tuple[tuple[str, int], ...] = ()
    preferred: tuple[tuple[str, int], ...] = ()
    missing: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One exposed VirtualService and what became of it."""

    unit: UnitId
    source: Source
    outcome: Wanted | Rejection


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiClaim:
    """A cluster's API servers, from the inventory: the input of its API route.

    `addresses` holds one route named `api` with one destination of `Backend.API_SERVER`.
    `certificate_names` as in `ClusterEntry`.
    """

    unit: UnitId
    addresses: UnitAddresses
    certificate_names: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterClaims:
    """All that one cluster asks for in this pass.

    `claims` are sorted by unit. `present` are all VirtualServices that are listed, exposed or
    not: (namespace, name) -> True when it is listed without the annotation or is being
    deleted, which is proof of absence of the exposure by itself.
    `follow` recomputes the addresses of destinations that HEAD serves although the newest wish
    is another one (held and rejected units): unit -> addresses for the destinations in HEAD.
    `elsewhere` are exposures of other ingress repositories. `empty` says that no VirtualService at
    all is listed, exposed or not.
    """

    view: ClusterView
    claims: tuple[Claim, ...] = ()
    api: ApiClaim | Rejection | None = None
    unexposed: tuple[UnitId, ...] = ()
    unexposed_sources: tuple[Source, ...] = ()
    follow: tuple[UnitAddresses, ...] = ()
    elsewhere: tuple[UnitId, ...] = ()
    empty: bool = False

"""Turns one exposed VirtualService into what is wanted, or refuses it; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from reconciler.claim.addresses import follow, locate
from reconciler.claim.annotations import (
    PREFIX,
    Asked,
    check_keys,
    is_exposed,
    read,
    requested,
)
from reconciler.claim.destinations import destinations
from reconciler.claim.index import Key, Kind
from reconciler.claim.pools import Pools
from reconciler.claim.refusals import Refused, quoted
from reconciler.claim.routes import Route, read_tcp, read_tls
from reconciler.codes import Code
from reconciler.model.claims import Rejection, Wanted
from reconciler.model.clusters import VirtualService
from reconciler.model.units import RouteWish, UnitAddresses, UnitId, UnitKind, Wish
from reconciler.names import is_dns_name, is_label, is_namespace
from reconciler.settings import Settings, Tenant
from reconciler.tenants import gateway_permitted

TWICE = Rejection(
    code=Code.MALFORMED_OBJECT,
    reason="this VirtualService is listed more than once; leave one of them",
)


class Decoding(Protocol):
    """What turns objects of one environment into what is wanted."""

    def fits(self, source: VirtualService) -> bool:
        """Whether an object of this name can be in the environment."""
        ...

    def is_left(self, unit: UnitId, source: VirtualService) -> bool:
        """Whether what an object asks for is left to another environment that serves it."""
        ...

    def wanted(self, unit: UnitId, source: VirtualService) -> Wanted:
        """Raises Refused for the first fault."""
        ...

    def followed(
        self, unit: UnitId, outcome: Wanted | Rejection | None
    ) -> UnitAddresses | None:
        """The addresses of what HEAD serves of a unit; `None` when it serves nothing of it."""
        ...

    def reads_taken(self) -> set[Key]:
        """What was read since this was asked last."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoder:
    """Turns one VirtualService into what is wanted."""

    settings: Settings
    tenant: Tenant
    pools: Pools
    head: Mapping[UnitId, UnitAddresses]

    def wanted(self, unit: UnitId, source: VirtualService) -> Wanted:
        """Raises Refused for the first fault."""
        asked = read(source.annotations)
        self._check_gateway(asked.gateway)
        routes = self._routes(asked, source)
        requests = requested(asked, tuple(route.name for route in routes))
        wish = Wish(
            unit=unit,
            kind=asked.kind,
            routes=tuple(self._route(route, asked) for route in routes),
            policy=asked.policy,
        )
        found = locate(wish, self.pools, self.head.get(unit))
        return Wanted(
            wish=wish,
            addresses=found.addresses,
            gateway=asked.gateway,
            requests=requests,
            missing=found.missing,
            left_out=found.left_out,
        )

    def reads_taken(self) -> set[Key]:
        """What was read since this was asked last."""
        return self.pools.reads_taken()

    def fits(self, source: VirtualService) -> bool:
        """Whether an object of this name can be in the cluster."""
        return is_label(source.namespace)

    def is_left(self, unit: UnitId, source: VirtualService) -> bool:
        """Whether others serve what an object asks for: nobody does here."""
        del unit, source
        return False

    def followed(
        self, unit: UnitId, outcome: Wanted | Rejection | None
    ) -> UnitAddresses | None:
        """The addresses of what HEAD serves of a unit; `None` when it serves nothing of it."""
        served = self.head.get(unit)
        if served is None:
            return None
        wanted = outcome.addresses if isinstance(outcome, Wanted) else None
        return follow(served, self.pools, wanted)

    def _check_gateway(self, gateway: str) -> None:
        if not gateway:
            return
        known = self.settings.gateway(gateway) is not None
        if known and gateway_permitted(self.tenant, gateway):
            return
        permitted = ", ".join(self.tenant.gateways)
        what = f"gateway {quoted(gateway)} may not be used here; permitted: {permitted}"
        raise Refused(Code.GATEWAY_NOT_ALLOWED, f"{PREFIX}gateway", what)

    def _routes(self, asked: Asked, source: VirtualService) -> tuple[Route, ...]:
        if asked.kind is UnitKind.TLS:
            return read_tls(source.spec, source.namespace, self.settings, self.tenant)
        return read_tcp(source.spec, source.namespace)

    def _route(self, route: Route, asked: Asked) -> RouteWish:
        self.pools.reads.update(
            (Kind.SERVICE, each.namespace, each.service) for each in route.targets
        )
        made = destinations(
            route.targets,
            asked.policy.backend,
            self.pools.look,
            self.tenant,
        )
        return RouteWish(name=route.name, destinations=made, hosts=route.hosts)


def judged(
    unit: UnitId, listed: Sequence[VirtualService], decoder: Decoding | None
) -> Wanted | Rejection:
    """What becomes of what is listed under one name; more than one is a liar's word."""
    source = listed[0]
    fits = decoder.fits(source) if decoder else is_namespace(source.namespace)
    if not (fits and is_dns_name(source.name)):
        what = "namespace and name must be DNS names in lower case"
        return Rejection(code=Code.INVALID_NAME, reason=what)
    if len(listed) > 1:
        return TWICE
    if decoder is None:
        what = f"no tenants entry matches cluster {unit.cluster}; the platform team adds one to wharfinger.yaml"
        return Rejection(code=Code.NO_TENANT, reason=what)
    try:
        if not is_exposed(source.annotations):
            check_keys(source.annotations)
        return decoder.wanted(unit, source)
    except Refused as refused:
        return refused.rejection


def asks(source: VirtualService, served: bool) -> bool:
    """Whether an object asks for something; `served`: HEAD has its unit.

    Without the annotation it does not, which is proof of absence for what is served. A typo
    in its key (`wharfinger.dev/exposed`) on an object that is not served is told to people.
    """
    if source.deleting:
        return False
    if is_exposed(source.annotations) or served:
        return is_exposed(source.annotations)
    try:
        check_keys(source.annotations)
    except Refused:
        return True
    return False


def is_elsewhere(source: VirtualService, settings: Settings) -> bool:
    """Whether an object is another repository's: one that is exposed and names it."""
    if source.deleting or not is_exposed(source.annotations):
        return False
    return not settings.is_ours(source.annotations.get(f"{PREFIX}gateway"))

"""Claims: what the VirtualServices of a cluster ask for, decoded, checked, located; pure.

Each VirtualService stands alone: whatever one of them says, the claims of the others are the
same. Every fault is a rejection of that one object, with the reason for its owner.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from reconciler.claim.addresses import Found, Looking, locate
from reconciler.claim.annotations import WRITTEN, Asked, decode, is_exposed
from reconciler.claim.apis import claim_api
from reconciler.claim.faults import Refused
from reconciler.claim.routes import RawRoute, decode_routes
from reconciler.claim.services import Catalogue, catalogue, resolve
from reconciler.codes import Code
from reconciler.model.claims import Claim, ClusterClaims, Rejection, Source, Wanted
from reconciler.model.clusters import ClusterView, Unknown, VirtualService
from reconciler.model.units import (
    Address,
    Backend,
    Located,
    LocatedRoute,
    RouteWish,
    UnitAddresses,
    UnitId,
    UnitKind,
    Wish,
)
from reconciler.names import is_dns_name, is_label
from reconciler.settings import Settings, Tenant
from reconciler.tenants import host_refusal

__all__ = ["claim"]

Head = Mapping[UnitId, UnitAddresses]


def claim(
    view: ClusterView, settings: Settings, head: Head, now: datetime
) -> ClusterClaims:
    """All claims of one cluster; `head` are the addresses that HEAD serves for its units."""
    if isinstance(view.objects, Unknown):
        return ClusterClaims(view=view)
    claimer = _Claimer(view, settings, head, now)
    exposed: list[VirtualService] = []
    rest: list[VirtualService] = []
    for each in view.objects.virtual_services:
        is_ours = is_exposed(each.annotations) and not each.deleting
        (exposed if is_ours else rest).append(each)
    claims = tuple(sorted(map(claimer.one, exposed), key=lambda each: each.unit))
    return ClusterClaims(
        view=view,
        claims=claims,
        api=claim_api(view.entry, settings),
        unexposed=tuple(sorted(claimer.unit(each) for each in rest)),
        unexposed_sources=tuple(
            claimer.source(each)
            for each in rest
            if not each.deleting and WRITTEN & set(each.annotations)
        ),
        follow=claimer.follow(claims),
    )


class _Claimer:
    """Claims of one cluster against one set of settings."""

    def __init__(
        self, view: ClusterView, settings: Settings, head: Head, now: datetime
    ) -> None:
        if isinstance(view.objects, Unknown):
            raise AssertionError("nothing is claimed of an unknown cluster")
        self._cluster = view.entry.name
        self._settings = settings
        self._head = head
        self._now = now
        self._found: Catalogue = catalogue(view.objects)
        self._tenant: Tenant | None = settings.tenant(self._cluster)

    def unit(self, service: VirtualService) -> UnitId:
        return UnitId(
            cluster=self._cluster, namespace=service.namespace, name=service.name
        )

    def source(self, service: VirtualService) -> Source:
        return Source(
            unit=self.unit(service),
            uid=service.uid,
            resource_version=service.resource_version,
            generation=service.generation,
            annotations=service.annotations,
        )

    def one(self, service: VirtualService) -> Claim:
        outcome: Wanted | Rejection
        try:
            outcome = self._wanted(service)
        except Refused as exc:
            outcome = Rejection(code=exc.code, reason=exc.reason)
        return Claim(
            unit=self.unit(service), source=self.source(service), outcome=outcome
        )

    def _wanted(self, service: VirtualService) -> Wanted:
        if not is_label(service.namespace) or not is_dns_name(service.name):
            raise Refused(
                Code.INVALID_NAME, "namespace and name must be DNS names in lower case"
            )
        asked = decode(service.annotations)
        tenant = self._permitted(asked)
        routes = decode_routes(service.spec, asked.kind)
        unit = self.unit(service)
        wish = Wish(
            unit=unit,
            kind=asked.kind,
            routes=tuple(self._route(each, service, asked) for each in routes),
            policy=asked.policy,
        )
        looking = self._looking(unit, tenant)
        located = [self._located(route, looking) for route in wish.routes]
        return Wanted(
            wish=wish,
            addresses=UnitAddresses(
                unit=unit,
                failover=asked.policy.failover,
                routes=tuple(
                    LocatedRoute(
                        name=route.name, located=tuple(each.located for each in found)
                    )
                    for route, found in zip(wish.routes, located, strict=True)
                ),
            ),
            gateway=asked.gateway,
            requests=_requests(asked, routes),
            missing=tuple(
                sorted(
                    {
                        each.located.destination.key
                        for found in located
                        for each in found
                        if not each.located.addresses
                    }
                )
            ),
            left_out=tuple(
                sorted(
                    {
                        text
                        for found in located
                        for each in found
                        for text in each.left_out
                    }
                )
            ),
        )

    def _permitted(self, asked: Asked) -> Tenant:
        tenant = self._tenant
        if tenant is None:
            raise Refused(
                Code.NO_TENANT,
                f"no tenants entry of the settings matches cluster {self._cluster}; ask the platform team",
            )
        if asked.gateway and asked.gateway not in tenant.gateways:
            permitted = ", ".join(tenant.gateways)
            raise Refused(
                Code.GATEWAY_NOT_ALLOWED,
                f"gateway {asked.gateway} is not one that this cluster may use ({permitted})",
            )
        return tenant

    def _route(self, raw: RawRoute, service: VirtualService, asked: Asked) -> RouteWish:
        destinations = tuple(
            resolve(each, service.namespace, asked.policy.backend, self._found)
            for each in raw.destinations
        )
        keys = [each.key for each in destinations]
        for key in keys:
            if keys.count(key) > 1:
                raise Refused(
                    Code.INVALID_DESTINATION,
                    f"{raw.where}: {key} is listed twice; add its weights up",
                )
        for host in raw.hosts if asked.kind is UnitKind.TLS else ():
            refusal = host_refusal(self._settings, self._tenant, host)
            if refusal is not None:
                raise Refused(Code.HOST_NOT_ALLOWED, refusal)
        return RouteWish(name=raw.name, destinations=destinations, hosts=raw.hosts)

    def _looking(self, unit: UnitId, tenant: Tenant) -> Looking:
        return Looking(
            unit=unit,
            tenant=tenant,
            found=self._found,
            now=self._now,
            grace=self._settings.guards.grace,
        )

    def _located(self, route: RouteWish, looking: Looking) -> tuple[Found, ...]:
        current = _current(self._head.get(looking.unit))
        found = tuple(
            locate(each, current.get((each.key, each.backend), ()), looking)
            for each in route.destinations
        )
        kinds = {a.is_ip for each in found for a in each.located.addresses}
        if len(kinds) > 1:
            raise Refused(
                Code.MIXED_ADDRESSES,
                f"route {route.name}: its destinations mix IP addresses and DNS names; use one kind",
            )
        return found

    def follow(self, claims: tuple[Claim, ...]) -> tuple[UnitAddresses, ...]:
        """Addresses for what HEAD serves where the newest wish is another or was refused."""
        wanted = {
            each.unit: each.outcome.addresses
            for each in claims
            if isinstance(each.outcome, Wanted)
        }
        followed = []
        for unit, served in sorted(self._head.items()):
            if unit.is_api or self._tenant is None:
                continue
            if unit in wanted and _same_destinations(wanted[unit], served):
                followed.append(wanted[unit])
                continue
            followed.append(self._followed(served, self._looking(unit, self._tenant)))
        return tuple(followed)

    def _followed(self, served: UnitAddresses, looking: Looking) -> UnitAddresses:
        return UnitAddresses(
            unit=served.unit,
            failover=served.failover,
            routes=tuple(
                LocatedRoute(
                    name=route.name,
                    located=tuple(_relocated(each, looking) for each in route.located),
                )
                for route in served.routes
            ),
        )


def _relocated(served: Located, looking: Looking) -> Located:
    """Where a destination of HEAD is now; forbidden or undecidable keeps what HEAD has."""
    try:
        return locate(served.destination, served.addresses, looking).located
    except Refused:
        return served


def _current(
    served: UnitAddresses | None,
) -> dict[tuple[str, Backend], tuple[Address, ...]]:
    routes = served.routes if served is not None else ()
    return {
        (each.destination.key, each.destination.backend): each.addresses
        for route in routes
        for each in route.located
    }


def _same_destinations(one: UnitAddresses, other: UnitAddresses) -> bool:
    return one.failover == other.failover and [
        (route.name, [each.destination for each in route.located])
        for route in one.routes
    ] == [
        (route.name, [each.destination for each in route.located])
        for route in other.routes
    ]


def _requests(
    asked: Asked, routes: tuple[RawRoute, ...]
) -> tuple[tuple[str, int], ...]:
    names = [route.name for route in routes]
    found = []
    for route, port in asked.ports:
        if not route and len(names) > 1:
            raise Refused(
                Code.INVALID_ANNOTATION,
                f"wharfinger.dev/request-port needs route names here: {', '.join(f'{name}=PORT' for name in names)}",
            )
        if route and route not in names:
            raise Refused(
                Code.UNKNOWN_ROUTE,
                f"wharfinger.dev/request-port names route {route}; there is {', '.join(names)}",
            )
        found.append((route or names[0], port))
    return tuple(sorted(found))

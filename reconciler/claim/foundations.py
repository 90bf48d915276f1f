"""What a foundation of Cloud Foundry serves as wishes: domains by SNI, TCP routes by port; pure.

Where its routers are stands in the settings, and so do the shares of names that several
foundations serve. What a route's own destinations weigh is the foundation's business, behind its
routers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from reconciler.claim.addresses import served
from reconciler.claim.annotations import PREFIX, Asked, read, requested
from reconciler.claim.index import Key
from reconciler.claim.refusals import Refused, quoted
from reconciler.claim.sticky import Pool, Standing, choose, pool
from reconciler.codes import Code
from reconciler.model.claims import Rejection, Wanted
from reconciler.model.clusters import ClusterEntry, VirtualService
from reconciler.model.units import (
    Address,
    Backend,
    Destination,
    Located,
    LocatedRoute,
    RouteWish,
    UnitAddresses,
    UnitId,
    UnitKind,
    Wish,
)
from reconciler.names import KINDS
from reconciler.settings import Inventory, Settings, Tenant
from reconciler.tenants import (
    address_refusal,
    canonical_host,
    gateway_permitted,
    host_refusal,
)

DOMAIN, TCP = KINDS
_ROUTERS, _TCP_ROUTERS = "router", "tcp-router"
_SETTING = {_ROUTERS: "routers", _TCP_ROUTERS: "tcpRouters"}


def foundation_of(entry: ClusterEntry, settings: Settings) -> Inventory | None:
    """The inventory of an environment when that is a foundation."""
    return next(
        (
            each
            for each in settings.inventories
            if each.name == entry.inventory and each.cloud_foundry is not None
        ),
        None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundationDecoder:
    """Turns what one foundation serves into what is wanted; as `decoding.Decoder` does."""

    settings: Settings
    tenant: Tenant
    inventory: Inventory
    head: Mapping[UnitId, UnitAddresses]

    def reads_taken(self) -> set[Key]:
        """Nothing but the objects themselves is read."""
        return set()

    def fits(self, source: VirtualService) -> bool:
        """Whether a foundation has objects of this kind."""
        return source.namespace in KINDS

    def is_left(self, unit: UnitId, source: VirtualService) -> bool:
        """Whether another foundation shares this name and serves it with weights."""
        return unit not in self.head and self._sharer(source) is not None

    def wanted(self, unit: UnitId, source: VirtualService) -> Wanted:
        """Raises Refused for the first fault."""
        asked = read(source.annotations)
        self._check(asked, source)
        by_name = source.namespace == DOMAIN
        hosts = _hosts(source) if by_name else ()
        for host in hosts:
            refusal = host_refusal(self.settings, self.tenant, host)
            if refusal:
                raise Refused(Code.HOST_NOT_ALLOWED, "", refusal)
        route = RouteWish(
            name=(UnitKind.TLS if by_name else UnitKind.TCP).value,
            destinations=tuple(self._destinations(source)),
            hosts=hosts,
        )
        wish = Wish(
            unit=unit, kind=asked.kind, routes=(route,), policy=asked.policy
        )  # fmt: skip
        located = self._locate(unit, route)
        return Wanted(
            wish=wish,
            addresses=UnitAddresses(
                unit=unit, failover=asked.policy.failover, routes=(located,)
            ),
            gateway=asked.gateway,
            requests=requested(asked, (route.name,)),
            preferred=() if by_name else ((route.name, _port(source)),),
        )

    def followed(
        self, unit: UnitId, outcome: Wanted | Rejection | None
    ) -> UnitAddresses | None:
        """Where the routers of what HEAD serves are now; as it is where they may not be used."""
        del outcome
        head = self.head.get(unit)
        if head is None:
            return None
        return replace(head, routes=tuple(map(self._following, head.routes)))

    def _following(self, route: LocatedRoute) -> LocatedRoute:
        try:
            located = tuple(
                replace(each, addresses=self._addresses(each))
                if each.destination.backend is Backend.ROUTER
                else each
                for each in route.located
            )
            return _of_one_kind(replace(route, located=located))
        except Refused:
            return route

    def _check(self, asked: Asked, source: VirtualService) -> None:
        kind = UnitKind.TLS if source.namespace == DOMAIN else UnitKind.TCP
        if asked.kind is not kind:
            what = f"{quoted(asked.kind.value)}: it can only be {kind.value} here"
            raise Refused(Code.INVALID_EXPOSE, f"{PREFIX}expose", what)
        if asked.policy.backend != "auto":
            what = "a foundation's routers are the only backend; remove it"
            raise Refused(Code.INVALID_ANNOTATION, f"{PREFIX}backend", what)
        if asked.gateway and (
            self.settings.gateway(asked.gateway) is None
            or not gateway_permitted(self.tenant, asked.gateway)
        ):
            permitted = ", ".join(self.tenant.gateways)
            what = f"gateway {quoted(asked.gateway)} may not be used here; permitted: {permitted}"
            raise Refused(Code.GATEWAY_NOT_ALLOWED, f"{PREFIX}gateway", what)
        sharer = self._sharer(source)
        if sharer is not None:
            what = f"{_called(source)} is shared by inventory {sharer.name}; what is served stays"
            raise Refused(Code.SHARED_ELSEWHERE, "", what)

    def _sharer(self, source: VirtualService) -> Inventory | None:
        """Another foundation whose settings have this name among their shares, and us in it."""
        called, mine = _called(source), self.inventory.name
        for each in self.settings.inventories:
            shares = each.cloud_foundry.shares if each.cloud_foundry else {}
            if each.name != mine and mine in shares.get(called, {}):
                return each
        return None

    def _destinations(self, source: VirtualService) -> Iterator[Destination]:
        mine = self.inventory.cloud_foundry
        if mine is None:
            raise AssertionError("not a foundation")
        alone = {self.inventory.name: 1}
        shares = mine.shares.get(_called(source), alone)
        by_name = source.namespace == DOMAIN
        for name in sorted(shares):
            yield Destination(
                namespace=_ROUTERS if by_name else _TCP_ROUTERS,
                service=name,
                port=self._router_port(name) if by_name else _port(source),
                backend=Backend.ROUTER,
                weight=shares[name],
            )

    def _router_port(self, name: str) -> int:
        found = self._inventory(name)
        return found.cloud_foundry.router_port if found and found.cloud_foundry else 443

    def _inventory(self, name: str) -> Inventory | None:
        found = (each for each in self.settings.inventories if each.name == name)
        return next(found, None)

    def _locate(self, unit: UnitId, route: RouteWish) -> LocatedRoute:
        before = served(self.head.get(unit))
        located = []
        for each in route.destinations:
            old = before.get((each.key, each.backend), ())
            known = Located(destination=each, addresses=old)
            addresses = self._addresses(known)
            if not addresses:
                setting = _SETTING[each.namespace]
                what = f"inventory {each.service} names no {setting}"
                raise Refused(Code.NO_ROUTERS, "", what)
            located.append(Located(destination=each, addresses=addresses))
        return _of_one_kind(LocatedRoute(name=route.name, located=tuple(located)))

    def _addresses(self, known: Located) -> tuple[Address, ...]:
        where = known.destination
        return choose(known.addresses, self._pool(where), (where.service, where.key))

    def _pool(self, where: Destination) -> Pool:
        inventory = self._inventory(where.service)
        source = inventory.cloud_foundry if inventory is not None else None
        if source is None:
            return pool(())
        by_name = where.namespace == _ROUTERS
        routers = source.routers if by_name else source.tcp_routers
        return pool(
            (self._permitted(text, where), Standing.READY) for text in routers
        )  # fmt: skip

    def _permitted(self, text: str, where: Destination) -> Address:
        host = canonical_host(text)
        refusal = (
            "it is neither a plain IP address nor a DNS name"
            if host is None
            else address_refusal(self.tenant, *host)
        )
        if host is None or refusal:
            at = f"{_SETTING[where.namespace]} of inventory {where.service}"
            raise Refused(Code.ENDPOINT_NOT_ALLOWED, at, refusal or "")
        return Address(host=host[0], port=where.port, is_ip=host[1])


def _of_one_kind(route: LocatedRoute) -> LocatedRoute:
    kinds = {address.is_ip for each in route.located for address in each.addresses}
    if len(kinds) > 1:
        what = "its routers are partly IPs and partly names; a route needs one kind"
        raise Refused(Code.MIXED_ADDRESSES, f"route {route.name}", what)
    return route


def _hosts(source: VirtualService) -> tuple[str, ...]:
    found = source.spec.get("hosts")
    hosts = found if isinstance(found, tuple) else ()
    return tuple(sorted(str(each) for each in hosts))


def _port(source: VirtualService) -> int:
    found = source.spec.get("port")
    return found if isinstance(found, int) else 0


def _called(source: VirtualService) -> str:
    """What the settings call it where foundations share it."""
    if source.namespace == DOMAIN:
        return f"*.{source.name}"
    return f"{source.spec.get('domain')}:{_port(source)}"

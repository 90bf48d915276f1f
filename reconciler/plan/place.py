"""Gives every wanted unit its gateway, ports and SNI hosts; pure.

For a route, by what it has and what it asks for (a request is never silently another port):

    has  | asks | gets
    -----+------+--------------------------------------------------------------------
    p    | -, p | p
    p    | q    | q active and p draining, when q is free and permitted; else rejected
    -    | q    | q, when it is free and permitted; else rejected
    -    | -    | what people reserved for it, else its former port, else its preferred
         |      | port or the next free one
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from reconciler.allocate import Pool, identity_hash
from reconciler.codes import Code
from reconciler.headers import wish_digest
from reconciler.ledger_file import Entry, Key
from reconciler.model.claims import Rejection
from reconciler.model.units import (
    Owner,
    PlacedRoute,
    Placement,
    PortState,
    RouteWish,
    UnitId,
    UnitKind,
    Wish,
)
from reconciler.plan.ledger_index import berths_of
from reconciler.plan.proposals import with_reserved
from reconciler.plan.world import World
from reconciler.settings import Settings

# What another gateway may have: room, or the very port that is asked for.
_NEXT_GATEWAY = frozenset({Code.GATEWAY_FULL, Code.PORT_NOT_PERMITTED, Code.PORT_TAKEN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """A unit that wants a place: its wish, the gateway it shall be on, and asked ports.

    `cluster_id` is part of the owner's identity. `instead` are gateways to try when the first
    one has no room, in this order. `preferred` are ports taken where they are free.
    """

    wish: Wish
    gateway: str
    cluster_id: str
    requests: Mapping[str, int]
    instead: tuple[str, ...] = ()
    preferred: Mapping[str, int] = field(default_factory=dict)

    def owner(self, route: str) -> Owner:
        unit = self.wish.unit
        return Owner(
            cluster=unit.cluster,
            cluster_id=self.cluster_id,
            namespace=unit.namespace,
            name=unit.name,
            route=route,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Where a unit is served: one placement per gateway, and its entries in the ledger."""

    placements: tuple[Placement, ...]
    entries: tuple[Entry, ...]
    released: tuple[Entry, ...]
    moving: bool = False


class Placer:
    """Places units one after the other; what one takes the next cannot have."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._settings: Settings = world.inputs.settings
        inputs = world.inputs
        self._ledger = with_reserved(world.entries, inputs)
        self._pools: dict[str, Pool] = {}
        self._hosts: dict[tuple[str, str], Owner] = {}

    def place_all(self, asking: Sequence[Asking]) -> dict[UnitId, Placed | Rejection]:
        """Place in an order that no arrival changes: who has, who asks for a port, the rest."""
        ordered = sorted(
            asking,
            key=lambda each: (
                not self._has(each),
                not each.requests,
                identity_hash(each.owner("")),
            ),
        )
        return {each.wish.unit: self._place(each) for each in ordered}

    def _has(self, asking: Asking) -> bool:
        return bool(self._entries(asking)) and not self._new_requests(asking)

    def _new_requests(self, asking: Asking) -> bool:
        held = {entry.key for entry in self._entries(asking)}
        return any(port not in held for port in asking.requests.values())

    def _entries(self, asking: Asking) -> list[Entry]:
        owned = self._world.owned.get(asking.wish.unit, ())
        return [
            entry
            for entry in owned
            if entry.owner is not None and entry.owner.cluster_id == asking.cluster_id
        ]

    def _place(self, asking: Asking) -> Placed | Rejection:
        found = self._place_on(asking)
        refused = []
        for gateway in asking.instead:
            if isinstance(found, Placed) or found.code not in _NEXT_GATEWAY:
                return found
            refused.append(found)
            found = self._place_on(replace(asking, gateway=gateway))
        if isinstance(found, Placed) or not refused:
            return found
        reasons = [each.reason for each in (*refused, found)]
        more = [f"so it is on {len(reasons) - 2} more gateways"]
        told = reasons if len(reasons) <= 3 else [*reasons[:2], *more]
        return replace(refused[0], reason="; ".join(told))

    def _place_on(self, asking: Asking) -> Placed | Rejection:
        mine = self._entries(asking)
        if _by_port(asking.wish):
            active = self._ports(asking, mine)
        else:
            active = self._sni(asking)
        if isinstance(active, Rejection):
            return active
        for entry in active:
            self._take(entry)
        return self._settle(asking, mine, active)

    def _take(self, entry: Entry) -> None:
        if isinstance(entry.key, int):
            self._pool(entry.gateway).take(entry.key)
        elif entry.owner is not None:
            self._hosts[(entry.gateway, entry.key)] = entry.owner

    def _pool(self, gateway: str) -> Pool:
        if gateway not in self._pools:
            found = self._settings.gateway(gateway)
            if found is None:
                raise AssertionError(f"placed on an unknown gateway {gateway}")
            berths = berths_of(self._world.index.ledger, self._ledger, gateway)
            quarantine = self._settings.release.quarantine
            now = self._world.inputs.now
            self._pools[gateway] = Pool(found, berths, now, quarantine)
        return self._pools[gateway]

    def _ports(self, asking: Asking, mine: list[Entry]) -> list[Entry] | Rejection:
        here = [
            entry
            for entry in mine
            if entry.gateway == asking.gateway and isinstance(entry.key, int)
        ]
        found: list[Entry] = []
        for route in asking.wish.routes:
            port = self._port(asking, route, here, {int(each.key) for each in found})
            if isinstance(port, Rejection):
                return port
            found.append(
                Entry(
                    gateway=asking.gateway,
                    key=port,
                    state=PortState.ACTIVE,
                    owner=asking.owner(route.name),
                    next=self._next(asking, port),
                )
            )
        return found

    def _next(self, asking: Asking, key: Key) -> str:
        """To whom people want to give what the unit has: that stays written."""
        entry = self._world.entries.get((asking.gateway, key))
        if entry is None or entry.owner is None:
            return ""
        return entry.next if _same_unit(entry.owner, asking.owner("")) else ""

    def _port(
        self, asking: Asking, route: RouteWish, here: list[Entry], taken: set[int]
    ) -> int | Rejection:
        pool = self._pool(asking.gateway)
        owner = asking.owner(route.name)
        current = _current(asking, route, here)
        wanted = asking.requests.get(route.name)
        if wanted is None or wanted == current:
            if current is not None:
                return current
            if pool.reached:
                return _full(pool)
            alone = len(asking.wish.routes) == 1
            former = pool.kept(owner, alone=alone) or pool.former(owner)
            if former is not None and former not in taken:
                return former
            wished = asking.preferred.get(route.name, 0)
            if wished not in taken and pool.is_open(wished, owner):
                return wished
            chosen = pool.choose(owner, taken)
            return chosen if chosen is not None else _full(pool)
        mine = {entry.key for entry in here} - _kept_by_others(asking, route, here)
        refusal = pool.refusal(wanted)
        if refusal:
            return Rejection(code=Code.PORT_NOT_PERMITTED, reason=refusal)
        if wanted in taken or (wanted not in mine and not pool.is_free(wanted, owner)):
            reason = f"port {wanted} of gateway {asking.gateway} is taken; ask for another one"
            return Rejection(code=Code.PORT_TAKEN, reason=reason)
        return _full(pool) if pool.reached and wanted not in mine else wanted

    def _sni(self, asking: Asking) -> list[Entry] | Rejection:
        found = []
        for route in asking.wish.routes:
            for host in route.hosts:
                owner = asking.owner(route.name)
                if not self._host_free(asking.gateway, host, owner):
                    reason = f"host {host} is taken on gateway {asking.gateway}"
                    return Rejection(code=Code.HOST_TAKEN, reason=reason)
                found.append(
                    Entry(
                        gateway=asking.gateway,
                        key=host,
                        state=PortState.ACTIVE,
                        owner=owner,
                        next=self._next(asking, host),
                    )
                )
        return found

    def _host_free(self, gateway: str, host: str, owner: Owner) -> bool:
        given = self._hosts.get((gateway, host))
        if given is not None:
            return _same_unit(given, owner)
        entry = self._ledger.get((gateway, host))
        if entry is None or (
            entry.owner is not None and _same_unit(entry.owner, owner)
        ):
            return True
        if entry.state is not PortState.RELEASED or entry.next:
            return False  # with `next` it waits for that unit alone
        age = self._world.inputs.now - entry.since
        return age >= self._settings.release.quarantine

    def _settle(self, asking: Asking, mine: list[Entry], active: list[Entry]) -> Placed:
        """What becomes of the entries that the unit has and does not need any more."""
        kept = {(entry.gateway, entry.key) for entry in active}
        settled = {
            (entry.gateway, entry.key)
            for entry in mine
            if entry.state is PortState.ACTIVE
        }
        rest = [
            entry
            for entry in mine
            if (entry.gateway, entry.key) not in kept and self._permitted(asking, entry)
        ]
        arrived = kept <= settled
        draining: list[Entry] = []
        released: list[Entry] = []
        for entry in rest:
            if self._drops_at_once(asking, entry, mine) or (
                arrived and self._drained(asking, entry)
            ):
                released.append(replace(entry, state=PortState.RELEASED))
            else:
                draining.append(replace(entry, state=PortState.DRAINING))
        placements = _placements(asking, active, draining)
        return Placed(
            placements=placements,
            entries=(*active, *draining),
            released=tuple(released),
            moving=bool(draining),
        )

    def _drops_at_once(self, asking: Asking, entry: Entry, mine: list[Entry]) -> bool:
        """A route or host that the wish no longer has; an only route may have been renamed."""
        routes = {route.name for route in asking.wish.routes}
        route = entry.owner.route if entry.owner is not None else ""
        if isinstance(entry.key, str):
            hosts = {host for each in asking.wish.routes for host in each.hosts}
            return entry.key not in hosts or _by_port(asking.wish)
        if not _by_port(asking.wish):
            return True
        had = {each.owner for each in mine if each.state is PortState.ACTIVE}
        inherits = len(routes) == 1 and len(had) == 1
        return route not in routes and not inherits

    def _permitted(self, asking: Asking, entry: Entry) -> bool:
        """False where settings took the gateway away: that is a removal of its own."""
        tenant = self._settings.tenant(asking.wish.unit.cluster)
        if asking.wish.unit.is_api:
            return True
        return tenant is not None and entry.gateway in tenant.gateways

    def _drained(self, asking: Asking, entry: Entry) -> bool:
        if entry.state is not PortState.DRAINING:
            return False
        inputs = self._world.inputs
        gateway = self._settings.gateway(asking.gateway)
        proof_off = gateway is not None and gateway.proof == "off"
        if not proof_off and (asking.wish.unit, asking.gateway) not in inputs.proven:
            return False
        return inputs.now - entry.since >= self._settings.release.drain


def _by_port(wish: Wish) -> bool:
    """Whether the unit's routes have ports of their own rather than SNI hosts."""
    return wish.kind is not UnitKind.TLS and not any(each.hosts for each in wish.routes)


def _same_unit(one: Owner, other: Owner) -> bool:
    return one.identity[:3] == other.identity[:3]


def _full(pool: Pool) -> Rejection:
    return Rejection(code=Code.GATEWAY_FULL, reason=pool.full())


def _current(asking: Asking, route: RouteWish, here: list[Entry]) -> int | None:
    active = [entry for entry in here if entry.state is PortState.ACTIVE]
    for entry in active:
        if entry.owner is not None and entry.owner.route == route.name:
            return int(entry.key)
    if len(asking.wish.routes) == 1 and len(active) == 1:
        return int(active[0].key)  # an only route inherits the only allocation
    return None


def _kept_by_others(asking: Asking, route: RouteWish, here: list[Entry]) -> set[Key]:
    """Ports that other routes of the unit have and do not ask to leave."""
    others = (each for each in asking.wish.routes if each.name != route.name)
    kept = (
        _current(asking, each, here)
        for each in others
        if each.name not in asking.requests
    )
    return {port for port in kept if port is not None}


def _placements(
    asking: Asking, active: Sequence[Entry], draining: Sequence[Entry]
) -> tuple[Placement, ...]:
    gateways = sorted({asking.gateway, *(entry.gateway for entry in draining)})
    return tuple(_placement(asking, gateway, active, draining) for gateway in gateways)


def _placement(
    asking: Asking, gateway: str, active: Sequence[Entry], draining: Sequence[Entry]
) -> Placement:
    routes = tuple(
        _placed_route(asking, route, gateway, active, draining)
        for route in asking.wish.routes
    )
    routes = tuple(route for route in routes if route.ports or route.wish.hosts)
    ports = tuple(
        (route.wish.name, port)
        for route in routes
        for port in route.ports
        if port not in route.draining
    )
    return Placement(
        gateway=gateway,
        wish=asking.wish,
        routes=routes,
        digest=wish_digest(asking.wish, gateway, ports),
    )


def _placed_route(
    asking: Asking,
    route: RouteWish,
    gateway: str,
    active: Sequence[Entry],
    draining: Sequence[Entry],
) -> PlacedRoute:
    def ports(entries: Sequence[Entry]) -> tuple[int, ...]:
        return tuple(
            sorted(
                int(entry.key)
                for entry in entries
                if entry.gateway == gateway
                and isinstance(entry.key, int)
                and entry.owner is not None
                and (entry.owner.route == route.name or len(asking.wish.routes) == 1)
            )
        )

    old = ports(draining)
    return PlacedRoute(wish=route, ports=ports(active) + old, draining=old)

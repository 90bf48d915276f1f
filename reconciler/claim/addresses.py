"""Finds the addresses of units: of a new wish, and of what HEAD serves; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from reconciler.claim.pools import Pools
from reconciler.claim.refusals import Refused
from reconciler.claim.sticky import choose
from reconciler.codes import Code
from reconciler.model.units import (
    Address,
    Backend,
    Destination,
    Located,
    LocatedRoute,
    UnitAddresses,
    UnitId,
    Wish,
)

MAX_LEFT_OUT = 8

Previous = Mapping[tuple[str, Backend], tuple[Address, ...]]
"""Addresses in HEAD by destination key and kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Addresses of a wish, keys of destinations without any, and what was left out."""

    addresses: UnitAddresses
    missing: tuple[str, ...]
    left_out: tuple[str, ...]


def locate(wish: Wish, pools: Pools, head: UnitAddresses | None) -> Found:
    """Addresses for all destinations of a wish. Raises Refused."""
    previous = served(head)
    routes = []
    left_out: set[str] = set()
    for route in wish.routes:
        located = []
        for destination in route.destinations:
            pool = pools.of(destination, wish.unit.namespace)
            left_out.update(pool.left_out)
            located.append(_located(wish.unit, destination, pools, previous))
        _check_one_kind(route.name, located)
        routes.append(LocatedRoute(name=route.name, located=tuple(located)))
    missing = {
        each.destination.key
        for route in routes
        for each in route.located
        if not each.addresses
    }
    return Found(
        addresses=UnitAddresses(
            unit=wish.unit, failover=wish.policy.failover, routes=tuple(routes)
        ),
        missing=tuple(sorted(missing)),
        left_out=_bounded(left_out),
    )


def follow(
    head: UnitAddresses, pools: Pools, wanted: UnitAddresses | None
) -> UnitAddresses:
    """Addresses of what HEAD serves, the wish untouched.

    A destination that is gone has none left; what may not be followed (a forbidden address, a
    mix of IPs and names) stays as it is, since the rejected wish changes nothing. `wanted` are
    those that `locate` found against the same HEAD: mostly the same, as the wish is served.
    """
    if wanted is not None and _leads(wanted) == _leads(head):
        return replace(head, routes=wanted.routes)
    previous = served(head)
    routes = []
    for route in head.routes:
        try:
            located = [
                _located(head.unit, each.destination, pools, previous)
                for each in route.located
            ]
            _check_one_kind(route.name, located)
        except Refused:
            routes.append(route)
        else:
            routes.append(replace(route, located=tuple(located)))
    return replace(head, routes=tuple(routes))


def _leads(addresses: UnitAddresses) -> list[tuple[str, list[Destination]]]:
    """Where the routes lead, whatever its addresses are right now."""
    return [
        (route.name, [each.destination for each in route.located])
        for route in addresses.routes
    ]


def served(head: UnitAddresses | None) -> Previous:
    """What HEAD has for each destination of a unit, over all of its routes."""
    found: dict[tuple[str, Backend], tuple[Address, ...]] = {}
    for route in head.routes if head is not None else ():
        for each in route.located:
            key = (each.destination.key, each.destination.backend)
            found[key] = (*found.get(key, ()), *each.addresses)
    return found


def _located(
    unit: UnitId, destination: Destination, pools: Pools, previous: Previous
) -> Located:
    pool = pools.of(destination, unit.namespace)
    before = previous.get((destination.key, destination.backend), ())
    salt = (str(unit), destination.key)
    if destination.backend is not Backend.NODE_PORT:
        return Located(destination=destination, addresses=choose(before, pool, salt))
    port = pools.port(destination)
    if not 0 < port < 65536:
        return Located(destination=destination)
    same = {(each.host, each.is_ip): each for each in before if each.port == port}
    exist = (Address(host=host, port=0, is_ip=is_ip) for host, is_ip in same)
    chosen = choose(exist, pool, salt)
    found = tuple(
        same.get((each.host, each.is_ip))
        or Address(host=each.host, port=port, is_ip=each.is_ip)
        for each in chosen
    )
    return Located(destination=destination, addresses=found)


def _check_one_kind(route: str, located: list[Located]) -> None:
    kinds = {address.is_ip for each in located for address in each.addresses}
    if len(kinds) > 1:
        what = "its addresses are partly IPs and partly names; a route needs one kind"
        raise Refused(Code.MIXED_ADDRESSES, f"route {route}", what)


def _bounded(left_out: set[str]) -> tuple[str, ...]:
    shown = sorted(left_out)
    if len(shown) <= MAX_LEFT_OUT:
        return tuple(shown)
    return (*shown[:MAX_LEFT_OUT], f"and {len(shown) - MAX_LEFT_OUT} more")

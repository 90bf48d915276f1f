"""What all renderers share: names, metadata, and how a placement maps to routes; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import lcm

from reconciler import yamlio
from reconciler.headers import addresses_header, wish_header
from reconciler.model.units import (
    Destination,
    Failover,
    Located,
    LocatedRoute,
    PlacedRoute,
    Placement,
    UnitAddresses,
    UnitId,
)
from reconciler.names import object_name
from reconciler.settings import Gateway, Settings

CONNECT_TIMEOUT_SECONDS = 3
IDLE_SECONDS = 24 * 3600
MAX_CONNECTIONS = 1_000_000
TLS_LISTENER = "tls"

Doc = dict[str, object]


def wish_file(
    placement: Placement, gateway: Gateway, settings: Settings, documents: Sequence[Doc]
) -> bytes:
    """Header and documents of a wish file."""
    header = wish_header(placement, settings.host(gateway), gateway.tls_port)
    return f"{header}\n{yamlio.dump_all(documents)}".encode()


def addresses_file(addresses: UnitAddresses, documents: Sequence[Doc]) -> bytes:
    """Header and documents of an addresses file."""
    body = yamlio.dump_all(documents) if documents else ""
    return f"{addresses_header(addresses)}{body}".encode()


def kubernetes(version: str, kind: str, name: str, namespace: str = "") -> Doc:
    """The head of an object: no tenant text, nothing that depends on time or version.

    Without a namespace it is cluster-wide. The annotation keeps Flux from expanding `${...}` in what it applies.
    """
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {
            "name": name,
            **({"namespace": namespace} if namespace else {}),
            "labels": {"app.kubernetes.io/managed-by": "wharfinger"},
            "annotations": {"kustomize.toolkit.fluxcd.io/substitute": "disabled"},
        },
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Addresses that the proxy balances over as one: a destination, or all of a route.

    `members` are (address, weight). With `failover: any` one pool holds every destination,
    each address weighted so that destinations share as written.
    """

    name: str
    members: tuple[tuple[str, int, int], ...]  # host, port, weight
    is_ip: bool
    checked: bool


def pools(unit: UnitId, route: LocatedRoute, failover: Failover) -> tuple[Pool, ...]:
    """The pools of a route, destinations of weight 0 left out: nothing may go there."""
    live = [each for each in route.located if each.destination.weight > 0]
    if failover is Failover.ANY and len(live) > 1:
        return (_joined(unit, route.name, live),)
    return tuple(
        Pool(
            name=pool_name(unit, route.name, each.destination),
            members=tuple((a.host, a.port, 1) for a in each.addresses),
            is_ip=all(a.is_ip for a in each.addresses),
            checked=len(live) == 1,
        )
        for each in live
    )


def _joined(unit: UnitId, route: str, live: Sequence[Located]) -> Pool:
    counts = lcm(*(len(each.addresses) or 1 for each in live))
    return Pool(
        name=object_name(unit, route, "any"),
        members=tuple(
            (a.host, a.port, each.destination.weight * counts // len(each.addresses))
            for each in live
            for a in each.addresses
        ),
        is_ip=all(a.is_ip for each in live for a in each.addresses),
        checked=True,
    )


def pool_name(unit: UnitId, route: str, destination: Destination) -> str:
    """The object name of a destination's pool."""
    return object_name(unit, route, destination.key)


def weighted(placement: Placement, route: PlacedRoute) -> Iterator[tuple[str, int]]:
    """(pool name, weight as written) of each destination of a route."""
    unit = placement.wish.unit
    live = [each for each in route.wish.destinations if each.weight > 0]
    joined = placement.wish.policy.failover is Failover.ANY and len(live) > 1
    for each in route.wish.destinations:
        name = (
            object_name(unit, route.wish.name, "any")
            if joined and each.weight > 0
            else pool_name(unit, route.wish.name, each)
        )
        yield name, each.weight


def is_checked(placement: Placement, route: PlacedRoute) -> bool:
    """Whether destinations are health-checked: one alone always, several only for `any`."""
    live = [each for each in route.wish.destinations if each.weight > 0]
    return len(live) == 1 or placement.wish.policy.failover is Failover.ANY


def reference(group: str, kind: str, name: str) -> Mapping[str, str]:
    """A policy's target."""
    return {"group": group, "kind": kind, "name": name}

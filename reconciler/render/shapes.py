"""What all renderers share: names, metadata, and how a placement maps to routes; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from reconciler import yamlio
from reconciler.headers import addresses_header, wish_header
from reconciler.model.units import (
    Address,
    Destination,
    Failover,
    LocatedRoute,
    PlacedRoute,
    Placement,
    UnitAddresses,
    UnitId,
)
from reconciler.names import object_name
from reconciler.settings import Gateway, Settings
from reconciler.wishes import wish_lines

CONNECT_TIMEOUT_SECONDS = 3
IDLE_SECONDS = 24 * 3600
MAX_CONNECTIONS = 1_000_000
TLS_LISTENER = "tls"
# Percent. Below it Envoy tries every address, whatever its health: so when none is healthy
# the first connection after a repair gets through, and otherwise nothing changes.
PANIC = 1

Doc = dict[str, object]
_LABELS = yamlio.Fixed({"app.kubernetes.io/managed-by": "wharfinger"})
_ANNOTATIONS = yamlio.Fixed({"kustomize.toolkit.fluxcd.io/substitute": "disabled"})


def wish_file(
    placement: Placement, gateway: Gateway, settings: Settings, documents: Sequence[Doc]
) -> bytes:
    """Header and documents of a wish file."""
    header = wish_header(placement, settings.host(gateway), gateway.tls_port)
    head = f"{header}\n{wish_lines(placement)}"
    return f"{head}{yamlio.dump_all(documents)}".encode()


def addresses_file(addresses: UnitAddresses, documents: Sequence[Doc]) -> bytes:
    """Header and documents of an addresses file."""
    return f"{addresses_header(addresses)}{yamlio.dump_all(documents)}".encode()


def kubernetes(version: str, kind: str, name: str, namespace: str = "") -> Doc:
    """The head of an object: no tenant text, nothing that depends on time or version.

    Without a namespace it is cluster-wide. The annotation keeps Flux from expanding `${...}`
    in what it applies.
    """
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {
            "name": name,
            **({"namespace": namespace} if namespace else {}),
            "labels": _LABELS,
            "annotations": _ANNOTATIONS,
        },
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A destination's addresses and its weight among the groups of a pool."""

    addresses: tuple[Address, ...]
    weight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Addresses that the proxy balances over as one.

    One destination, or with `failover: any` all of a route, whose shares then stay in
    proportion while all are healthy.
    """

    name: str
    shares: tuple[Share, ...]

    @property
    def addresses(self) -> tuple[Address, ...]:
        return tuple(each for share in self.shares for each in share.addresses)

    @property
    def is_ip(self) -> bool:
        """False when addresses are names that the proxy has to resolve."""
        return all(each.is_ip for each in self.addresses)


def pools(unit: UnitId, route: LocatedRoute, failover: Failover) -> tuple[Pool, ...]:
    """The pools of a route. A destination of weight 0 is alone: nothing ever goes there."""
    destinations = [each.destination for each in route.located]
    names = pool_names(unit, route.name, destinations, failover)
    shares: dict[str, list[Share]] = {}
    for name, each in zip(names, route.located, strict=True):
        share = Share(addresses=each.addresses, weight=each.destination.weight)
        shares.setdefault(name, []).append(share)
    return tuple(Pool(name=name, shares=tuple(each)) for name, each in shares.items())


def pool_names(
    unit: UnitId, route: str, destinations: Sequence[Destination], failover: Failover
) -> tuple[str, ...]:
    """The name of each destination's pool, in the order of the destinations."""
    together = failover is Failover.ANY and _live(destinations) > 1
    joined = object_name(unit, route, "any")
    return tuple(
        joined if together and each.weight > 0 else pool_name(unit, route, each)
        for each in destinations
    )


def pool_name(unit: UnitId, route: str, destination: Destination) -> str:
    """The object name of a destination's own pool."""
    return object_name(unit, route, destination.key)


def _live(destinations: Sequence[Destination]) -> int:
    return sum(each.weight > 0 for each in destinations)


def weighted(placement: Placement, route: PlacedRoute) -> Iterator[tuple[str, int]]:
    """(pool name, weight as written) of each destination of a route."""
    wish = placement.wish
    destinations = route.wish.destinations
    names = pool_names(wish.unit, route.wish.name, destinations, wish.policy.failover)
    return zip(names, (each.weight for each in destinations), strict=True)


def may_take_over(placement: Placement, route: PlacedRoute) -> bool:
    """Whether a destination's share may go to healthy others, or it is the only one."""
    alone = _live(route.wish.destinations) == 1
    return alone or placement.wish.policy.failover is Failover.ANY


def reference(group: str, kind: str, name: str) -> Mapping[str, str]:
    """A policy's target."""
    return {"group": group, "kind": kind, "name": name}

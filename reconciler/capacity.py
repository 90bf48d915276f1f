"""How full gateways are: what may be live at once, and what is; pure.

A port is one listener and one port of the load balancer. SNI hosts share the TLS port's, so
they fill nothing. A gateway is full at the smallest of its ceilings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from reconciler.ledger import read_ledger, touches
from reconciler.ledger_file import Entry
from reconciler.model.repository import Head, History
from reconciler.model.units import PortState
from reconciler.ports import contains, never_allocatable
from reconciler.settings import Gateway, GatewayPorts, Renderer, Settings

WARNING_PERCENT = 80
CRITICAL_PERCENT = 95


class Limit(StrEnum):
    """What ends a gateway's room, as people find it in the settings."""

    MAX = "ports.max"
    LISTENERS = "limits.listeners"
    LOAD_BALANCER = "limits.loadBalancerPorts"
    RANGE = "ports.range"


class Level(StrEnum):
    """How urgent it is that somebody makes room."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"
    FULL = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """How many ports of a gateway may be live at once, and what says so."""

    limit: Limit
    ports: int

    @property
    def advice(self) -> str:
        """Who can raise it, and how."""
        if self.limit in (Limit.LISTENERS, Limit.LOAD_BALANCER):
            return f"the platform team can raise {self.limit} if the product allows more, or add a gateway"
        return f"the platform team can raise {self.limit}, or add a gateway"


def usable(ports: GatewayPorts, tls_port: int) -> Iterator[int]:
    """The ports of a gateway that may ever be given, in the order of its ranges."""
    never = never_allocatable(tls_port)
    return (
        port
        for each in ports.range
        for port in each
        if port not in never and not contains(ports.exclude, port)
    )


def own_load_balancer_ports(gateway: Gateway) -> int:
    """Ports that the load balancer opens whatever is exposed: TLS, and Istio's status port."""
    istio = gateway.renderer in (Renderer.ISTIO, Renderer.ISTIO_CLASSIC)
    return 2 if istio else 1


def ceilings(gateway: Gateway) -> tuple[Ceiling, ...]:
    """Limits that count live ports alone, the smallest first; the range is none of them."""
    limits = gateway.limits
    found = {
        Limit.MAX: (gateway.ports.max, 0),
        Limit.LISTENERS: (limits.listeners, 1),
        Limit.LOAD_BALANCER: (
            limits.load_balancer_ports,
            own_load_balancer_ports(gateway),
        ),
    }
    made = [
        Ceiling(limit=limit, ports=max(0, most - own))
        for limit, (most, own) in found.items()
        if most is not None
    ]
    return tuple(sorted(made, key=lambda each: each.ports))


def size(gateway: Gateway) -> int:
    """How many ports the gateway can have live at once."""
    ports = sum(1 for _ in usable(gateway.ports, gateway.tls_port))
    return min([ports, *(each.ports for each in ceilings(gateway))])


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """One gateway now. `free` ports may be given to anybody today; `tenants` are live ports.

    `headroom` is how many more routes fit, as the first of its limits allows.
    """

    gateway: str
    ranges: str
    usable: int
    live: int
    draining: int
    quarantined: int
    reserved: int
    hosts: int
    free: int
    headroom: int
    fill_percent: int
    limit: Limit
    tenants: tuple[tuple[str, int], ...]

    @property
    def level(self) -> Level:
        """How urgent it is."""
        if self.headroom == 0:
            return Level.FULL
        if self.fill_percent >= CRITICAL_PERCENT:
            return Level.CRITICAL
        return Level.WARNING if self.fill_percent >= WARNING_PERCENT else Level.OK


def capacities(
    settings: Settings, entries: Iterable[Entry], now: datetime
) -> tuple[Capacity, ...]:
    """How full every gateway is, in the order of the settings."""
    found: dict[str, list[Entry]] = {each.name: [] for each in settings.gateways}
    for entry in entries:
        found.setdefault(entry.gateway, []).append(entry)
    return tuple(
        _capacity(gateway, settings, found[gateway.name], now)
        for gateway in settings.gateways
    )


def capacities_at(
    settings: Settings, head: Head, history: History, now: datetime
) -> tuple[Capacity, ...]:
    """How full every gateway is at HEAD."""
    ledger = read_ledger(head.files, history, touches(history))
    return capacities(settings, ledger.entries.values(), now)


def _capacity(
    gateway: Gateway, settings: Settings, entries: list[Entry], now: datetime
) -> Capacity:
    ports = frozenset(usable(gateway.ports, gateway.tls_port))
    numbered = [each for each in entries if isinstance(each.key, int)]
    held = [each for each in numbered if not _is_free(each, settings, now)]
    states = Counter(each.state for each in held)
    live = states[PortState.ACTIVE] + states[PortState.DRAINING]
    free = len(ports) - sum(each.key in ports for each in held)
    rooms = [(free, len(ports), Limit.RANGE)] + [
        (max(0, each.ports - live), each.ports, each.limit)
        for each in ceilings(gateway)
    ]
    headroom, of, limit = min(rooms, key=lambda each: (each[0], each[1]))
    return Capacity(
        gateway=gateway.name,
        ranges=", ".join(map(str, gateway.ports.range)),
        usable=len(ports),
        live=live,
        draining=states[PortState.DRAINING],
        quarantined=states[PortState.RELEASED],
        reserved=states[PortState.RESERVED],
        hosts=sum(each.live for each in entries if isinstance(each.key, str)),
        free=free,
        headroom=headroom,
        fill_percent=100 * (of - headroom) // of if of else 100,
        limit=limit,
        tenants=_by_tenant(settings, held),
    )


def _is_free(entry: Entry, settings: Settings, now: datetime) -> bool:
    """Whether anybody may have it: released, promised to nobody, and its quarantine over."""
    over = now - entry.since >= settings.release.quarantine
    return entry.state is PortState.RELEASED and over and not entry.next


def _by_tenant(
    settings: Settings, entries: Iterable[Entry]
) -> tuple[tuple[str, int], ...]:
    """Live ports by the globs of the tenants entry; owners without one are `(none)`."""
    names: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for entry in entries:
        if not entry.live or entry.owner is None:
            continue
        cluster = entry.owner.cluster
        if cluster not in names:
            tenant = settings.tenant(cluster)
            names[cluster] = ",".join(tenant.clusters) if tenant else "(none)"
        counts[names[cluster]] += 1
    return tuple(sorted(counts.items()))

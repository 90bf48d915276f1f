"""Gives ports to routes: deterministic, order-independent, sticky; pure.

Preferred port = hash of the identity into the dynamic band, then the next free one. Ports that
never had an owner come first, and the static band last, so that requests find room there:

    dynamic, never owned -> dynamic, quarantine over -> static, never owned -> static, over
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from reconciler.capacity import Ceiling, ceilings, usable
from reconciler.ledger_file import Entry
from reconciler.model.units import Owner, PortState
from reconciler.ports import contains, never_allocatable
from reconciler.settings import Gateway, GatewayPorts


def identity_hash(owner: Owner) -> int:
    """A number that orders routes and picks preferred ports, whatever arrived first."""
    text = "".join(f"{len(part)}:{part}" for part in owner.identity)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


@dataclass(frozen=True, slots=True, kw_only=True)
class Berths:
    """The ledger of one gateway's ports: all entries, how many are live, and who had which.

    `former` gives the ports whose released or reserved entry names an owner, `kept` those that
    are reserved for its unit.
    """

    entries: Mapping[int, Entry]
    live: int
    former: Callable[[Owner], Iterable[int]]
    kept: Callable[[Owner], Iterable[int]]


class Pool:
    """The ports of one gateway during one pass. Starts from the ledger, `take` adds to it."""

    def __init__(
        self, gateway: Gateway, berths: Berths, now: datetime, quarantine: timedelta
    ) -> None:
        self._gateway = gateway
        self._now = now
        self._quarantine = quarantine
        self._never = never_allocatable(gateway.tls_port)
        self._entries = berths.entries
        self._former = berths.former
        self._kept = berths.kept
        self._taken: set[int] = set()
        self._live = berths.live
        self._bands = _bands(gateway.ports, gateway.tls_port)
        self._ceilings = ceilings(gateway)

    @property
    def reached(self) -> Ceiling | None:
        """The limit at which no route may get another port, whatever is free."""
        lowest = next(iter(self._ceilings), None)
        return lowest if lowest is not None and self._live >= lowest.ports else None

    def full(self) -> str:
        """Why the gateway has no port for another route, and who can change that."""
        name = self._gateway.name
        reached = self.reached
        if reached is not None:
            used = f"all {reached.ports} that {reached.limit} leaves are live"
            return f"gateway {name} has no free port ({used}); {reached.advice}"
        return (
            f"gateway {name} has no free port (ports of ports.range that are not live are "
            "reserved or wait out their quarantine); the platform team can raise "
            "ports.range, or add a gateway"
        )

    def refusal(self, port: int) -> str:
        """Why nobody may ask for this port; empty when it may be asked for."""
        ports = self._gateway.ports
        if port in self._never:
            return f"port {port} is needed by the proxies"
        if not contains(ports.range, port):
            where = ", ".join(map(str, ports.range))
            return f"port {port} is outside of the range of gateway {self._gateway.name} ({where})"
        if contains(ports.exclude, port):
            return f"port {port} is excluded on gateway {self._gateway.name}"
        return ""

    def is_free(self, port: int, owner: Owner) -> bool:
        """Whether this owner may have the port now: quarantine holds for others only.

        What people reserved for a unit is free for that unit, whatever its route is called.
        """
        if port in self._taken:
            return False
        entry = self._entries.get(port)
        if entry is None:
            return True
        if entry.owner is not None and entry.owner.identity == owner.identity:
            return True
        if entry.state is PortState.RESERVED:
            named = entry.owner
            return named is not None and named.identity[:3] == owner.identity[:3]
        if entry.state is not PortState.RELEASED or entry.next:
            return False  # with `next` it waits for that unit alone
        return self._now - entry.since >= self._quarantine

    def is_open(self, port: int, owner: Owner) -> bool:
        """Whether automatic choice may take the port: free, and not kept for requests."""
        kept = contains(self._gateway.ports.static, port)
        return not kept and not self.refusal(port) and self.is_free(port, owner)

    def take(self, port: int) -> None:
        """Mark the port as given in this pass."""
        self._taken.add(port)
        entry = self._entries.get(port)
        if entry is None or not entry.live:
            self._live += 1

    def kept(self, owner: Owner, *, alone: bool) -> int | None:
        """The port that people reserved for this route; an only route has the only one."""
        ports = sorted(
            port
            for port in self._kept(owner)
            if port not in self._taken and not self.refusal(port)
        )
        for port in ports:
            named = self._entries[port].owner
            if named is not None and named.identity == owner.identity:
                return port
        return ports[0] if alone and len(ports) == 1 else None

    def former(self, owner: Owner) -> int | None:
        """The released port that this owner had last, when it may still have it."""
        named = {self._entries.get(port) for port in self._former(owner)}
        mine = [
            entry
            for entry in named
            if entry is not None
            and entry.state is PortState.RELEASED
            and entry.owner is not None
            and entry.owner.identity == owner.identity
            and isinstance(entry.key, int)
            and not self.refusal(entry.key)
            and entry.key not in self._taken
        ]
        if not mine:
            return None
        latest = max(mine, key=lambda entry: (entry.since, entry.key))
        return int(latest.key)

    def choose(self, owner: Owner, spoken_for: Set[int]) -> int | None:
        """A free port for the owner that is not `spoken_for`, `None` when there is none."""
        for port in self._preferred(identity_hash(owner)):
            if port not in spoken_for and self.is_free(port, owner):
                return port
        return None

    def _preferred(self, number: int) -> Iterator[int]:
        """All ports, the dynamic band before the static one, never owned ones first in each."""
        for band in self._bands:
            yield from (p for p in _from(band, number) if p not in self._entries)
            yield from (p for p in _from(band, number) if p in self._entries)


@cache
def _bands(ports: GatewayPorts, tls_port: int) -> tuple[list[int], list[int]]:
    """The dynamic and the static band."""
    every = tuple(usable(ports, tls_port))
    dynamic = [port for port in every if not contains(ports.static, port)]
    return dynamic, [port for port in every if contains(ports.static, port)]


def _from(band: list[int], number: int) -> Iterator[int]:
    """All ports of a band, starting at the preferred one."""
    for offset in range(len(band)):
        yield band[(number + offset) % len(band)]

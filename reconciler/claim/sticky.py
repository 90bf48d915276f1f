"""Keeps the set of addresses of a destination as it is, as long as it serves; pure.

The set changes only when a member is gone, or unready for longer than the grace by its own
transition time, or when it is smaller than min(8, usable); then it is refilled in rendezvous
order. So a node that comes changes nothing, and one that goes changes one member.

When no node at all is ready, members that still exist are kept: a control plane that lost sight
of all nodes knows less than the health checks of the proxies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reconciler.model.units import Address, UnitId

ENOUGH = 8
AT_MOST = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Possible:
    """An address that exists now. `lingers`: unready, but not for longer than the grace."""

    address: Address
    ready: bool
    lingers: bool = False


def keep_or_refill(
    unit: UnitId, key: str, current: Sequence[Address], possible: Iterable[Possible]
) -> tuple[Address, ...]:
    """The addresses of a destination, sorted; `current` are those at HEAD."""
    found = {each.address: each for each in possible}
    usable = {address for address, each in found.items() if each.ready}
    existing = [address for address in current if address in found]
    kept = [
        address
        for address in existing
        if found[address].ready or found[address].lingers or not usable
    ]
    target = min(ENOUGH, len(usable))
    if len(kept) < target:
        missing = sorted(usable - set(kept), key=lambda each: _rank(unit, key, each))
        kept.extend(missing[: target - len(kept)])
    return tuple(sorted(kept[:AT_MOST]))


def _rank(unit: UnitId, key: str, address: Address) -> bytes:
    """Rendezvous hashing: each address has its own fixed rank for this destination."""
    text = f"{unit}|{key}|{address}"
    return hashlib.sha256(text.encode()).digest()

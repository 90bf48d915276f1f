"""Chooses the members of an address set so that it changes as little as possible; pure.

The set that HEAD has is an input, so the choice stays a function of values. It changes only
when a member is gone or has been unready for longer than the grace, or when it is smaller than
min(8, usable). Then it is refilled in rendezvous order: every unit ranks all members by a hash
of its own, so that load spreads and one member's coming or going moves nothing else.

When nothing at all is ready, members that still exist are kept: a control plane that calls all
nodes unready is more often wrong than the nodes are, and the proxies check health themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from operator import attrgetter

from reconciler.model.units import Address
from reconciler.names import short_hashes

ENOUGH = 8
MAX_ADDRESSES = 256

_ORDER = attrgetter(
    "host", "port", "is_ip"
)  # as addresses compare, without asking them


class Standing(Enum):
    """What a member that exists is good for."""

    READY = "ready"  # may be chosen
    SPARE = "spare"  # ready, may stay, is never chosen: a node's further addresses
    LASTING = "lasting"  # unready, but not for longer than the grace: may stay
    EXPIRED = "expired"  # unready for too long


_RANK = {each: rank for rank, each in enumerate(Standing)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """All that exists behind a destination. `ready` are the members that may be chosen.

    `left_out` says of addresses that exist why they are not used, in words.
    """

    members: Mapping[Address, Standing]
    ready: tuple[Address, ...]
    left_out: tuple[str, ...] = ()


def pool(
    found: Iterable[tuple[Address, Standing]], left_out: Iterable[str] = ()
) -> Pool:
    """A pool; of an address that is found twice the better standing counts."""
    members: dict[Address, Standing] = {}
    for address, standing in found:
        known = members.get(address)
        if known is None or _RANK[standing] < _RANK[known]:
            members[address] = standing
    ready = [each for each in members if members[each] is Standing.READY]
    return Pool(
        members=members,
        ready=tuple(sorted(ready, key=_ORDER)),
        left_out=tuple(sorted(left_out)),
    )


def choose(
    previous: Iterable[Address], among: Pool, salt: tuple[str, ...]
) -> tuple[Address, ...]:
    """The members to use, sorted. `salt` names the unit and the destination."""
    members = among.members
    exist = {address for address in previous if address in members}
    kept = {address for address in exist if members[address] is not Standing.EXPIRED}
    wanted = min(ENOUGH, len(among.ready))
    if not among.ready and Standing.SPARE not in map(members.get, kept):
        kept = exist
    if len(kept) < wanted:
        fresh = [address for address in among.ready if address not in kept]
        if len(fresh) > wanted - len(
            kept
        ):  # a hash for each is worth it to choose only
            rank = short_hashes(*salt, length=16)
            fresh.sort(key=lambda each: (rank(str(each)), each))
        kept.update(fresh[: wanted - len(kept)])
    return tuple(sorted(kept, key=_ORDER)[:MAX_ADDRESSES])

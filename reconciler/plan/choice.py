"""Which gateways a unit may be placed on, the first choice first; pure.

An annotation decides, else the place that the unit has, else the tenant's rule. SNI hosts go to
the tenant's first gateway whatever the rule: DNS leads their names to one address.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from functools import cached_property

from reconciler.capacity import size
from reconciler.model.claims import Wanted
from reconciler.model.units import PortState, UnitKind
from reconciler.plan.ledger_index import Identity, keeper
from reconciler.plan.overlay import changes_of
from reconciler.plan.world import World
from reconciler.settings import PlacementRule

_BYTES = 6  # of the hash: as much as a float keeps whole


class Chooser:
    """Knows the gateways of one world; what is costly to know is found out when needed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._settings = world.inputs.settings

    def choices(self, wanted: Wanted, cluster_id: str) -> tuple[str, ...]:
        """Gateways for a unit in the order in which they are tried; at least one."""
        unit = wanted.wish.unit
        tenant = self._settings.tenant(unit.cluster)
        if wanted.gateway or tenant is None:
            return (wanted.gateway,)
        for entry in self._world.owned.get(unit, ()):
            if entry.state is PortState.ACTIVE and entry.gateway in tenant.gateways:
                return (entry.gateway,)
        names = tuple(dict.fromkeys(tenant.gateways))
        kept = self._reserved(wanted, cluster_id, names)
        if kept:
            return (kept,)
        by_name = wanted.wish.kind is UnitKind.TLS
        if by_name or tenant.placement is PlacementRule.FIRST or len(names) == 1:
            return names[:1]
        if tenant.placement is PlacementRule.SPREAD:
            identity = (cluster_id, unit.namespace, unit.name)
            names = rendezvous(identity, {name: self._sizes[name] for name in names})
        before = self._before(wanted, cluster_id)
        return tuple(sorted(names, key=lambda name: name != before))

    def _reserved(self, wanted: Wanted, cluster_id: str, names: tuple[str, ...]) -> str:
        """The first gateway of the tenant on which people reserved something for the unit."""
        unit = wanted.wish.unit
        place = (cluster_id, unit.namespace, unit.name, "")
        kept = {at[0] for at in self._world.index.ledger.kept.get(place, ())}
        kept |= self._inherited.get(place, set())
        return next((name for name in names if name in kept), "")

    def _before(self, wanted: Wanted, cluster_id: str) -> str:
        """Where the unit had its last port: what comes back finds it there again."""
        unit = wanted.wish.unit
        place = (cluster_id, unit.namespace, unit.name)
        found = [
            self._world.entries[at]
            for route in wanted.wish.routes
            for at in self._world.index.ledger.former.get((*place, route.name), ())
        ]
        released = [each for each in found if each.state is PortState.RELEASED]
        latest = max(released, key=lambda each: (each.since, each.path), default=None)
        return latest.gateway if latest is not None else ""

    @cached_property
    def _inherited(self) -> Mapping[Identity, set[str]]:
        """Gateways on which successors have reservations, by unit under its present id."""
        found: dict[Identity, set[str]] = {}
        for at, entry in changes_of(self._world.entries).items():
            if (unit := keeper(entry)) is not None:
                found.setdefault(unit, set()).add(at[0])
        return found

    @cached_property
    def _sizes(self) -> Mapping[str, int]:
        return {each.name: size(each) for each in self._settings.gateways}


def rendezvous(
    identity: tuple[str, ...], weights: Mapping[str, int]
) -> tuple[str, ...]:
    """Names in the order of an identity's weighted hash.

    Each name is first for its share of all identities, and a name that is added or taken away
    changes the first choice of its own share alone.
    """

    def score(name: str) -> tuple[float, str]:
        text = "".join(f"{len(part)}:{part}" for part in (*identity, name))
        number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:_BYTES], "big")
        drawn = (number + 1) / (2 ** (8 * _BYTES) + 1)  # neither 0 nor 1
        return (weights[name] / -math.log(drawn), name)

    return tuple(sorted(weights, key=score, reverse=True))

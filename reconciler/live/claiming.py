"""Which units an update concerns, and what some units claim; decides alone, reads no clock."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from reconciler.claim import claim
from reconciler.live.agenda import Key
from reconciler.model.claims import ClusterClaims
from reconciler.model.clusters import ClusterView, Unknown
from reconciler.model.units import UnitAddresses, UnitId
from reconciler.model.updates import Update
from reconciler.settings import Settings


class Claims:
    """The claims of all clusters under some settings, a few units at a time."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def note(self, update: Update, view: ClusterView | None) -> Iterable[Key]:
        """What an update concerns; `view` is the cluster as it is known now."""
        return (update.cluster,)

    def units_of(self, view: ClusterView | None) -> frozenset[UnitId]:
        """All units that a cluster may ask for."""
        if view is None:
            return frozenset()
        cluster = view.entry.name
        found = {UnitId(cluster=cluster)}
        if not isinstance(view.objects, Unknown):
            found.update(
                UnitId(cluster=cluster, namespace=each.namespace, name=each.name)
                for each in view.objects.virtual_services
            )
        return frozenset(found)

    def of(
        self,
        views: Iterable[ClusterView],
        units: frozenset[UnitId],
        addresses: Mapping[UnitId, UnitAddresses],
        now: datetime,
    ) -> tuple[ClusterClaims, ...]:
        """What these units claim, by cluster."""
        return tuple(
            _only(claim(view, self.settings, addresses, now), units) for view in views
        )


def _only(claims: ClusterClaims, units: Collection[UnitId]) -> ClusterClaims:
    return replace(
        claims,
        claims=tuple(each for each in claims.claims if each.unit in units),
        unexposed=tuple(each for each in claims.unexposed if each in units),
        unexposed_sources=tuple(
            each for each in claims.unexposed_sources if each.unit in units
        ),
        follow=tuple(each for each in claims.follow if each.unit in units),
    )

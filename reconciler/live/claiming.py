"""Which units an update concerns, and what some units claim; reads no clock, does no I/O.

Claims that are kept go on with the changes that are told, and cost what changed. They are only
a faster way to say what the view of a cluster says: where changes do not fit, where a cluster was
listed anew, or where a unit seems to be missing, the view itself is claimed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from reconciler.claim import claim
from reconciler.claim.live import LiveClaims
from reconciler.live.agenda import Key
from reconciler.live.patience import graces
from reconciler.model.claims import ClusterClaims
from reconciler.model.clusters import ClusterObjects, ClusterView, Unknown
from reconciler.model.units import UnitAddresses, UnitId
from reconciler.model.updates import Update
from reconciler.settings import Settings

Served = Mapping[UnitId, UnitAddresses]


class Seen(Protocol):
    """What is known of clusters."""

    def view(self, cluster: str) -> ClusterView | None:
        """One cluster as it is known now; `None` when no inventory names it."""

    def untold(self, cluster: str) -> bool:
        """Whether changes of a cluster, which `view` has already, are still to be told."""


class Claims:
    """The claims of all clusters under some settings."""

    def __init__(self, settings: Settings, seen: Seen) -> None:
        self.settings = settings
        self._seen = seen
        self._kept: dict[str, LiveClaims] = {}
        self._fresh: dict[
            str, None
        ] = {}  # kept clusters of which nothing was claimed yet

    def note(self, update: Update) -> Iterable[Key]:
        """What an update concerns: units, or the cluster as a whole."""
        cluster, deltas = update.cluster, update.deltas
        if deltas is None:
            self.forget(cluster)
        kept = self._kept.get(cluster)
        if kept is None or deltas is None:
            self._keep(cluster)
            return (cluster,)
        try:
            units = kept.apply(deltas)
        except AssertionError:  # they do not go on from what is known here
            self.forget(cluster)
            return (cluster,)
        return (cluster,) if cluster in self._fresh else units

    def _keep(self, cluster: str) -> None:
        """Begin to keep claims: the next changes go on from exactly what is seen now."""
        view = self._seen.view(cluster)
        if view is None or isinstance(view.objects, Unknown):
            return
        if not self._seen.untold(cluster):
            self._kept[cluster] = LiveClaims(view, self.settings)
            self._fresh[cluster] = None

    def forget(self, cluster: str) -> None:
        """Claim what is seen of a cluster until it is told as a whole again."""
        self._kept.pop(cluster, None)
        self._fresh.pop(cluster, None)

    def units_of(self, cluster: str) -> frozenset[UnitId]:
        """All units that a cluster may ask for."""
        view = self._seen.view(cluster)
        if view is None or isinstance(view.objects, Unknown):
            return frozenset()
        return _listed(cluster, view.objects)

    def needed(
        self, cluster: str, units: frozenset[UnitId], all_units: Collection[UnitId]
    ) -> frozenset[UnitId]:
        """Units of which `of` wants the addresses: those, or all the first time."""
        return units | frozenset(all_units) if cluster in self._fresh else units

    def of(
        self, cluster: str, units: frozenset[UnitId], served: Served, now: datetime
    ) -> ClusterClaims | None:
        """What these units of a cluster claim; `None` when no inventory names the cluster.

        `served` are the addresses that HEAD has of the units that are `needed`.
        """
        view = self._seen.view(cluster)
        if view is None:
            self.forget(cluster)
            return None
        kept = self._kept.get(cluster)
        if kept is not None and not isinstance(view.objects, Unknown):
            self.begin(cluster, served, now)
            found = kept.claims(units, served, now)
            if found.view.entry == view.entry and _agree(found, units, served, view):
                return found
        self.forget(cluster)
        return _only(claim(view, self.settings, served, now), units)

    def fresh(self) -> str | None:
        """A cluster whose next change would concern all of it, for want of a beginning."""
        return next(iter(self._fresh), None)

    def begin(self, cluster: str, served: Served, now: datetime) -> None:
        """Claim all of a fresh cluster once: then it is known what each claim reads."""
        if cluster in self._fresh:
            del self._fresh[cluster]
            self._kept[cluster].claims(None, served, now)

    def alarms(
        self, clusters: Iterable[str], now: datetime
    ) -> Iterator[tuple[Key, datetime]]:
        """What time alone may change of the claims of these clusters, and when."""
        for cluster in clusters:
            kept, view = self._kept.get(cluster), self._seen.view(cluster)
            if kept is not None and cluster not in self._fresh:
                wake = kept.wake(now)
                if wake is not None:
                    yield from ((unit, wake.at) for unit in wake.units)
            elif view is not None:
                yield from graces((view,), self.settings.guards.grace, now)


def _listed(cluster: str, objects: ClusterObjects | Unknown) -> frozenset[UnitId]:
    if isinstance(objects, Unknown):
        return frozenset()
    return frozenset(
        UnitId(cluster=cluster, namespace=each.namespace, name=each.name)
        for each in objects.virtual_services
    )


def _agree(
    found: ClusterClaims, units: frozenset[UnitId], served: Served, view: ClusterView
) -> bool:
    """Whether the view says too that what kept claims miss is not there.

    What was told last may be old: that HEAD serves what is not exposed is no proof of absence
    until the view says it.
    """
    refused = {*found.unexposed, *found.elsewhere}
    cluster = view.entry.name
    missing = units - {each.unit for each in found.claims} - {UnitId(cluster=cluster)}
    missing -= refused - served.keys()
    return not missing or missing.isdisjoint(_listed(cluster, view.objects))


def _only(claims: ClusterClaims, units: Collection[UnitId]) -> ClusterClaims:
    return replace(
        claims,
        claims=tuple(each for each in claims.claims if each.unit in units),
        unexposed=tuple(each for each in claims.unexposed if each in units),
        unexposed_sources=tuple(
            each for each in claims.unexposed_sources if each.unit in units
        ),
        follow=tuple(each for each in claims.follow if each.unit in units),
        elsewhere=tuple(each for each in claims.elsewhere if each in units),
    )

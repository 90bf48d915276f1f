"""How often a unit was seen missing in complete lists, and when to look again; pure.

A watched cluster is known all the time, but what a watch says is one look however long it goes
on: a connection that quietly misses events says the same for ever. The next look is a list of
its own, at least the grace after the first. What stays missing all the same, since people hold it
or it is too much at once, is looked for ever more seldom.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from reconciler.model.plans import Look
from reconciler.model.units import UnitId
from reconciler.settings import Guards

SELDOM = timedelta(hours=1)  # between looks at what nothing comes of


class Looks:
    """What one process remembers of missing units; losing it only costs time, never safety.

    `watched` says that snapshots come from watches: then only what `listed` names is a new look.
    """

    def __init__(self, *, watched: bool = False) -> None:
        self._watched = watched
        self._found: dict[UnitId, Look] = {}
        self._listed: dict[str, datetime] = {}

    def __len__(self) -> int:
        return len(self._found)

    def listed(self, clusters: Collection[str], at: datetime) -> None:
        """Note that a list of these clusters, begun at this time, is in what is seen now."""
        self._listed.update(dict.fromkeys(clusters, at))

    def current(self, grace: timedelta) -> tuple[Look, ...]:
        """Earlier looks; what is seen now counts as one more only where it is a new one."""
        return tuple(
            look if self._is_new(look, grace) else replace(look, count=look.count - 1)
            for look in self._found.values()
        )

    def note(
        self,
        missing: Collection[UnitId],
        looked_at: Callable[[UnitId], bool],
        at: datetime,
        grace: timedelta,
    ) -> None:
        """Note which units were missing in what was seen at this time.

        `looked_at` says of which others that would have been seen. A list that began before the
        grace was over, for the sake of another unit, is no look at this one.
        """
        gone = set(missing)
        for unit in [each for each in self._found if each not in gone]:
            if looked_at(unit):
                del self._found[unit]
        for unit in gone:
            before = self._found.get(unit)
            self._found[unit] = self._noted(unit, before, at, grace)

    def removed(self, serves: Callable[[UnitId], bool]) -> None:
        """Forget units of which nothing is served any more: nobody misses them."""
        for unit in [each for each in self._found if not serves(each)]:
            del self._found[unit]

    def missing(self) -> Mapping[str, frozenset[UnitId]]:
        """What is missing, by cluster."""
        found: dict[str, set[UnitId]] = {}
        for unit in self._found:
            found.setdefault(unit.cluster, set()).add(unit)
        return {cluster: frozenset(units) for cluster, units in found.items()}

    def forget(self, units: Iterable[UnitId]) -> None:
        """The next look at these is a first one: they were seen after all."""
        for unit in units:
            self._found.pop(unit, None)

    def due(self, guards: Guards) -> Iterator[tuple[datetime, str]]:
        """When which cluster has to be listed again because something of it is missing."""
        if self._watched:
            for look in self._found.values():
                rest = guards.grace
                if look.count >= guards.confirmations:
                    rest = max(rest, min(look.last - look.first, SELDOM))
                yield look.last + rest, look.unit.cluster

    def _noted(
        self, unit: UnitId, before: Look | None, at: datetime, grace: timedelta
    ) -> Look:
        if before is None:
            return Look(unit=unit, first=at, last=at, count=1)
        if self._watched:
            if not self._is_new(before, grace):
                return before
            at = self._listed[unit.cluster]
        if at <= before.last:
            return before
        return replace(before, last=at, count=before.count + 1)

    def _is_new(self, look: Look, grace: timedelta) -> bool:
        if not self._watched:
            return True
        listed = self._listed.get(look.unit.cluster)
        return (
            listed is not None and listed > look.last and listed - look.first >= grace
        )

"""Knows all clusters all the time: lists once, then watches; folders are looked at (does I/O).

Steady state costs no LIST: what happens comes by watches, which go on where the last one ended.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection
from contextlib import suppress

from reconciler.model.clusters import (
    ClusterEntry,
    ClusterView,
    InventoryFailure,
    Snapshot,
    Unknown,
)
from reconciler.model.pins import Pins
from reconciler.model.updates import Update
from reconciler.observe.distinct import distinct
from reconciler.observe.watching.folders import DirectoryWatch
from reconciler.observe.watching.foundations import FoundationWatch
from reconciler.observe.watching.hands import Hands
from reconciler.observe.watching.hubs import HubWatch
from reconciler.observe.watching.inventory import (
    InventoryWatch,
    KubeconfigWatch,
    PolledWatch,
)
from reconciler.observe.watching.pace import Pace
from reconciler.observe.watching.world import Counts, Outside, World
from reconciler.settings import Inventory, Settings

__all__ = ["Counts", "Outside", "Pace", "Watcher"]

Watch = DirectoryWatch | FoundationWatch | KubeconfigWatch | HubWatch | PolledWatch


class Watcher:
    """Watches the clusters of the settings, or those in `only`. Made and used in one event loop.

    `updates` says what became known; whoever takes one finds it in `snapshot` already.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        pace: Pace | None = None,
        only: frozenset[str] | None = None,
        outside: Outside | None = None,
    ) -> None:
        self._world = World(
            settings, pace or Pace(), outside or Outside(), moved=self._moved
        )
        self._hands: list[Hands] = []
        self._watches = [self._watch(each, only) for each in settings.inventories]
        self._views: dict[str, ClusterView] | None = None
        self._seen: tuple[ClusterView, ...] = ()
        self._several: frozenset[str] = frozenset()  # names of more than one entry
        self._judged: dict[str, _Judged] = {}

    def _watch(self, inventory: Inventory, only: frozenset[str] | None) -> Watch:
        hands = Hands(self._world.pace.deadline)  # one that hangs stops no other one
        self._hands.append(hands)
        if inventory.directory is not None:
            return DirectoryWatch(inventory, self._world, hands, only)
        if inventory.cloud_foundry is not None:
            return FoundationWatch(inventory, self._world, only)
        if inventory.kubeconfig is not None:
            return KubeconfigWatch(inventory, self._world, hands, only)
        if inventory.hub is not None:
            return HubWatch(inventory, self._world, hands, only)
        return PolledWatch(inventory, self._world, only)

    @property
    def updates(self) -> asyncio.Queue[Update]:
        """What became known, at most one update a cluster."""
        return self._world.updates

    @property
    def counts(self) -> Counts:
        """What watching has cost and met so far."""
        return self._world.counts

    async def run(self) -> None:
        """Watch until cancelled."""
        tasks = [asyncio.create_task(each.run()) for each in self._watches]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task
            for hands in self._hands:
                hands.close()

    async def settled(self) -> None:
        """Wait until each cluster was read once, or could not be; no longer than the pace says."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._world.pace.settle):
                for each in self._watches:
                    await each.wait()

    def snapshot(self) -> Snapshot:
        """All clusters as they are known now."""
        views = tuple(view for each in self._watches for view in each.views())
        if self._views is None or not _same(views, self._seen):
            made = distinct(views, self._world.pins)
            found = sorted(made, key=lambda view: view.entry.name)
            self._views = {view.entry.name: view for view in found}
            self._seen = views
            names = Counter(view.entry.name for view in views)
            self._several = frozenset(n for n, count in names.items() if count > 1)
        failures = tuple(
            InventoryFailure(inventory=each.inventory.name, reason=each.failure)
            for each in self._watches
            if each.failure is not None
        )
        return Snapshot(clusters=tuple(self._views.values()), failures=failures)

    def view(self, cluster: str) -> ClusterView | None:
        """One cluster as it is known now; `None` when no inventory names it."""
        self.snapshot()
        return (self._views or {}).get(cluster)

    def untold(self, cluster: str) -> bool:
        """Whether changes of a cluster, which are seen already, are still to be told.

        What several watches tell of one name never fits together: then always.
        """
        self.snapshot()
        return cluster in self._several or self._world.updates.untold(cluster)

    def pinned(self, pins: Pins) -> None:
        """Git knows this of clusters now: those that were refused for it are tried again."""
        before, self._world.pins = self._world.pins, pins
        for each in self._watches:
            if isinstance(each, InventoryWatch):
                each.pinned(before)
        if self._judged:
            self._views = None
            self._moved()

    async def look_again(self, clusters: Collection[str]) -> None:
        """List these clusters anew; afterwards `view` is what the lists said, or why not."""
        names = frozenset(clusters)
        await asyncio.gather(*(each.look_again(names) for each in self._watches))

    def _moved(self) -> None:
        """Names, ids or what Git knows changed: of what is claimed twice others may be believed now."""
        asyncio.get_running_loop().call_soon(self._compare)

    def _compare(self) -> None:
        raw = {id(view) for each in self._watches for view in each.views()}
        judged = {
            view.entry.name: (
                view.entry,
                view.objects if isinstance(view.objects, Unknown) else None,
            )
            for view in self.snapshot().clusters
            if id(view) not in raw
        }
        for name in judged.keys() | self._judged.keys():
            if judged.get(name) != self._judged.get(name):
                self._world.updates.whole(name)
        self._judged = judged


_Judged = tuple[ClusterEntry, Unknown | None]
"""What became of a name that is claimed twice, or whose id is: an entry, and why it is unknown."""


def _same(one: tuple[ClusterView, ...], other: tuple[ClusterView, ...]) -> bool:
    return len(one) == len(other) and all(
        a is b for a, b in zip(one, other, strict=True)
    )

"""Knows clusters by looking at all of them again and again (does I/O)."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from reconciler.model.clusters import ClusterView, Snapshot
from reconciler.model.updates import Update
from reconciler.observe import observe
from reconciler.settings import Settings


class Polling:
    """Looks every `interval` seconds, and says which clusters are not as before."""

    def __init__(self, settings: Settings, interval: float) -> None:
        self.updates: asyncio.Queue[Update] = asyncio.Queue()
        self._settings = settings
        self._interval = interval
        self._snapshot = Snapshot(clusters=())
        self._looked = asyncio.Event()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self._take(await observe(self._settings))
            self._looked.set()
            await asyncio.sleep(self._interval)

    async def settled(self) -> None:
        """Wait for the first look."""
        await self._looked.wait()

    def snapshot(self) -> Snapshot:
        """What the last look saw."""
        return self._snapshot

    def view(self, cluster: str) -> ClusterView | None:
        """What the last look saw of a cluster."""
        return self._views().get(cluster)

    async def look_again(self, clusters: Collection[str]) -> None:
        """Look at these clusters now."""
        fresh = await observe(self._settings, only=frozenset(clusters))
        views = {**self._views(), **{each.entry.name: each for each in fresh.clusters}}
        kept = tuple(views[name] for name in sorted(views))
        self._take(Snapshot(clusters=kept, failures=self._snapshot.failures))

    def _take(self, seen: Snapshot) -> None:
        before, self._snapshot = self._views(), seen
        after = self._views()
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                self.updates.put_nowait(Update(cluster=name, deltas=None))

    def _views(self) -> dict[str, ClusterView]:
        return {each.entry.name: each for each in self._snapshot.clusters}

"""A foundation, known all the time: it has no watches, so it is read again and again (does I/O)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from reconciler.model.clusters import ClusterView, Unknown
from reconciler.observe.inventories.cloud_foundry import CloudFoundryReader
from reconciler.observe.watching.folders import changes_of
from reconciler.observe.watching.world import World
from reconciler.settings import Inventory


class FoundationWatch:
    """The one foundation of an inventory. That it cannot be read is said of the foundation."""

    def __init__(
        self, inventory: Inventory, world: World, only: frozenset[str] | None
    ) -> None:
        self.inventory = inventory
        self.failure: Unknown | None = None
        self._world = world
        self._reader = CloudFoundryReader(inventory)
        self._name = inventory.called(inventory.name)
        self._is_ours = only is None or self._name in only
        self._view: ClusterView | None = None
        self._looking = asyncio.Lock()
        self._settled = asyncio.Event()

    def views(self) -> Iterator[ClusterView]:
        """The foundation as it is known."""
        if self._view is not None:
            yield self._view

    async def wait(self) -> None:
        """Wait for the first look."""
        await self._settled.wait()

    async def look_again(self, names: frozenset[str]) -> None:
        """Read it anew when it is one of these."""
        if self._name in names and self._is_ours:
            await self._look()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            if self._is_ours:
                await self._look()
            self._settled.set()
            await asyncio.sleep(self._world.pace.foundation)

    async def _look(self) -> None:
        """One look. One that began before another one ended would be told after it."""
        async with self._looking:
            self._take(await self._reader.view())

    def _take(self, new: ClusterView) -> None:
        old, self._view = self._view, new
        if old == new:
            return
        changes = changes_of(old, new)
        if changes is not None:
            self._world.updates.changed(self._name, changes)
        else:
            self._world.moved()
            self._world.updates.whole(self._name)

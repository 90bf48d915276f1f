"""What one inventory names, known all the time: it is read again and again (does I/O)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from reconciler.model.clusters import ClusterView, Unknown, Why
from reconciler.model.pins import Pins
from reconciler.observe.inventories import Found, reader
from reconciler.observe.inventories.kubeconfig import known_servers
from reconciler.observe.watching.hands import Hands
from reconciler.observe.watching.members import Members
from reconciler.observe.watching.world import World
from reconciler.settings import Inventory


class InventoryWatch:
    """The clusters of an inventory, each of them watched; `_read` is what the kinds differ in."""

    def __init__(
        self, inventory: Inventory, world: World, only: frozenset[str] | None
    ) -> None:
        self.inventory = inventory
        self._world = world
        self._members = Members(world, only)

    @property
    def failure(self) -> Unknown | None:
        """Why the inventory cannot be read now."""
        return self._members.failure

    def views(self) -> Iterator[ClusterView]:
        """What is known of each cluster; nothing while the inventory cannot be read."""
        return self._members.views()

    async def look_again(self, names: frozenset[str]) -> None:
        """List these clusters anew."""
        await self._members.look_again(names)

    def pinned(self, before: Pins) -> None:
        """Git knows something else of clusters than it did before."""
        self._members.pinned(before)

    async def wait(self) -> None:
        """Wait until each cluster was listed once, or could not be."""
        await self._members.wait()


class PolledWatch(InventoryWatch):
    """An inventory that tells nobody of its changes."""

    async def run(self) -> None:
        """Read it again and again until cancelled."""
        pace, source = self._world.pace, reader(self.inventory)
        try:
            while True:
                try:
                    async with asyncio.timeout(pace.deadline):
                        found = await source.read()
                except TimeoutError:
                    found = _late(self.inventory, pace.deadline)
                self._members.take(found)
                await self._members.sleep(pace.inventory)
        finally:
            await self._members.stop()


def _late(inventory: Inventory, seconds: float) -> Unknown:
    message = f"inventory {inventory.name}: not read within {seconds:g} s"
    return Unknown(why=Why.TIMEOUT, message=message)


class KubeconfigWatch(InventoryWatch):
    """The contexts of a kubeconfig: the file is looked at, and read when it is another one."""

    def __init__(
        self,
        inventory: Inventory,
        world: World,
        hands: Hands,
        only: frozenset[str] | None,
    ) -> None:
        super().__init__(inventory, world, only)
        self._hands = hands

    async def run(self) -> None:
        """Watch until cancelled."""
        loop, pace = asyncio.get_running_loop(), self._world.pace
        members = self._members
        try:
            status, read_at = None, float("-inf")
            while True:
                late = loop.time() - read_at >= pace.inventory_anew
                try:
                    now = await self._hands.do(partial(_status, self.inventory))
                    if late or now != status or members.failure is not None:
                        # Files that the file names may have changed although it did not.
                        members.take(await self._read())
                        status, read_at = now, loop.time()
                except TimeoutError:
                    members.take(self._hands.late(f"inventory {self.inventory.name}"))
                await members.sleep(pace.inventory)
        finally:
            await members.stop()

    async def _read(self) -> Found:
        read = partial(known_servers, self.inventory)
        found = await self._hands.do(read)
        if isinstance(found, Unknown):
            # Somebody may be writing it.
            await asyncio.sleep(1.0)
            found = await self._hands.do(read)
        return found


def _status(inventory: Inventory) -> tuple[int, ...] | None:
    """What a changed file has otherwise; `None` where kubectl's own rules name the files."""
    if inventory.kubeconfig is None or not inventory.kubeconfig.path:
        return None
    try:
        found = Path(inventory.kubeconfig.path).stat()
    except OSError as exc:
        return (exc.errno or 0,)
    return (found.st_mtime_ns, found.st_size, found.st_ino)

"""Clusters that an inventory names, each followed: they come, go and get new credentials (I/O)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress

from reconciler.model.clusters import ClusterView, Unknown
from reconciler.model.pins import Pins
from reconciler.observe.distinct import settled
from reconciler.observe.inventories import Found, Member, Server
from reconciler.observe.watching.cluster import ClusterWatch
from reconciler.observe.watching.world import Told, World


class Members:
    """A watch of each cluster that was found. `failure` is why the last look found nothing.

    `refused` is told the name of a cluster whose server does not take its credentials.
    """

    def __init__(self, world: World, only: frozenset[str] | None) -> None:
        self.failure: Unknown | None = None
        self.refused: Told = _nobody
        self.settled = asyncio.Event()
        self._world = world
        self._only = only
        self._watches: dict[str, tuple[ClusterWatch, asyncio.Task[None]]] = {}
        self._refused: dict[str, ClusterView] = {}
        self._found: tuple[Member, ...] = ()  # while several of it have one name

    def views(self) -> Iterator[ClusterView]:
        """What is known of each cluster; nothing while the file cannot be read."""
        if self.failure is None:
            yield from self._refused.values()
            yield from (watch.view() for watch, _ in self._watches.values())

    async def look_again(self, names: frozenset[str]) -> None:
        """List these clusters anew."""
        watches = [pair[0] for name, pair in self._watches.items() if name in names]
        await asyncio.gather(*(watch.look_again() for watch in watches))

    def pinned(self, before: Pins) -> None:
        """Try those again that were refused for what Git knew of them before."""
        pins = self._world.pins
        for name, (watch, _) in self._watches.items():
            if watch.is_stranger and pins.get(name) != before.get(name):
                watch.try_again()
        if self._found and self.failure is None:
            self._compare(self._found)

    def take(self, found: Found) -> None:
        if isinstance(found, Unknown):
            if self.failure is None:
                self.failure = found
                self._tell_all()
        else:
            if self.failure is not None:
                self.failure = None
                self._tell_all()
            self._compare(found)
        self.settled.set()

    def _tell_all(self) -> None:
        self._world.moved()
        for name in (*self._watches, *self._refused):
            self._world.updates.whole(name)

    def _compare(self, found: tuple[Member, ...]) -> None:
        names = {each.entry.name for each in found}
        self._found = found if len(names) < len(found) else ()
        wanted = {
            each.entry.name: each
            for each in settled(found, self._world.pins)
            if self._only is None or each.entry.name in self._only
        }
        for name in [each for each in self._watches if each not in wanted]:
            self._end(name)
        for name in [each for each in self._refused if each not in wanted]:
            del self._refused[name]
            self._told(name)
        for name, each in wanted.items():
            if isinstance(each, ClusterView):
                self._refuse(name, each)
            else:
                self._follow(name, each)

    def _refuse(self, name: str, view: ClusterView) -> None:
        if name in self._watches:
            self._end(name)
        if self._refused.get(name) != view:
            self._refused[name] = view
            self._told(name)

    def _follow(self, name: str, server: Server) -> None:
        self._refused.pop(name, None)
        pair = self._watches.get(name)
        if pair is None:
            watch = ClusterWatch(server, self._world, self._was_refused)
            task = asyncio.create_task(watch.run(), name=f"watch {name}")
            self._watches[name] = watch, task
            self._told(name)
        elif pair[0].server != server:
            pair[0].rotate(server)

    def _was_refused(self, name: str) -> None:
        self.refused(name)

    def _end(self, name: str) -> None:
        _, task = self._watches.pop(name)
        task.cancel()
        self._told(name)

    def _told(self, name: str) -> None:
        self._world.moved()
        self._world.updates.whole(name)

    async def sleep(self, seconds: float) -> None:
        """Sleep, and raise what ended a watch: one that stopped must not look like a quiet one."""
        tasks = [task for _, task in self._watches.values()]
        if not tasks:
            await asyncio.sleep(seconds)
            return
        done, _ = await asyncio.wait(
            tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        for task in done:
            task.result()

    async def wait(self) -> None:
        """Wait until each cluster was listed once, or could not be."""
        await self.settled.wait()
        for watch, _ in list(self._watches.values()):
            await watch.settled.wait()

    async def stop(self) -> None:
        tasks = [self._watches.pop(name)[1] for name in list(self._watches)]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


def _nobody(name: str) -> None:
    """Nobody can help the cluster of this name to other credentials."""

"""What `run` knows of clusters: a watcher for the settings at HEAD, begun anew when they change (I/O)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import datetime
from typing import Protocol

from reconciler.log import log
from reconciler.model.clusters import ClusterView, InventoryFailure, Snapshot, Unknown
from reconciler.model.pins import NO_PINS, Pins
from reconciler.model.updates import Update
from reconciler.observe import observe
from reconciler.passes import Eyes
from reconciler.settings import Settings


class Watching(Protocol):
    """Knows clusters all the time, and says what changes."""

    @property
    def updates(self) -> asyncio.Queue[Update]:
        """What became known, in order."""

    async def run(self) -> None:
        """Watch until cancelled."""

    async def settled(self) -> None:
        """Wait until every cluster was looked at once, or could not be."""

    def snapshot(self) -> Snapshot:
        """All clusters as they are known now."""

    def view(self, cluster: str) -> ClusterView | None:
        """One cluster as it is known now; `None` when no inventory names it."""

    def untold(self, cluster: str) -> bool:
        """Whether changes of a cluster, which `view` has already, are still to be told."""

    async def look_again(self, clusters: Collection[str]) -> None:
        """List these clusters anew; afterwards `view` is what the lists said."""

    def pinned(self, pins: Pins) -> None:
        """Git knows this of clusters now."""


class Lookout:
    """The watcher of a loop. `note` is told every update, in the loop's own thread."""

    def __init__(
        self,
        make: Callable[[Settings], Watching],
        note: Callable[[Update], None],
        now: Callable[[], datetime],
    ) -> None:
        self._make = make
        self._note = note
        self._now = now
        self._watcher: Watching | None = None
        self._settings: Settings | None = None
        self._pins: Pins = NO_PINS
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    async def follow(self, settings: Settings) -> bool:
        """Watch what these settings name; whether that meant to begin anew."""
        if self._settings is not None and _same(self._settings, settings):
            return False
        await self.close()
        if self._settings is not None:
            log.info("watching anew", reason="the settings changed")
        self._settings = settings
        self._watcher = watcher = self._make(settings)
        watcher.pinned(self._pins)
        self._tasks = (
            asyncio.create_task(watcher.run(), name="watch"),
            asyncio.create_task(self._pump(watcher), name="updates"),
        )
        settled = asyncio.create_task(watcher.settled())
        try:
            await asyncio.wait(
                (settled, *self._tasks), return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            settled.cancel()
        self.check()
        return True

    def pinned(self, pins: Pins) -> None:
        """Git knows this of clusters now."""
        self._pins = pins
        if self._watcher is not None:
            self._watcher.pinned(pins)

    async def close(self) -> None:
        """Stop watching."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        self._tasks, self._watcher = (), None

    def check(self) -> None:
        """Raise what ended a watcher: one that has stopped must not look like a quiet one."""
        for task in self._tasks:
            if task.done():
                task.result()
                raise AssertionError(f"the task {task.get_name()} ended")

    @property
    def settings(self) -> Settings | None:
        """The settings that are followed; `None` before there are any."""
        return self._settings

    def snapshot(self) -> Snapshot:
        """All clusters as they are known now. Only while something is followed."""
        return self._following().snapshot()

    def view(self, cluster: str) -> ClusterView | None:
        """One cluster as it is known now; `None` when no inventory names it."""
        return self._watcher.view(cluster) if self._watcher is not None else None

    def untold(self, cluster: str) -> bool:
        """Whether changes of a cluster, which `view` has already, are still to be told."""
        return self._watcher is not None and self._watcher.untold(cluster)

    def untold_clusters(self) -> frozenset[str]:
        """Clusters of which changes are still to be told: what flaps is told late."""
        names = (view.entry.name for view in self.snapshot().clusters)
        return frozenset(name for name in names if self.untold(name))

    def failures(self) -> tuple[InventoryFailure, ...]:
        """Inventories that cannot be read now."""
        return self._following().snapshot().failures

    def eyes(self) -> Eyes:
        """How a pass sees what is known now; with other settings it looks by itself."""
        settings, snapshot = self._settings, self.snapshot()

        async def seen(
            wanted: Settings, only: frozenset[str] | None, pins: Pins
        ) -> Snapshot:
            if settings is None or not _same(settings, wanted):
                return await observe(wanted, only=only, pins=pins)
            if only is None:
                return snapshot
            kept = (view for view in snapshot.clusters if view.entry.name in only)
            return Snapshot(clusters=tuple(kept), failures=snapshot.failures)

        loop, watcher = asyncio.get_running_loop(), self._following()

        async def afresh(
            wanted: Settings, only: frozenset[str] | None, pins: Pins
        ) -> Snapshot:
            # A watcher lives in the loop's thread; passes have one of their own.
            if settings is None or only is None or not _same(settings, wanted):
                return await observe(wanted, only=only, pins=pins)
            again = watcher.look_again(only)
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(again, loop))
            fresh = watcher.snapshot()
            kept = (view for view in fresh.clusters if view.entry.name in only)
            return Snapshot(clusters=tuple(kept), failures=fresh.failures)

        return Eyes(observe=seen, afresh=afresh, now=self._now)

    async def look_again(self, cluster: str) -> datetime | None:
        """List a cluster anew; when that began, `None` when it cannot be read."""
        watcher, began = self._following(), self._now()
        await watcher.look_again((cluster,))
        view = watcher.view(cluster)
        if view is None or isinstance(view.objects, Unknown):
            return None
        return began

    def _following(self) -> Watching:
        if self._watcher is None:
            raise AssertionError("nothing is watched yet")
        return self._watcher

    async def _pump(self, watcher: Watching) -> None:
        while True:
            self._note(await watcher.updates.get())


def _same(one: Settings, other: Settings) -> bool:
    """Whether settings mean the same to whoever observes."""
    return (one.inventories, one.apis, one.domain, one.limits) == (
        other.inventories,
        other.apis,
        other.domain,
        other.limits,
    )

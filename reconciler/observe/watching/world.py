"""What all clusters of one watcher share: its pace, its chance, its updates and its figures."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

from reconciler.fairness import Shares
from reconciler.kube import KubeApi, KubeError, Traffic
from reconciler.model.clusters import Why
from reconciler.model.pins import NO_PINS, Pins
from reconciler.observe.inventories import Server
from reconciler.observe.lanes import Lanes
from reconciler.observe.servers import limits
from reconciler.observe.watching.pace import Pace
from reconciler.observe.watching.updates import Updates
from reconciler.settings import Settings


@dataclass(slots=True)
class Counts:
    """What watching has cost and met so far; `open` are watches that are open now."""

    traffic: Traffic = field(default_factory=Traffic)
    events: int = 0
    bookmarks: int = 0
    relists: int = 0
    restarts: int = 0
    open: int = 0


Told = Callable[[str], None]
"""Somebody who is told the name of a cluster."""
Connect = Callable[["World", Server], AbstractAsyncContextManager[KubeApi]]


def connect(world: World, server: Server) -> KubeApi:
    """A client of a cluster's API server, which shares the loop's time with all others."""
    api = KubeApi(
        server.credentials,
        name=server.entry.name,
        limits=world.limits,
        shares=world.shares,
    )
    api.traffic = world.counts.traffic
    return api


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """Where chance and connections come from."""

    chance: random.Random = field(default_factory=random.Random)
    connect: Connect = connect


class World:
    """Shared by all clusters of a watcher. `moved` is told when a cluster's id or name changed.

    `pins` are what Git knows of clusters now.
    """

    def __init__(
        self,
        settings: Settings,
        pace: Pace,
        outside: Outside,
        moved: Callable[[], None],
    ) -> None:
        self.settings = settings
        self.pace = pace
        self.outside = outside
        self.moved = moved
        self.updates = Updates(pace)
        self.counts = Counts()
        self.limits = limits(settings)
        self.shares = Shares()
        self.pins: Pins = NO_PINS
        self._lanes = Lanes()

    def chance(self) -> float:
        """From 0 to 1."""
        return self.outside.chance.random()

    def between(self, times: tuple[float, float]) -> float:
        """Seconds between two."""
        return self.outside.chance.uniform(*times)

    def connect(self, server: Server) -> AbstractAsyncContextManager[KubeApi]:
        """A client of a cluster's API server."""
        return self.outside.connect(self, server)

    @asynccontextmanager
    async def listing(self, name: str) -> AsyncIterator[None]:
        """A turn to list something, with the time that it may take. Raises KubeError."""
        seconds = self.settings.limits.cluster.deadline.total_seconds()
        async with self._lanes.place():
            try:
                async with asyncio.timeout(seconds):
                    yield
            except TimeoutError:
                what = f"not read within {seconds:g} s"
                raise KubeError(what, name, why=Why.TIMEOUT) from None

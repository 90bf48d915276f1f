"""The platform cluster for `run`: what proof reads is watched instead of listed (does I/O).

Watches live in the event loop that made `Watched`; looks may come from other threads. A
collection is watched from its first reading on, so that only what settings name costs anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from reconciler.kube import KubeApi
from reconciler.prove.reflecting import Connect, Reflection
from reconciler.prove.views import Collection, Json, Listing, View, platform_api
from reconciler.settings import Platform

T = TypeVar("T")
SERVICE_SECONDS = 60.0  # how long the address of a Service is believed


def _nobody() -> None:
    """Nobody wants to know."""


@dataclass(slots=True)
class _Watch:
    reflection: Reflection
    task: asyncio.Task[None]


class Watched:
    """Watches of one platform cluster; `look` is how it is seen. `changed` hears of news."""

    def __init__(
        self,
        changed: Callable[[], None] = _nobody,
        connect: Callable[[Platform], KubeApi] = platform_api,
    ) -> None:
        self._home = asyncio.get_running_loop()
        self._changed = changed
        self._open = connect
        # By platform: when settings name another, a proof may still look at the one before.
        self._watches: dict[tuple[Platform, Collection], _Watch] = {}
        self._services: dict[
            tuple[Platform, tuple[str, str]], tuple[float, Json | None]
        ] = {}

    @property
    def lists(self) -> int:
        """How many lists were made for what is watched now."""
        return sum(each.reflection.lists for each in self._watches.values())

    @asynccontextmanager
    async def look(self, platform: Platform) -> AsyncIterator[View]:
        """A look at the platform cluster, from any event loop."""
        async with self._open(platform) as api:
            yield _Kept(self, platform, api)

    async def close(self) -> None:
        """Watch nothing any more."""
        watches, self._watches = self._watches, {}
        for each in watches.values():
            each.task.cancel()
        for each in watches.values():
            with suppress(asyncio.CancelledError):
                await each.task

    async def objects(
        self, platform: Platform, collection: Collection
    ) -> tuple[Json, ...]:
        """All objects of a collection. Raises KubeError, RefusedKubeconfig."""
        return await self._at_home(self._objects(platform, collection))

    async def service(
        self, platform: Platform, api: View, at: tuple[str, str]
    ) -> Json | None:
        """A Service, read anew now and then: nobody watches all of them for one address."""
        now = self._home.time()
        known = self._services.get((platform, at))
        if known is None or now - known[0] > SERVICE_SECONDS:
            known = (now, await api.service(*at))
            self._services[(platform, at)] = known
        return known[1]

    async def _objects(
        self, platform: Platform, collection: Collection
    ) -> tuple[Json, ...]:
        for at in [at for at, each in self._watches.items() if each.task.done()]:
            self._watches.pop(at).task.result()
        watch = self._watches.get((platform, collection))
        if watch is None:
            watch = self._watch(platform, collection)
            self._watches[(platform, collection)] = watch
        return await watch.reflection.objects()

    def _watch(self, platform: Platform, collection: Collection) -> _Watch:
        connect: Connect = lambda: self._open(platform)  # noqa: E731
        reflection = Reflection(collection, connect, self._changed)
        name = f"watch {collection.plural} in {collection.namespace}"
        task = asyncio.create_task(reflection.run(), name=name)
        task.add_done_callback(lambda _: reflection.ended())
        return _Watch(reflection, task)

    async def _at_home(self, work: Coroutine[Any, Any, T]) -> T:
        if asyncio.get_running_loop() is self._home:
            return await work
        future = asyncio.run_coroutine_threadsafe(work, self._home)
        return await asyncio.wrap_future(future)


class _Kept:
    """What is kept, and requests for what is not."""

    def __init__(self, watched: Watched, platform: Platform, api: KubeApi) -> None:
        self._watched = watched
        self._platform = platform
        self._direct = Listing(api)

    async def objects(self, collection: Collection) -> tuple[Json, ...]:
        """What the watch knows."""
        return await self._watched.objects(self._platform, collection)

    def direct(self) -> View | None:
        """Lists."""
        return self._direct

    async def service(self, namespace: str, name: str) -> Json | None:
        """A read, now and then."""
        at = (namespace, name)
        return await self._watched.service(self._platform, self._direct, at)

    async def annotate(self, path: str, annotations: Mapping[str, str]) -> None:
        """A request."""
        await self._direct.annotate(path, annotations)

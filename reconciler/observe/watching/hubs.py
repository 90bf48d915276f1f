"""One hub, known all the time: its objects are listed once and then watched (does I/O).

A session lists every kind and then follows each collection; after each change the inventory's
module says anew what clusters follow from all objects. The next session begins, with new lists,
when what is served changed, when our credentials did, or when the hub had gone away. Nothing
follows from a hub that cannot be read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

from reconciler.kube import KubeApi, KubeError, Listed, NotFound, Spent
from reconciler.kubeconfig import RefusedKubeconfig
from reconciler.log import log
from reconciler.model.access import Credentials
from reconciler.model.clusters import (
    ClusterEntry,
    ClusterState,
    ClusterView,
    Unknown,
    Why,
)
from reconciler.observe.inventories import HUBS, Server
from reconciler.observe.inventories.found import is_same_place
from reconciler.observe.inventories.hub import LIMITS, hub_credentials, served
from reconciler.observe.inventories.source import Kind, collections
from reconciler.observe.watching.cluster import SESSION
from reconciler.observe.watching.collected import Collected, Collection, converted
from reconciler.observe.watching.faults import FAULTS
from reconciler.observe.watching.hands import Hands
from reconciler.observe.watching.health import Health
from reconciler.observe.watching.inventory import InventoryWatch
from reconciler.observe.watching.kinds import Source
from reconciler.observe.watching.pace import Backoff
from reconciler.observe.watching.references import NOTHING, References
from reconciler.observe.watching.store import Row
from reconciler.observe.watching.stream import Stream, listing
from reconciler.observe.watching.together import first_failure
from reconciler.observe.watching.world import World
from reconciler.settings import Inventory

PATIENCE = 10.0
"""Seconds that news of a hub wait for what its objects name for the first time."""


class _Anew(Exception):
    """A new session is wanted although nothing failed."""


class HubWatch(InventoryWatch):
    """The clusters that a hub tells of, each of them watched."""

    def __init__(
        self,
        inventory: Inventory,
        world: World,
        hands: Hands,
        only: frozenset[str] | None,
    ) -> None:
        super().__init__(inventory, world, only)
        self._source = HUBS[inventory.source]
        self._hands = hands
        self._collected = Collected(items=LIMITS.items, size=LIMITS.kept_bytes)
        self._health = Health(world.pace.deadline)
        self._changed = asyncio.Event()
        self._again = asyncio.Event()
        self._references = References(inventory, world, self._changed.set)
        self._members.refused = self._references.refused
        self._whole_at = float("-inf")
        self._doubt: asyncio.TimerHandle | None = None
        self._over = False
        self._used = Credentials(server="")

    async def run(self) -> None:
        """Watch until cancelled."""
        try:
            await first_failure(self._sessions(), self._mind())
        finally:
            self._over = True
            self._trust()
            await self._members.stop()

    async def _mind(self) -> None:
        while True:
            await self._members.sleep(self._world.pace.inventory)

    async def _sessions(self) -> None:
        loop, pace = asyncio.get_running_loop(), self._world.pace
        backoff = Backoff(pace)
        while True:
            await self._turn()
            began = loop.time()
            try:
                await self._session()
            except _Anew:
                self._world.counts.restarts += 1
                continue
            except KubeError as error:
                self._session_failed(error)
            except TimeoutError:
                late = self._hands.late(f"inventory {self.inventory.name}")
                self._session_failed(self._error(late))
            except RefusedKubeconfig as refused:
                self._session_failed(self._error(refused.unknown()))
            except FAULTS as fault:
                self._faulty(fault)
            if loop.time() - began > 2 * pace.steady:
                backoff.reset()
            await self._rest(backoff.next(self._world.chance()))

    async def _turn(self) -> None:
        """Whole lists are rare, whatever the hub says."""
        loop = asyncio.get_running_loop()
        first = self._whole_at + self._world.pace.relist
        await asyncio.sleep(first - loop.time())
        self._again.clear()

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._again.wait()

    async def _session(self) -> None:
        self._used = await self._credentials()
        api = KubeApi(
            self._used,
            name=self.inventory.name,
            limits=LIMITS,
            shares=self._world.shares,
        )
        api.traffic = self._world.counts.traffic
        async with api:
            versions, streams = await self._begin(api)
            await first_failure(
                *(stream.run() for stream in streams),
                self._publish(),
                self._references.run(api),
                self._tend(api, versions),
                self._until_asked(),
            )

    async def _credentials(self) -> Credentials:
        return await self._hands.do(partial(hub_credentials, self.inventory))

    async def _begin(self, api: KubeApi) -> tuple[dict[str, str], list[Stream[str]]]:
        """Whole lists of everything; the versions they are of, and what follows them."""
        kinds = self._source.kinds(self.inventory)
        async with self.listing():
            versions = await self._versions(api)
            spent, found, streams = Spent(), {}, []
            for kind in kinds:
                for source in self._sources(kind, versions[kind.called]):
                    listed = await listing(api, source, spent)
                    found[source.path] = Collection.of(kind.called, listed.items)
                    streams.append(self._stream(api, source, listed.version))
        loop = asyncio.get_running_loop()
        self._whole_at = loop.time()
        self._collected.begin(found, self._whole_at)
        self._health.clear()
        self._trust()
        return versions, streams

    async def _versions(self, api: KubeApi) -> dict[str, str]:
        kinds = self._source.kinds(self.inventory)
        return {kind.called: await served(api, kind) for kind in kinds}

    def _sources(self, kind: Kind, version: str) -> list[Source[str]]:
        paths = collections(self.inventory, kind, version) if version else ()
        convert = partial(converted, kind=kind)
        return [Source(kind=path, path=path, convert=convert) for path in paths]

    def _stream(self, api: KubeApi, source: Source[str], version: str) -> Stream[str]:
        return Stream(
            api=api, source=source, home=self, world=self._world, version=version
        )

    async def _publish(self) -> None:
        """Say what clusters there are, again after each change."""
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            began = loop.time()
            await self._compute()
            # Thousands of clusters take their time; whoever never rests must not take all of it.
            rest = max(self._world.pace.gather, loop.time() - began)
            await self._changed.wait()
            await asyncio.sleep(rest)

    async def _compute(self) -> None:
        objects, inventory = self._collected.objects(), self.inventory
        self._references.want(self._source.references(inventory, objects))
        await self._references.ready(PATIENCE)
        fetched = self._references.fetched()
        # Not in the loop: what others watch goes on while so many kubeconfigs are read.
        read = partial(self._source.clusters, inventory, objects, fetched)
        found = await self._hands.do(read)
        now = asyncio.get_running_loop().time()
        if self._health.verdict(now) is None:
            names = {each.entry.name for each in found}
            self._members.take((*found, *self._deleted(names)))

    def _deleted(self, names: set[str]) -> list[ClusterView]:
        """Clusters that were being deleted when their objects went away."""
        now = asyncio.get_running_loop().time()
        gone = self._collected.gone(now)
        found = self._source.clusters(self.inventory, gone, NOTHING)
        return [
            each
            for each in found
            if isinstance(each, ClusterView)
            and each.entry.state is ClusterState.DELETED
            and each.entry.name not in names
        ]

    async def _tend(self, api: KubeApi, versions: dict[str, str]) -> None:
        """What no watch tells: which versions are served, and who we are."""
        pace = self._world.pace
        while True:
            seconds = min(pace.tend, pace.inventory_anew)
            await asyncio.sleep(seconds * (0.5 + self._world.chance()))
            try:
                fresh = await self._credentials()
                now = await self._versions(api)
            except (RefusedKubeconfig, TimeoutError):
                continue
            except KubeError as error:
                if error.why is Why.NO_CRD:
                    raise
                continue
            same_place = is_same_place(self._hub(fresh), self._hub(self._used))
            if now != versions or not same_place:
                raise _Anew
            # Tokens of service accounts are replaced every hour; watches need not end for it.
            if fresh != self._used:
                api.credentials = fresh
                self._used = fresh

    def _hub(self, credentials: Credentials) -> Server:
        name = self.inventory.name
        entry = ClusterEntry(name=name, inventory=name)
        return Server(entry=entry, credentials=credentials)

    async def _until_asked(self) -> None:
        await self._again.wait()
        raise _Anew

    def _error(self, unknown: Unknown) -> KubeError:
        return KubeError(unknown.message, "", why=unknown.why)

    def _session_failed(self, error: KubeError) -> None:
        if not self._members.settled.is_set() or error.why is Why.NO_CRD:
            self._members.take(error.unknown())
        elif isinstance(error, NotFound):
            # A kind went away: whether it is served at all is asked at once.
            self._whole_at = float("-inf")
        else:
            self._failed(SESSION, error)

    def _faulty(self, fault: Exception) -> None:
        kind, name = type(fault).__name__, self.inventory.name
        log.error("the watch of an inventory broke", inventory=name, error=kind)
        message = (
            f"inventory {name}: what its hub said led to {kind}; it is listed anew"
        )
        self._members.take(Unknown(why=Why.UNREADABLE, message=message))

    def _failed(self, part: str, error: KubeError) -> None:
        loop = asyncio.get_running_loop()
        if self._health.failed(part, error, loop.time()):
            loop.call_later(self._health.deadline, self._judge)
        if self._doubt is None:
            seconds = self._world.between(self._world.pace.doubt)
            self._doubt = loop.call_later(seconds, self._look_closer)

    def _judge(self) -> None:
        verdict = self._health.verdict(asyncio.get_running_loop().time())
        if verdict is not None and not self._over:
            self._members.take(verdict)

    def _trust(self) -> None:
        """Everything has just been listed."""
        if self._doubt is not None:
            self._doubt.cancel()
            self._doubt = None

    def _look_closer(self) -> None:
        """A hub that was restored from a backup lets old watches go on, and they see nothing."""
        self._doubt = None
        self._again.set()

    @asynccontextmanager
    async def listing(self) -> AsyncIterator[None]:
        """A turn to list, with a time limit. Raises KubeError."""
        async with self._world.listing(self.inventory.name):
            yield

    def wants(self, kind: str) -> bool:
        """All collections are followed as long as the session lasts."""
        return True

    async def confirm(self) -> None:
        """A hub is whoever has its certificate: what it lists is all that counts."""

    def listed(self, kind: str, found: Listed[Row]) -> None:
        """A new list of one collection."""
        now = asyncio.get_running_loop().time()
        self._collected.listed(kind, found.items, now)
        self._changed.set()

    def spent(self, kind: str) -> Spent:
        """What all other collections take of the hub's memory."""
        return Spent(kept_bytes=self._collected.kept(without=kind))

    def put(self, kind: str, row: Row) -> None:
        """An object is there. Raises Overfull."""
        if self._collected.put(kind, row):
            self._changed.set()

    def drop(self, kind: str, row: Row) -> None:
        """An object is gone."""
        now = asyncio.get_running_loop().time()
        if self._collected.drop(kind, row, now):
            self._changed.set()

    def well(self, kind: str) -> None:
        """A watch holds. When it was the last that did not, a failed hub is listed anew."""
        self._health.well(kind)
        if self._members.failure is None:
            return
        if self._health.verdict(asyncio.get_running_loop().time()) is None:
            self._again.set()

    def failed(self, kind: str, error: KubeError) -> None:
        """A watch, or a list, of one collection failed."""
        if error.why is Why.UNAUTHORISED:
            self._again.set()
        self._failed(kind, error)

"""One cluster behind an API server, known all the time (does I/O).

A session lists everything once and then follows each collection. It ends, and the next begins
with new lists, when another cluster answers, when what is served changed, or when somebody asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from reconciler.kube import KubeApi, KubeError, Listed, Spent
from reconciler.log import log
from reconciler.model.clusters import ClusterEntry, ClusterView, Unknown, Why
from reconciler.model.updates import Delta
from reconciler.observe.discovery import Istio, identity, served_istio
from reconciler.observe.inventories import Server
from reconciler.observe.inventories.found import is_same_place, unbelieved
from reconciler.observe.servers import certificate_names_of, check_pin
from reconciler.observe.watching.faults import FAULTS
from reconciler.observe.watching.health import Health
from reconciler.observe.watching.kinds import PODS, Source
from reconciler.observe.watching.lists import Lists, Start, whole_lists
from reconciler.observe.watching.pace import Backoff
from reconciler.observe.watching.store import ChangeKey, Changes, Kind, Row, Store
from reconciler.observe.watching.stream import Moved, Stream
from reconciler.observe.watching.together import first_failure, resolve
from reconciler.observe.watching.world import Told, World

SESSION = "session"
NOT_YET = Unknown(why=Why.NOT_YET, message="not listed yet")


class _Anew(Exception):
    """A new session is wanted although nothing failed."""


class ClusterWatch:
    """Watches one cluster. `settled` is set when it was listed once, or could not be.

    `refused` is told its name when its server does not take our credentials.
    """

    def __init__(self, server: Server, world: World, refused: Told) -> None:
        self.server = server
        self._refused = refused
        self.settled = asyncio.Event()
        self._world = world
        self._store = self._empty()
        self._entry = server.entry
        self._unknown: Unknown | None = replace(
            NOT_YET, message=f"{server.entry.name}: {NOT_YET.message}"
        )
        self._view: ClusterView | None = None
        self._health = Health(world.pace.deadline)
        self._asked: list[asyncio.Future[None]] = []
        self._again = asyncio.Event()
        self._needed = asyncio.Event()
        self._confirming = asyncio.Lock()
        self._confirmed = float("-inf")
        self._api: KubeApi | None = None
        self._doubt: asyncio.TimerHandle | None = None
        self._over = False
        self._used = server
        self._listed = server  # write-back goes where what is known was read
        self._whole_at = float("-inf")

    @property
    def name(self) -> str:
        """The cluster's name here."""
        return self.server.entry.name

    def view(self) -> ClusterView:
        """What is known now; the same value while nothing changes."""
        entry, objects = self._entry, self._unknown or self._store.objects()
        if self._unknown is not None:
            entry = self._unknown.of(self.server.entry)
        if self.is_stranger:
            entry = unbelieved(entry)
        old = self._view
        access = self._listed.credentials
        known = old is not None and (old.entry, old.access) == (entry, access)
        if old is None or not known or old.objects is not objects:
            self._view = old = ClusterView(entry=entry, objects=objects, access=access)
        return old

    @property
    def is_stranger(self) -> bool:
        """Whether it is not asked anything since another CA vouches for it than Git has pinned."""
        return self._unknown is not None and self._unknown.why is Why.OTHER_CA

    def try_again(self) -> None:
        """What kept us from asking it may be over."""
        self._again.set()

    async def look_again(self) -> None:
        """List everything anew; afterwards `view` is what the lists said, or why not."""
        if self._over:
            return
        future = asyncio.get_running_loop().create_future()
        self._asked.append(future)
        self._again.set()
        await future

    def rotate(self, server: Server) -> None:
        """The inventory says something else of it: begin anew with that, and keep what is known.

        Another token or certificate alone needs no new lists: the next requests bring them.
        """
        before, self.server = self.server, server
        is_well = self._unknown is None and before is self._used
        if self._api is not None and is_well and is_same_place(before, server):
            self._api.credentials = server.credentials
            self._used = self._listed = server
        else:
            self._again.set()

    async def run(self) -> None:
        """Watch until cancelled."""
        loop, backoff = asyncio.get_running_loop(), Backoff(self._world.pace)
        try:
            while True:
                await self._turn()
                began = loop.time()
                asked, self._asked = self._asked, []
                try:
                    await self._session(asked)
                except KubeError as error:
                    self._session_failed(error, asked)
                    if loop.time() - began > 2 * self._world.pace.steady:
                        backoff.reset()
                    await self._rest(backoff.next(self._world.chance()))
                except _Anew:
                    self._world.counts.restarts += 1
                except FAULTS as fault:
                    # Whatever one server said, the watches of all others must go on.
                    self._faulty(fault)
                    await self._rest(backoff.next(self._world.chance()))
                finally:
                    self._api = None
                    resolve(asked)
        finally:
            self._over = True
            resolve(self._asked)
            self._trust()

    async def _turn(self) -> None:
        """Whole lists are as rare as those of one kind, unless our own side asks for them."""
        loop = asyncio.get_running_loop()
        first = self._whole_at + self._world.pace.relist
        while (seconds := first - loop.time()) > 0:
            if self._asked or self.server is not self._used:
                break
            await self._rest(seconds)
            self._again.clear()
        self._again.clear()

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._again.wait()

    async def _session(self, asked: list[asyncio.Future[None]]) -> None:
        # Another one may come while this one is asked: what it says is never mixed with that.
        self._used = server = self.server
        check_pin(server, self._world.pins)
        async with self._world.connect(server) as api:
            self._api = api
            start = await self._begin(api, server)
            resolve(asked)
            await self._follow(api, start)

    async def _begin(self, api: KubeApi, server: Server) -> Start:
        async with self.listing():
            lists = await whole_lists(api)
        self._whole_at = asyncio.get_running_loop().time()
        names = await self._certificate_names(server)
        self._listed = server
        self._take(lists, server.entry, names)
        return lists.start()

    async def _certificate_names(self, server: Server) -> tuple[str, ...] | None:
        settings = self._world.settings
        return await certificate_names_of(server.entry, server.credentials, settings)

    async def _follow(self, api: KubeApi, start: Start) -> None:
        def stream(source: Source[Kind], version: str) -> Stream[Kind]:
            return Stream(
                api=api, source=source, home=self, world=self._world, version=version
            )

        await first_failure(
            *(stream(*each).run() for each in start.versions),
            self._follow_pods(stream(PODS, start.pods)),
            self._tend(api, start.istio),
            self._until_asked(),
        )

    async def _follow_pods(self, pods: Stream[Kind]) -> None:
        while True:
            await self._needed.wait()
            await pods.run()
            pods.version = ""
            self._changed(self._store.forget_pods())
            # Nobody asks for them any more, so that they failed is nobody's trouble.
            self.well(Kind.PODS)

    async def _until_asked(self) -> None:
        await self._again.wait()
        raise _Anew

    async def _tend(self, api: KubeApi, istio: Istio) -> None:
        """What no watch tells: the version that is served, and the names in the certificate."""
        while True:
            await asyncio.sleep(self._world.pace.tend * (0.5 + self._world.chance()))
            try:
                if await served_istio(api) != istio:
                    raise _Anew
            except KubeError as error:
                if error.why is Why.NO_CRD:
                    raise
                continue
            names = await self._certificate_names(self._used)
            if self._unknown is not None:
                continue
            if names not in (None, self._entry.certificate_names):
                self._enter(replace(self._entry, certificate_names=names), {})

    def _take(
        self, lists: Lists, entry: ClusterEntry, names: tuple[str, ...] | None
    ) -> None:
        """New lists of everything."""
        if lists.cluster_id != self._entry.cluster_id:
            self._store = self._empty()
        store = self._store
        changes: dict[ChangeKey, Delta] = {}
        if lists.pods is not None:
            changes.update(store.listed(Kind.PODS, lists.pods.items, lists.pods.kept))
        else:
            changes.update(store.forget_pods())
        for source, found in lists.found:
            changes.update(store.listed(source.kind, found.items, found.kept))
        if not lists.istio.rules:
            changes.update(store.forget(Kind.DESTINATION_RULES))
        self._health.clear()
        self._trust()
        if names is None and lists.cluster_id == self._entry.cluster_id:
            names = self._entry.certificate_names
        entry = replace(entry, cluster_id=lists.cluster_id, certificate_names=names)
        self._enter(entry, changes)
        self.settled.set()

    def _enter(self, entry: ClusterEntry, changes: Changes) -> None:
        """The cluster is known, as this entry."""
        before, self._entry = self._entry, entry
        if self._unknown is not None or before != entry:
            was, self._unknown = self._unknown or before, None
            self._tell(was, entry)
        else:
            self._changed(changes)
        self._note_needs()

    def _degrade(self, reason: Unknown) -> None:
        """The cluster is unknown."""
        was, self._unknown = self._unknown or self._entry, reason
        first = not self.settled.is_set()
        self.settled.set()
        if first or not isinstance(was, Unknown) or was.why is not reason.why:
            self._tell(was, reason)

    def _tell(self, was: ClusterEntry | Unknown, now: ClusterEntry | Unknown) -> None:
        self._world.moved()
        self._world.updates.whole(self.name, (_fingerprint(was), _fingerprint(now)))

    def _changed(self, changes: Changes) -> None:
        if changes and self._unknown is None:
            self._world.updates.changed(self.name, changes)
        self._note_needs()

    def _note_needs(self) -> None:
        if self._store.needs_pods:
            self._needed.set()
        else:
            self._needed.clear()

    def _empty(self) -> Store:
        limits = self._world.limits
        return Store(items=limits.items, size=limits.kept_bytes)

    def _session_failed(
        self, error: KubeError, asked: list[asyncio.Future[None]]
    ) -> None:
        if error.why is Why.UNAUTHORISED:
            self._refused(self.name)
        waiting = any(not each.done() for each in asked)
        waiting = waiting or error.why in (Why.NO_CRD, Why.OTHER_CA)
        if waiting or not self.settled.is_set():
            self._degrade(error.unknown())
        elif not isinstance(error, Moved):
            self._failed(SESSION, error)

    def _faulty(self, fault: Exception) -> None:
        kind = type(fault).__name__
        log.error("a cluster's watch broke", cluster=self.name, error=kind)
        message = f"{self.name}: what its server said led to {kind}; it is listed anew"
        self._degrade(Unknown(why=Why.UNREADABLE, message=message))

    def _failed(self, part: str, error: KubeError) -> None:
        loop = asyncio.get_running_loop()
        if self._unknown is not None:
            self._degrade(error.unknown())
        if self._health.failed(part, error, loop.time()):
            loop.call_later(self._health.deadline, self._judge)
        if self._entry.cluster_id and self._doubt is None:
            self._doubt = loop.call_later(
                self._world.between(self._world.pace.doubt), self._look_closer
            )

    def _judge(self) -> None:
        verdict = self._health.verdict(asyncio.get_running_loop().time())
        if verdict is not None and not self._over:
            self._degrade(verdict)

    def _trust(self) -> None:
        """Everything has just been listed."""
        if self._doubt is not None:
            self._doubt.cancel()
            self._doubt = None

    def _look_closer(self) -> None:
        self._doubt = None
        self._again.set()

    @asynccontextmanager
    async def listing(self) -> AsyncIterator[None]:
        """A turn to list, with a time limit. Raises KubeError."""
        async with self._world.listing(self.name):
            yield

    def wants(self, kind: Kind) -> bool:
        """Whether a kind is still followed: pods only while they are needed."""
        return kind is not Kind.PODS or self._store.needs_pods

    async def confirm(self) -> None:
        """Ask which cluster answers, unless somebody asked since. Raises Moved, KubeError."""
        loop = asyncio.get_running_loop()
        since = loop.time()
        async with self._confirming:
            if self._confirmed >= since or self._api is None:
                return
            began = loop.time()
            if await identity(self._api) != self._entry.cluster_id:
                what = "another cluster answers at this address"
                raise Moved(what, self.name, why=Why.INCOMPLETE)
            self._confirmed = began

    def listed(self, kind: Kind, found: Listed[Row]) -> None:
        """A new list of one kind."""
        self._changed(self._store.listed(kind, found.items, found.kept))

    def spent(self, kind: Kind) -> Spent:
        """What all other kinds take of the cluster's memory."""
        return Spent(kept_bytes=self._store.kept(without=kind))

    def put(self, kind: Kind, row: Row) -> None:
        """An object is there. Raises Overfull."""
        self._changed(self._store.put(kind, row))

    def drop(self, kind: Kind, row: Row) -> None:
        """An object is gone."""
        self._changed(self._store.drop(kind, row.key))

    def well(self, kind: Kind) -> None:
        """A watch holds. When it was the last that did not, an unknown cluster is listed anew."""
        self._health.well(kind)
        if self._unknown is None:
            return
        if self._health.verdict(asyncio.get_running_loop().time()) is None:
            # A server that was restored meanwhile lets old watches go on, and they see nothing.
            self._again.set()

    def failed(self, kind: Kind, error: KubeError) -> None:
        """A watch, or a list, of one kind failed."""
        if kind is Kind.PODS and error.why is Why.FORBIDDEN:
            # Labels that nobody updates would be lies; without them one unit is rejected.
            self._changed(self._store.forget_pods())
            self.well(kind)
            return
        if error.why is Why.UNAUTHORISED:
            self._refused(self.name)
        self._failed(kind, error)


def _fingerprint(state: ClusterEntry | Unknown) -> int:
    return hash(state.why if isinstance(state, Unknown) else state)

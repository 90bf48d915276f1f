"""Follows one collection of one cluster: from a list on, watch after watch (does I/O).

a watch ended in its time            -> the next one, from the last resourceVersion
it was cut, refused or said nothing  -> the same, after a backoff
410, or what no API server would say -> a new list, after a backoff
404                                  -> the kind is not served any more: not decided here
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from reconciler.kube import (
    Expired,
    KubeApi,
    KubeError,
    Listed,
    NotFound,
    Rejected,
    Spent,
    Terms,
)
from reconciler.model.clusters import Why
from reconciler.observe.watching.events import (
    Bookmark,
    Dropped,
    Failure,
    Garbled,
    Put,
    event,
)
from reconciler.observe.watching.kinds import K, Source
from reconciler.observe.watching.pace import Backoff
from reconciler.observe.watching.store import Overfull, Row
from reconciler.observe.watching.world import World

K_contra = TypeVar("K_contra", bound=str, contravariant=True)
STUCK = 6
"""Refusals in a row after which the resourceVersion itself is doubted."""


class Moved(KubeError):
    """Another cluster answers at the address."""


class Home(Protocol[K_contra]):
    """The cluster, or the hub, that a stream belongs to."""

    def wants(self, kind: K_contra) -> bool:
        """Whether a kind is still followed."""

    def listing(self) -> AbstractAsyncContextManager[None]:
        """A turn to list."""

    async def confirm(self) -> None:
        """Ask which cluster answers. Raises Moved, KubeError."""

    def listed(self, kind: K_contra, found: Listed[Row]) -> None:
        """A new list."""

    def put(self, kind: K_contra, row: Row) -> None:
        """An object is there. Raises Overfull."""

    def spent(self, kind: K_contra) -> Spent:
        """What all other kinds take of the cluster's memory."""

    def drop(self, kind: K_contra, row: Row) -> None:
        """An object is gone."""

    def well(self, kind: K_contra) -> None:
        """A watch holds."""

    def failed(self, kind: K_contra, error: KubeError) -> None:
        """A watch, or a list, failed."""


@dataclass(slots=True, kw_only=True)
class Stream(Generic[K]):
    """One collection. `version` is what the next watch starts from; empty: a list must come."""

    api: KubeApi
    source: Source[K]
    home: Home[K]
    world: World
    version: str = ""
    _backoff: Backoff = field(init=False)
    _refusals: int = 0
    _listed_at: float = field(init=False)
    _suspect: bool = False
    _stands: bool = False

    def __post_init__(self) -> None:
        self._backoff = Backoff(self.world.pace)
        now = asyncio.get_running_loop().time()
        self._listed_at = now if self.version else float("-inf")

    async def run(self) -> None:
        """Follow while it is wanted. Raises NotFound, Moved."""
        kind = self.source.kind
        while self.home.wants(kind):
            try:
                if not self.version:
                    await self._list()
                await self._follow()
            except (NotFound, Moved):
                raise
            except KubeError as error:
                self._doubt(error)
                self.home.failed(kind, error)
                await asyncio.sleep(self._rest(error))
            else:
                # A whole time without nonsense is as good as a line.
                self._suspect = False
                self._holds()
                await asyncio.sleep(self.world.chance())

    def _doubt(self, error: KubeError) -> None:
        self.world.counts.restarts += 1
        if isinstance(error, Expired | Rejected) or error.why is Why.UNREADABLE:
            self.version = ""
        elif self._is_not_granted(error):
            # Their list is forgotten, so a watch alone must not go on from it.
            self.version = ""
        elif error.status >= 500:
            self._refusals += 1
            if self._refusals >= STUCK:
                self._refusals, self.version = 0, ""

    def _is_not_granted(self, error: KubeError) -> bool:
        return self.source.optional and error.why is Why.FORBIDDEN

    def _rest(self, error: KubeError) -> float:
        if self._is_not_granted(error):
            # Nobody has to grant this; ask again now and then.
            return self.world.pace.tend
        return self._backoff.next(self.world.chance())

    async def _list(self) -> None:
        """A new list, but not soon after the last one: a server may say 410 as often as it likes."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._listed_at + self.world.pace.relist - loop.time())
        self._listed_at = loop.time()
        async with self.home.listing():
            spent = self.home.spent(self.source.kind)
            found = await listing(self.api, self.source, spent)
            await self.home.confirm()
        self.world.counts.relists += 1
        self.home.listed(self.source.kind, found)
        self.version = found.version

    async def _follow(self) -> None:
        loop, pace = asyncio.get_running_loop(), self.world.pace
        terms = Terms(
            version=self.version,
            seconds=self.world.between(pace.watch),
            silence=pace.silence,
            accept=self.source.watch_accept,
        )
        async with self.api.watch(self.source.path, terms) as lines:
            # Behind one address another cluster may answer: ask before anything is believed.
            await self.home.confirm()
            began = loop.time()
            self._stands = False
            timer = loop.call_later(min(pace.steady, terms.seconds), self._stood)
            self.world.counts.open += 1
            try:
                async with aclosing(lines.each()) as each:
                    async for line in each:
                        self._take(line)
            except KubeError as error:
                # After nonsense or half a line a watch that is merely open proves nothing.
                self._suspect |= error.why in (Why.UNREADABLE, Why.TIMEOUT)
                raise
            finally:
                timer.cancel()
                self.world.counts.open -= 1
        if loop.time() - began < min(pace.steady, terms.seconds):
            raise self._broken("the watch ended at once", Why.UNREACHABLE, status=503)

    def _stood(self) -> None:
        """The watch has been open for a while."""
        self._stands = True
        self._holds()

    def _holds(self) -> None:
        if self._suspect or not self._stands:
            return
        self._backoff.reset()
        self._refusals = 0
        self.home.well(self.source.kind)

    def _take(self, line: bytes) -> None:
        kind, counts = self.source.kind, self.world.counts
        try:
            found = event(line, self.source.convert)
            match found:
                case Failure():
                    raise self._ended(found.code)
                case Put():
                    self.home.put(kind, found.row)
                case Dropped():
                    self.home.drop(kind, found.row)
                case Bookmark():
                    counts.bookmarks += 1
        except Garbled as exc:
            raise self._broken(str(exc), Why.UNREADABLE) from None
        except Overfull as exc:
            self.version = ""
            raise self._broken(str(exc), Why.INCOMPLETE) from None
        counts.events += not isinstance(found, Bookmark)
        self.version = found.version
        if self._suspect:
            self._suspect = False
            self._holds()

    def _ended(self, code: int) -> KubeError:
        if code == 410:
            where = f"{self.api.name}: WATCH {self.source.path}"
            return Expired("HTTP 410", where, why=Why.INCOMPLETE, status=code)
        if not 400 <= code < 600:
            self.version = ""
        return self._broken("the server ended the watch", Why.UNREACHABLE, status=code)

    def _broken(self, what: str, why: Why, status: int = 0) -> KubeError:
        where = f"{self.api.name}: WATCH {self.source.path}"
        return KubeError(what, where, why=why, status=status)


async def listing(api: KubeApi, source: Source[K], spent: Spent) -> Listed[Row]:
    """A whole list without an object twice. Raises KubeError."""
    found = await api.listed(
        source.path, source.convert, accept=source.list_accept, spent=spent
    )
    _check(api, found.items)
    return found


def _check(api: KubeApi, rows: Sequence[Row]) -> None:
    if len({row.key for row in rows}) != len(rows):
        raise KubeError("a list has an object twice", api.name, why=Why.INCOMPLETE)

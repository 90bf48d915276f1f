"""One collection of the platform cluster, listed once and then watched (does I/O).

A new list comes only when the server has forgotten where we were. While the watch is down for a
short time what is known counts; later, nothing is known.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any

from reconciler import jsonio
from reconciler.kube import KubeApi, KubeError
from reconciler.kubeconfig import RefusedKubeconfig
from reconciler.kubeerrors import Expired, Rejected
from reconciler.kubewatch import Terms
from reconciler.model.clusters import Why
from reconciler.prove.kept import kept
from reconciler.prove.views import Collection, Json

WATCH = (240.0, 480.0)  # seconds of one watch; API servers say the same by default
SILENCE = 150.0  # bookmarks come every minute
PATIENCE = 60.0  # how long what is known counts while the watch is down
STEADY = 2.0  # an open watch is well after so long
RELIST = 30.0  # between two lists, as often as a server may forget where we were
IDLE = 600.0  # a collection that nobody reads is not watched any longer
BACKOFF, LONGEST = 0.5, 30.0
STUCK = 5  # failures in a row after which the place in the history is not believed

Connect = Callable[[], AbstractAsyncContextManager[KubeApi]]


class Reflection:
    """`changed` is called whenever something is not as before."""

    def __init__(
        self, collection: Collection, connect: Connect, changed: Callable[[], None]
    ) -> None:
        self.lists = 0
        self._collection = collection
        self._connect = connect
        self._changed = changed
        self._objects: dict[tuple[str, str], Json] = {}
        self._version = ""
        self._error: KubeError | RefusedKubeconfig | None = None
        self._failing_since = 0.0
        self._failures = 0
        self._known = False
        self._listed_at = float("-inf")
        self._looked = asyncio.Event()
        self._read_at = asyncio.get_running_loop().time()

    async def objects(self) -> tuple[Json, ...]:
        """What is there, after the first list. Raises what keeps us from knowing it."""
        self._read_at = asyncio.get_running_loop().time()
        await self._looked.wait()
        now = asyncio.get_running_loop().time()
        if self._error is not None and (
            not self._known or now - self._failing_since > PATIENCE
        ):
            raise self._error
        if not self._known:
            where = f"platform: LIST {self._collection.path}"
            raise KubeError("it is not known yet", where, why=Why.INCOMPLETE)
        return tuple(self._objects.values())

    def ended(self) -> None:
        """Nobody follows any more, perhaps before the first list: who waits need not."""
        self._looked.set()

    async def run(self) -> None:
        """Follow the collection until nobody has read it for a while."""
        loop = asyncio.get_running_loop()
        while loop.time() - self._read_at < IDLE:
            try:
                # A session a watch: credentials may have changed since the last.
                async with self._connect() as api:
                    if not self._version:
                        await self._list(api)
                    await self._follow(api)
            except (KubeError, RefusedKubeconfig) as exc:
                self._failed(exc, loop.time())
                longest = min(LONGEST, BACKOFF * 2 ** min(self._failures, 10))
                await asyncio.sleep(longest * random.uniform(0.5, 1.0))
            finally:
                self._looked.set()

    async def _list(self, api: KubeApi) -> None:
        """A new list, but not soon after the last one: a server may say 410 to each watch."""
        loop, path = asyncio.get_running_loop(), self._collection.path
        await asyncio.sleep(self._listed_at + RELIST - loop.time())
        self.lists += 1
        try:
            found = await api.listed(path, self._kept)
        except Expired as exc:
            # Said to a watch it means a new list; of the list itself it is a failure as any.
            where = f"platform: LIST {path}"
            raise KubeError("HTTP 410", where, why=exc.why, status=410) from None
        self._listed_at = loop.time()
        self._objects = {_key(each): each for each in found.items}
        self._version = found.version
        # The failures stay until a watch holds: a list that works says nothing of those.
        self._error, self._known = None, True
        self._looked.set()
        self._changed()

    async def _follow(self, api: KubeApi) -> None:
        loop = asyncio.get_running_loop()
        began, terms = loop.time(), self._terms()
        async with api.watch(self._collection.path, terms) as lines:
            # Nothing need come for a minute: one that stays open is well.
            holds = loop.call_later(STEADY, self._well)
            try:
                async with aclosing(lines.each()) as each:
                    async for line in each:
                        self._take(line)
            finally:
                holds.cancel()
        if loop.time() - began < STEADY:
            raise self._broken("the watch ended at once", Why.UNREACHABLE)
        self._well()

    def _terms(self) -> Terms:
        return Terms(
            version=self._version, seconds=random.uniform(*WATCH), silence=SILENCE
        )

    def _take(self, line: bytes) -> None:
        """One event. Raises KubeError; then the place in the history is not known any more."""
        try:
            value: Any = jsonio.loads(line)
            kind, body = value["type"], value["object"]
            if kind == "ERROR":
                raise self._ended(body)
            version = body["metadata"]["resourceVersion"]
            if not isinstance(version, str) or not version:
                raise ValueError("an event without a resourceVersion")
            if kind != "BOOKMARK":
                self._apply(kind, self._kept(body))
        except (jsonio.InvalidJson, ValueError, LookupError, TypeError) as exc:
            self._version = ""
            what = f"a line is no event ({type(exc).__name__})"
            raise self._broken(what, Why.UNREADABLE) from None
        self._version = version

    def _apply(self, kind: str, body: Json) -> None:
        match kind:
            case "ADDED" | "MODIFIED":
                self._objects[_key(body)] = body
            case "DELETED":
                self._objects.pop(_key(body), None)
            case _:
                raise ValueError("an event of an unknown type")
        self._changed()

    def _ended(self, body: Any) -> KubeError:
        code = body.get("code") if isinstance(body, dict) else None
        where = f"platform: WATCH {self._collection.path}"
        if code == 410:
            return Expired("HTTP 410", where, why=Why.INCOMPLETE, status=410)
        return self._broken("the server ended the watch", Why.UNREACHABLE)

    def _kept(self, body: Json) -> Json:
        return kept(body, self._collection.version)

    def _well(self) -> None:
        self._error, self._failures = None, 0

    def _failed(self, exc: KubeError | RefusedKubeconfig, now: float) -> None:
        self._failures += 1
        if isinstance(exc, Expired | Rejected) or self._failures % STUCK == 0:
            self._version = ""
        if isinstance(exc, Expired):
            return  # no fault of anybody: a new list comes
        if self._error is None:
            self._failing_since = now
        self._error = exc

    def _broken(self, what: str, why: Why) -> KubeError:
        return KubeError(what, f"platform: WATCH {self._collection.path}", why=why)


def _key(body: Json) -> tuple[str, str]:
    metadata = body["metadata"]
    return str(metadata.get("namespace") or ""), str(metadata["name"])

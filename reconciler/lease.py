"""A Kubernetes Lease that says which of several processes works (does I/O, reads the clock).

It spares work and nothing else: two processes that both believe they hold it push onto one
branch, whose compare-and-swap decides. So a holder that cannot reach the API goes on, and stops
only when it has seen another one. Like client-go, a change of the Lease is timed by the local
monotonic clock from when it was seen: clocks of different machines are never compared.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from reconciler.errors import ReconcileError
from reconciler.kube import KubeApi, NotFound, Rejected, object_path
from reconciler.log import log

VERSION = "coordination.k8s.io/v1"
SECONDS = 15.0
_LONGEST = 3600  # whatever a Lease says, after this long without a change it is over
_REOPEN = 600.0  # tokens and certificates of the platform are read again
_LAST_WORDS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the Lease is, and for how many seconds a holder that is not seen keeps it."""

    namespace: str
    name: str
    seconds: float = SECONDS

    @property
    def every(self) -> float:
        """Seconds between looks, of the holder and of those who wait."""
        return min(2.0, self.seconds / 5)

    @property
    def patience(self) -> float:
        """Seconds that a look may take: a connection that hangs must not hide a change."""
        return max(1.0, self.seconds / 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """What a Lease says. Times are only compared for being the same."""

    holder: str = ""
    acquired: str = ""
    renewed: str = ""
    seconds: float = SECONDS
    transitions: int = 0


class Lease:
    """One Lease as this process sees it: `start`, ask `held`, `close`."""

    def __init__(
        self,
        connect: Callable[[], KubeApi],
        place: Place,
        *,
        identity: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.identity = identity or f"{socket.gethostname()}_{os.getpid()}_{secrets.token_hex(4)}"  # fmt: skip
        self.held = False
        self._connect = connect
        self._place = place
        self._clock = clock
        self._changed: Callable[[], None] = lambda: None
        self._seen = _Record()
        self._seen_at = clock()
        self._said = ""
        self._task: asyncio.Task[None] | None = None

    def start(self, changed: Callable[[], None]) -> None:
        """Try to hold it from now on; `changed` is called whenever `held` changes."""
        self._changed = changed
        self._task = asyncio.create_task(self._keep(), name="lease")

    def check(self) -> None:
        """Raise what ended the looks, which go on for as long as the process does."""
        if self._task is not None and self._task.done():
            self._task.result()

    async def close(self) -> None:
        """Give it back, so that who waits need not wait for its end."""
        if self._task is None:
            return
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        if not self.held:
            return
        self.held = False
        try:
            async with asyncio.timeout(_LAST_WORDS), self._connect() as api:
                await self._release(api)
        except (ReconcileError, TimeoutError) as exc:
            log.warning("the lease was not given back", error=str(exc))

    async def _keep(self) -> None:
        while True:
            try:
                async with self._connect() as api:
                    until = self._clock() + _REOPEN
                    while self._clock() < until:
                        async with asyncio.timeout(self._place.patience):
                            await self.look(api)
                        await asyncio.sleep(self._place.every)
            except (ReconcileError, TimeoutError) as exc:
                does = "this process goes on" if self.held else "this process waits"
                error = str(exc) or "no answer in time"
                self._say("the lease cannot be seen or written", error=error, so=does)
            await asyncio.sleep(self._place.every)

    async def look(self, api: KubeApi) -> None:
        """Look once, and take or renew it where that may be done. Raises KubeError."""
        try:
            body = await api.get(self._path())
        except NotFound:
            body = None
        record = _read(body)
        if record != self._seen:
            self._seen, self._seen_at = record, self._clock()
        if record.holder not in ("", self.identity) and not self._is_over(record):
            self._set(False)
            self._say("another process holds the lease", holder=record.holder)
            return
        try:
            written = await self._write(api, body, self._mine(record))
        except Rejected as exc:
            await self._refused(api, body, exc)
            return
        self._seen, self._seen_at = _read(written), self._clock()
        self._say("this process holds the lease", holder=self.identity)
        self._set(True)

    async def _refused(
        self, api: KubeApi, before: Mapping[str, Any] | None, why: Rejected
    ) -> None:
        """Somebody was faster, and the next look tells who; or else nobody may write it."""
        try:
            now = await api.get(self._path())
        except NotFound:
            now = None
        if _version(now) == _version(before):
            does = "this process goes on" if self.held else "this process waits"
            self._say("the lease is refused", error=str(why), so=does)

    def _is_over(self, record: _Record) -> bool:
        return self._clock() - self._seen_at >= min(max(1.0, record.seconds), _LONGEST)

    def _mine(self, record: _Record) -> dict[str, Any]:
        """The Lease when this process holds it."""
        now = _micro_time()
        renews = record.holder == self.identity
        changes = 0 if renews or not record.acquired else 1
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": max(1, round(self._place.seconds)),
            "acquireTime": record.acquired if renews else now,
            "renewTime": now,
            "leaseTransitions": record.transitions + changes,
        }

    async def _release(self, api: KubeApi) -> None:
        """Without a holder, as the API wants it: an empty name is no valid one."""
        body = await api.get(self._path())
        record = _read(body)
        if record.holder != self.identity:
            return
        free = {
            "leaseDurationSeconds": 1,
            "acquireTime": record.acquired,
            "renewTime": _micro_time(),
            "leaseTransitions": record.transitions,
        }
        await self._write(api, body, free)
        log.info("the lease was given back")

    async def _write(
        self, api: KubeApi, body: Mapping[str, Any] | None, spec: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Write the spec unless somebody else did meanwhile. Raises Rejected."""
        if body is None:
            metadata = {"name": self._place.name, "namespace": self._place.namespace}
            kind = {"apiVersion": VERSION, "kind": "Lease"}
            path = object_path(VERSION, "leases", self._place.namespace, "")
            return await api.create(path, {**kind, "metadata": metadata, "spec": spec})
        path = "/metadata/resourceVersion"
        test = {"op": "test", "path": path, "value": _version(body)}
        put = {"op": "add", "path": "/spec", "value": dict(spec)}
        return await api.json_patch(self._path(), [test, put])

    def _path(self) -> str:
        return object_path(VERSION, "leases", self._place.namespace, self._place.name)

    def _set(self, held: bool) -> None:
        if held is not self.held:
            self.held = held
            self._changed()

    def _say(self, what: str, **more: str) -> None:
        """Once, not at every look."""
        if self._said != f"{what} {more}":
            self._said = f"{what} {more}"
            log.info(what, lease=f"{self._place.namespace}/{self._place.name}", **more)


def _read(body: Mapping[str, Any] | None) -> _Record:
    """The record of a Lease; nobody's where there is none. Nothing of it is trusted."""
    spec = body.get("spec") if body is not None else None
    if not isinstance(spec, Mapping):
        return _Record()
    seconds, count = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    return _Record(
        holder=str(spec.get("holderIdentity") or ""),
        acquired=str(spec.get("acquireTime") or ""),
        renewed=str(spec.get("renewTime") or ""),
        seconds=float(seconds) if isinstance(seconds, int) else SECONDS,
        transitions=count if isinstance(count, int) else 0,
    )


def _version(body: Mapping[str, Any] | None) -> str:
    """Its resourceVersion; empty where there is none."""
    return str(((body or {}).get("metadata") or {}).get("resourceVersion") or "")


def _micro_time() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

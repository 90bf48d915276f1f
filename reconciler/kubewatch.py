"""The lines of one watch on their way, and what they may cost (reads a connection).

A watch is a body without an end, from a server that may be hostile: every line has a size and
must come within a time, however many bytes of it drip, and all of them together have a rate.
What comes faster waits in the server's own buffers; a slow reader is what those expect.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp

from reconciler import jsonio
from reconciler.kubeerrors import KubeError
from reconciler.kubesession import transport_failure
from reconciler.model.clusters import Why
from reconciler.paging import Limits

SLACK = 10.0
"""Seconds that a server may take longer than it was asked to before the watch is ended here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """From which resourceVersion a watch goes on (opaque), and for how long, in seconds.

    It ends, too, when no line came for `silence` seconds: a connection that is dead says
    nothing, and one that is not costs one request to be sure of. A quiet server sends bookmarks
    every minute, but none for a kind of which nothing has happened since it started.
    """

    version: str
    seconds: float
    silence: float
    accept: str = "application/json"


@dataclass(slots=True)
class Traffic:
    """What was asked of API servers, by verb (`get`, `list`, `watch`, ...), and bytes read."""

    requests: Counter[str] = field(default_factory=Counter)
    received: int = 0


class _Bucket:
    """Bytes per second with a burst; in debt, the reader sleeps."""

    def __init__(self, limits: Limits) -> None:
        self._rate = float(limits.watch_rate)
        self._burst = float(limits.watch_burst)
        self._left = self._burst
        self._at = asyncio.get_running_loop().time()

    async def take(self, size: int) -> None:
        now = asyncio.get_running_loop().time()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate) - size
        self._at = now
        # Also without a debt others get their turn: a full buffer never suspends a reader.
        await asyncio.sleep(max(0.0, -self._left / self._rate))


@dataclass(slots=True, kw_only=True)
class Lines:
    """An open watch."""

    content: aiohttp.StreamReader
    terms: Terms
    limits: Limits
    traffic: Traffic
    turn: Callable[[bytes], Awaitable[None]]
    where: str

    async def each(self) -> AsyncGenerator[bytes, None]:
        """Line by line. Raises KubeError."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self.terms.seconds + SLACK
        heard = loop.time()
        bucket, rest = _Bucket(self.limits), bytearray()
        while loop.time() < end:
            chunk = await self._chunk(min(end, heard + self.terms.silence))
            if chunk is None:
                if rest.strip():
                    what = f"a line did not end within {self.terms.silence:g} s"
                    raise self._broken(what, Why.TIMEOUT)
                return
            if not chunk:
                if rest.strip():
                    raise self._broken("the watch was cut off", Why.INCOMPLETE)
                return
            self.traffic.received += len(chunk)
            *lines, last = chunk.split(b"\n")
            for line in lines:
                rest += line
                self._check(rest)
                whole = bytes(rest)
                await self._check_values(whole)
                yield whole
                rest.clear()
                heard = loop.time()
            rest += last
            self._check(rest)
            await bucket.take(len(chunk))

    async def _chunk(self, by: float) -> bytes | None:
        """What came; nothing when the watch ended, `None` when it did not come in time."""
        try:
            async with asyncio.timeout_at(by):
                return await self.content.readany()
        except TimeoutError:
            return None
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            what, why = transport_failure(exc, answered=True)
            raise self._broken(what, why) from None

    def _check(self, line: bytearray) -> None:
        if len(line) > self.limits.line_bytes:
            what = f"a line has more than {self.limits.line_bytes} bytes"
            raise self._broken(what, Why.UNREADABLE)

    async def _check_values(self, line: bytes) -> None:
        """What is short can be dear to parse; and parsing waits for its turn."""
        if jsonio.values(line) > self.limits.object_values:
            what = f"a line has more than {self.limits.object_values} values"
            raise self._broken(what, Why.UNREADABLE)
        await self.turn(line)

    def _broken(self, what: str, why: Why) -> KubeError:
        return KubeError(what, self.where, why=why)

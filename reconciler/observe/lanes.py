"""Who is read at the same time: a few, and those who were slow beside them (waits, no I/O).

A cluster that is not read after some seconds makes room for the next and goes on in the slow
lane, so that clusters which never answer do not hold up those which would.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

AT_ONCE = 16
SLOW_AT_ONCE = 128
PATIENCE = 2.0
_AGAIN = 0.5


@dataclass(slots=True, kw_only=True)
class _Place:
    """One cluster's place; `timer` moves it to the slow lane."""

    slow: bool = False
    timer: asyncio.TimerHandle | None = None


class Lanes:
    """The places of one reading of all clusters, to be made inside of an event loop."""

    def __init__(
        self,
        at_once: int = AT_ONCE,
        slow: int = SLOW_AT_ONCE,
        patience: float = PATIENCE,
    ) -> None:
        self._fast = asyncio.Semaphore(at_once)
        self._slow_left = slow
        self._patience = patience

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for a place and hold it."""
        await self._fast.acquire()
        place = _Place()
        self._arm(place, self._patience)
        try:
            yield
        finally:
            self._leave(place)

    def _arm(self, place: _Place, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        place.timer = loop.call_later(seconds, self._move, place)

    def _move(self, place: _Place) -> None:
        if not self._slow_left:
            self._arm(place, _AGAIN)
            return
        self._slow_left -= 1
        place.slow, place.timer = True, None
        self._fast.release()

    def _leave(self, place: _Place) -> None:
        if place.timer is not None:
            place.timer.cancel()
        if place.slow:
            self._slow_left += 1
        else:
            self._fast.release()

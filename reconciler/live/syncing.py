"""Asks the engines to sync after the pushes of `run`, beside its passes (does I/O)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from reconciler.log import log
from reconciler.passes import Memory, PassResult
from reconciler.prove.asking import Asked, Push, ask_again, ask_to_sync
from reconciler.prove.views import Look
from reconciler.report import pushed_paths
from reconciler.settings import Settings

TRIES = 5  # for a push that an engine does not seem to hear of
KEPT = 32  # pushes that have not arrived yet


class Syncing:
    """Asks about one push after the other; what comes meanwhile is asked together."""

    def __init__(self, memory: Memory, look: Look) -> None:
        self._memory = memory
        self._look = look
        self._paths: frozenset[str] = frozenset()
        self._pushes: deque[Push] = deque(maxlen=KEPT)
        self._tries = 0
        self._task: asyncio.Task[None] | None = None

    def start(self, result: PassResult) -> None:
        """Ask about what a pass pushed. Raises what ended an earlier one unexpectedly."""
        paths = pushed_paths(result)
        if paths and result.commit is not None and result.settings is not None:
            self._paths |= paths
            self._pushes.append(Push(paths=paths, commit=result.commit))
            self._tries = 0
            if not self._runs():
                asking = self._ask(result.settings)
                self._task = asyncio.create_task(asking, name="ask to sync")

    def proven(self, settings: Settings | None) -> None:
        """A proof ended: ask again where a request was lost, or (`None`) all has arrived."""
        if settings is None:
            self._pushes.clear()
        elif self._pushes and self._tries < TRIES and not self._runs():
            asking = self._ask_again(settings)
            self._task = asyncio.create_task(asking, name="ask to sync again")

    def _runs(self) -> bool:
        if self._task is not None and self._task.done():
            self._task.result()
            self._task = None
        return self._task is not None

    async def finish(self) -> None:
        """Wait until everything was asked."""
        if self._task is not None:
            await self._task

    async def close(self) -> None:
        """Give up: the engines look by themselves."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _ask(self, settings: Settings) -> None:
        while self._paths:
            paths, self._paths = self._paths, frozenset()
            asks = self._memory.asks
            _tell(await ask_to_sync(settings, paths, asks, self._look))

    async def _ask_again(self, settings: Settings) -> None:
        pushes, asks = tuple(self._pushes), self._memory.asks
        found = await ask_again(settings, pushes, asks, self._look)
        heard = [each for each in pushes if each.commit not in asks.open]
        left = (each for each in self._pushes if each not in heard)
        self._pushes = deque(left, maxlen=KEPT)
        self._tries += bool(found)
        _tell(found)
        await self._ask(settings)


def _tell(found: Sequence[Asked]) -> None:
    problems = [each for each in found if each.problem]
    for asked in problems:
        log.warning("not asked to sync", what=asked.what, why=asked.problem)
    if len(found) > len(problems):
        log.info("asked to sync", objects=len(found) - len(problems))

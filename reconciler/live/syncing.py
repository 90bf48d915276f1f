"""Asks the engines to sync after the pushes of `run`, beside its passes (does I/O)."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from reconciler.log import log
from reconciler.passes import Memory, PassResult
from reconciler.prove.asking import ask_to_sync
from reconciler.prove.views import Look
from reconciler.report import pushed_paths
from reconciler.settings import Settings


class Syncing:
    """Asks about one push after the other; what comes meanwhile is asked together."""

    def __init__(self, memory: Memory, look: Look) -> None:
        self._memory = memory
        self._look = look
        self._paths: frozenset[str] = frozenset()
        self._task: asyncio.Task[None] | None = None

    def start(self, result: PassResult) -> None:
        """Ask about what a pass pushed. Raises what ended an earlier one unexpectedly."""
        if self._task is not None and self._task.done():
            self._task.result()
            self._task = None
        self._paths |= pushed_paths(result)
        if self._task is None and self._paths and result.settings is not None:
            asking = self._ask(result.settings)
            self._task = asyncio.create_task(asking, name="ask to sync")

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
            found = await ask_to_sync(settings, paths, asks, self._look)
            problems = [each for each in found if each.problem]
            for asked in problems:
                log.warning("not asked to sync", what=asked.what, why=asked.problem)
            if len(found) > len(problems):
                log.info("asked to sync", objects=len(found) - len(problems))

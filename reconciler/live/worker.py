"""Where blocking work of a pass runs: one thread with an event loop of its own (starts threads).

Git and planning block, so they would stop the watches. In the thread one job runs after the
other; a thread that hangs in a push never keeps the process from ending.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

Job = Callable[[], Coroutine[Any, Any, T]]


class Works(Protocol):
    """Runs jobs to their end, one after another."""

    def do(self, job: Job[T]) -> Awaitable[T]:
        """Run a job; its result, or what it raised."""

    def close(self) -> None:
        """Take no more jobs."""


class Worker:
    """A thread of its own for jobs that block."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        self._loop.run_forever()
        self._loop.run_until_complete(_cancel_all())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    async def do(self, job: Job[T]) -> T:
        """Run a job in the thread; cancelling does not stop it."""
        future = asyncio.run_coroutine_threadsafe(job(), self._loop)
        return await asyncio.shield(asyncio.wrap_future(future))

    def close(self) -> None:
        """End the thread: a job that waits is cancelled, one that hangs ends with the process."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=1.0)


async def _cancel_all() -> None:
    """End what waits: connections close themselves only while their loop runs."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for each in left:
        each.cancel()
    await asyncio.gather(*left, return_exceptions=True)


class Inline:
    """Runs jobs where it is called: for one thread, or for time that is not real."""

    async def do(self, job: Job[T]) -> T:
        """Run a job here."""
        return await job()

    def close(self) -> None:
        """Nothing is left behind."""

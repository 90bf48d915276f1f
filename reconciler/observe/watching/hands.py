"""The thread in which an inventory touches files: they may be many, and may hang (a thread)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

from reconciler.model.clusters import Unknown, Why

T = TypeVar("T")


class Hands:
    """Does one job after another beside the event loop; the thread starts with the first.

    One that hangs in a file system never keeps the process from ending. The thread has a loop
    of its own, which carries results and errors to and fro.
    """

    def __init__(self, patience: float) -> None:
        """`patience` is how many seconds a job may take."""
        self._patience = patience
        self._loop: asyncio.AbstractEventLoop | None = None

    async def do(self, job: Callable[[], T]) -> T:
        """The result of a job, or what it raised. Raises TimeoutError where none came in time."""

        async def work() -> T:
            return job()

        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(
                target=_serve, args=(self._loop,), name="files", daemon=True
            ).start()
        future = asyncio.run_coroutine_threadsafe(work(), self._loop)
        async with asyncio.timeout(self._patience):
            return await asyncio.wrap_future(future)

    def late(self, what: str) -> Unknown:
        """What follows from a job that took too long."""
        message = f"{what}: not read within {self._patience:g} s: does it hang?"
        return Unknown(why=Why.TIMEOUT, message=message)

    def close(self) -> None:
        """Take no more jobs; wait for nothing."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    # What came in the last moment has nobody who waits for it.
    loop.run_until_complete(asyncio.sleep(0))
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()

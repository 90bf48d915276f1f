"""An event loop whose time goes on only when nothing is left to do: it jumps to the next timer."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")
START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


class Jumping(selectors.SelectSelector):
    """Waits for nothing: what would have been waited for is added to `now` instead.

    Whoever waits without a timer waits for ever here, since nothing comes from outside.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise AssertionError("everybody waits, and no timer is set")
        self.now += timeout
        return []


class SimulatedLoop(asyncio.SelectorEventLoop):
    """`time` is the selector's: seconds since the simulation began."""

    def __init__(self) -> None:
        self._jumping = Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def now() -> datetime:
    """The time of day in the simulation that runs."""
    return START + timedelta(seconds=asyncio.get_running_loop().time())


def simulate(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end in simulated time."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(main())

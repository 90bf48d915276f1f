"""Simulated time: an hour passes at once, in order, and waiting for ever is found."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.simulation.clock import START, now, simulate


def test_an_hour_passes_at_once_and_in_order() -> None:
    async def main() -> list[tuple[float, str]]:
        loop, seen = asyncio.get_running_loop(), []

        async def every(seconds: float, name: str) -> None:
            while loop.time() < 3600:
                await asyncio.sleep(seconds)
                seen.append((loop.time(), name))

        await asyncio.gather(every(900, "slow"), every(7, "quick"))
        return seen

    began = time.monotonic()
    seen = simulate(main)

    assert seen == sorted(seen)
    assert [at for at, name in seen if name == "slow"] == [900, 1800, 2700, 3600]
    assert len(seen) > 500
    assert time.monotonic() - began < 60


def test_the_time_of_day_goes_with_it() -> None:
    async def main() -> float:
        await asyncio.sleep(90)
        return (now() - START).total_seconds()

    assert simulate(main) == 90


def test_what_blocks_takes_no_time() -> None:
    async def main() -> float:
        time.sleep(0.01)
        return asyncio.get_running_loop().time()

    assert simulate(main) == 0


def test_waiting_for_what_cannot_come_is_found() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(AssertionError, match="no timer is set"):
        simulate(main)

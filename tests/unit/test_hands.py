"""The thread that touches files for a watcher: it ends whatever still waits for it."""

from __future__ import annotations

import asyncio
import gc
import sys
import time

import pytest

from reconciler.observe.watching.hands import Hands


def test_results_and_errors_come_back() -> None:
    async def run() -> int:
        hands = Hands(60.0)
        with pytest.raises(ValueError, match="no"):
            await hands.do(lambda: int("no"))
        found = await hands.do(lambda: 7)
        hands.close()
        return found

    assert asyncio.run(run()) == 7


def test_jobs_that_nobody_waits_for_leave_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", left.append)

    async def run() -> None:
        for number in range(20):
            hands = Hands(60.0)
            jobs = [
                asyncio.create_task(hands.do(lambda: time.sleep(0.0005)))
                for _ in range(4)
            ]
            await asyncio.sleep(0.0003 * (number % 5))
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
            hands.close()

    asyncio.run(run())
    time.sleep(0.2)
    gc.collect()
    assert left == []

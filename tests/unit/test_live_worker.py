"""The thread of passes or proofs ends in order, whatever it is doing."""

from __future__ import annotations

import asyncio
import threading

import pytest

from reconciler.live.worker import Worker


def test_a_job_that_waits_when_the_worker_ends_is_cancelled_in_its_own_loop() -> None:
    began, told = threading.Event(), list[str]()

    async def job() -> None:
        began.set()
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0)  # as a connection that closes itself
            told.append("closed")

    async def main() -> None:
        worker = Worker("test")
        asked = asyncio.create_task(worker.do(job))
        await asyncio.to_thread(began.wait, 10)
        worker.close()
        with pytest.raises(asyncio.CancelledError):
            await asked

    asyncio.run(main())
    assert told == ["closed"]


def test_a_worker_without_a_job_ends() -> None:
    worker = Worker("test")
    worker.close()
    assert not any(each.name == "test" for each in threading.enumerate())

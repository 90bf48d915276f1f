"""Places of clusters that are read: those which never answer make room for the next."""

from __future__ import annotations

import asyncio

from reconciler.observe.lanes import Lanes


async def hang(lanes: Lanes) -> None:
    async with lanes.place():
        await asyncio.Event().wait()


def test_clusters_that_hang_make_room() -> None:
    async def run() -> None:
        lanes = Lanes(at_once=2, slow=4, patience=0.01)
        hanging = [asyncio.create_task(hang(lanes)) for _ in range(5)]
        await asyncio.sleep(0)
        async with asyncio.timeout(20), lanes.place():
            pass
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
        async with asyncio.timeout(20), lanes.place(), lanes.place():
            pass

    asyncio.run(run())


def test_only_so_many_are_read_at_once() -> None:
    async def run() -> int:
        lanes, most, now = Lanes(at_once=2, slow=0, patience=0.001), 0, 0

        async def one() -> None:
            nonlocal most, now
            async with lanes.place():
                now += 1
                most = max(most, now)
                await asyncio.sleep(0.01)
                now -= 1

        await asyncio.gather(*(one() for _ in range(8)))
        return most

    assert asyncio.run(run()) == 2

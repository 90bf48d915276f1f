"""Several endless jobs as one: the first that fails ends all (asyncio, no I/O)."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any


async def first_failure(*parts: Coroutine[Any, Any, None]) -> None:
    """Run all until one fails; raises what it raised, and the others are over."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def resolve(asked: Iterable[asyncio.Future[None]]) -> None:
    """Tell everybody who still waits."""
    for each in asked:
        if not each.done():
            each.set_result(None)

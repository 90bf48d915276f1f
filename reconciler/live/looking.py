"""The second look at clusters of which something is missing: a list of their own (does I/O).

While nothing is missing, nothing is listed. Every cluster is asked by itself, so that one that
does not answer keeps nobody waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from reconciler.live.lookout import Lookout
from reconciler.looks import Looks

RETRY = timedelta(seconds=15)


class SecondLooks:
    """Takes the looks that `Looks` wants; `ended` is told the cluster and whether it was listed."""

    def __init__(
        self, lookout: Lookout, looks: Looks, ended: Callable[[str, bool], None]
    ) -> None:
        self._lookout = lookout
        self._looks = looks
        self._ended = ended
        self._running: dict[str, asyncio.Task[None]] = {}
        self._not_before: dict[str, datetime] = {}
        self._listed: dict[str, datetime] = {}

    def start(self, grace: timedelta, now: datetime) -> None:
        """Begin the looks that are due. Raises what ended an earlier one unexpectedly."""
        for cluster, task in list(self._running.items()):
            if task.done():
                del self._running[cluster]
                task.result()
        due = {cluster for at, cluster in self._looks.due(grace) if at <= now}
        for cluster in sorted(due - self._running.keys()):
            if self._not_before.get(cluster, now) <= now:
                self._not_before[cluster] = now + max(grace, RETRY)
                task = asyncio.create_task(self._look(cluster), name=f"look {cluster}")
                self._running[cluster] = task

    def next_at(self, grace: timedelta, now: datetime) -> datetime | None:
        """When the next look is due; `None` while nothing is missing."""
        return min(
            (
                max(at, self._not_before.get(cluster, at))
                for at, cluster in self._looks.due(grace)
                if cluster not in self._running or self._running[cluster].done()
            ),
            default=None,
        )

    def seen(self) -> None:
        """What is seen from now on has the lists that were taken."""
        for cluster, began in self._listed.items():
            self._looks.listed((cluster,), began)
        self._listed.clear()

    async def close(self) -> None:
        """Give up the looks that run."""
        for task in self._running.values():
            task.cancel()
        for task in list(self._running.values()):
            with suppress(asyncio.CancelledError):
                await task

    async def _look(self, cluster: str) -> None:
        began = await self._lookout.look_again(cluster)
        if began is not None:
            self._listed[cluster] = began
        self._ended(cluster, began is not None)

"""The second look at clusters of which something is missing: a list of their own (does I/O).

While nothing is missing, nothing is listed. Every cluster is asked by itself, so that one that
does not answer keeps nobody waiting. However much of a cluster goes, it is listed at most twice in
a grace: a list begins all of its watches anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta

from reconciler.live.lookout import Lookout
from reconciler.looks import Looks
from reconciler.model.clusters import Unknown
from reconciler.settings import Guards

RETRY = timedelta(seconds=15)  # at least, between two lists of a cluster
WATCHED = timedelta(seconds=1)  # how often it is seen whether something is there again


class SecondLooks:
    """Takes the looks that `Looks` wants; `ended` is told the cluster and whether it was listed."""

    def __init__(
        self, lookout: Lookout, looks: Looks, ended: Callable[[str, bool], None]
    ) -> None:
        self._lookout = lookout
        self._looks = looks
        self._ended = ended
        self._running: dict[str, asyncio.Task[None]] = {}
        self._watched: datetime | None = None
        self._not_before: dict[str, datetime] = {}
        self._listed: dict[str, datetime] = {}

    def start(self, guards: Guards, now: datetime) -> None:
        """Begin the looks that are due. Raises what ended an earlier one unexpectedly."""
        for cluster, task in list(self._running.items()):
            if task.done():
                del self._running[cluster]
                task.result()
        self._forget(now)
        due = {cluster for at, cluster in self._looks.due(guards) if at <= now}
        for cluster in sorted(due - self._running.keys()):
            if self._not_before.get(cluster, now) <= now:
                self._not_before[cluster] = now + max(guards.grace / 2, RETRY)
                task = asyncio.create_task(self._look(cluster), name=f"look {cluster}")
                self._running[cluster] = task

    def _forget(self, now: datetime) -> None:
        """Forget looks at what is there again, told or not: news of what flaps are told late."""
        if self._watched is not None and now - self._watched < WATCHED:
            return
        self._watched = now
        for cluster, units in self._looks.missing().items():
            view = self._lookout.view(cluster)
            if view is not None and not isinstance(view.objects, Unknown):
                there = {(e.namespace, e.name) for e in view.objects.virtual_services}
                self._looks.forget(
                    unit for unit in units if (unit.namespace, unit.name) in there
                )

    def next_at(self, guards: Guards, now: datetime) -> datetime | None:
        """When the next look is due; `None` while nothing is missing."""
        if not self._looks:
            return None
        return min((now + WATCHED, *self._appointments(guards)))

    def _appointments(self, guards: Guards) -> Iterator[datetime]:
        for at, cluster in self._looks.due(guards):
            if cluster not in self._running or self._running[cluster].done():
                yield max(at, self._not_before.get(cluster, at))

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

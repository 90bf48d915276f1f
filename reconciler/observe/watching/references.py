"""What objects of a hub name (Secrets, kubeconfigs on request), fetched and kept fresh (does I/O).

The last good answer counts while asking fails for a while, but for "there is none": a hub that
hesitates takes no cluster's credentials away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from reconciler.kube import KubeApi, KubeError, NotFound
from reconciler.model.clusters import Why
from reconciler.observe.inventories.hub import FETCHES, fetch
from reconciler.observe.inventories.source import Fetched, Json, Reference
from reconciler.observe.watching.together import first_failure
from reconciler.observe.watching.world import World
from reconciler.settings import Inventory

SOON = 5.0
"""Seconds after which credentials that are refused are fetched anew; then ever later."""


@dataclass(slots=True)
class _Known:
    """What a reference led to, since when asking fails, and when it is asked for again."""

    value: Json | KubeError | None = None
    asked: float = float("-inf")
    due: float = float("-inf")
    failing: float | None = None
    tries: int = 0
    refusals: int = 0
    flies: bool = False


class _Answers(dict[Reference, Json | KubeError]):
    """Answers; of what was never asked for nothing is known yet."""

    def __missing__(self, reference: Reference) -> KubeError:
        return KubeError("not fetched yet", reference.path, why=Why.INCOMPLETE)


NOTHING: Fetched = _Answers()


class References:
    """All references of one hub. `told` is called when one of them leads to something else."""

    def __init__(
        self, inventory: Inventory, world: World, told: Callable[[], None]
    ) -> None:
        self._inventory = inventory
        self._world = world
        self._told = told
        self._known: dict[Reference, _Known] = {}
        self._wake = asyncio.Event()
        self._answered = asyncio.Event()

    def want(self, wanted: Iterable[Reference]) -> None:
        """These are needed from now on, and no others."""
        before = self._known
        self._known = {each: before.get(each, _Known()) for each in wanted}
        self._stir()

    async def ready(self, seconds: float) -> None:
        """Wait until each was asked for, no longer than some seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while any(each.value is None for each in self._known.values()):
                    self._answered.clear()
                    await self._answered.wait()

    def fetched(self) -> Fetched:
        """What all of them led to."""
        return _Answers(
            (reference, known.value)
            for reference, known in self._known.items()
            if known.value is not None
        )

    def refused(self, cluster: str) -> None:
        """A cluster does not take its credentials: others may be there already."""
        for reference, known in self._known.items():
            if reference.of and self._inventory.called(reference.of) != cluster:
                continue
            rest = min(SOON * 2 ** min(known.refusals, 16), reference.seconds)
            known.refusals += 1
            known.due = min(known.due, known.asked + rest)
        self._stir()

    async def run(self, api: KubeApi) -> None:
        """Fetch what is due until cancelled."""
        await first_failure(*(self._work(api) for _ in range(FETCHES)))

    async def _work(self, api: KubeApi) -> None:
        while True:
            reference = self._next()
            if reference is None:
                await self._idle()
                continue
            known = self._known[reference]
            known.flies = True
            try:
                answer = await fetch(api, reference)
            finally:
                known.flies = False
            self._learn(reference, known, answer)

    def _next(self) -> Reference | None:
        now = asyncio.get_running_loop().time()
        due = (
            each
            for each, known in self._known.items()
            if not known.flies and known.due <= now
        )
        return next(due, None)

    async def _idle(self) -> None:
        loop = asyncio.get_running_loop()
        times = [each.due for each in self._known.values() if not each.flies]
        rest = max(0.05, min(times) - loop.time()) if times else None
        with suppress(TimeoutError):
            async with asyncio.timeout(rest):
                await self._wake.wait()

    def _stir(self) -> None:
        """Wake whoever waits now, and nobody later."""
        self._wake.set()
        self._wake.clear()

    def _learn(
        self, reference: Reference, known: _Known, answer: Json | KubeError
    ) -> None:
        now = asyncio.get_running_loop().time()
        known.asked = now
        if isinstance(answer, KubeError):
            known.tries += 1
            known.due = now + min(2.0 ** min(known.tries, 16), reference.seconds)
            if not isinstance(answer, NotFound):
                known.failing = now if known.failing is None else known.failing
                spell = now - known.failing
                if _is_good(known.value) and spell < self._world.pace.deadline:
                    return
        else:
            known.tries, known.failing = 0, None
            known.due = now + reference.seconds * (0.75 + self._world.chance() / 2)
        if not _same(known.value, answer):
            known.value, known.refusals = answer, 0
            self._told()
        self._answered.set()


def _is_good(value: Json | KubeError | None) -> bool:
    return value is not None and not isinstance(value, KubeError)


def _same(one: Json | KubeError | None, other: Json | KubeError) -> bool:
    if isinstance(one, KubeError) and isinstance(other, KubeError):
        return str(one) == str(other)
    return one == other

"""Watches 20 healthy clusters and hostile ones, in a process of its own.

    python -m tests.hostile.watching FOLDER BEHAVIOUR[+BEHAVIOUR...] ...

One line of JSON for each argument; an empty one is the healthy clusters alone. Healthy clusters
change while the hostile ones do what they do, and it is noted how long their updates take.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from reconciler.model.clusters import Unknown
from reconciler.observe.watching import Pace, Watcher
from reconciler.settings import Settings
from tests.hostile.observing import Servers, both, digest, kubeconfig, memory
from tests.hostile.serving import CANARY, HEALTHY
from tests.hostile.watch_evils import watch_evils
from tests.kubeserver import serving

PACE = Pace(
    watch=(20.0, 30.0),
    silence=2.0,
    deadline=3.0,
    steady=0.5,
    relist=1.0,
    backoff=0.2,
    backoff_longest=2.0,
)
TOUCHED = ("c05", "c11", "c17")
LONGEST = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What it was like: seconds until each change of a healthy cluster was told, 0 for never.

    `unknown` says why (when it was first seen), `after` how many seconds after the first lists that was known.
    `requests` are from the first lists on. `mebibytes` is the rise over the first lists.
    """

    behaviours: tuple[str, ...]
    told: dict[str, float]
    unknown: dict[str, tuple[str, str]]
    after: dict[str, float]
    others: dict[str, str]
    mebibytes: float
    cpu: float
    seconds: float
    threads: int
    descriptors: int
    requests: dict[str, int]
    canary: int


class Scene:
    """A watcher and what was heard of it."""

    def __init__(self, settings: Settings, behaviours: tuple[str, ...]) -> None:
        self.watcher = Watcher(settings, pace=PACE)
        self.behaviours = behaviours
        self.heard: dict[str, asyncio.Event] = {name: asyncio.Event() for name in TOUCHED}  # fmt: skip
        self.after: dict[str, float] = {}
        self.reasons: dict[str, tuple[str, str]] = {}
        self.began = 0.0

    async def pump(self) -> None:
        """Take updates as they come."""
        while True:
            update = await self.watcher.updates.get()
            if update.cluster in self.heard and update.deltas:
                self.heard[update.cluster].set()

    async def change(self, good: Servers, name: str) -> float:
        """Seconds until a change of a healthy cluster was told."""
        self.heard[name].clear()
        started = time.monotonic()
        await asyncio.to_thread(good.asked, name)
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST):
                await self.heard[name].wait()
                return time.monotonic() - started
        return 0.0

    def degraded(self) -> bool:
        """Whether each hostile cluster that must be unknown is."""
        all_of_them = watch_evils(1)
        wanted = {name for name in self.behaviours if all_of_them[name].why}
        for name in wanted - self.after.keys():
            view = self.watcher.view(name)
            if view is not None and isinstance(view.objects, Unknown):
                self.after[name] = time.monotonic() - self.began
                self.reasons[name] = view.objects.why.value, view.objects.message
        return wanted <= self.after.keys()

    async def degrade(self) -> None:
        """Wait for that."""
        while not self.degraded() and time.monotonic() - self.began < LONGEST:
            await asyncio.sleep(0.05)


async def scene(
    settings: Settings, names: tuple[str, ...], good: Servers, bad: Servers
) -> Seen:
    """Watch until everything that must happen has."""
    acted = Scene(settings, names)
    watcher = acted.watcher
    tasks = [asyncio.create_task(watcher.run()), asyncio.create_task(acted.pump())]
    await watcher.settled()
    await asyncio.to_thread(good.asked)
    before = await asyncio.to_thread(bad.asked)
    acted.began, cpu, base = time.monotonic(), time.process_time(), memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    degrading = asyncio.create_task(acted.degrade())
    await asyncio.sleep(0.5)
    told = {name: await acted.change(good, name) for name in TOUCHED}
    await degrading
    views = {view.entry.name: view for view in watcher.snapshot().clusters}
    unknown = {
        name: (view.objects.why.value, view.objects.message)
        for name, view in views.items()
        if isinstance(view.objects, Unknown)
    } | acted.reasons
    after = await asyncio.to_thread(bad.asked)
    seen = Seen(
        behaviours=names,
        told=told,
        unknown=unknown,
        after=acted.after,
        others={name: digest(views[name]) for name in HEALTHY},
        mebibytes=memory("VmHWM") - base,
        cpu=time.process_time() - cpu,
        seconds=time.monotonic() - acted.began,
        threads=threading.active_count(),
        descriptors=len(list(Path("/proc/self/fd").iterdir())),
        requests={name: after[name] - before[name] for name in names},
        canary=after[f"{CANARY}/connections"] - before[f"{CANARY}/connections"],
    )
    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended
    return seen


def scenes(folder: Path, wanted: list[str]) -> Iterator[Seen]:
    """Each scene as it ends."""
    serving(folder)
    with both(folder, 20) as (good, bad):
        healthy = {name: good.ports[name] for name in HEALTHY}
        for group in wanted:
            names = tuple(filter(None, group.split("+")))
            hostile = {name: bad.ports[name] for name in names}
            settings = kubeconfig(folder, {**hostile, **healthy}, mebibytes=8)
            yield asyncio.run(scene(settings, names, good, bad))


def main() -> None:
    """Print a line for each scene."""
    for seen in scenes(Path(sys.argv[1]), sys.argv[2:]):
        print(json.dumps(asdict(seen)), flush=True)


if __name__ == "__main__":
    main()

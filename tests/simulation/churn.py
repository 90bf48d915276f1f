"""An hour of tenants, networks and people, and `wharfinger run` in the midst of it."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import threading
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from reconciler import metrics, yamlio
from reconciler.errors import Exit
from reconciler.live.loop import Loop
from reconciler.live.means import Means, Orders
from reconciler.live.worker import Inline
from reconciler.model.clusters import Snapshot
from reconciler.model.pins import Pins
from reconciler.passes import Eyes, Memory, PassOptions, PassResult
from reconciler.repo import Credentials, Remote, Repository
from reconciler.run import one_pass
from reconciler.settings import Settings
from tests.integration.remotes import Place, git
from tests.simulation.clock import now
from tests.simulation.fleet import NAMESPACE, Fleet, FleetWatcher, Sky, exposed

KINDS = ("whole", "slice")
NOISY = ("c0000", "vs0")
DELETIONS_A_CLUSTER = 3  # what the budget allows in a day
SETTINGS = {
    "apiVersion": "wharfinger.dev/v1alpha1",
    "kind": "Settings",
    "domain": "example.com",
    "gateways": [
        {
            "name": "public",
            "renderer": "envoy",
            "namespace": "ingress",
            "ports": {"range": "20000-44999"},
        }
    ],
    "inventories": [{"name": "lab", "directory": {"path": "/nowhere"}}],
    "tenants": [
        {"clusters": ["*"], "gateways": ["public"], "endpoints": ["10.20.0.0/16"]}
    ],
    "apis": {"mode": "off"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much of what; `churn` is the part of all exposures that changes in a minute."""

    clusters: int
    exposures: int
    minutes: int
    churn: float = 0.01
    flapping: float = 0.05
    seed: int = 5

    @property
    def seconds(self) -> float:
        return self.minutes * 60.0

    def is_flapping(self, index: int) -> bool:
        every = round(1 / self.flapping)
        return index % every == every - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What a tenant did to an object, or a person to its file, and when."""

    at: float
    cluster: str
    name: str
    kind: str

    @property
    def wish(self) -> str:
        return f"manifests/public/{self.cluster}/{NAMESPACE}/vs-{self.name}.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """What the process holds at some time; `packs` are open files of the clone, `descriptors` all others.

    git makes a pack of what it fetches, and one of many when there are more than thirty.
    """

    objects: int
    threads: int
    descriptors: int
    packs: int
    commits: int


@dataclass(slots=True)
class Hour:
    """What happened."""

    size: Size
    place: Place
    fleet: Fleet
    events: list[Event] = field(default_factory=list)
    gauges: list[Gauge] = field(default_factory=list)
    passes: dict[str, float] = field(default_factory=dict)
    ended: Exit | None = None
    after: PassResult | None = None


class Churn:
    """Plays one hour. Everything that happens is a function of the size's seed."""

    def __init__(self, root: Path, size: Size) -> None:
        self._size = size
        self._random = random.Random(size.seed)
        self._root = root
        self._versions: Counter[tuple[str, str]] = Counter()
        self._deleted: Counter[str] = Counter()
        place, fleet = Place(root), Fleet()
        for index in range(size.clusters):
            fleet.add(f"c{index:04}", size.exposures)
        text = yamlio.dump(SETTINGS)
        place.commits("wharfinger.yaml", text, "Set up")
        self.hour = Hour(size=size, place=place, fleet=fleet)

    async def play(self) -> Hour:
        """The hour, and some quiet minutes after it."""
        means = Means(
            repository=self._open(),
            proving=self._open(),
            watch=self._watch,
            passes=Inline(),
            proofs=Inline(),
            now=now,
            chance=self._random.random,
        )
        options = PassOptions(wait=False)
        loop = Loop(means, Orders(options=options, write_back="off"))
        before = {kind: _passes(kind) for kind in KINDS}
        running = asyncio.create_task(loop.run())
        await asyncio.sleep(1)
        others = [asyncio.create_task(each) for each in self._actors()]
        await asyncio.gather(*others)
        for name, cluster in self.hour.fleet.clusters.items():
            if cluster.sky[-1][1] is not Sky.CLEAR:
                self.hour.fleet.turn(name, Sky.CLEAR)
        await asyncio.sleep(240)
        loop.stop()
        self.hour.ended = await running
        self.hour.passes = {kind: _passes(kind) - before[kind] for kind in KINDS}
        self.hour.after = await self._pass_over_all()
        return self.hour

    def _actors(self) -> list[Coroutine[Any, Any, None]]:
        flapping = [
            name
            for index, name in enumerate(self.hour.fleet.clusters)
            if self._size.is_flapping(index)
        ]
        return [
            self._tenants(),
            self._noise(),
            self._people(),
            self._gauges(),
            *(self._flap(name) for name in flapping),
        ]

    def _watch(self, settings: Settings) -> FleetWatcher:
        return self.hour.fleet.watch()

    def _open(self) -> Repository:
        remote = Remote(url=str(self.hour.place.bare), credentials=Credentials())
        return Repository.open(remote, self._root / "cache", renderer=2)

    async def _pass_over_all(self) -> PassResult:
        """What a new process would do that reads everything."""
        fleet = self.hour.fleet

        async def observe(
            _: Settings, only: frozenset[str] | None, pins: Pins
        ) -> Snapshot:
            views = tuple(fleet.seen(name) for name in sorted(fleet.clusters))
            return Snapshot(clusters=views)

        eyes = Eyes(observe=observe, now=now)
        options = PassOptions(wait=False, commit=False)
        return await one_pass(self._open(), options, Memory(), eyes)

    # Actors

    async def _tenants(self) -> None:
        """Some exposures change, go and come."""
        total = self._size.clusters * self._size.exposures
        pause = 60 / (total * self._size.churn)
        while _time() < self._size.seconds:
            await asyncio.sleep(self._random.uniform(0.2 * pause, 1.8 * pause))
            cluster = self._random.choice(list(self.hour.fleet.clusters.values()))
            names = [n for n in cluster.objects if (cluster.name, n) != NOISY]
            kind = self._random.choices(("change", "delete", "create"), (8, 1, 1))[0]
            if kind == "create" or not names:
                name = f"new{self._versions.total()}"
                self._do("create", cluster.name, name)
            elif kind == "delete" and self._may_delete(cluster.name, len(names)):
                self._deleted[cluster.name] += 1
                self._do("delete", cluster.name, self._random.choice(names))
            else:
                self._do("change", cluster.name, self._random.choice(names))

    def _may_delete(self, cluster: str, left: int) -> bool:
        return left > 1 and self._deleted[cluster] < DELETIONS_A_CLUSTER

    async def _noise(self) -> None:
        """One tenant never rests."""
        while _time() < self._size.seconds:
            await asyncio.sleep(1)
            self._do("change", *NOISY)

    async def _flap(self, cluster: str) -> None:
        """A cluster cannot be seen now and then, or lies that it is empty."""
        while _time() < self._size.seconds:
            await asyncio.sleep(self._random.uniform(20, 120))
            sky = self._random.choice((Sky.DARK, Sky.EMPTY))
            self.hour.fleet.turn(cluster, sky)
            await asyncio.sleep(self._random.uniform(1, 45))
            self.hour.fleet.turn(cluster, Sky.CLEAR)

    async def _people(self) -> None:
        """Somebody takes a commit of ours back."""
        while _time() < self._size.seconds - 120:
            await asyncio.sleep(self._random.uniform(60, 240))
            found = self._ours_that_changed()
            if found:
                self._revert(*self._random.choice(found))

    def _ours_that_changed(self) -> list[tuple[str, str]]:
        """(commit, wish file) of late commits that changed one wish which is still so."""
        bare = self.hour.place.bare
        out = git(bare, "log", "-40", "--format=%x00%H", "--raw", "--no-abbrev", "main")
        found, seen = [], set()
        for block in out.split("\0")[1:]:
            commit, *lines = block.strip().splitlines()
            changed = [line.split("\t")[1] for line in lines if line.startswith(":")]
            mine = [path for path in changed if "/vs-" in path]
            wishes = [path for path in mine if not path.endswith(".endpoints.yaml")]
            noise = f"/{NOISY[0]}/"
            modified = all(" M\t" in line for line in lines if line.startswith(":"))
            alone = len(wishes) == 1 and modified and not seen & set(changed)
            if alone and noise not in wishes[0]:
                found.append((commit, wishes[0]))
            seen.update(changed)
        return found

    def _revert(self, commit: str, wish: str) -> None:
        work = self.hour.place.person()
        at = f"{now():%Y-%m-%dT%H:%M:%SZ}"
        dates = {"GIT_AUTHOR_DATE": at, "GIT_COMMITTER_DATE": at}
        git(work, "revert", "--no-edit", commit, **dates)
        git(work, "push", "-q", "origin", "HEAD:main")
        _, _, cluster, _, file = wish.split("/")
        name = file.removeprefix("vs-").removesuffix(".yaml")
        self._note("revert", cluster, name)

    async def _gauges(self) -> None:
        """What the process holds, six times in the hour."""
        for _ in range(6):
            await asyncio.sleep(self._size.seconds / 6)
            gc.collect()
            count = git(self.hour.place.bare, "rev-list", "--count", "main")
            open_files = _open_files()
            root = str(self.hour.place.root)
            # Other tests of this process may hold their own clones open.
            packs = sum(".pack" in each for each in open_files)
            mine = sum(".pack" in e and e.startswith(root) for e in open_files)
            gauge = Gauge(
                objects=len(gc.get_objects()),
                threads=threading.active_count(),
                descriptors=len(open_files) - packs,
                packs=mine,
                commits=int(count),
            )
            self.hour.gauges.append(gauge)

    def _do(self, kind: str, cluster: str, name: str) -> None:
        self._versions[(cluster, name)] += 1
        version = self._versions[(cluster, name)]
        new = None if kind == "delete" else exposed(name, version)
        if kind == "create" and new is not None:
            new = replace(new, uid=f"uid-{name}-{version}")
        self.hour.fleet.apply(cluster, name, new)
        self._note(kind, cluster, name)

    def _note(self, kind: str, cluster: str, name: str) -> None:
        event = Event(at=_time(), cluster=cluster, name=name, kind=kind)
        self.hour.events.append(event)


def _passes(kind: str) -> float:
    """How many passes of a kind this process has made."""
    return metrics.KINDS.labels(kind=kind)._value.get()


def _open_files() -> list[str]:
    """What the descriptors of this process name; the one that lists them is not among them."""
    found = []
    for each in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/self/fd/{each}"))
    return found


def _time() -> float:
    return asyncio.get_running_loop().time()

"""One changed exposure, from the event to the pushed commit, beside git's own commands.

    python -m tests.bench.event --sizes 1000,10000,100000 --changes 15

For each size a first pass over directories makes the repository, which is then copied: both sides
push to remotes of the same content on the same disk, and take turns. Ours is what `run` does when a
quiet window has ended: the delta of one VirtualService (its weight), the claims of its unit, a
slice planned and rendered, a commit pushed, the index brought to it. The peer is a careful person
at a shell with a warm index who knows the bytes already (`tests/bench/onechange.py`). Medians.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from reconciler.live.claiming import Claims
from reconciler.live.means import Means, Orders
from reconciler.live.passing import Passing
from reconciler.live.worker import Inline
from reconciler.model.clusters import ClusterObjects, ClusterView, VirtualService
from reconciler.model.pins import Pins
from reconciler.model.updates import Delta, Update
from reconciler.passes import OWN_EYES, Eyes, Memory, PassOptions
from reconciler.repo import Credentials, Remote, Repository
from tests.bench.__main__ import git, set_up
from tests.bench.onechange import Shell
from tests.bench.ratio import Ratio, machine, table
from tests.bench.worlds import PER_CLUSTER

GOALS = {1_000: 1.5, 10_000: 1.5, 100_000: 1.0}


class Known:
    """What a lookout knows when every cluster has been read once."""

    def __init__(self) -> None:
        self.views: dict[str, ClusterView] = {}

    def view(self, cluster: str) -> ClusterView | None:
        """A cluster as it is known now."""
        return self.views.get(cluster)

    def untold(self, cluster: str) -> bool:
        """Every change is told at once."""
        return False

    def failures(self) -> tuple[()]:
        """No inventory failed."""
        return ()

    def pinned(self, pins: Pins) -> None:
        """Nothing that is looked at here has a CA."""

    def eyes(self) -> Eyes:
        """The first pass reads the directories itself."""
        return OWN_EYES


class Run:
    """The part of `run` between a quiet window and the end of a push."""

    def __init__(self, remote: Path, folder: Path) -> None:
        here = Remote(url=str(remote), credentials=Credentials())
        works = Inline()
        means = Means(
            repository=Repository.open(here, folder / "cache", 2),
            proving=Repository.open(here, folder / "cache", 2),
            watch=_nobody,
            passes=works,
            proofs=works,
        )
        self.known = Known()
        lookout: Any = self.known
        orders = Orders(options=PassOptions(wait=False), write_back="off")
        self._passing = Passing(means, orders, Memory(), lookout)
        self._claims: Claims | None = None

    async def start(self) -> None:
        """The pass over everything."""
        made = await self._passing.whole()
        if made.result.failure is not None or made.result.settings is None:
            raise SystemExit(f"the first pass failed: {made.result.failure}")
        self.known.views = {c.view.entry.name: c.view for c in made.result.claims}
        self._claims = Claims(made.result.settings, self.known)
        for name in self.known.views:
            self._claims.note(Update(cluster=name, deltas=None))
        while self._passing.get_ready(self._claims):
            continue

    async def change(self, cluster: str, index: int) -> float:
        """Another weight of one VirtualService; seconds until the remote has it."""
        view = self.known.views[cluster]
        objects, before, after = moved(view, index)
        self.known.views[cluster] = replace(view, objects=objects)
        if self._claims is None:
            raise AssertionError("not started")
        started = time.perf_counter()
        update = Update(cluster=cluster, deltas=(Delta(old=before, new=after),))
        keys = self._claims.note(update)
        made = await self._passing.slice(keys, self._claims)
        seconds = time.perf_counter() - started
        if made is None or made.result.commit is None:
            raise SystemExit("the change made no commit of its own")
        return seconds


def _nobody(_: object) -> Any:
    raise AssertionError("nothing is watched here")


def moved(
    view: ClusterView, index: int
) -> tuple[ClusterObjects, VirtualService, VirtualService]:
    """A cluster with another weight in one of its VirtualServices, and that before and after."""
    objects = view.objects
    if not isinstance(objects, ClusterObjects):
        raise AssertionError("the cluster is unknown")
    before = objects.virtual_services[index]
    (entry,) = before.spec["tcp"]  # type: ignore[misc]
    (share,) = entry["route"]
    weight = 100 + share["weight"] % 100 + 1
    tcp = [{**entry, "route": [{**share, "weight": weight}]}]
    after = replace(before, spec={**before.spec, "tcp": tcp})
    services = list(objects.virtual_services)
    services[index] = after
    return replace(objects, virtual_services=tuple(services)), before, after


def written(remote: Path) -> Iterator[tuple[str, bytes]]:
    """The files of the newest commit."""
    names = git(remote, "diff-tree", "-r", "--name-only", "--no-commit-id", "main")
    for name in names.splitlines():
        argv = ["git", "cat-file", "blob", f"main:{name}"]
        done = subprocess.run(argv, cwd=remote, check=True, capture_output=True)
        yield name, done.stdout


async def measured(exposures: int, changes: int, seed: int) -> Ratio:
    """One size."""
    some = random.Random(seed)
    clusters = max(1, exposures // PER_CLUSTER)
    took: dict[str, list[float]] = {"git": [], "ours": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        remote = set_up(folder, exposures, clusters)
        ours = Run(remote, folder)
        await ours.start()
        other = folder / "other.git"
        shutil.copytree(remote, other)
        shell = Shell(other, folder)
        for _ in range(changes):
            cluster = f"c{some.randrange(clusters):04}"
            seconds = await ours.change(cluster, some.randrange(PER_CLUSTER))
            took["ours"].append(seconds)
            files: dict[str, bytes | None] = dict(written(remote))
            started = time.perf_counter()
            shell.change(files)
            took["git"].append(time.perf_counter() - started)
    return Ratio(
        what=f"one changed exposure of {exposures}: event to pushed commit",
        peer="git plumbing and push, warm index",
        ours=1000 * median(took["ours"]),
        theirs=1000 * median(took["git"]),
        unit="ms",
        goal=GOALS.get(exposures, 1.5),
    )


def rows(sizes: tuple[int, ...], changes: int = 15, seed: int = 1) -> list[Ratio]:
    """A row a size."""
    return [asyncio.run(measured(size, changes, seed)) for size in sizes]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="1000,10000,100000", help="exposures")
    parser.add_argument("--changes", type=int, default=15)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    os.environ["WHARFINGER_LOG_LEVEL"] = "error"
    sizes = tuple(map(int, given.sizes.split(",")))
    print(f"{machine()}\n\n{table(rows(sizes, given.changes, given.seed))}")


if __name__ == "__main__":
    main()

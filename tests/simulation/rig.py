"""A small fleet, a real repository and a loop in simulated time, for one story at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from reconciler import metrics, yamlio
from reconciler.errors import Exit
from reconciler.live.loop import Loop
from reconciler.live.means import Means, Orders
from reconciler.live.worker import Inline
from reconciler.passes import PassOptions
from reconciler.repo import Credentials, Remote, Repository
from reconciler.settings import Settings
from tests.integration.remotes import Place, git
from tests.simulation.churn import SETTINGS
from tests.simulation.clock import START, now, simulate
from tests.simulation.fleet import NAMESPACE, Fleet, FleetWatcher


class Rig:
    """Clusters c1 and c2 with three exposures each, and nobody but the story who changes them."""

    def __init__(self, root: Path, **overrides: Any) -> None:
        self.root = root
        self.place = Place(root)
        self.fleet = Fleet()
        for name in ("c1", "c2"):
            self.fleet.add(name, 3)
        self.ended: Exit | None = None
        text = yamlio.dump({**SETTINGS, **overrides})
        self.place.commits("wharfinger.yaml", text, "Set up")

    def play(self, story: Callable[[Rig], Awaitable[None]]) -> None:
        """Run a loop beside the story, which begins when everything is in Git."""

        async def main() -> None:
            orders = Orders(
                options=PassOptions(wait=False), write_back="off", interval=60.0
            )
            loop = Loop(self._means(), orders)
            running = asyncio.create_task(loop.run())
            await asyncio.sleep(30)
            assert not running.done(), running
            await story(self)
            loop.stop()
            self.ended = await running

        simulate(main)

    def watch(self, settings: Settings) -> FleetWatcher:
        """Somebody who watches the fleet."""
        return self.fleet.watch()

    def _means(self) -> Means:
        return Means(
            repository=self._open(),
            proving=self._open(),
            watch=self.watch,
            passes=Inline(),
            proofs=Inline(),
            now=now,
            chance=lambda: 1.0,
        )

    def _open(self) -> Repository:
        remote = Remote(url=str(self.place.bare), credentials=Credentials())
        return Repository.open(remote, self.root / "cache", renderer=2)

    def pushed(self, cluster: str, name: str) -> list[tuple[float, str]]:
        """(seconds since the start, A, M or D) of our commits that changed a wish, oldest first."""
        path = f"manifests/public/{cluster}/{NAMESPACE}/vs-{name}.yaml"
        shape = ("--format=%x00%cI", "--raw", "--no-renames", "--author=wharfinger")
        out = git(self.place.bare, "log", "--reverse", *shape, "main", "--", path)
        found = []
        for block in out.split("\0")[1:]:
            time, line = block.split()[0], block.strip().splitlines()[-1]
            at = (datetime.fromisoformat(time) - START).total_seconds()
            found.append((at, line.split("\t")[0][-1]))
        return found

    def tip(self) -> str:
        """Where the branch is."""
        return self.place.tip()

    def show(self, path: str) -> str:
        """A file at the tip."""
        return git(self.place.bare, "show", f"main:{path}")

    def files(self) -> list[str]:
        """All files at the tip."""
        return git(self.place.bare, "ls-tree", "-r", "--name-only", "main").split()


def time() -> float:
    """Seconds since the start."""
    return asyncio.get_running_loop().time()


def made(kind: str) -> float:
    """How many passes of a kind this process has made."""
    return metrics.KINDS.labels(kind=kind)._value.get()


def missed() -> float:
    """How many units hourly passes changed that slices had not."""
    return metrics.MISSED._value.get()

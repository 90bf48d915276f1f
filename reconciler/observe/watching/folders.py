"""The clusters of a directory, known all the time: only folders that changed are read (I/O)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from reconciler.model.clusters import ClusterView, Unknown, Why
from reconciler.observe.fingerprints import look
from reconciler.observe.folders import read_cluster
from reconciler.observe.watching.hands import Hands
from reconciler.observe.watching.store import Changes, difference
from reconciler.observe.watching.world import World
from reconciler.settings import Inventory

SHARE = 20.0
"""Looking takes at most one part in so many of the time."""
TRIES = 3
RESTED = 2_000_000_000
MOVING = "it changes all the time while it is read"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Folder:
    """One cluster's folder as it was read last; `print` is empty when it would not rest."""

    print: str
    view: ClusterView


class DirectoryWatch:
    """The folders of a directory."""

    def __init__(
        self,
        inventory: Inventory,
        world: World,
        hands: Hands,
        only: frozenset[str] | None,
    ) -> None:
        if inventory.directory is None:
            raise AssertionError("not a directory inventory")
        self.inventory = inventory
        self.failure: Unknown | None = None
        self._root = Path(inventory.directory.path)
        self._world = world
        self._hands = hands
        self._only = only
        self._folders: dict[str, _Folder] = {}
        self._restless: dict[str, float] = {}
        self._looking = asyncio.Lock()
        self._settled = asyncio.Event()

    def views(self) -> Iterator[ClusterView]:
        """What is known of each cluster; nothing while the directory cannot be read."""
        if self.failure is None:
            yield from (each.view for each in self._folders.values())

    async def wait(self) -> None:
        """Wait for the first look."""
        await self._settled.wait()

    async def look_again(self, names: frozenset[str]) -> None:
        """Read the folders of these clusters anew."""
        async with self._looking:
            mine = [
                folder
                for folder, each in self._folders.items()
                if each.view.entry.name in names
            ]
            with self._patience():
                for folder in mine:
                    await self._folder(folder, anew=True)

    async def run(self) -> None:
        """Look until cancelled."""
        loop, pace = asyncio.get_running_loop(), self._world.pace
        while True:
            began = loop.time()
            await self._look()
            self._settled.set()
            took = loop.time() - began
            rest = min(
                took * SHARE, pace.deadline
            )  # a hang is waited out, not paid back
            await asyncio.sleep(max(pace.folders, rest))

    async def _look(self) -> None:
        async with self._looking:
            with self._patience():
                await self._compare()

    async def _compare(self) -> None:
        names = await self._hands.do(partial(_names, self._root))
        if isinstance(names, Unknown):
            self._fail(names)
            return
        known = dict(self._folders)
        stale = await self._hands.do(partial(_stale, self._root, names, known))
        if self.failure is not None:
            self.failure = None
            self._tell_all()
        for name in [each for each in self._folders if each not in names]:
            self._gone(name)
        for name in stale:
            if self._only is None or self._name(name) in self._only:
                await self._folder(name, anew=False)

    @contextmanager
    def _patience(self) -> Iterator[None]:
        """A file system that does not answer makes all of the inventory unknown, and says so."""
        try:
            yield
        except TimeoutError:
            self._fail(self._hands.late(str(self._root)))

    async def _folder(self, name: str, *, anew: bool) -> None:
        before = None if anew else self._folders.get(name)
        found = await self._hands.do(partial(self._read, name, before))
        loop = asyncio.get_running_loop()
        if found is not None and found.print:
            self._restless.pop(name, None)
        elif found is not None:
            since = self._restless.setdefault(name, loop.time())
            late = loop.time() - since >= self._world.pace.deadline
            if before is not None and not late and _is_moving(found.view):
                return
        if found is not None:
            self._take(name, found)

    def _read(self, name: str, before: _Folder | None) -> _Folder | None:
        """The folder, `None` when it is as before (runs in the thread).

        What changes while it is read is not believed; what has only just been changed is
        believed, and read once more.
        """
        path = self._root / name
        now = look(path)
        if before is not None and before.print == now.print:
            return None
        for _ in range(TRIES):
            view = read_cluster(path, self.inventory)
            earlier, now = now, look(path)
            if earlier == now:
                rested = time.time_ns() - now.newest > RESTED
                return _Folder(print=now.print if rested else "", view=view)
        unknown = Unknown(why=Why.UNREADABLE, message=f"{path}: {MOVING}")
        entry = replace(view.entry, cluster_id="")
        return _Folder(print="", view=ClusterView(entry=entry, objects=unknown))

    def _take(self, name: str, found: _Folder) -> None:
        before = self._folders.get(name)
        self._folders[name] = found
        old = before.view if before else None
        new, cluster = found.view, found.view.entry.name
        if old == new:
            return
        changes = changes_of(old, new)
        if changes is not None:
            self._world.updates.changed(cluster, changes)
        else:
            self._world.moved()
            self._world.updates.whole(cluster)

    def _gone(self, name: str) -> None:
        gone = self._folders.pop(name)
        self._world.moved()
        self._world.updates.whole(gone.view.entry.name)

    def _fail(self, reason: Unknown) -> None:
        if self.failure is None:
            self.failure = reason
            self._tell_all()

    def _tell_all(self) -> None:
        self._world.moved()
        for each in self._folders.values():
            self._world.updates.whole(each.view.entry.name)

    def _name(self, folder: str) -> str:
        return self.inventory.names.get(folder, folder)


def _is_moving(view: ClusterView) -> bool:
    return isinstance(view.objects, Unknown) and view.objects.message.endswith(MOVING)


def changes_of(old: ClusterView | None, new: ClusterView) -> Changes | None:
    """What changed; `None` where the cluster must be looked at as a whole."""
    if old is None or old.entry != new.entry:
        return None
    if isinstance(old.objects, Unknown) or isinstance(new.objects, Unknown):
        return None
    return difference(old.objects, new.objects)


def _stale(root: Path, names: list[str], known: dict[str, _Folder]) -> list[str]:
    """Those that are not as they were read (runs in the thread)."""
    return [
        name
        for name in names
        if name not in known or known[name].print != look(root / name).print
    ]


def _names(root: Path) -> list[str] | Unknown:
    try:
        return sorted(
            each.name
            for each in root.iterdir()
            if each.is_dir() and not each.name.startswith(".")
        )
    except OSError as exc:
        message = f"{root}: {exc.strerror or 'cannot be read'}"
        return Unknown(why=Why.UNREADABLE, message=message)

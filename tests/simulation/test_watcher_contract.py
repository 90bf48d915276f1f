"""What the loop relies on of a watcher, held against the one in memory and against the real one."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Protocol

import pytest

from reconciler.live.lookout import Watching
from reconciler.model.clusters import Unknown, VirtualService
from reconciler.model.updates import Delta, Update
from tests.kubeserver import serving
from tests.simulation.fleet import Fleet, Sky, exposed
from tests.stack.certificates import Authority, Issued
from tests.watching import FakeCluster, Place, watched

Made = tuple[Authority, Issued]
Stories = Callable[[Callable[["Stage"], Awaitable[None]]], None]


class Stage(Protocol):
    """A cluster eu1 that is watched, with one VirtualService `vs0`."""

    watcher: Watching

    def put(self, name: str, version: int) -> None: ...
    def drop(self, name: str) -> None: ...
    def dark(self) -> None: ...
    def clear(self) -> None: ...


class InMemory:
    """Of a fleet, as the simulation has it."""

    def __init__(self) -> None:
        self._fleet = Fleet()
        self._fleet.add("eu1", 1)
        self.watcher: Watching = self._fleet.watch()

    def put(self, name: str, version: int) -> None:
        self._fleet.apply("eu1", name, exposed(name, version))

    def drop(self, name: str) -> None:
        self._fleet.apply("eu1", name, None)

    def dark(self) -> None:
        self._fleet.turn("eu1", Sky.DARK)

    def clear(self) -> None:
        self._fleet.turn("eu1", Sky.CLEAR)


class BehindAServer:
    """Of an API server that lists and watches, with the real watcher."""

    def __init__(self, cluster: FakeCluster, place: Place) -> None:
        self._cluster = cluster
        self.watcher: Watching = place.watcher

    def put(self, name: str, version: int) -> None:
        _put(self._cluster, name, version)

    def drop(self, name: str) -> None:
        self._cluster.drop("virtualservices", name)

    def dark(self) -> None:
        self._cluster.down = True
        self._cluster.cut()

    def clear(self) -> None:
        self._cluster.down = False


def _put(cluster: FakeCluster, name: str, version: int) -> None:
    annotations = {"wharfinger.dev/expose": "tcp"}
    spec = {"tcp": [{"name": f"h{version}"}]}
    cluster.put(
        "virtualservices", name, metadata={"annotations": annotations}, spec=spec
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return serving(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=["in memory", "behind a server"])
def on_stage(request: pytest.FixtureRequest, tmp_path: Path, made: Made) -> Stories:
    @asynccontextmanager
    async def in_memory() -> AsyncIterator[Stage]:
        stage = InMemory()
        task = asyncio.create_task(stage.watcher.run())
        await stage.watcher.settled()
        while not stage.watcher.updates.empty():
            stage.watcher.updates.get_nowait()
        yield stage
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    @asynccontextmanager
    async def behind_a_server() -> AsyncIterator[Stage]:
        cluster = FakeCluster()
        _put(cluster, "vs0", 0)
        cluster.put("nodes", "n1", "")
        async with watched(Place(tmp_path, made), {"eu1": cluster}) as place:
            await place.until(lambda: place.watcher.counts.open == 5)
            yield BehindAServer(cluster, place)

    make = in_memory if request.param == "in memory" else behind_a_server

    def play(story: Callable[[Stage], Awaitable[None]]) -> None:
        async def run() -> None:
            async with make() as stage:
                await story(stage)

        asyncio.run(run())

    return play


async def taken(stage: Stage) -> Update:
    async with asyncio.timeout(20):
        return await stage.watcher.updates.get()


def sources(stage: Stage) -> dict[str, VirtualService] | None:
    """VirtualServices by name as they are known now; `None` for an unknown cluster."""
    view = stage.watcher.view("eu1")
    assert view is not None
    if isinstance(view.objects, Unknown):
        return None
    return {each.name: each for each in view.objects.virtual_services}


def test_everything_is_known_once_it_has_settled(on_stage: Stories) -> None:
    async def story(stage: Stage) -> None:
        assert set(sources(stage) or ()) == {"vs0"}
        snapshot = stage.watcher.snapshot()
        assert [each.entry.name for each in snapshot.clusters] == ["eu1"]
        assert (snapshot.failures, stage.watcher.view("us1")) == ((), None)

    on_stage(story)


def test_changes_are_seen_before_they_are_told_and_go_on_from_each_other(
    on_stage: Stories,
) -> None:
    async def story(stage: Stage) -> None:
        first = (sources(stage) or {})["vs0"]
        stage.put("vs0", 1)
        update = await taken(stage)
        second = (sources(stage) or {})["vs0"]
        assert update == Update(cluster="eu1", deltas=(Delta(old=first, new=second),))
        assert first.spec != second.spec

        stage.put("vs1", 1)
        update = await taken(stage)
        third = (sources(stage) or {})["vs1"]
        assert update.deltas == (Delta(old=None, new=third),)

        stage.drop("vs0")
        update = await taken(stage)
        assert update.deltas == (Delta(old=second, new=None),)
        assert set(sources(stage) or ()) == {"vs1"}

    on_stage(story)


def test_what_was_not_taken_is_told_together(on_stage: Stories) -> None:
    async def story(stage: Stage) -> None:
        first = (sources(stage) or {})["vs0"]
        for version in (1, 2, 3):
            stage.put("vs0", version)
        found = [await taken(stage)]
        await asyncio.sleep(0.2)
        while not stage.watcher.updates.empty():
            found.append(stage.watcher.updates.get_nowait())
        deltas = [delta for update in found for delta in update.deltas or ()]
        assert deltas[0].old == first
        assert deltas[-1].new == (sources(stage) or {})["vs0"]
        for before, after in itertools.pairwise(deltas):
            assert before.new == after.old

    on_stage(story)


def test_a_cluster_that_goes_away_and_comes_back_is_told_as_a_whole(
    on_stage: Stories,
) -> None:
    async def story(stage: Stage) -> None:
        stage.dark()
        assert (await taken(stage)).deltas is None
        assert sources(stage) is None
        stage.put("vs1", 1)
        stage.clear()
        assert (await taken(stage)).deltas is None
        assert set(sources(stage) or ()) == {"vs0", "vs1"}

    on_stage(story)


def test_a_look_again_is_what_is_there_now(on_stage: Stories) -> None:
    async def story(stage: Stage) -> None:
        stage.put("vs1", 1)
        await stage.watcher.look_again(("eu1",))
        assert set(sources(stage) or ()) == {"vs0", "vs1"}
        stage.dark()
        await stage.watcher.look_again(("eu1",))
        assert sources(stage) is None

    on_stage(story)

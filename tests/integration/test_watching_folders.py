"""Watched directories: only folders that changed are read, and half a write is not believed."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.model.clusters import ClusterObjects, Unknown, VirtualService, Why
from reconciler.model.updates import Update
from reconciler.observe import fingerprints, observe
from reconciler.observe.watching import Watcher, folders
from reconciler.settings import Settings
from tests import builders
from tests.observing import Lab, namespace, service, virtual_service
from tests.watching import FAST


def settings(lab: Lab, among: Any = None, **inventory: Any) -> Settings:
    entry = {"name": "lab", "directory": {"path": str(lab.root)}, **inventory}
    return builders.settings(inventories=among or [entry])


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    found = Lab(tmp_path / "clusters")
    for name in ("eu1", "eu2"):
        found.write(f"{name}/id.yaml", namespace(f"uid-{name}"))
        found.write(f"{name}/db.yaml", virtual_service(), service())
    return found


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the folders that were read."""
    found: list[str] = []
    real = folders.read_cluster

    def noting(folder: Path, inventory: Any) -> Any:
        found.append(folder.name)
        return real(folder, inventory)

    monkeypatch.setattr(folders, "read_cluster", noting)
    return found


def rest(lab: Lab) -> None:
    """As if everything had been written a while ago."""
    for file in [*lab.root.rglob("*.yaml")]:
        os.utime(file, ns=(1, 1))


def on(lab: Lab, use: Callable[[Watcher], Awaitable[None]], **inventory: Any) -> None:
    async def run() -> None:
        watcher = Watcher(settings(lab, **inventory), pace=FAST)
        task = asyncio.create_task(watcher.run())
        try:
            await watcher.settled()
            while not watcher.updates.empty():
                watcher.updates.get_nowait()
            await use(watcher)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled():
            task.result()

    asyncio.run(run())


async def told(watcher: Watcher) -> Update:
    async with asyncio.timeout(10):
        return await watcher.updates.get()


def names(watcher: Watcher, cluster: str = "eu1") -> list[str]:
    view = watcher.view(cluster)
    assert view is not None
    assert isinstance(view.objects, ClusterObjects), view.objects
    return [each.name for each in view.objects.virtual_services]


def test_what_is_watched_is_what_is_observed(lab: Lab) -> None:
    async def use(watcher: Watcher) -> None:
        assert watcher.snapshot() == await observe(settings(lab))

    on(lab, use)


def test_only_the_folder_that_changed_is_told(lab: Lab) -> None:
    async def use(watcher: Watcher) -> None:
        lab.write("eu1/web.yaml", virtual_service("web"))
        update = await told(watcher)
        assert update.cluster == "eu1"
        assert update.deltas is not None
        (delta,) = update.deltas
        assert delta.old is None
        assert isinstance(delta.new, VirtualService)
        assert delta.new.name == "web"
        assert names(watcher) == ["db", "web"]
        (lab.root / "eu1/web.yaml").unlink()
        update = await told(watcher)
        assert update.deltas is not None
        assert [each.new for each in update.deltas] == [None]

    on(lab, use)


def test_a_folder_that_rests_is_not_read_again(lab: Lab, read: list[str]) -> None:
    async def use(watcher: Watcher) -> None:
        # Files have a change time that nobody can set: wait until it is long ago.
        async with asyncio.timeout(20):
            while await is_read(read):
                pass
        lab.write("eu2/web.yaml", virtual_service("web"))
        await told(watcher)
        assert set(read) == {"eu2"}

    rest(lab)
    on(lab, use)


async def is_read(read: list[str]) -> bool:
    read.clear()
    await asyncio.sleep(1.0)
    return bool(read)


def test_folders_come_and_go(lab: Lab) -> None:
    async def use(watcher: Watcher) -> None:
        lab.write("eu3/id.yaml", namespace("uid-eu3"))
        assert await told(watcher) == Update(cluster="eu3", deltas=None)
        assert names(watcher, "eu3") == []
        (lab.root / "eu3/id.yaml").unlink()
        assert await told(watcher) == Update(cluster="eu3", deltas=None)
        view = watcher.view("eu3")
        assert view is not None
        assert isinstance(view.objects, Unknown)
        (lab.root / "eu3").rmdir()
        assert await told(watcher) == Update(cluster="eu3", deltas=None)
        assert watcher.view("eu3") is None

    on(lab, use)


def test_a_file_that_is_half_written_makes_the_cluster_unknown_and_nothing_else(
    lab: Lab,
) -> None:
    async def use(watcher: Watcher) -> None:
        whole = (lab.root / "eu1/db.yaml").read_text()
        lab.write("eu1/db.yaml", whole[: whole.index("spec:")])
        assert await told(watcher) == Update(cluster="eu1", deltas=None)
        lab.write("eu1/db.yaml", whole)
        async with asyncio.timeout(10):
            while isinstance(watcher.view("eu1").objects, Unknown):  # type: ignore[union-attr]
                await asyncio.sleep(0.01)
        assert names(watcher) == names(watcher, "eu2") == ["db"]

    on(lab, use)


def test_a_directory_that_is_away_is_a_failure_and_comes_back(lab: Lab) -> None:
    async def use(watcher: Watcher) -> None:
        away = lab.root.with_name("away")
        lab.root.rename(away)
        async with asyncio.timeout(10):
            while not watcher.snapshot().failures:
                await asyncio.sleep(0.01)
        assert watcher.snapshot().clusters == ()
        away.rename(lab.root)
        async with asyncio.timeout(10):
            while watcher.snapshot().failures:
                await asyncio.sleep(0.01)
        assert names(watcher) == ["db"]

    on(lab, use)


def test_a_folder_that_changes_while_it_is_read_is_not_believed(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = folders.read_cluster
    turns = iter(range(1000))

    def restless(folder: Path, inventory: Any) -> Any:
        found = real(folder, inventory)
        if folder.name == "eu1":
            lab.write("eu1/more.yaml", virtual_service(f"v{next(turns)}"))
        return found

    async def use(watcher: Watcher) -> None:
        monkeypatch.setattr(folders, "read_cluster", restless)
        lab.write("eu1/more.yaml", virtual_service("more"))
        await asyncio.sleep(0.3)
        assert names(watcher) == ["db"]
        assert names(watcher, "eu2") == ["db"]
        await watcher.look_again(["eu1"])
        view = watcher.view("eu1")
        assert view is not None
        assert isinstance(view.objects, Unknown)
        monkeypatch.setattr(folders, "read_cluster", real)
        await watcher.look_again(["eu1"])
        assert len(names(watcher)) == 2

    on(lab, use)


def test_a_file_system_that_hangs_is_a_failure_of_its_inventory_alone(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead mount answers nothing; the test lets a look at one root wait like that."""
    other = Lab(tmp_path / "others")
    other.write("us1/id.yaml", namespace("uid-us1"))
    other.write("us1/db.yaml", virtual_service(), service())
    hangs, real = threading.Event(), folders.look
    hangs.set()

    def look(folder: Path) -> fingerprints.Look:
        if folder.parent == lab.root:
            hangs.wait(60)
        return real(folder)

    monkeypatch.setattr(folders, "look", look)

    async def use(watcher: Watcher) -> None:
        hangs.clear()
        async with asyncio.timeout(10):
            while not watcher.snapshot().failures:
                await asyncio.sleep(0.01)
            (failure,) = watcher.snapshot().failures
            assert (failure.inventory, failure.reason.why) == ("lab", Why.TIMEOUT)
            assert "clusters" in failure.reason.message
            other.write("us1/more.yaml", virtual_service("more"))
            while names(watcher, "us1") != ["db", "more"]:
                await asyncio.sleep(0.01)
            await watcher.look_again(["eu1", "us1"])
            assert [view.entry.name for view in watcher.snapshot().clusters] == ["us1"]
            hangs.set()
            while watcher.snapshot().failures:
                await asyncio.sleep(0.01)
        assert names(watcher) == ["db"]

    two = [
        {"name": each.root.name, "directory": {"path": str(each.root)}}
        for each in (lab, other)
    ]
    two[0]["name"] = "lab"
    try:
        on(lab, use, among=two)
    finally:
        hangs.set()


def test_a_look_again_reads_the_folder(lab: Lab, read: list[str]) -> None:
    async def use(watcher: Watcher) -> None:
        async with asyncio.timeout(20):
            while await is_read(read):
                pass
        read.clear()
        await watcher.look_again(["eu1", "nobody"])
        assert read == ["eu1"]
        assert watcher.updates.empty()

    on(lab, use)


def test_fingerprints(lab: Lab) -> None:
    folder = lab.root / "eu1"
    seen = [fingerprints.fingerprint(folder)]
    assert fingerprints.fingerprint(folder) == seen[0]
    lab.write("eu1/web.yaml", "a: 1\n")
    seen.append(fingerprints.fingerprint(folder))
    os.utime(folder / "web.yaml", ns=(5, 5))
    seen.append(fingerprints.fingerprint(folder))
    (folder / "web.yaml").rename(folder / "other.yaml")
    seen.append(fingerprints.fingerprint(folder))
    (folder / "other.yaml").unlink()
    (folder / "other.yaml").mkdir()
    seen.append(fingerprints.fingerprint(folder))
    (folder / "link.yaml").symlink_to("nowhere")
    seen.append(fingerprints.fingerprint(folder))
    seen.append(fingerprints.fingerprint(lab.root / "none"))
    assert len(set(seen)) == len(seen)

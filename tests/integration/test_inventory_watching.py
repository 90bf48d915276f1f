"""Names and ids that are claimed twice, as they are watched: who is believed changes with what Git knows."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

from reconciler.model.clusters import Unknown, Why
from reconciler.model.pins import Pin
from reconciler.observe.watching import Watcher
from tests import builders
from tests.observing import Lab, namespace, virtual_service
from tests.watching import FAST

KNOWN = {"eu1": Pin(cluster_id="uid", uid="uid", inventory="lab")}


def on(root: Path, use: Callable[[Watcher, Lab, Lab], Awaitable[None]]) -> None:
    """Use a watcher of two directories, the second one still empty; the first has eu1."""
    labs = [Lab(root / name) for name in ("lab", "hub")]
    labs[0].write("eu1/id.yaml", namespace("uid"))
    labs[1].write("other/id.yaml", namespace("uid-other"))
    inventories = [
        {"name": lab.root.name, "directory": {"path": str(lab.root)}} for lab in labs
    ]

    async def run() -> None:
        watcher = Watcher(builders.settings(inventories=inventories), pace=FAST)
        task = asyncio.create_task(watcher.run())
        try:
            await watcher.settled()
            await use(watcher, *labs)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled():
            task.result()

    asyncio.run(run())


def why(watcher: Watcher, name: str) -> Why | str | None:
    found = watcher.view(name)
    if found is None:
        return "gone"
    return found.objects.why if isinstance(found.objects, Unknown) else None


async def until(watcher: Watcher, condition: Callable[[], bool], told: str) -> None:
    """Wait for it, and for an update that tells of a cluster as a whole."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)
        while True:
            update = await watcher.updates.get()
            if (update.cluster, update.deltas) == (told, None):
                return


def against(watcher: Watcher) -> tuple[str, ...]:
    view = watcher.view("eu1")
    assert view is not None
    return view.entry.against


def drain(watcher: Watcher) -> None:
    while not watcher.updates.empty():
        watcher.updates.get_nowait()


def test_who_is_believed_of_a_name_follows_what_git_knows(tmp_path: Path) -> None:
    async def use(watcher: Watcher, lab: Lab, hub: Lab) -> None:
        hub.write("eu1/id.yaml", namespace("uid2"))
        await until(watcher, lambda: why(watcher, "eu1") is Why.DUPLICATE, "eu1")
        drain(watcher)
        watcher.pinned(KNOWN)
        await until(watcher, lambda: why(watcher, "eu1") is None, "eu1")
        view = watcher.view("eu1")
        assert view is not None
        assert (view.entry.cluster_id, view.entry.inventory) == ("uid", "lab")
        assert "uid2" in view.entry.against[0]
        assert watcher.untold("eu1")  # two watches tell of it: each change is a whole
        shutil.rmtree(hub.root / "eu1")
        await until(watcher, lambda: not against(watcher), "eu1")
        drain(watcher)
        assert not watcher.untold("eu1")

    on(tmp_path, use)


def test_a_stolen_id_freezes_the_thief_and_its_owner_goes_on(tmp_path: Path) -> None:
    async def use(watcher: Watcher, lab: Lab, hub: Lab) -> None:
        watcher.pinned(KNOWN)
        hub.write("thief/id.yaml", namespace("uid"))
        await until(watcher, lambda: why(watcher, "thief") is Why.DUPLICATE, "thief")
        lab.write("eu1/db.yaml", virtual_service())

        def seen() -> bool:
            view = watcher.view("eu1")
            objects = view.objects if view is not None else None
            return bool(getattr(objects, "virtual_services", ()))

        async with asyncio.timeout(20):
            while not seen():
                await asyncio.sleep(0.01)
        assert why(watcher, "eu1") is None
        shutil.rmtree(hub.root / "thief")
        await until(watcher, lambda: why(watcher, "thief") == "gone", "thief")

    on(tmp_path, use)

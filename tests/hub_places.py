"""A watched hub with one workload cluster, for tests of following hubs."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from reconciler.model.clusters import ClusterState, ClusterView, Snapshot, Unknown, Why
from reconciler.observe.inventories import HUBS, Found
from reconciler.observe.inventories.hub import HubReader
from reconciler.observe.watching import Outside, Pace, Watcher
from reconciler.settings import Inventory, Settings
from tests import builders, hubs
from tests.hubs import CLUSTERS, SECRETS, FakeHub, capi_cluster, capi_secret
from tests.kubeserver import TOKEN, Server, running
from tests.stack.certificates import Authority, Issued
from tests.watching import FAST, FakeCluster

QUICK = replace(FAST, gather=0.02)
GONE = {"deletionTimestamp": "2026-11-24T00:00:00Z", "finalizers": ["x/y"]}


@dataclass
class Place:
    """A hub, one workload cluster, and a watcher of the hub."""

    hub: FakeHub
    cluster: FakeCluster
    server: Server
    workload: Server
    settings: Settings
    watcher: Watcher
    file: Path

    @property
    def inventory(self) -> Inventory:
        return self.settings.inventories[0]

    def snapshot(self) -> Snapshot:
        return self.watcher.snapshot()

    def view(self, name: str = "eu1") -> ClusterView | None:
        return self.watcher.view(name)

    def states(self) -> dict[str, ClusterState]:
        return {each.entry.name: each.entry.state for each in self.snapshot().clusters}

    def has(self, name: str) -> bool:
        return name in self.states()

    def is_known(self, name: str = "eu1") -> bool:
        view = self.view(name)
        return view is not None and not isinstance(view.objects, Unknown)

    def failure(self) -> Why | None:
        failures = self.snapshot().failures
        return failures[0].reason.why if failures else None

    def kubeconfig(self, token: str = TOKEN) -> str:
        address = f"https://127.0.0.1:{self.workload.port}"
        return hubs.kubeconfig(address, self.workload.ca, token)

    def token(self, name: str = "eu1") -> str:
        """The token that a cluster is asked with from now on."""
        view = self.view(name)
        return view.access.token if view and view.access else ""

    def workload_heard(self, token: str) -> bool:
        """Whether somebody came to the workload cluster with a token."""
        return any(
            each.headers.get("authorization") == f"Bearer {token}"
            for each in self.workload.requests
        )

    def provision(self, name: str = "eu1") -> None:
        """A cluster that is up, with credentials that are good."""
        port = self.workload.port
        self.hub.put(SECRETS, capi_secret(name, self.kubeconfig()))
        self.hub.put(CLUSTERS, capi_cluster(name, "127.0.0.1", port))

    async def until(self, condition: Callable[[], object], what: str = "") -> None:
        try:
            async with asyncio.timeout(10):
                while not condition():
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"{what}: {self.snapshot()}") from None


@asynccontextmanager
async def watched(
    folder: Path,
    made: tuple[Authority, Issued],
    hub: FakeHub,
    source: str,
    pace: Pace,
) -> AsyncIterator[Place]:
    """The hub behind a server, and a watcher of it that has settled."""
    async with AsyncExitStack() as stack:
        file = folder / "hub.yaml"
        cluster = FakeCluster()
        server = await stack.enter_async_context(hubs.serving_hub(made, hub, file))
        workload = await stack.enter_async_context(running(made, cluster))
        asked = {"hub": {"context": "hub", "kubeconfig": str(file)}}
        settings = builders.settings(
            inventories=[{"name": "lab", source: asked}], apis={"mode": "off"}
        )
        outside = Outside(chance=random.Random(7))
        watcher = Watcher(settings, pace=pace, outside=outside)
        place = Place(hub, cluster, server, workload, settings, watcher, file)
        task = asyncio.create_task(watcher.run())
        try:
            await watcher.settled()
            yield place
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled():
            task.result()


Use = Callable[[Place], Awaitable[None]]
Made = tuple[Authority, Issued]


def watch_hub(
    folder: Path,
    made: Made,
    use: Use,
    hub: FakeHub | None = None,
    *,
    source: str = "clusterApi",
    pace: Pace = QUICK,
) -> None:
    """Use a watched hub, in an event loop of its own."""

    async def go() -> None:
        async with watched(folder, made, hub or FakeHub(), source, pace) as place:
            await use(place)

    asyncio.run(go())


async def read(inventory: Inventory) -> Found:
    """What a one-shot pass finds."""
    return await HubReader(inventory, HUBS[inventory.source]).read()

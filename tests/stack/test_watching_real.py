"""What watching relies on, from a real API server: bookmarks, 410, restarts, and no lists."""

from __future__ import annotations

import asyncio
import json
import random
import re
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from reconciler.kube import METADATA_EVENTS, Expired, KubeApi, Terms
from reconciler.kubeconfig import load_kubeconfig
from reconciler.model.clusters import ClusterObjects, Unknown, Why
from reconciler.model.updates import Update
from reconciler.observe import observe
from reconciler.observe.watching import Outside, Pace, Watcher
from reconciler.settings import Settings
from tests import builders, documents
from tests.stack.documents import Document, Ref
from tests.stack.kube import CRD, Cluster
from tests.stack.stack import WORKLOAD_CRDS, Stack

pytestmark = pytest.mark.stack
SPACE = "watch-shop"
ISTIO = "networking.istio.io/v1"
SERVICES = "/api/v1/services"
PACE = Pace(watch=(4.0, 5.0), steady=1.0, relist=2.0, backoff=0.1, backoff_longest=0.5, inventory=0.5)  # fmt: skip
KINDS = ("virtualservices", "destinationrules", "endpointslices", "nodes")


def exposure(name: str, port: int = 5432) -> Document:
    made: Any = documents.virtual_service(name, {name: 1}, None, SPACE)
    made["spec"]["tcp"][0]["route"][0]["destination"]["port"] = {"number": port}
    return dict(made)


def service(name: str) -> Document:
    made: Any = documents.service(name, 0, SPACE)
    del made["spec"]["clusterIP"], made["spec"]["ports"][0]["nodePort"]
    return dict(made)


def reference(name: str) -> Ref:
    return Ref(ISTIO, "VirtualService", name, SPACE)


@pytest.fixture(scope="module")
def cluster(stack: Stack) -> Cluster:
    """A cluster of its own, since its server is stopped and its history is forgotten."""
    found = stack.cluster("watched", crds=WORKLOAD_CRDS)
    found.namespace(SPACE)
    return found


@pytest.fixture
def db(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster with one exposure in it."""
    cluster.api.apply([service("db"), exposure("db")])
    yield cluster
    for ref in (reference(""), Ref("v1", "Service", namespace=SPACE)):
        cluster.api.call("DELETE", cluster.api.path(ref))


def settings(path: Path, cluster: Cluster) -> Settings:
    file = path / "kubeconfig"
    file.write_text(cluster.kubeconfig())
    inventory = {"name": "kube", "kubeconfig": {"path": str(file)}}
    return builders.settings(inventories=[inventory])


class Place:
    """A watcher of one cluster, and what it told."""

    def __init__(self, watcher: Watcher, cluster: Cluster) -> None:
        self.watcher = watcher
        self.cluster = cluster

    async def update(self) -> Update:
        async with asyncio.timeout(30):
            return await self.watcher.updates.get()

    async def told(self, *names: str) -> list[tuple[str, str]]:
        """What was told of VirtualServices, until something was told of each of these."""
        found: list[tuple[str, str]] = []
        while not {name for pair in found for name in pair} >= set(names):
            update = await self.update()
            assert update.deltas is not None
            found += [
                (getattr(each.old, "name", ""), getattr(each.new, "name", ""))
                for each in update.deltas
                if "VirtualService"
                in (type(each.old).__name__, type(each.new).__name__)
            ]
        return found

    def objects(self) -> ClusterObjects | Unknown:
        view = self.watcher.view(self.cluster.name)
        assert view is not None
        return view.objects

    def names(self) -> list[str]:
        objects = self.objects()
        assert isinstance(objects, ClusterObjects), objects
        mine = (each for each in objects.virtual_services if each.namespace == SPACE)
        return [each.name for each in mine]

    async def until(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.05)

    async def opened(self, watches: int) -> None:
        await self.until(lambda: self.watcher.counts.open == watches)


@asynccontextmanager
async def watching(
    path: Path, cluster: Cluster, pace: Pace = PACE
) -> AsyncIterator[Place]:
    outside = Outside(chance=random.Random(3))
    watcher = Watcher(settings(path, cluster), pace=pace, outside=outside)
    task = asyncio.create_task(watcher.run())
    try:
        await watcher.settled()
        while not watcher.updates.empty():
            watcher.updates.get_nowait()
        yield Place(watcher, cluster)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def on(
    path: Path,
    cluster: Cluster,
    use: Callable[[Place], Awaitable[None]],
    pace: Pace = PACE,
) -> None:
    async def run() -> None:
        async with watching(path, cluster, pace) as place:
            await use(place)

    asyncio.run(run())


def raw_metrics(cluster: Cluster) -> str:
    session = cluster.api._session()
    return str(session.get(f"{cluster.access.server}/metrics", timeout=30).text)


_REQUESTS = re.compile(r"^apiserver_request_total\{([^}]*)\} (\d+)", re.MULTILINE)


def lists(cluster: Cluster) -> dict[str, int]:
    """LIST requests of our kinds, by kind, as the server itself counted them."""
    found = dict.fromkeys(KINDS, 0)
    for labels, count in _REQUESTS.findall(raw_metrics(cluster)):
        said = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        if said["verb"] == "LIST" and said["resource"] in found:
            found[said["resource"]] += int(count)
    return found


def compact(stack: Stack) -> None:
    """Make etcd forget what was before now."""

    def call(path: str, body: object) -> Any:
        request = urllib.request.Request(
            f"{stack.etcd().url}{path}", data=json.dumps(body).encode()
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    revision = call("/v3/kv/range", {"key": "AA=="})["header"]["revision"]
    call("/v3/kv/compaction", {"revision": revision, "physical": True})


async def beside(job: Callable[[], object]) -> None:
    """Do what blocks without keeping the watches waiting."""
    await asyncio.get_running_loop().run_in_executor(None, job)


def test_what_is_watched_is_what_is_observed(db: Cluster, tmp_path: Path) -> None:
    async def use(place: Place) -> None:
        (seen,) = (await observe(settings(tmp_path, db))).clusters
        assert place.watcher.view(db.name) == seen
        assert place.names() == ["db"]

    on(tmp_path, db, use)


def test_what_happens_comes_by_the_watches(db: Cluster, tmp_path: Path) -> None:
    async def use(place: Place) -> None:
        await place.opened(5)
        await beside(lambda: db.api.apply(exposure("web")))
        assert await place.told("web") == [("", "web")]
        await beside(lambda: db.api.apply(exposure("web", 5433)))
        assert await place.told("web") == [("web", "web")]
        await beside(lambda: db.api.delete(reference("web")))
        assert await place.told("web") == [("web", "")]
        assert place.names() == ["db"]
        assert place.watcher.counts.traffic.requests["list"] == 5
        (seen,) = (await observe(settings(tmp_path, db))).clusters
        assert place.objects() == seen.objects

    on(tmp_path, db, use)


def test_a_quiet_time_costs_no_list(db: Cluster, tmp_path: Path) -> None:
    async def use(place: Place) -> None:
        counts = place.watcher.counts
        await place.opened(5)
        # A server that has seen no change of a kind sends no bookmarks of it.
        await beside(lambda: db.api.apply(exposure("web")))
        await place.told("web")
        before = dict(counts.traffic.requests)
        served: dict[str, int] = {}
        await beside(lambda: served.update(lists(db)))
        await place.until(lambda: counts.traffic.requests["watch"] >= 15, 40)
        after = dict(counts.traffic.requests)
        assert after["list"] == before["list"] == 5
        assert after["get"] - before["get"] <= after["watch"] - before["watch"]
        assert counts.restarts == 0
        assert counts.bookmarks >= 1
        now: dict[str, int] = {}
        await beside(lambda: now.update(lists(db)))
        assert now == served
        assert place.watcher.updates.empty()

    on(tmp_path, db, use)


def test_a_server_that_is_killed_and_comes_back_without_its_history(
    db: Cluster, stack: Stack, tmp_path: Path
) -> None:
    daemon = db.daemon
    assert daemon is not None
    gate = Gate(db)

    async def use(place: Place) -> None:
        await place.opened(5)
        gate.close()
        await beside(lambda: db.api.apply(exposure("web")))
        await beside(lambda: db.api.delete(reference("db")))
        await beside(lambda: compact(stack))
        # A server that has just started remembers nothing of what was before.
        await beside(lambda: daemon.stop(patience=0.0))
        assert place.names() == ["db"]
        await beside(daemon.start)
        gate.closed = False
        assert set(await place.told("web", "db")) == {("", "web"), ("db", "")}
        assert place.names() == ["web"]
        await place.opened(5)
        counts = place.watcher.counts
        assert counts.relists == counts.traffic.requests["list"] - 5 <= 5
        (seen,) = (await observe(settings(tmp_path, db))).clusters
        assert place.objects() == seen.objects

    async def run() -> None:
        async with gate:
            access = db.through(f"https://127.0.0.1:{gate.port}")
            file = tmp_path / "kubeconfig"
            file.write_text(db.kubeconfig(access))
            inventory = {"name": "kube", "kubeconfig": {"path": str(file)}}
            outside = Outside(chance=random.Random(3))
            watcher = Watcher(
                builders.settings(inventories=[inventory]), pace=PACE, outside=outside
            )
            task = asyncio.create_task(watcher.run())
            await watcher.settled()
            while not watcher.updates.empty():
                watcher.updates.get_nowait()
            try:
                await use(Place(watcher, db))
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


class Gate:
    """A way to a server that can be shut; it knows nothing of TLS."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.closed = False
        self.port = 0
        self.writers: set[asyncio.StreamWriter] = set()
        self.tasks: set[asyncio.Task[None] | None] = set()

    async def __aenter__(self) -> None:
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]

    async def __aexit__(self, *_: object) -> None:
        self.server.close()
        self.close()
        await self.server.wait_closed()
        tasks = [task for task in self.tasks if task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)

    def close(self) -> None:
        self.closed = True
        for writer in self.writers:
            writer.transport.abort()

    async def there(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """A connection to the server, while the gate is open and the server listens."""
        try:
            found = await asyncio.open_connection(self.cluster.host, self.cluster.port)
        except OSError:
            return None
        self.writers.add(found[1])
        return found

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.tasks.add(asyncio.current_task())
        self.writers.add(writer)
        found = None if self.closed else await self.there()
        if found is None or self.closed:
            writer.transport.abort()
            if found is not None:
                found[1].transport.abort()
            return
        await asyncio.gather(pipe(reader, found[1]), pipe(found[0], writer))


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.transport.abort()


def test_a_kind_that_is_removed_and_served_again(db: Cluster, tmp_path: Path) -> None:
    name = "virtualservices.networking.istio.io"
    definition = Ref(CRD, "CustomResourceDefinition", name)

    async def use(place: Place) -> None:
        await place.opened(5)
        await beside(lambda: db.api.delete(definition))

        def lost() -> bool:
            objects = place.objects()
            return isinstance(objects, Unknown) and objects.why is Why.NO_CRD

        await place.until(lost)
        await beside(lambda: db.install(*WORKLOAD_CRDS))
        await beside(lambda: db.api.apply(exposure("again")))
        await place.until(lambda: isinstance(place.objects(), ClusterObjects))
        await place.until(lambda: place.names() == ["again"])

    on(tmp_path, db, use)


def test_metadata_alone_is_watched_too(db: Cluster) -> None:
    async def run() -> list[Any]:
        credentials = load_kubeconfig(db.kubeconfig()).credentials()
        async with KubeApi(credentials, name="real") as api:
            found = await api.listed(SERVICES, dict)
            terms = Terms(
                version=found.version, seconds=20, silence=20, accept=METADATA_EVENTS
            )
            async with api.watch(SERVICES, terms) as lines:
                await beside(lambda: db.api.apply(service("meta")))
                return [json.loads(line) async for line in first(lines.each())]

    (event,) = asyncio.run(run())
    assert event["type"] == "ADDED"
    assert event["object"]["kind"] == "PartialObjectMetadata"
    assert "spec" not in event["object"]


async def first(lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for line in lines:
        yield line
        return


def test_a_version_of_the_distant_past_is_expired(db: Cluster, stack: Stack) -> None:
    async def run() -> None:
        credentials = load_kubeconfig(db.kubeconfig()).credentials()
        async with KubeApi(credentials, name="real") as api:
            terms = Terms(version="2", seconds=5, silence=5)
            async with api.watch(SERVICES, terms) as lines:
                async for line in first(lines.each()):
                    raise Expired(line.decode(), "", why=Why.INCOMPLETE)

    compact(stack)
    with pytest.raises(Expired, match="410"):
        asyncio.run(run())

"""A cluster whose API server can list and watch, and misbehave on demand, for tests of watching.

What it does well is held against a real kube-apiserver in `tests/stack/test_watching_real.py`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from reconciler.model.clusters import ClusterObjects, ClusterView, Unknown, Why
from reconciler.model.updates import Update
from reconciler.observe.watching import Outside, Pace, Watcher
from reconciler.settings import Settings
from tests import builders
from tests.kubeserver import (
    TOKEN,
    Answer,
    Request,
    Server,
    ok,
    page,
    running,
    status,
)
from tests.stack.certificates import Authority, Issued

ISTIO = "/apis/networking.istio.io/v1"
SYSTEM = "/api/v1/namespaces/kube-system"
KINDS = {
    "virtualservices": f"{ISTIO}/virtualservices",
    "destinationrules": f"{ISTIO}/destinationrules",
    "services": "/api/v1/services",
    "nodes": "/api/v1/nodes",
    "endpointslices": "/apis/discovery.k8s.io/v1/endpointslices",
    "pods": "/api/v1/pods",
}
Json = dict[str, Any]
FAST = Pace(
    watch=(30.0, 40.0),
    silence=20.0,
    deadline=1.0,
    steady=0.2,
    relist=0.05,
    backoff=0.02,
    backoff_longest=0.1,
    doubt=(600.0, 700.0),
    folders=0.05,
    inventory=0.05,
    inventory_anew=0.5,
    settle=5.0,
)


class FakeCluster:
    """Objects of all kinds with one resourceVersion; each change is an event of open watches."""

    def __init__(self, uid: str = "uid-eu1") -> None:
        self.uid = uid
        self.version = 100
        self.compacted = 0
        self.served = ["virtualservices", "destinationrules"]
        self.objects: dict[str, dict[tuple[str, str], Json]] = {k: {} for k in KINDS}
        self.history: list[tuple[int, str, Json]] = []
        self.open: dict[str, list[asyncio.Queue[bytes | None]]] = {k: [] for k in KINDS}
        self.asked: list[tuple[str, str]] = []
        self.broken: dict[tuple[str, str], Answer] = {}
        self.down = False

    def count(self, verb: str, kind: str = "") -> int:
        """Requests of a verb, of all kinds or of one."""
        return sum(v == verb and (not kind or k == kind) for v, k in self.asked)

    def put(self, kind: str, name: str, namespace: str = "shop", **body: Any) -> Json:
        """An object is there, as it is now."""
        self.version += 1
        metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
        metadata |= body.pop("metadata", {}) | {"resourceVersion": str(self.version)}
        made = {"metadata": metadata, **body}
        old = self.objects[kind].get((namespace, name))
        self.objects[kind][namespace, name] = made
        self._tell("MODIFIED" if old else "ADDED", kind, made)
        return made

    def drop(self, kind: str, name: str, namespace: str = "shop") -> None:
        """An object is gone."""
        self.version += 1
        gone = self.objects[kind].pop((namespace, name))
        metadata = {**gone["metadata"], "resourceVersion": str(self.version)}
        self._tell("DELETED", kind, {**gone, "metadata": metadata})

    def compact(self) -> None:
        """Forget what happened."""
        self.compacted = self.version

    def say(self, kind: str, line: bytes) -> None:
        """Bytes for all open watches of a kind."""
        for queue in self.open[kind]:
            queue.put_nowait(line)

    def bookmark(self, kind: str) -> None:
        """Tell open watches of a kind how far they are."""
        metadata = {"resourceVersion": str(self.version)}
        self.say(kind, event("BOOKMARK", {"metadata": metadata}))

    def cut(self, kind: str = "") -> None:
        """End open watches of a kind, or all."""
        for each in [kind] if kind else list(self.open):
            for queue in self.open[each]:
                queue.put_nowait(None)

    def _tell(self, type: str, kind: str, body: Json) -> None:
        line = event(type, body)
        self.history.append((self.version, kind, {"line": line.decode()}))
        self.say(kind, line)

    def __call__(self, request: Request) -> Answer:
        kind = request.path.rpartition("/")[2]
        verb = "watch" if "watch" in request.query else "list"
        verb = verb if kind in KINDS and request.path == KINDS[kind] else "get"
        self.asked.append((verb, kind))
        if self.down:
            return Answer(script=_nothing)
        if (verb, kind) in self.broken:
            return self.broken[verb, kind]
        match verb:
            case "watch":
                return self._watch(kind, request.query)
            case "list":
                items = [self.objects[kind][key] for key in sorted(self.objects[kind])]
                return page(items, version=str(self.version))
        return self._get(request.path)

    def _get(self, path: str) -> Answer:
        if path == SYSTEM:
            return ok({"kind": "Namespace", "metadata": {"uid": self.uid}})
        if path == ISTIO and self.served:
            named = [{"name": name} for name in self.served]
            return ok({"kind": "APIResourceList", "resources": named})
        return status(404, "NotFound")

    def _watch(self, kind: str, query: Any) -> Answer:
        since = int(query["resourceVersion"])
        assert query["allowWatchBookmarks"] == "true"
        if kind in ("virtualservices", "destinationrules") and kind not in self.served:
            return status(404, "NotFound")
        if since < self.compacted:
            return status(410, "Expired")

        async def script(writer: asyncio.StreamWriter) -> None:
            queue: asyncio.Queue[bytes | None] = asyncio.Queue()
            for version, of, body in self.history:
                if of == kind and version > since:
                    queue.put_nowait(body["line"].encode())
            self.open[kind].append(queue)
            try:
                await _stream(writer, queue)
            finally:
                self.open[kind].remove(queue)

        return Answer(script=script)


async def _nothing(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def _stream(
    writer: asyncio.StreamWriter, queue: asyncio.Queue[bytes | None]
) -> None:
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
    await writer.drain()
    while (line := await queue.get()) is not None:
        writer.write(b"%x\r\n%b\r\n" % (len(line), line))
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()


def event(type: str, body: Json) -> bytes:
    """One line of a watch."""
    return json.dumps({"type": type, "object": body}).encode() + b"\n"


class Place:
    """Fake clusters behind servers, a kubeconfig that names them, and a watcher of it."""

    def __init__(self, folder: Path, made: tuple[Authority, Issued]) -> None:
        self.file = folder / "kubeconfig"
        self.made = made
        self.servers: dict[str, Server] = {}
        self.watcher: Watcher

    def write(self, *names: str, token: str = TOKEN) -> None:
        """The kubeconfig, for these clusters."""
        chosen = {name: self.servers[name] for name in names or self.servers}
        entries = {
            "clusters": [
                {"name": name, "cluster": {"server": f"https://127.0.0.1:{server.port}", "certificate-authority-data": _data(server.ca)}}
                for name, server in chosen.items()
            ],
            "users": [{"name": "us", "user": {"token": token}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": "us"}} for name in chosen],
        }  # fmt: skip
        self.file.write_text(json.dumps(entries))

    def settings(self) -> Settings:
        """Settings whose only inventory is the kubeconfig."""
        inventory = {"name": "kube", "kubeconfig": {"path": str(self.file)}}
        return builders.settings(inventories=[inventory], apis={"mode": "off"})

    def view(self, name: str = "eu1") -> ClusterView:
        """What the watcher knows of a cluster."""
        found = self.watcher.view(name)
        assert found is not None
        return found

    def objects(self, name: str = "eu1") -> ClusterObjects:
        """The objects of a known cluster."""
        found = self.view(name).objects
        assert isinstance(found, ClusterObjects), found
        return found

    def names(self, name: str = "eu1") -> list[str]:
        """Names of a cluster's VirtualServices."""
        return [each.name for each in self.objects(name).virtual_services]

    def why(self, name: str = "eu1") -> Why | None:
        """Why a cluster is unknown; nothing when it is known."""
        objects = self.view(name).objects
        return objects.why if isinstance(objects, Unknown) else None

    async def until(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        """Wait for something."""
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.01)

    async def update(self) -> Update:
        """The next update."""
        async with asyncio.timeout(10):
            return await self.watcher.updates.get()

    def drained(self) -> list[Update]:
        """All updates that wait."""
        found = []
        while not self.watcher.updates.empty():
            found.append(self.watcher.updates.get_nowait())
        return found


@asynccontextmanager
async def watched(
    place: Place, clusters: dict[str, FakeCluster], pace: Pace = FAST
) -> AsyncIterator[Place]:
    """The place with servers for these clusters and a watcher that has settled."""
    async with AsyncExitStack() as stack:
        for name, cluster in clusters.items():
            server = await stack.enter_async_context(running(place.made, cluster))
            place.servers[name] = server
        place.write()
        outside = Outside(chance=random.Random(7))
        place.watcher = Watcher(place.settings(), pace=pace, outside=outside)
        task = asyncio.create_task(place.watcher.run())
        try:
            await place.watcher.settled()
            place.drained()
            yield place
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled():
            task.result()


def on(
    place: Place,
    clusters: dict[str, FakeCluster],
    use: Callable[[Place], Awaitable[None]],
    pace: Pace = FAST,
) -> None:
    """Use a watched place, in an event loop of its own."""

    async def run() -> None:
        async with watched(place, clusters, pace) as ready:
            await use(ready)

    asyncio.run(run())


def _data(text: str) -> str:
    return base64.b64encode(text.encode()).decode()

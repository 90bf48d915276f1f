"""A healthy cluster: the answers of a faithful, small API server, with pages and watches."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from tests.kubeserver import Answer, Request, ok, status

ISTIO = "/apis/networking.istio.io/v1"
SYSTEM = "/api/v1/namespaces/kube-system"
LISTS = {
    "virtualservices": f"{ISTIO}/virtualservices",
    "destinationrules": f"{ISTIO}/destinationrules",
    "services": "/api/v1/services",
    "nodes": "/api/v1/nodes",
    "endpointslices": "/apis/discovery.k8s.io/v1/endpointslices",
    "pods": "/api/v1/pods",
}
Body = dict[str, Any]
BOOKMARKS = 0.7
STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


def metadata(name: str, namespace: str = "shop") -> Body:
    """Metadata as large as a real object's, with managed fields."""
    fields = {f"f:{key}": {} for key in ("metadata", "spec", "status", "annotations")}
    managed = {"manager": "kubectl", "operation": "Apply", "fieldsV1": fields}
    return {
        "name": name,
        "namespace": namespace,
        "uid": f"uid-{namespace}-{name}",
        "resourceVersion": "5",
        "generation": 1,
        "annotations": {"wharfinger.dev/expose": "tcp"},
        "managedFields": [managed, managed],
    }


def virtual_service(name: str) -> Body:
    """An exposed VirtualService with one TCP route."""
    destination = {"host": name, "port": {"number": 5432}}
    spec = {"hosts": [name], "tcp": [{"route": [{"destination": destination}]}]}
    return {"metadata": metadata(name), "spec": spec}


def service(name: str) -> Body:
    """A NodePort Service."""
    port = {"port": 5432, "nodePort": 30001, "protocol": "TCP"}
    spec = {"type": "NodePort", "selector": {"app": name}, "ports": [port]}
    return {"metadata": metadata(name), "spec": spec, "status": {"loadBalancer": {}}}


def node(number: int) -> Body:
    """A node that is ready."""
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}  # fmt: skip
    address = {"type": "InternalIP", "address": f"10.1.0.{number}"}
    said = {"conditions": [ready], "addresses": [address]}
    return {"metadata": metadata(f"node-{number}", ""), "status": said}


class Cluster:
    """One cluster; called with a request, it answers. `touch` changes a VirtualService."""

    def __init__(self, uid: str, routes: int = 20, page_items: int = 500) -> None:
        names = [f"db-{number}" for number in range(routes)]
        self.uid = uid
        self.page_items = page_items
        self.version = 77
        self.watching: dict[str, set[asyncio.Queue[bytes]]] = {
            kind: set() for kind in LISTS
        }
        self.lists: dict[str, list[Body]] = {kind: [] for kind in LISTS}
        self.lists["virtualservices"] = [virtual_service(name) for name in names]
        self.lists["services"] = [service(name) for name in names]
        self.lists["nodes"] = [node(number) for number in range(1, 4)]

    def __call__(self, request: Request) -> Answer:
        if request.path == SYSTEM:
            return ok({"kind": "Namespace", "metadata": {"uid": self.uid}})
        if request.path == ISTIO:
            served = [{"name": name} for name in ("virtualservices", "destinationrules")]  # fmt: skip
            return ok({"kind": "APIResourceList", "resources": served})
        for kind, path in LISTS.items():
            if request.path == path and "watch" in request.query:
                return self.watch(kind)
            if request.path == path:
                return self.list(request, self.lists[kind])
        return status(404, "NotFound")

    def list(self, request: Request, found: Sequence[Body]) -> Answer:
        """One page; the continue token is the number of the next object."""
        first = int(request.query.get("continue", "0"))
        last = first + min(int(request.query.get("limit", "500")), self.page_items)
        said: Body = {"resourceVersion": str(self.version)}
        if last < len(found):
            said |= {"continue": str(last), "remainingItemCount": len(found) - last}
        items = list(found[first:last])
        return ok({"kind": "List", "apiVersion": "v1", "metadata": said, "items": items})  # fmt: skip

    def watch(self, kind: str) -> Answer:
        """What happens from now on, until the other side ends it."""

        async def script(writer: asyncio.StreamWriter) -> None:
            events: asyncio.Queue[bytes] = asyncio.Queue()
            self.watching[kind].add(events)
            writer.write(STREAM)
            try:
                while True:
                    await writer.drain()
                    line = await self.next_line(events)
                    writer.write(b"%x\r\n%s\r\n" % (len(line), line))
            finally:
                self.watching[kind].discard(events)

        return Answer(script=script)

    async def next_line(self, events: asyncio.Queue[bytes]) -> bytes:
        """What happens next, a bookmark while nothing does."""
        try:
            return await asyncio.wait_for(events.get(), BOOKMARKS)
        except TimeoutError:
            said = {"resourceVersion": str(self.version)}
            return event("BOOKMARK", {"kind": "X", "metadata": said})

    def touch(self) -> None:
        """The first VirtualService changes, and watches are told."""
        self.version += 1
        found = self.lists["virtualservices"][0]
        found["metadata"]["resourceVersion"] = str(self.version)
        found["metadata"]["generation"] = self.version
        line = event("MODIFIED", found)
        for each in self.watching["virtualservices"]:
            each.put_nowait(line)


def event(kind: str, body: object) -> bytes:
    """A line of a watch."""
    return json.dumps({"type": kind, "object": body}).encode() + b"\n"

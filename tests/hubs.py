"""A hub whose API server can list, select and watch, and misbehave on demand, for tests.

What it does well is held against a real kube-apiserver in `tests/stack/test_hubs.py`.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
from tests.watching import event

Json = dict[str, Any]
Where = tuple[str, str]
"""A version (`v1`, `cluster.x-k8s.io/v1beta2`) and a plural."""
SECRETS = ("v1", "secrets")
CLUSTERS = ("cluster.x-k8s.io/v1beta2", "clusters")


def encoded(text: str) -> str:
    """As in the `data` of a Secret."""
    return base64.b64encode(text.encode()).decode()


def kubeconfig(server: str, ca: str, token: str = TOKEN, name: str = "eu1") -> str:
    """A kubeconfig of one context, all credentials inline (JSON is YAML)."""
    cluster = {"server": server, "certificate-authority-data": encoded(ca)}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }
    return json.dumps(document)


def capi_cluster(
    name: str,
    host: str = "",
    port: int = 0,
    *,
    up: bool = True,
    meta: Json | None = None,
) -> Json:
    """A Cluster of Cluster API, v1beta2, as its controllers leave it."""
    made: Json = {
        "apiVersion": "cluster.x-k8s.io/v1beta2",
        "kind": "Cluster",
        "metadata": {"name": name, "uid": f"uid-of-{name}", **(meta or {})},
        "spec": {"paused": False},
        "status": {"initialization": {"controlPlaneInitialized": up}},
    }
    if host:
        made["spec"]["controlPlaneEndpoint"] = {"host": host, "port": port}
    return made


def capi_secret(cluster: str, text: str, **metadata: Any) -> Json:
    """The Secret with a Cluster's kubeconfig."""
    labels = {"cluster.x-k8s.io/cluster-name": cluster}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "cluster.x-k8s.io/secret",
        "metadata": {"name": f"{cluster}-kubeconfig", "labels": labels, **metadata},
        "data": {"value": encoded(text)},
    }


def argocd_secret(name: str, server: str, config: str, **metadata: Any) -> Json:
    """A cluster Secret of Argo CD."""
    labels = {"argocd.argoproj.io/secret-type": "cluster"}
    data = {"name": name, "server": server, "config": config}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {
            "name": f"cluster-{name}",
            "uid": f"uid-of-{name}",
            "labels": labels,
            **metadata,
        },
        "data": {key: encoded(value) for key, value in data.items()},
    }


def argocd_config(ca: str, token: str = TOKEN) -> str:
    """The JSON in such a Secret's `config`."""
    tls = {"insecure": False, "caData": encoded(ca)}
    return json.dumps({"bearerToken": token, "tlsClientConfig": tls})


@dataclass(slots=True)
class _Watch:
    """An open watch: what it is of, and its lines."""

    where: Where
    namespace: str
    query: dict[str, str]
    lines: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)


class FakeHub:
    """Objects of some kinds with one resourceVersion; each change is an event of open watches."""

    def __init__(self) -> None:
        self.version = 100
        self.compacted = 0
        self.served = {CLUSTERS}
        self.objects: dict[Where, dict[tuple[str, str], Json]] = {}
        self.history: list[tuple[int, Where, Json | None, Json | None]] = []
        self.watches: list[_Watch] = []
        self.asked: list[tuple[str, str]] = []
        self.broken: dict[str, Answer] = {}
        self.tokens = {TOKEN}
        self.down = False

    def count(self, verb: str, kind: str = "") -> int:
        """Requests of a verb, of all kinds or of one."""
        return sum(v == verb and (not kind or k == kind) for v, k in self.asked)

    def put(self, where: Where, body: Json, namespace: str = "team-a") -> Json:
        """An object is there, as it is now."""
        self.version += 1
        metadata = {
            **body["metadata"],
            "namespace": namespace,
            "resourceVersion": str(self.version),
        }
        made = {**body, "metadata": metadata}
        of = self.objects.setdefault(where, {})
        old = of.get((namespace, metadata["name"]))
        of[namespace, metadata["name"]] = made
        self._tell(where, old, made)
        return made

    def drop(self, where: Where, name: str, namespace: str = "team-a") -> None:
        """An object is gone."""
        self.version += 1
        old = self.objects[where].pop((namespace, name))
        metadata = {**old["metadata"], "resourceVersion": str(self.version)}
        self._tell(where, {**old, "metadata": metadata}, None)

    def forget(self) -> None:
        """End all open watches, and what happened until now is not known any more."""
        self.version += 1
        self.compacted = self.version
        self.cut()

    def cut(self) -> None:
        """End all open watches."""
        for watch in self.watches:
            watch.lines.put_nowait(None)

    def say(self, line: bytes) -> None:
        """Bytes for all open watches."""
        for watch in self.watches:
            watch.lines.put_nowait(line)

    def _tell(self, where: Where, old: Json | None, new: Json | None) -> None:
        self.history.append((self.version, where, old, new))
        for watch in self.watches:
            line = _line(watch, where, old, new)
            if line:
                watch.lines.put_nowait(line)

    def __call__(self, request: Request) -> Answer:
        where, namespace, name = _place(request.path)
        verb = "watch" if "watch" in request.query else "list"
        verb = "get" if name or not where[1] else verb
        verb = "create" if request.method == "POST" else verb
        self.asked.append((verb, where[1] or where[0]))
        if self.down:
            return Answer(script=_nothing)
        if request.headers.get("authorization") not in {
            f"Bearer {each}" for each in self.tokens
        }:
            return status(401, "Unauthorized")
        if verb in self.broken:
            return self.broken[verb]
        if not where[1]:
            return self._resources(where[0])
        if where[0] != "v1" and where not in self.served:
            return status(404, "NotFound")
        if verb == "watch":
            return self._watch(_Watch(where, namespace, dict(request.query)))
        if verb == "list":
            return self._list(_Watch(where, namespace, dict(request.query)))
        found = self.objects.get(where, {}).get((namespace, name))
        return ok(found) if found else status(404, "NotFound")

    def _resources(self, version: str) -> Answer:
        names = [{"name": plural} for of, plural in self.served if of == version]
        if not names:
            return status(404, "NotFound")
        return ok({"kind": "APIResourceList", "resources": names})

    def _list(self, wanted: _Watch) -> Answer:
        of = self.objects.get(wanted.where, {})
        items = [of[key] for key in sorted(of) if _chosen(wanted, of[key])]
        first = int(wanted.query.get("continue", "0"))
        after = first + int(wanted.query["limit"])
        token = str(after) if after < len(items) else ""
        return page(items[first:after], token, version=str(self.version))

    def _watch(self, watch: _Watch) -> Answer:
        since = int(watch.query["resourceVersion"])
        assert watch.query["allowWatchBookmarks"] == "true"
        if since < self.compacted:
            return status(410, "Expired")

        async def script(writer: asyncio.StreamWriter) -> None:
            for version, where, old, new in self.history:
                line = _line(watch, where, old, new)
                if version > since and line:
                    watch.lines.put_nowait(line)
            self.watches.append(watch)
            try:
                await _stream(writer, watch.lines)
            finally:
                self.watches.remove(watch)

        return Answer(script=script)


def _place(path: str) -> tuple[Where, str, str]:
    """((version, plural), namespace, name) of a path; no plural: discovery."""
    parts = path.strip("/").split("/")
    size = 2 if parts[0] == "api" else 3
    version, rest = "/".join(parts[1:size]), parts[size:]
    namespace = ""
    if rest[:1] == ["namespaces"] and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    plural, name, *_ = [*rest, "", ""]
    return (version, plural), namespace, name


def _chosen(wanted: _Watch, body: Json | None) -> bool:
    if body is None:
        return False
    metadata = body["metadata"]
    if wanted.namespace and metadata["namespace"] != wanted.namespace:
        return False
    labels = metadata.get("labels", {})
    for term in filter(None, wanted.query.get("labelSelector", "").split(",")):
        key, equals, value = term.partition("=")
        if key not in labels or (equals and labels[key] != value):
            return False
    key, _, value = wanted.query.get("fieldSelector", "").partition("=")
    return not key or body.get(key) == value


def _line(
    watch: _Watch, where: Where, old: Json | None, new: Json | None
) -> bytes | None:
    """As a real server: what leaves the selection is deleted, what enters it is added."""
    if where != watch.where:
        return None
    before, after = _chosen(watch, old), _chosen(watch, new)
    if new is not None and after:
        return event("MODIFIED" if before else "ADDED", new)
    if before:
        return event("DELETED", new if new is not None else old or {})
    return None


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


@asynccontextmanager
async def serving_hub(
    made: tuple[Authority, Issued], hub: Callable[[Request], Answer], file: Path
) -> AsyncIterator[Server]:
    """The hub behind a server, with a kubeconfig of the context `hub` in `file`."""
    async with running(made, hub) as server:
        address = f"https://127.0.0.1:{server.port}"
        file.write_text(kubeconfig(address, server.ca, name="hub"))
        yield server

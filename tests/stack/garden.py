"""An API server of Shoots behind the aggregation of a real one, as Gardener's is (does I/O).

Gardener has no CRD of Shoots: its own API server serves core.gardener.cloud, and this one does
what we rely on as it is documented: discovery, list, watch, and the subresources
`viewerkubeconfig` and `adminkubeconfig`. Who may do what the real API server decides by RBAC.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.stack.certificates import Authority
from tests.stack.documents import Document, Ref, condition
from tests.stack.kube import Cluster
from tests.stack.process import scratch, wait_until

VERSION = "core.gardener.cloud/v1beta1"
ROOT = f"/apis/{VERSION}"
WHERE = {"namespace": "garden", "name": "gardener-apiserver"}
VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]


class Garden:
    """Shoots by (namespace, name), one resourceVersion, and kubeconfigs that are asked for."""

    def __init__(self) -> None:
        self.kubeconfigs: dict[str, str] = {}
        self.asked: list[tuple[str, Document]] = []
        self.changed = threading.Condition()
        self._shoots: dict[tuple[str, str], Document] = {}
        self._events: list[tuple[int, Document]] = []

    @property
    def version(self) -> int:
        """Of the newest change."""
        return 1 + len(self._events)

    def put(self, shoot: Document) -> None:
        """The Shoot is as it is now."""
        key = shoot["metadata"]["namespace"], shoot["metadata"]["name"]
        self._tell("MODIFIED" if key in self._shoots else "ADDED", key, shoot)

    def drop(self, namespace: str, name: str) -> None:
        """The Shoot is gone."""
        self._tell("DELETED", (namespace, name), self._shoots[namespace, name])

    def _tell(self, type: str, key: tuple[str, str], shoot: Document) -> None:
        with self.changed:
            metadata = {
                **shoot["metadata"],
                "resourceVersion": str(self.version + 1),
            }
            body = {**shoot, "metadata": metadata}
            if type == "DELETED":
                del self._shoots[key]
            else:
                self._shoots[key] = body
            self._events.append((self.version + 1, {"type": type, "object": body}))
            self.changed.notify_all()

    def listed(self, namespace: str) -> Document:
        """The list of a namespace, of all for an empty one."""
        with self.changed:
            found = [
                body
                for (space, _), body in sorted(self._shoots.items())
                if namespace in ("", space)
            ]
            metadata = {"resourceVersion": str(self.version)}
            head = {"apiVersion": VERSION, "kind": "ShootList", "metadata": metadata}
            return {**head, "items": found}

    def since(self, version: int, namespace: str) -> tuple[int, list[Document]]:
        """What happened since, after at most a second without anything."""
        with self.changed:
            self.changed.wait_for(lambda: self.version > version, timeout=1.0)
            return self.version, [
                event
                for at, event in self._events
                if at > version
                and namespace in ("", event["object"]["metadata"]["namespace"])
            ]

    def kubeconfig(self, path: list[str], body: Document) -> Document | None:
        """What a POST of `NAMESPACE/shoots/NAME/SUBRESOURCE` is answered with."""
        _, _, name, subresource = path
        kind = {"viewerkubeconfig": "Viewer", "adminkubeconfig": "Admin"}[subresource]
        if name not in self.kubeconfigs or body["kind"] != f"{kind}KubeconfigRequest":
            return None
        self.asked.append((subresource, body))
        text = base64.b64encode(self.kubeconfigs[name].encode()).decode()
        return {**body, "status": {"kubeconfig": text}}


def _resources() -> Document:
    subresources = ("viewerkubeconfig", "adminkubeconfig")
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": VERSION,
        "resources": [
            _resource("shoots", "Shoot", VERBS),
            *(
                _resource(f"shoots/{name}", "Request", ["create"])
                for name in subresources
            ),
        ],
    }


def _resource(name: str, kind: str, verbs: list[str]) -> Document:
    return {
        "name": name,
        "singularName": "",
        "namespaced": True,
        "kind": kind,
        "verbs": verbs,
    }


class _Server(ThreadingHTTPServer):
    def __init__(self, garden: Garden) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.garden = garden
        self.daemon_threads = True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def garden(self) -> Garden:
        server: Any = self.server
        return server.garden  # type: ignore[no-any-return]

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {key: each[0] for key, each in parse_qs(url.query).items()}
        match url.path.removeprefix(ROOT).strip("/").split("/"):
            case [""] if url.path.startswith(ROOT):
                self._say(200, _resources())
            case ["shoots"]:
                self._shoots("", query)
            case ["namespaces", namespace, "shoots"]:
                self._shoots(namespace, query)
            case _:
                self._say(404, {"kind": "Status", "code": 404})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path = urlsplit(self.path).path.removeprefix(f"{ROOT}/namespaces/")
        answer = self.garden.kubeconfig(path.split("/"), body)
        self._say(201 if answer else 404, answer or {"kind": "Status"})

    def _shoots(self, namespace: str, query: dict[str, str]) -> None:
        if query.get("watch") not in ("1", "true"):
            self._say(200, self.garden.listed(namespace))
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        version = int(query.get("resourceVersion") or "0")
        try:
            self._stream(namespace, version)
        except OSError:
            self.close_connection = True  # whoever watched has gone

    def _stream(self, namespace: str, version: int) -> None:
        while True:
            version, events = self.garden.since(version, namespace)
            metadata = {"resourceVersion": str(version)}
            bookmark = {
                "kind": "Shoot",
                "apiVersion": VERSION,
                "metadata": metadata,
            }
            for event in events or [{"type": "BOOKMARK", "object": bookmark}]:
                line = json.dumps(event).encode() + b"\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))

    def _say(self, status: int, body: Document) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def garden_behind(cluster: Cluster) -> Iterator[Garden]:
    """A garden that the cluster's API server serves as its own while it runs."""
    garden, host = Garden(), "{name}.{namespace}.svc".format_map(WHERE)
    authority = Authority(scratch("garden"), "garden")
    issued = authority.server("garden", ("127.0.0.1",), (host,))
    server = _Server(garden)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.cert, issued.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    ca = base64.b64encode(authority.cert.read_bytes()).decode()
    documents = _registration(server.server_address[1], ca)
    try:
        cluster.namespace(WHERE["namespace"])
        cluster.api.apply(documents)
        wait_until(lambda: _available(cluster), f"{VERSION} served by {cluster.name}")
        yield garden
    finally:
        for each in documents:
            cluster.api.delete(Ref.of(each))
        server.shutdown()
        server.server_close()
        thread.join()


def _registration(port: int, ca: str) -> list[Document]:
    group, _, version = VERSION.partition("/")
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": dict(WHERE),
        # There are no pods here: a name is the only way to a server outside.
        "spec": {"type": "ExternalName", "externalName": "127.0.0.1"},
    }
    registered = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"{version}.{group}"},
        "spec": {
            "group": group,
            "version": version,
            "groupPriorityMinimum": 10000,
            "versionPriority": 20,
            "caBundle": ca,
            "service": {**WHERE, "port": port},
        },
    }
    return [service, registered]


def _available(cluster: Cluster) -> bool:
    group, _, version = VERSION.partition("/")
    name = f"{version}.{group}"
    found = cluster.api.get(Ref("apiregistration.k8s.io/v1", "APIService", name))
    return condition(found, "Available") == "True"

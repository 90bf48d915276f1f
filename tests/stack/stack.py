"""The whole stack of one test run: clusters now, what runs on them on demand (does I/O).

    with Stack() as stack:
        hub = stack.cluster("hub")
        eu1 = stack.cluster("eu1", names=("eu1.k8s.example.com",))
        stack.envoy_gateway().kubelet.proxy("public", "ingress").address

With ``WHARFINGER_STACK_KUBECONFIG=FILE`` no API server is started: ``cluster(NAME)`` is
the context NAME (``hub``, ``workload-1``, ``workload-2``) of FILE, and Envoy Gateway must
be installed on the hub, with a GatewayClass ``envoy`` of its own. Servers in FILE must be
addresses that this machine *and* the hub's pods reach (with kind: those of the node
containers), and ``WHARFINGER_STACK_ADDRESS`` an address of this machine that the hub's
pods reach (with kind: the gateway of its Docker network); workloads listen there.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from tests.stack.api import Access
from tests.stack.documents import Document, load
from tests.stack.envoy_gateway import EnvoyGateway
from tests.stack.istio import Istio
from tests.stack.kube import Cluster, ClusterSpec, Etcd, start_cluster
from tests.stack.pods import Network
from tests.stack.process import ProcessError, scratch

LOGS = Path(__file__).resolve().parents[2] / ".stack-logs"
EXTERNAL = "WHARFINGER_STACK_KUBECONFIG"
HUB_CRDS = ("crds/gateway-api", "crds/envoy-gateway", "crds/istio")
WORKLOAD_CRDS = ("crds/istio",)


class Stack:
    """Everything that one run starts. Logs are removed at the end unless `failed`."""

    def __init__(self, logs: Path | None = None) -> None:
        run = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
        self.logs = logs or LOGS / run
        self.failed = False
        self._lock = threading.RLock()
        self._etcd: Etcd | None = None
        self._network: Network | None = None
        self._envoy_gateway: EnvoyGateway | None = None
        self._istio: Istio | None = None
        self._clusters: dict[str, Cluster] = {}
        self._cleanups: list[Callable[[], object]] = []

    def etcd(self) -> Etcd:
        """The one etcd, started when it is first asked for."""
        with self._lock:
            if self._etcd is None:
                self._etcd = Etcd(self.logs).start()
                self.at_end(self._etcd.stop)
            return self._etcd

    def cluster(
        self,
        name: str,
        *,
        names: tuple[str, ...] = (),
        crds: tuple[str, ...] | None = None,
    ) -> Cluster:
        """The cluster `name`, started when it is first asked for.

        `names` go into its serving certificate. `crds` default to all that gateways
        need for ``hub``, and to Istio's for others.
        """
        if crds is None:
            crds = HUB_CRDS if name == "hub" else WORKLOAD_CRDS
        return self.clusters([ClusterSpec(name=name, names=names, crds=crds)])[0]

    def clusters(self, specs: Iterable[ClusterSpec]) -> list[Cluster]:
        """Several clusters, those that do not run yet started at the same time."""
        wanted = list(specs)
        with self._lock:
            fresh = [spec for spec in wanted if spec.name not in self._clusters]
            if fresh and not external():
                self.etcd()
            with ThreadPoolExecutor(max_workers=max(len(fresh), 1)) as pool:
                for cluster in pool.map(self._start, fresh):
                    self._clusters[cluster.name] = cluster
            return [self._clusters[spec.name] for spec in wanted]

    def _start(self, spec: ClusterSpec) -> Cluster:
        if self._etcd is None:
            cluster = from_kubeconfig(Path(external()), spec.name)
            cluster.install(*spec.crds)
        else:
            cluster = start_cluster(spec, self._etcd, self.logs)
        self.at_end(cluster.stop)
        return cluster

    @property
    def network(self) -> Network:
        """The network of pods of this run."""
        with self._lock:
            if self._network is None:
                self._network = Network()
                self.at_end(self._network.close)
            return self._network

    def envoy_gateway(self) -> EnvoyGateway:
        """Envoy Gateway on the hub, started when it is first asked for."""
        with self._lock:
            if self._envoy_gateway is None:
                network = None if external() else self.network
                self._envoy_gateway = EnvoyGateway(
                    self.cluster("hub"), network, self.logs
                )
                self.at_end(self._envoy_gateway.stop)
                self._envoy_gateway.start()
            return self._envoy_gateway

    def istio(self) -> Istio:
        """istiod on the hub, started when it is first asked for."""
        with self._lock:
            if external():
                raise ProcessError(f"istiod is not started beside {external()}")
            if self._istio is None:
                self._istio = Istio(self.cluster("hub"), self.network, self.logs)
                self.at_end(self._istio.stop)
                self._istio.start()
            return self._istio

    def kubeconfig(self) -> Path:
        """A kubeconfig with one context per cluster that was asked for so far."""
        merged: Document = {"apiVersion": "v1", "kind": "Config"}
        for cluster in self._clusters.values():
            one = json.loads(cluster.kubeconfig())
            for part in ("clusters", "users", "contexts"):
                merged.setdefault(part, []).extend(one[part])
        path = scratch("kubeconfig") / "config"
        path.touch(mode=0o600)
        path.write_text(json.dumps(merged))
        return path

    def at_end(self, cleanup: Callable[[], object]) -> None:
        """Call `cleanup` when the stack ends; the newest first."""
        self._cleanups.append(cleanup)

    def close(self) -> None:
        """Stop everything. Logs stay when `failed` was set."""
        errors = []
        while self._cleanups:
            try:
                self._cleanups.pop()()
            except RuntimeError as error:
                errors.append(error)
        self.failed = self.failed or bool(errors)
        if errors:
            raise ExceptionGroup(f"while stopping, logs in {self.logs}", errors)
        if not self.failed:
            shutil.rmtree(self.logs, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.failed = self.failed or kind is not None
        self.close()


def external() -> str:
    """The path of the kubeconfig whose clusters are used, or nothing."""
    return os.environ.get(EXTERNAL, "")


def from_kubeconfig(path: Path, context: str) -> Cluster:
    """The cluster of one context; credentials must be inline or files."""
    (config,) = load(path.read_text())
    found = next(c["context"] for c in config["contexts"] if c["name"] == context)
    cluster = next(c for c in config["clusters"] if c["name"] == found["cluster"])
    user = next(u for u in config["users"] if u["name"] == found["user"])["user"]
    cluster = cluster["cluster"]
    folder = scratch(f"cluster-{context}")

    def pem(owner: dict[str, str], key: str) -> str:
        if inline := owner.get(f"{key}-data"):
            file = folder / key
            file.touch(mode=0o600)
            file.write_bytes(base64.b64decode(inline))
            return str(file)
        return str(path.parent / owner[key]) if key in owner else ""

    access = Access(
        server=cluster["server"].rstrip("/"),
        ca=pem(cluster, "certificate-authority"),
        token=user.get("token", ""),
        cert=pem(user, "client-certificate"),
        key=pem(user, "client-key"),
    )
    return Cluster(name=context, access=access, folder=folder)

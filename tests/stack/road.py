"""The whole road of one exposure on real programs: what tests of it share (does I/O)."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler import yamlio
from tests import documents
from tests.stack.argocd import Argocd
from tests.stack.checkout import Checkout, git
from tests.stack.documents import Ref
from tests.stack.flux import Flux
from tests.stack.gitea import GitRemote
from tests.stack.kube import Cluster
from tests.stack.network import give_back, take_address
from tests.stack.workloads import Workload, ask

COMMAND = Path(sys.executable).with_name("wharfinger")
NETWORKING = "networking.istio.io/v1"
OURS = "wharfinger.dev/"
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass(slots=True)
class Road:
    """One ingress repository, one gateway of its own, one workload cluster."""

    hub: Cluster
    workload: Cluster
    remote: GitRemote
    folder: Path
    renderer: str
    engine: Flux | Argocd
    namespace: str
    node: str
    first_port: int
    gateway: str = field(default_factory=lambda: f"gw{os.getpid()}x{next(_numbers)}")
    extra: Mapping[str, Any] = field(default_factory=dict)
    spare: str = field(default_factory=take_address)  # of a node that comes later

    @property
    def space(self) -> str:
        """The workload cluster's namespace of this road."""
        return f"shop-{self.gateway}"

    def prepare(self) -> None:
        """Settings in Git, a node and a namespace in the workload cluster."""
        self.workload.namespace(self.space)
        self.workload.api.apply(documents.node(f"node-{self.gateway}", self.node))
        ref = Ref("v1", "Node", f"node-{self.gateway}")
        self.workload.api.patch_status(ref, documents.node("n", self.node)["status"])
        checkout = Checkout.of(self.remote.authenticated_url, self.folder / "person")
        checkout.commit({"wharfinger.yaml": yamlio.dump(self.settings())})
        checkout.push()

    def settings(self) -> dict[str, Any]:
        proof = "flux" if isinstance(self.engine, Flux) else "argocd"
        name = "flux-system" if proof == "flux" else "argocd"
        ports = f"{self.first_port}-{self.first_port + 127}"
        gateway = {
            "name": self.gateway,
            "renderer": self.renderer,
            "namespace": self.namespace,
            "ports": {"range": ports},
            "proof": {proof: [f"{name}/{self.gateway}*"]},
        }
        kubeconfig = {"path": str(self.workload.kubeconfig_file())}
        return {
            "apiVersion": "wharfinger.dev/v1alpha1",
            "kind": "Settings",
            "domain": "example.com",
            "platform": {
                "context": self.hub.name,
                "kubeconfig": str(self.hub.kubeconfig_file()),
            },
            "gateways": [gateway],
            "inventories": [{"name": "lab", "kubeconfig": kubeconfig}],
            "tenants": [
                {
                    "clusters": ["*"],
                    "gateways": [self.gateway],
                    "endpoints": [f"{self.node}/32", f"{self.spare}/32"],
                }
            ],
            "guards": {"grace": "1s"},
            "release": {"drain": "0s"},
            **self.extra,
        }

    def wharfinger(self, command: str, *args: str, code: int = 0) -> Done:
        """Run the real command against the forge."""
        environment = {
            **os.environ,
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "WHARFINGER_GIT_USERNAME": self.remote.account.user,
            "WHARFINGER_GIT_PASSWORD": self.remote.account.token,
        }
        done = subprocess.run(
            [str(COMMAND), command, *args, "--repo", self.remote.url],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, (
            f"{done.returncode}: {done.stdout}\n{done.stderr}"
        )
        assert self.remote.account.token not in done.stdout + done.stderr
        return Done(code=done.returncode, out=done.stdout, err=done.stderr)

    def service(self, name: str) -> Workload:
        """A NodePort Service and a workload that answers on the node for it."""
        document = documents.service(name, 0, self.space)
        del document["spec"]["clusterIP"]  # type: ignore[attr-defined]
        del document["spec"]["ports"][0]["nodePort"]  # type: ignore[index]
        self.workload.api.apply(document)
        found = self.workload.api.get(Ref("v1", "Service", name, self.space))
        node_port = int(found["spec"]["ports"][0]["nodePort"])
        return Workload(name, node_port, self.node)

    @contextmanager
    def replaced_node(self, service: str, answer: str) -> Iterator[None]:
        """Another node takes the place of the first; there the Service says `answer`."""
        found = self.workload.api.get(Ref("v1", "Service", service, self.space))
        node_port = int(found["spec"]["ports"][0]["nodePort"])
        ref = Ref("v1", "Node", f"other-{self.gateway}")
        node = documents.node(ref.name, self.spare)
        with Workload(answer, node_port, self.spare):
            self.workload.api.apply(node)
            self.workload.api.patch_status(ref, node["status"])
            self.workload.api.delete(Ref("v1", "Node", f"node-{self.gateway}"))
            yield
        self.workload.api.delete(ref)

    def expose(self, weights: Mapping[str, int], **annotations: str) -> None:
        """The team's VirtualService `orders`."""
        named = {
            f"{OURS}{key.replace('_', '-')}": value
            for key, value in annotations.items()
        }
        made = documents.virtual_service("orders", weights, named, self.space)
        self.workload.api.apply(made, manager="team")

    def unexpose(self) -> None:
        """The team takes the annotation away."""
        made = documents.virtual_service("orders", {"blue": 1}, None, self.space)
        del made["metadata"]["annotations"]  # type: ignore[attr-defined]
        self.workload.api.apply(made, manager="team")

    def annotations(self) -> dict[str, str]:
        """What is written back, by the short name."""
        ref = Ref(NETWORKING, "VirtualService", "orders", self.space)
        found = self.workload.api.get(ref)["metadata"].get("annotations", {})
        return {
            key.removeprefix(OURS): value
            for key, value in found.items()
            if key.startswith(OURS)
        }

    def head(self) -> str:
        return git(self.remote.bare, "rev-parse", "main").strip()

    def files(self) -> list[str]:
        return git(self.remote.bare, "ls-tree", "-r", "--name-only", "main").split()

    def follow(self) -> None:
        """Make the engine's objects for the gateway and the cluster (once)."""
        folder = f"manifests/{self.gateway}"
        cluster = f"{folder}/{self.workload.name}"
        if isinstance(self.engine, Flux):
            self.engine.source(self.gateway, self.remote.url)
            self.engine.source(f"{self.gateway}-alone", self.remote.url)
            self.engine.kustomization(
                f"{self.gateway}-alone", f"{self.gateway}-alone", f"./{folder}"
            )
            self.engine.kustomization(self.gateway, self.gateway, f"./{cluster}")
            return
        self.engine.application(
            f"{self.gateway}-alone",
            self.remote.url,
            folder,
            self.namespace,
            recurse=False,
        )
        self.engine.application(self.gateway, self.remote.url, cluster, self.namespace)

    def apply(self) -> None:
        """Let the engine apply HEAD, and wait until it has."""
        head = self.head()
        if isinstance(self.engine, Flux):
            only = "manifests/*/*/**"
            self.engine.publish(f"{self.gateway}-alone", self.remote.bare, ignore=only)
            self.engine.publish(self.gateway, self.remote.bare)
            self.engine.wait_applied(f"{self.gateway}-alone", head)
            self.engine.wait_applied(self.gateway, head)
            return
        for name in (f"{self.gateway}-alone", self.gateway):
            self.engine.refresh(name)
            self.engine.wait_synced(name, head)

    def prove_until(self, state: str, seconds: float = 40) -> dict[str, str]:
        """Prove again and again until the VirtualService says so."""
        deadline = time.monotonic() + seconds
        while True:
            done = self.wharfinger("prove", "-o", "json")
            found = self.annotations()
            if found.get("state") == state:
                return found
            assert time.monotonic() < deadline, f"{found}\n{done.out}\n{done.err}"
            time.sleep(0.5)

    def forget(self) -> None:
        """Take the engine's objects away, and all that they applied."""
        for name in (self.gateway, f"{self.gateway}-alone"):
            self.engine.forget(name)
        ref = Ref(NETWORKING, "VirtualService", "orders", self.space)
        if self.workload.api.find(ref) is not None:
            self.workload.api.delete(ref)
        self.workload.api.delete(Ref("v1", "Node", f"node-{self.gateway}"))
        give_back(self.spare)


def answers(address: str, port: int) -> str:
    """What a client hears, empty when nobody is reached."""
    try:
        return ask(address, port, timeout=5)
    except OSError:
        return ""

"""2,000 new exposures on real API servers to ports in Git, beside the API server's own NodePorts.

    python -m tests.bench.nodeports [--count 2000] [--clusters 4]

Both sides work on the same API servers (etcd and kube-apiserver of the built stack). The peer:
so many Services of type NodePort are created by eight connections at once, each gets a number.
Ours: so many VirtualServices lie there; one cold `wharfinger reconcile` lists them, gives each a
port of its gateway and pushes; the clock stops when the remote has taken the push (its own hook
says when). The objects are made before the clock runs for us, and the creation is the allocation
for the peer, which is why both are told as rates.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from reconciler import yamlio
from tests import documents
from tests.bench.__main__ import COMMAND, git, measure
from tests.bench.ratio import Ratio, machine, table
from tests.stack.documents import Document, Ref
from tests.stack.kube import Cluster, ClusterSpec
from tests.stack.stack import WORKLOAD_CRDS, Stack

AT_ONCE = 8
SPACE = "shop"
VIRTUAL_SERVICES = f"/apis/networking.istio.io/v1/namespaces/{SPACE}/virtualservices"
SERVICES = f"/api/v1/namespaces/{SPACE}/services"


def create(clusters: Sequence[Cluster], path: str, made: Sequence[Document]) -> float:
    """Seconds to create documents, spread over the clusters, by some connections at once."""

    def one(work: tuple[int, Document]) -> None:
        number, document = work
        clusters[number % len(clusters)].api.call("POST", path, document)

    started = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, enumerate(made)))
    return time.monotonic() - started


def node_port(name: str) -> Document:
    """A Service that asks for any NodePort."""
    document: Document = dict(documents.service(name, 0, SPACE))
    del document["spec"]["clusterIP"]
    del document["spec"]["ports"][0]["nodePort"]
    return document


def exposure(name: str) -> Document:
    """An exposed VirtualService; all of them have one Service, which asks for one NodePort."""
    return dict(documents.virtual_service(name, {"shared": 100}, space=SPACE))


def settings(clusters: Sequence[Cluster], count: int, folder: Path) -> str:
    """Settings with the clusters of a kubeconfig and ports for all."""
    kubeconfigs = []
    for cluster in clusters:
        path = folder / f"{cluster.name}.kubeconfig"
        path.write_text(cluster.kubeconfig())
        kubeconfigs.append(path)
    gateway = {
        "name": "public",
        "renderer": "envoy-gateway",
        "namespace": "ingress",
        "ports": {"range": f"20000-{20000 + 2 * count}"},
    }
    body = {
        "apiVersion": "wharfinger.dev/v1alpha1",
        "kind": "Settings",
        "domain": "example.com",
        "gateways": [gateway],
        "apis": {"mode": "off"},
        "inventories": [
            {"name": path.stem.partition(".")[0], "kubeconfig": {"path": str(path)}}
            for path in kubeconfigs
        ],
        "tenants": [
            {"clusters": ["*"], "gateways": ["public"], "endpoints": ["10.20.0.0/16"]}
        ],
    }
    return yamlio.dump(body)


def repository(folder: Path, text: str) -> Path:
    """A bare ingress repository with settings."""
    remote, work = folder / "ingress.git", folder / "work"
    git(folder, "init", "-q", "--bare", "-b", "main", str(remote))
    git(folder, "clone", "-q", str(remote), str(work))
    (work / "wharfinger.yaml").write_text(text)
    git(work, "checkout", "-q", "-B", "main")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "settings")
    git(work, "push", "-q", "origin", "main")
    hook = remote / "hooks" / "post-receive"
    hook.write_text(f"#!/bin/sh\ndate +%s.%N >{folder}/pushed\n")
    hook.chmod(0o755)
    return remote


def prepared(stack: Stack, number: int) -> list[Cluster]:
    """Clusters with a node, a namespace and the one Service of all exposures."""
    names = [f"c{index}" for index in range(1, number + 1)]
    specs = [ClusterSpec(name=name, crds=WORKLOAD_CRDS) for name in names]
    clusters = stack.clusters(specs)
    for index, cluster in enumerate(clusters):
        cluster.namespace(SPACE)
        address = f"10.20.0.{index + 1}"
        cluster.api.apply(documents.node("n1", address))
        status = documents.node("n1", address)["status"]
        cluster.api.patch_status(Ref("v1", "Node", "n1"), dict(status))  # type: ignore[call-overload]
        cluster.api.call("POST", SERVICES, node_port("shared"))
    return clusters


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Seconds: of the peer, to make our objects, until they have ports, and with write-back."""

    theirs: float
    creation: float
    ours: float
    whole: float


def measured(count: int, number: int) -> Figures:
    """Both sides on the same API servers. Raises SystemExit where ports are missing."""
    with tempfile.TemporaryDirectory() as name, Stack() as stack:
        folder = Path(name)
        clusters = prepared(stack, number)
        peers = [node_port(f"s{number}") for number in range(count)]
        theirs = create(clusters, SERVICES, peers)
        for cluster in clusters:
            cluster.empty(SPACE)
            cluster.api.call("POST", SERVICES, node_port("shared"))
        made = [exposure(f"vs{number}") for number in range(count)]
        creation = create(clusters, VIRTUAL_SERVICES, made)
        remote = repository(folder, settings(clusters, count, folder))
        environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
        argv = [str(COMMAND), "reconcile", "--repo", str(remote), "--write-back", "off"]
        started = time.time()
        whole = measure(argv, environment).seconds
        ours = float((folder / "pushed").read_text()) - started
        listed = git(remote, "ls-tree", "-r", "--name-only", "main", "ports/")
    ports = len(listed.splitlines())
    if ports != count:
        raise SystemExit(f"{ports} ports in Git, {count} expected")
    return Figures(theirs=theirs, creation=creation, ours=ours, whole=whole)


def rows(count: int = 2000, clusters: int = 4) -> list[Ratio]:
    """The rate of ports in Git to that of NodePorts."""
    found = measured(count, clusters)
    return [
        Ratio(
            what=f"{count} new exposures on {clusters} API servers to ports in Git, cold",
            peer=f"the API servers' NodePorts, {AT_ONCE} connections",
            ours=count / found.ours,
            theirs=count / found.theirs,
            unit="/s",
            goal=10,
            more=True,
        )
    ]


def main() -> None:
    """Measure both and print the rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--clusters", type=int, default=4)
    asked = parser.parse_args()
    print(f"{machine()}\n\n{table(rows(asked.count, asked.clusters))}")


if __name__ == "__main__":
    main()

"""2,000 new exposures on real API servers to ports in Git, beside the API server's own NodePorts.

    python -m tests.bench.nodeports [--count 2000] [--clusters 4]

Both sides work on the same API servers (etcd and kube-apiserver of the built stack). The peer:
so many Services of type NodePort are created by eight connections at once, each gets a number.
Ours, twice; the clock stops when the remote has taken the last push (its own hook says when):

    cold   so many VirtualServices lie there; a new process of `wharfinger reconcile` starts with
           the clock, lists them, gives each a port of its gateway and pushes
    warm   `wharfinger run` is up and watches the clusters, as their API servers are up; it is
           stopped (SIGSTOP) while the objects are made, and the clock starts when it goes on
           (SIGCONT): no event has been read by it then. `watch.quiet` is 0 s, so nothing waits
           and nothing is taken off; it may push in several parts, and the last one counts

The objects are made before the clock runs for us, since making them is slower than we are, and
making is allocating for the peer, which is why all are told as rates.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from reconciler import yamlio
from tests import documents
from tests.bench.__main__ import COMMAND, git
from tests.bench.children import took
from tests.bench.ratio import Ratio, machine, table
from tests.bench.tools import compile_all, environment
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


def settings(
    clusters: Sequence[Cluster],
    count: int,
    folder: Path,
    watch: Mapping[str, str] | None = None,
) -> str:
    """Settings with the clusters of a kubeconfig and ports for all; `watch` is its section."""
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
    return yamlio.dump({**body, "watch": dict(watch)} if watch else body)


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
    """Seconds: of the peer, to make our objects, and until they have ports, cold and warm."""

    theirs: float
    creation: float
    cold: float
    warm: float


def measured(count: int, number: int) -> Figures:
    """All on the same API servers. Raises SystemExit where ports are missing."""
    compile_all()
    with tempfile.TemporaryDirectory() as name, Stack() as stack:
        folder = Path(name)
        clusters = prepared(stack, number)
        peers = [node_port(f"s{number}") for number in range(count)]
        theirs = create(clusters, SERVICES, peers)
        emptied(clusters)
        made = [exposure(f"vs{number}") for number in range(count)]
        creation = create(clusters, VIRTUAL_SERVICES, made)
        cold = _cold(clusters, count, folder / "cold")
        emptied(clusters)
        warm = _warm(clusters, made, folder / "warm")
    return Figures(theirs=theirs, creation=creation, cold=cold, warm=warm)


def emptied(clusters: Sequence[Cluster]) -> None:
    """As `prepared` left them."""
    for cluster in clusters:
        cluster.empty(SPACE)
        cluster.api.call("POST", SERVICES, node_port("shared"))


def _cold(clusters: Sequence[Cluster], count: int, folder: Path) -> float:
    """Seconds from the start of `reconcile` until the remote has taken its push."""
    folder.mkdir()
    remote = repository(folder, settings(clusters, count, folder))
    argv = [str(COMMAND), "reconcile", "--repo", str(remote), "--write-back", "off"]
    started = time.time()
    took(argv, environment(folder / "cache"))
    _check(remote, count)
    return pushed_at(folder) - started


def _warm(clusters: Sequence[Cluster], made: Sequence[Document], folder: Path) -> float:
    """Seconds from when a stopped `run` goes on until the remote has the last of the ports."""
    folder.mkdir()
    watch = {"quiet": "0s", "longest": "1s"}
    remote = repository(folder, settings(clusters, len(made), folder, watch))
    first = [exposure(f"first{number}") for number in range(len(clusters))]
    total = len(first) + len(made)
    with running(remote, folder) as run:
        create(clusters, VIRTUAL_SERVICES, first)
        until(lambda: ports_in(remote) == len(first))
        os.kill(run.pid, signal.SIGSTOP)
        create(clusters, VIRTUAL_SERVICES, made)
        started = time.time()
        os.kill(run.pid, signal.SIGCONT)
        until(lambda: ports_in(remote) == total)
        ended = pushed_at(folder)
    _check(remote, total)
    return ended - started


@contextmanager
def running(remote: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`wharfinger run` on a repository; its log is `run.log` in the folder."""
    argv = [str(COMMAND), "run", "--repo", str(remote), "--write-back", "off"]
    with (folder / "run.log").open("wb") as log:
        run = subprocess.Popen(
            argv, env=environment(folder / "cache"), stdout=log, stderr=log
        )
        try:
            yield run
        finally:
            run.send_signal(signal.SIGCONT)
            run.terminate()
            run.wait(30)


def until(met: Callable[[], bool], seconds: float = 120) -> None:
    """Wait for it, with looks that are rare enough to cost nothing. Raises SystemExit."""
    deadline = time.monotonic() + seconds
    while not met():
        if time.monotonic() > deadline:
            raise SystemExit(f"still not so after {seconds:g} s")
        time.sleep(0.2)


def pushed_at(folder: Path) -> float:
    """When the remote took the newest push, by its hook: seconds since the epoch."""
    return float((folder / "pushed").read_text())


def ports_in(remote: Path) -> int:
    """How many ports the branch allocates."""
    listed = git(remote, "ls-tree", "-r", "--name-only", "main", "ports/")
    return len(listed.splitlines())


def _check(remote: Path, count: int) -> None:
    ports = ports_in(remote)
    if ports != count:
        raise SystemExit(f"{ports} ports in Git, {count} expected")


def rows(count: int = 2000, clusters: int = 4) -> list[Ratio]:
    """The rates of ports in Git to that of NodePorts."""
    found = measured(count, clusters)
    print(found, flush=True)
    ours = (("cold", found.cold), ("warm", found.warm))
    return [
        Ratio(
            what=f"{count} new exposures on {clusters} API servers to ports in Git, {kind}",
            peer=f"the API servers' NodePorts, {AT_ONCE} connections",
            ours=count / seconds,
            theirs=count / found.theirs,
            unit="/s",
            goal=10,
            more=True,
        )
        for kind, seconds in ours
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

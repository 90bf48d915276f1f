"""From an annotation to the first byte through the gateway, beside the same objects by hand.

    python -m tests.bench.firstbyte [--routes 1 500] [--repeat 5] [--engine argocd|flux]

On real programs: an API server with the team's VirtualService, `wharfinger run`, Gitea, Argo CD
(or Flux's kustomize-controller, with a stand-in for source-controller that fetches when asked),
Envoy Gateway and its Envoy. The engine by itself would look at Git every three minutes. The peer
is `kubectl apply -f` of the very manifests of such a route, under other names and on another
port: the clock runs from the start of kubectl to the first byte. Ours runs from the request that
writes the annotation, and has the quiet window in it, which is taken off for the ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from tests import documents
from tests.bench.ratio import Ratio, machine, table
from tests.stack import pins
from tests.stack.argocd import Argocd
from tests.stack.checkout import git
from tests.stack.documents import Document, Ref, load
from tests.stack.flux import Flux
from tests.stack.gitea import Gitea
from tests.stack.kube import Cluster
from tests.stack.network import take_address
from tests.stack.road import COMMAND, NETWORKING, OURS, Road, answers
from tests.stack.stack import Stack
from tests.stack.workloads import ask

QUIET = 2.0
ENGINE_INTERVAL = 180
PATIENCE = 900.0
STEPS = ("commit", "asked", "applied", "served", "told")
# A policy that comes after its route changes a cluster that Envoy has; it then waits for endpoints
# that Envoy Gateway does not send again, and takes no other cluster for 15 s. Neither of the two
# that are measured is to pay for what the other left behind.
SETTLE = 17.0
HAND = 500  # how far the ports of the peer are from ours


class Events:
    """What happens to the objects of a collection, each with the time when we heard of it."""

    def __init__(self, cluster: Cluster, ref: Ref) -> None:
        self.seen: list[tuple[float, Document]] = []
        access = cluster.api.access
        url = f"{access.server}{cluster.api.path(ref)}?watch=true"
        self._answer = requests.get(
            url,
            stream=True,
            verify=access.ca,
            cert=(access.cert, access.key),
            timeout=(5, None),
        )
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        try:
            for line in self._answer.iter_lines():
                self.seen.append((time.monotonic(), json.loads(line)["object"]))
        except (requests.RequestException, AttributeError):
            return

    def first(self, wanted: Callable[[Document], bool], since: float) -> float | None:
        """When the first object that is as wanted was heard of."""
        for at, found in list(self.seen):
            if at >= since and wanted(found):
                return at
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds since the annotation was written; `None`: not seen."""

    commit: float
    asked: float | None
    applied: float | None
    served: float
    told: float | None


@dataclass(slots=True, kw_only=True)
class Bench:
    """A road with so many routes that are served, and what is heard of it."""

    road: Road
    where: str
    node_port: int
    hand: int = 0
    watched: dict[str, Events] = field(default_factory=dict)

    def watch(self) -> None:
        """Listen to what the steps leave behind."""
        hub, road = self.road.hub, self.road
        routes = Ref("gateway.networking.k8s.io/v1", "TCPRoute", "", road.namespace)
        kind, version, space = (
            ("GitRepository", "source.toolkit.fluxcd.io/v1", "flux-system")
            if isinstance(road.engine, Flux)
            else ("Application", "argoproj.io/v1alpha1", "argocd")
        )
        team = Ref(NETWORKING, "VirtualService", "", road.space)
        self.watched = {
            "asked": Events(hub, Ref(version, kind, "", space)),
            "applied": Events(hub, routes),
            "told": Events(road.workload, team),
        }

    def ours(self, name: str) -> Timing:
        """Expose a VirtualService and follow it."""
        road, head = self.road, self._head()
        started = time.monotonic()
        road.workload.api.apply(exposure(name, road.space), manager="team")
        commit = self._until(lambda: self._head() != head)
        port = self._port(name)
        served = self._until(lambda: _answers(self.where, port))
        self._until(lambda: self._ready(name, started) is not None)
        told = self._ready(name, started)

        def route(found: Document) -> bool:
            return f"-{name}-" in f"-{found['metadata']['name']}-"

        asked = self.watched["asked"].first(_is_asked, commit - 1)
        applied = self.watched["applied"].first(route, started)
        return Timing(
            commit=commit - started,
            asked=asked - started if asked else None,
            applied=applied - started if applied else None,
            served=served - started,
            told=told - started if told else None,
        )

    def by_hand(self, name: str) -> float:
        """Seconds from kubectl's start to the first byte, for the manifests of a route."""
        port = self._port(name)
        other = port + HAND
        text = self._manifests(name)
        names = {str(each["metadata"]["name"]) for each in load(text)}
        for each in sorted(names, key=len, reverse=True):
            text = text.replace(each, f"{each}-hand")
        text = text.replace(str(port), str(other))
        path = self.road.folder / f"{name}.yaml"
        path.write_text(text)
        kubeconfig = self.road.hub.kubeconfig_file()
        argv = [str(pins.binary("kubectl")), f"--kubeconfig={kubeconfig}", "apply"]
        started = time.monotonic()
        subprocess.run([*argv, "-f", str(path)], check=True, capture_output=True)
        return self._until(lambda: _answers(self.where, other)) - started

    def _manifests(self, name: str) -> str:
        bare = self.road.remote.bare
        listed = git(bare, "ls-tree", "-r", "--name-only", "main", "manifests/")
        paths = [each for each in listed.split() if f"/vs-{name}." in each]
        return "---\n".join(git(bare, "show", f"main:{path}") + "\n" for path in paths)

    def _port(self, name: str) -> int:
        bare = self.road.remote.bare
        owner = f"namespace: {self.road.space}, name: {name},"
        found = git(bare, "grep", "-l", "-F", owner, "main", "--", "ports/")
        return int(Path(found.split()[0]).stem)

    def _ready(self, name: str, since: float) -> float | None:
        def ready(found: Document) -> bool:
            metadata = found["metadata"]
            state = metadata.get("annotations", {}).get(f"{OURS}state")
            return bool(metadata["name"] == name and state == "Ready")

        return self.watched["told"].first(ready, since)

    def _head(self) -> str:
        return (self.road.remote.bare / "refs/heads/main").read_text()

    def _until(self, condition: Callable[[], bool]) -> float:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                raise SystemExit("it did not happen in time")
            time.sleep(0.01)
        return time.monotonic()


def _is_asked(found: Document) -> bool:
    annotations = found["metadata"].get("annotations", {})
    return bool(
        {"argocd.argoproj.io/refresh", "reconcile.fluxcd.io/requestedAt"}
        & annotations.keys()
    )


def _answers(address: str, port: int) -> bool:
    try:
        return ask(address, port, timeout=0.3) == "shared"
    except OSError:
        return False


def exposure(name: str, space: str) -> Document:
    """An exposed VirtualService; all of them have one Service."""
    return dict(documents.virtual_service(name, {"shared": 1}, space=space))


@contextmanager
def running(road: Road, *args: str) -> Iterator[None]:
    """`wharfinger run` beside the bench; what it logs is in the road's folder."""
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(road.folder / "cache"),
        "WHARFINGER_GIT_USERNAME": road.remote.account.user,
        "WHARFINGER_GIT_PASSWORD": road.remote.account.token,
    }
    argv = [str(COMMAND), "run", "--repo", road.remote.url, *args]
    with (road.folder / "run.log").open("w") as log:
        process = subprocess.Popen(argv, env=environment, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=60)


def settings(gateway: str, namespace: str, engine: str, node: str) -> dict[str, Any]:
    """What a road of its own does not say: room for many routes."""
    space = "flux-system" if engine == "flux" else "argocd"
    return {
        "gateways": [
            {
                "name": gateway,
                "renderer": "envoy-gateway",
                "namespace": namespace,
                "ports": {"range": "21000-22999", "max": 2000},
                "proof": {engine: [f"{space}/{gateway}*"]},
            }
        ],
        "tenants": [
            {
                "clusters": ["*"],
                "gateways": [gateway],
                "endpoints": [f"{node}/32"],
                "quota": {"routes": 2000, "perNamespace": 2000},
            }
        ],
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """All repetitions with so many routes: ours, and the peer's seconds."""

    routes: int
    ours: tuple[Timing, ...]
    theirs: tuple[float, ...]

    def median(self, step: str) -> float | None:
        """Of one step, from the annotation on."""
        seen = [getattr(each, step) for each in self.ours]
        known = [each for each in seen if each is not None]
        return statistics.median(known) if known else None


class Places:
    """The stack, and a new road on it for each number of routes."""

    def __init__(self, stack: Stack, engine: str, folder: Path) -> None:
        self._stack = stack
        self._engine_name = engine
        self._folder = folder
        self._hub = stack.cluster("hub")
        self._workload = stack.cluster("workload-1")
        self._controller = stack.envoy_gateway()
        self._undo = ExitStack()
        stack.at_end(self._undo.close)
        self._forge = self._undo.enter_context(Gitea(stack.logs))
        self._engine = self._start(engine, stack.logs)

    def _start(self, engine: str, logs: Path) -> Argocd | Flux:
        if engine == "flux":
            return self._undo.enter_context(Flux(self._hub, logs))
        argocd = self._undo.enter_context(Argocd(self._hub, logs))
        argocd.trust(f"{self._forge.url}/", self._forge.owner)
        return argocd

    def measure(self, routes: int, repeat: int) -> Found:
        """Serve so many routes, then add some more, one after the other."""
        name, node = f"bench{routes}", take_address()
        namespace = self._hub.namespace(f"bench-{routes}")
        folder = self._folder / name
        folder.mkdir()
        road = Road(
            hub=self._hub,
            workload=self._workload,
            remote=self._forge.create_repo(),
            folder=folder,
            renderer="envoy-gateway",
            engine=self._engine,
            namespace=namespace,
            node=node,
            first_port=21000,
            gateway=name,
            extra=settings(name, namespace, self._engine_name, node),
        )
        road.prepare()
        with road.service("shared") as shared:
            for number in range(routes):
                made = exposure(f"old{number}", road.space)
                road.workload.api.apply(made, manager="team")
            road.wharfinger("reconcile", "--write-back", "off")
            road.follow()
            self._applied(road)
            where = self._controller.address(name, namespace)
            bench = Bench(road=road, where=where, node_port=shared.port)
            bench._until(lambda: answers(where, bench._port("old0")) == "shared")
            with self._patient(road), running(road):
                return self._repeat(bench, routes, repeat)

    def _applied(self, road: Road) -> None:
        """As `Road.apply`, with time for hundreds of objects."""
        head, engine = road.head(), self._engine
        if isinstance(engine, Flux):
            road.apply()
            return
        for name in (f"{road.gateway}-alone", road.gateway):
            engine.refresh(name)
            engine.wait_synced(name, head, seconds=PATIENCE)

    @contextmanager
    def _patient(self, road: Road) -> Iterator[None]:
        engine = self._engine
        quiet = (
            engine.patient(ENGINE_INTERVAL)
            if isinstance(engine, Argocd)
            else engine.asked_only(road.gateway, road.remote.bare)
        )
        with quiet:
            yield

    def _repeat(self, bench: Bench, routes: int, repeat: int) -> Found:
        bench.watch()
        bench._until(lambda: bench._ready("old0", 0.0) is not None)
        ours, theirs = [], []
        for number in range(repeat + 1):
            ours.append(bench.ours(f"new{number}"))
            time.sleep(SETTLE)
            theirs.append(bench.by_hand(f"new{number}"))
            time.sleep(SETTLE)
        # The first one warms caches of both: kubectl's, and the proxies' connections.
        return Found(routes=routes, ours=tuple(ours[1:]), theirs=tuple(theirs[1:]))


def rows(found: Sequence[Found]) -> list[Ratio]:
    """What is asked of us: the first byte, without the quiet window, beside the peer's."""
    return [
        Ratio(
            what=f"annotation to first byte, {each.routes} routes, less {QUIET:g} s quiet",
            peer="kubectl apply of the same manifests",
            ours=(each.median("served") or 0.0) - QUIET,
            theirs=statistics.median(each.theirs),
            unit="s",
            goal=1.5,
        )
        for each in found
    ]


def steps(found: Sequence[Found]) -> str:
    """Where the time goes, as a Markdown table."""
    head = ("routes", *STEPS, "by hand")
    lines = [head, tuple("---" for _ in head)]
    for each in found:
        medians = (each.median(step) for step in STEPS)
        cells = ["-" if at is None else f"{at:.2f}" for at in medians]
        cells += [f"{statistics.median(each.theirs):.2f}"]
        lines.append((str(each.routes), *cells))
    return "\n".join(f"| {' | '.join(each)} |" for each in lines)


def measured(
    routes: Sequence[int] = (1, 500), repeat: int = 3, engine: str = "argocd"
) -> Iterator[Found]:
    """Both sides with so many routes each, on one stack, one after the other."""
    with tempfile.TemporaryDirectory() as folder, Stack() as stack:
        places = Places(stack, engine, Path(folder))
        yield from (places.measure(each, repeat) for each in routes)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--routes", type=int, nargs="+", default=[1, 500])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--engine", choices=["argocd", "flux"], default="argocd")
    asked = parser.parse_args()
    found: list[Found] = []
    print(machine())
    for each in measured(asked.routes, asked.repeat, asked.engine):
        found.append(each)
        print(f"\n{table(rows(found))}\n", flush=True)
        print(f"Seconds after the annotation (medians):\n\n{steps(found)}", flush=True)


if __name__ == "__main__":
    main()

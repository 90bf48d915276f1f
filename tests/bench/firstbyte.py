"""From an annotation to the first byte through the gateway, beside the same objects by hand.

    python -m tests.bench.firstbyte [--routes 1 500] [--repeat 5] [--engine argocd|flux]

On real programs: an API server with the team's VirtualService, `wharfinger run`, Gitea, Argo CD
(or Flux's kustomize-controller, with a stand-in for source-controller that fetches when asked),
Envoy Gateway and its Envoy. The engine by itself would look at Git every three minutes. Ours runs
from the request that writes the annotation, and has the quiet window in it, which is taken off for
the ratio. There are two peers, both with the very manifests of such a route under other names and
on another port:

* `kubectl apply -f`: the clock runs from the start of kubectl to the first byte;
* the engine alone: from the start of `git push` of a commit that was made before; then the engine
  is asked to look, as we ask it. What this takes is what no program that commits can save.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.byteroad import PATIENCE, Bench, Timing, answers, exposure
from tests.bench.ratio import Ratio, machine, table
from tests.stack.argocd import Argocd
from tests.stack.checkout import git
from tests.stack.documents import Document, load
from tests.stack.flux import Flux
from tests.stack.gitea import Gitea
from tests.stack.network import take_address
from tests.stack.road import COMMAND, Road
from tests.stack.stack import Stack

QUIET = 2.0
ENGINE_INTERVAL = 180
STEPS = ("commit", "asked", "applied", "served", "told")
# What a side leaves behind (statuses, comparisons) is over before the next one begins.
SETTLE = 5.0


def _track(made: Document, road: Road) -> None:
    """Write onto an object what Argo CD writes onto what it applies."""
    metadata, group = made["metadata"], made["apiVersion"].rpartition("/")[0]
    named = f"{group}/{made['kind']}:{road.namespace}/{metadata['name']}"
    alone = made["kind"] == "Gateway"
    application = f"{road.gateway}-alone" if alone else road.gateway
    tracking = {"argocd.argoproj.io/tracking-id": f"{application}:{named}"}
    metadata["annotations"] = {**metadata.get("annotations", {}), **tracking}


@contextmanager
def noted(what: str) -> Iterator[None]:
    """Say on stderr how long something of the setting up took."""
    began = time.monotonic()
    yield
    print(f"{what}: {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)


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
    """All repetitions with so many routes: ours, and the seconds of both peers."""

    routes: int
    ours: tuple[Timing, ...]
    theirs: tuple[float, ...]
    alone: tuple[float, ...]

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
        with road.service("shared"):
            with noted(f"{routes} VirtualServices"):
                for number in range(routes):
                    made = exposure(f"old{number}", road.space)
                    road.workload.api.apply(made, manager="team")
            with noted("their commit"):
                road.wharfinger("reconcile", "--write-back", "off")
            with noted("their objects"):
                self._seed(road)
            bench = Bench(road=road, where=self._controller.address(name, namespace))
            ports = bench.ports()
            with noted("the gateway"):
                bench.until(lambda: all(answers(bench.where, each) for each in ports))
            road.follow()
            with self._patient(road):
                with noted("the engine"):
                    self._applied(road)
                with running(road):
                    return self._repeat(bench, routes, repeat)

    def _seed(self, road: Road) -> None:
        """Apply what Git has as the engine would have: Argo CD needs 0.3 s for each object."""
        bare, folder = road.remote.bare, f"manifests/{road.gateway}/"
        argo = isinstance(self._engine, Argocd)
        manager = "argocd-controller" if argo else "kustomize-controller"
        listed = git(bare, "ls-tree", "-r", "--name-only", "main", folder)
        text = "---\n".join(
            git(bare, "show", f"main:{path}") + "\n" for path in listed.split()
        )
        documents = load(text)
        if argo:
            for each in documents:
                _track(each, road)
        with ThreadPoolExecutor(max_workers=4) as pool:
            for chunk in (documents[at::4] for at in range(4)):
                pool.submit(road.hub.api.apply, chunk, manager)

    def _applied(self, road: Road) -> None:
        """As `Road.apply`, with time for hundreds of objects."""
        head, engine = road.head(), self._engine
        names = (f"{road.gateway}-alone", road.gateway)
        if isinstance(engine, Flux):
            engine.publish(names[0], road.remote.bare, ignore="manifests/*/*/**")
            engine.publish(names[1], road.remote.bare)
            for name in names:
                engine.wait_applied(name, head, seconds=PATIENCE)
            return
        for name in names:
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
        with noted("their proof"):
            bench.until(lambda: len(bench.ready()) == routes)
        ours, theirs, alone = [], [], []
        names = [f"new{number}" for number in range(repeat + 1)]
        for name in names:
            ours.append(bench.ours(name))
            time.sleep(SETTLE)
            theirs.append(bench.by_hand(name))
            time.sleep(SETTLE)
        # Commits of others come last: what we do about them would be in our next figure.
        for name in names:
            alone.append(bench.alone(name))
            time.sleep(SETTLE)
        # The first ones warm caches: kubectl's, the engine's and the proxies' connections.
        return Found(
            routes=routes,
            ours=tuple(ours[1:]),
            theirs=tuple(theirs[1:]),
            alone=tuple(alone[1:]),
        )


def rows(found: Sequence[Found]) -> list[Ratio]:
    """What is asked of us: the first byte, without the quiet window, beside both peers."""
    return [
        Ratio(
            what=f"annotation to first byte, {each.routes} routes, less {QUIET:g} s quiet",
            peer=peer,
            ours=(each.median("served") or 0.0) - QUIET,
            theirs=statistics.median(theirs),
            unit="s",
            goal=1.5,
        )
        for each in found
        for peer, theirs in (
            ("kubectl apply of the same manifests", each.theirs),
            ("git push of the same manifests, the engine asked", each.alone),
        )
    ]


def steps(found: Sequence[Found]) -> str:
    """Where the time goes, as a Markdown table."""
    head = ("routes", *STEPS, "by hand", "engine alone")
    lines = [head, tuple("---" for _ in head)]
    for each in found:
        medians = (each.median(step) for step in STEPS)
        cells = ["-" if at is None else f"{at:.2f}" for at in medians]
        peers = (each.theirs, each.alone)
        cells += [f"{statistics.median(seconds):.2f}" for seconds in peers]
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

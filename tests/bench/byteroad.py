"""One exposure on its road, followed step by step, and the peers of `firstbyte` (does I/O)."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import requests

from tests import documents
from tests.stack import pins
from tests.stack.argocd import ARGO, REFRESH
from tests.stack.checkout import Checkout, git
from tests.stack.documents import Document, Ref, load
from tests.stack.flux import REQUESTED, SOURCES, Flux
from tests.stack.kube import Cluster
from tests.stack.road import NETWORKING, OURS, Road
from tests.stack.workloads import ask

PATIENCE = 900.0
# How far the ports of the peers are from ours: beyond those that can be allocated.
HAND, ALONE = 2000, 4000
AGAIN = "-again"


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
    watched: dict[str, Events] = field(default_factory=dict)

    def watch(self) -> None:
        """Listen to what the steps leave behind."""
        hub, road = self.road.hub, self.road
        routes = Ref("gateway.networking.k8s.io/v1", "TCPRoute", "", road.namespace)
        kind, version, space = (
            ("GitRepository", SOURCES, "flux-system")
            if isinstance(road.engine, Flux)
            else ("Application", ARGO, "argocd")
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
        commit = self.until(lambda: self._head() != head)
        port = self._port(name)
        served = self.until(lambda: answers(self.where, port))
        self.until(lambda: self._ready(name, started) is not None)
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
        other = self._port(name) + HAND
        texts = self._manifests(name, "-hand", other).values()
        path = self.road.folder / f"{name}.yaml"
        path.write_text("---\n".join(f"{text}\n" for text in texts))
        kubeconfig = self.road.hub.kubeconfig_file()
        argv = [str(pins.binary("kubectl")), f"--kubeconfig={kubeconfig}", "apply"]
        started = time.monotonic()
        subprocess.run([*argv, "-f", str(path)], check=True, capture_output=True)
        return self.until(lambda: answers(self.where, other)) - started

    def alone(self, name: str) -> float:
        """Seconds from the start of `git push` to the first byte, the engine asked as we do."""
        road, other = self.road, self._port(name) + ALONE
        texts = self._manifests(name, AGAIN, other)
        person = Checkout.of(road.remote.authenticated_url, road.folder / f"of-{name}")
        person.commit(
            {
                path.replace(f"/vs-{name}.", f"/vs-{name}{AGAIN}."): f"{text}\n"
                for path, text in texts.items()
            }
        )
        started = time.monotonic()
        person.push()
        self._ask_engine()
        return self.until(lambda: answers(self.where, other)) - started

    def _ask_engine(self) -> None:
        road = self.road
        if isinstance(road.engine, Flux):
            ref = Ref(SOURCES, "GitRepository", road.gateway, "flux-system")
            asks = {REQUESTED: str(time.monotonic())}
        else:
            ref = Ref(ARGO, "Application", road.gateway, "argocd")
            asks = {REFRESH: "normal"}
        road.hub.api.patch(ref, {"metadata": {"annotations": asks}})

    def _manifests(self, name: str, suffix: str, port: int) -> dict[str, str]:
        """By path the files of a route, its objects under other names and on another port."""
        bare, before = self.road.remote.bare, str(self._port(name))
        listed = git(bare, "ls-tree", "-r", "--name-only", "main", "manifests/")
        paths = [each for each in listed.split() if f"/vs-{name}." in each]
        texts = {path: git(bare, "show", f"main:{path}") for path in paths}
        names = {
            str(each["metadata"]["name"])
            for text in texts.values()
            for each in load(text)
        }
        longest_first = sorted(names, key=len, reverse=True)
        for path, text in texts.items():
            for each in longest_first:
                text = text.replace(each, f"{each}{suffix}")
            texts[path] = text.replace(before, str(port))
        return texts

    def ports(self) -> list[int]:
        """All ports of the team's routes."""
        return self._owned(f"namespace: {self.road.space},")

    def ready(self) -> set[str]:
        """The VirtualServices of which it was ever said that they are Ready."""
        return {
            str(found["metadata"]["name"])
            for _, found in list(self.watched["told"].seen)
            if _state(found) == "Ready"
        }

    def _port(self, name: str) -> int:
        return self._owned(f"namespace: {self.road.space}, name: {name},")[0]

    def _owned(self, by: str) -> list[int]:
        bare = self.road.remote.bare
        found = git(bare, "grep", "-l", "-F", by, "main", "--", "ports/")
        return [int(Path(each).stem) for each in found.split()]

    def _ready(self, name: str, since: float) -> float | None:
        def ready(found: Document) -> bool:
            return bool(found["metadata"]["name"] == name and _state(found) == "Ready")

        return self.watched["told"].first(ready, since)

    def _head(self) -> str:
        return (self.road.remote.bare / "refs/heads/main").read_text()

    def until(self, condition: Callable[[], bool]) -> float:
        """When it is so, in seconds of the clock that never goes back."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                raise SystemExit("it did not happen in time")
            time.sleep(0.01)
        return time.monotonic()


def _state(found: Document) -> object:
    return found["metadata"].get("annotations", {}).get(f"{OURS}state")


def _is_asked(found: Document) -> bool:
    annotations = found["metadata"].get("annotations", {})
    return bool({REFRESH, REQUESTED} & annotations.keys())


def answers(address: str, port: int) -> bool:
    """Whether the workload is heard there."""
    try:
        return ask(address, port, timeout=0.3) == "shared"
    except OSError:
        return False


def exposure(name: str, space: str) -> Document:
    """An exposed VirtualService; all of them have one Service."""
    return dict(documents.virtual_service(name, {"shared": 1}, space=space))

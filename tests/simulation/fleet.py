"""Clusters in memory: what is true of them, what can be seen of them, and who watches."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from enum import StrEnum

from reconciler.model.clusters import (
    ClusterView,
    Node,
    Service,
    Snapshot,
    Unknown,
    VirtualService,
    Why,
)
from reconciler.model.pins import Pins
from reconciler.model.units import UnitId
from reconciler.model.updates import Delta
from reconciler.observe.watching.pace import Pace
from reconciler.observe.watching.store import Changes
from reconciler.observe.watching.updates import Updates
from tests.builders import node, service, service_port, view, virtual_service

NAMESPACE = "shop"
LIST_SECONDS = 0.2


class Sky(StrEnum):
    """How a cluster answers."""

    CLEAR = "clear"
    DARK = "dark"  # not at all
    EMPTY = "empty"  # with complete lists of nothing: a lie


@dataclass(slots=True)
class Life:
    """What happened to one object: the times from when on it was there, and was not."""

    turns: list[tuple[float, bool]] = field(default_factory=list)

    def there(self, at: float) -> bool:
        """Whether it was there at this time."""
        before = [there for time, there in self.turns if time <= at]
        return bool(before) and before[-1]


@dataclass(slots=True)
class Cluster:
    """One cluster: its objects by name, and since when its sky is as it is."""

    name: str
    services: dict[str, Service]
    objects: dict[str, VirtualService] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=lambda: {"n1": node("n1")})
    sky: list[tuple[float, Sky]] = field(default_factory=lambda: [(0.0, Sky.CLEAR)])

    def truth(self) -> ClusterView:
        names = sorted(self.objects)
        return view(
            *(self.objects[name] for name in names),
            *(self.services[name] for name in sorted(self.services)),
            *(self.nodes[name] for name in sorted(self.nodes)),
            cluster=self.name,
        )


class Fleet:
    """All clusters. Times are the running loop's."""

    def __init__(self) -> None:
        self.clusters: dict[str, Cluster] = {}
        self.lives: dict[UnitId, Life] = {}
        self.lists: int = 0
        self.watchers: list[FleetWatcher] = []

    def add(self, name: str, exposures: int) -> None:
        """A cluster with so many exposures, before anybody watches."""
        services = {
            f"s{index}": service(
                f"s{index}", ports=(service_port(node_port=31000 + index),)
            )
            for index in range(3)
        }
        cluster = self.clusters[name] = Cluster(name=name, services=services)
        for index in range(exposures):
            self._set(cluster, f"vs{index}", exposed(f"vs{index}", 0), 0.0)

    def watch(self) -> FleetWatcher:
        """Somebody who watches all clusters."""
        watcher = FleetWatcher(self)
        self.watchers.append(watcher)
        return watcher

    def sky(self, cluster: str, at: float | None = None) -> Sky:
        """How a cluster answers now, or did at a time."""
        turns = self.clusters[cluster].sky
        if at is None:
            return turns[-1][1]
        return [sky for time, sky in turns if time <= at][-1]

    def seen(self, name: str) -> ClusterView:
        """What somebody sees who looks at a cluster now."""
        cluster = self.clusters[name]
        truth = cluster.truth()
        match self.sky(name):
            case Sky.DARK:
                gone = Unknown(why=Why.UNREACHABLE, message=f"{name}: no answer")
                return replace(truth, objects=gone)
            case Sky.EMPTY:
                return view(node("n1"), cluster=name)
        return truth

    def apply(self, cluster: str, name: str, new: VirtualService | None) -> None:
        """Create, change or delete a VirtualService, as a tenant does."""
        place = self.clusters[cluster]
        old = place.objects.get(name)
        self._set(place, name, new, _time())
        if self.sky(cluster) is Sky.CLEAR:
            self._tell(cluster, {("VirtualService", name): Delta(old=old, new=new)})

    def node(self, cluster: str, new: Node) -> None:
        """Another node, or another state of one, in a cluster that answers."""
        nodes = self.clusters[cluster].nodes
        old, nodes[new.name] = nodes.get(new.name), new
        self._tell(cluster, {("Node", new.name): Delta(old=old, new=new)})

    def turn(self, cluster: str, sky: Sky) -> None:
        """Let a cluster answer otherwise from now on."""
        self.clusters[cluster].sky.append((_time(), sky))
        self._tell(cluster, None)

    def _tell(self, cluster: str, changes: Changes | None) -> None:
        for watcher in self.watchers:
            watcher.tell(cluster, changes)

    def _set(
        self, cluster: Cluster, name: str, new: VirtualService | None, at: float
    ) -> None:
        if new is None:
            del cluster.objects[name]
        else:
            cluster.objects[name] = new
        unit = UnitId(cluster=cluster.name, namespace=NAMESPACE, name=name)
        life = self.lives.setdefault(unit, Life())
        life.turns.append((at, new is not None))


class FleetWatcher:
    """Knows a fleet as a watcher of API servers knows clusters."""

    def __init__(self, fleet: Fleet) -> None:
        self.updates = Updates(Pace())
        self._fleet = fleet
        self._views = {name: fleet.seen(name) for name in sorted(fleet.clusters)}
        for name in self._views:
            self.updates.whole(name)

    async def run(self) -> None:
        """Watch until cancelled."""
        await asyncio.Event().wait()

    async def settled(self) -> None:
        """All is known from the start."""

    def snapshot(self) -> Snapshot:
        """All clusters as they are known now."""
        return Snapshot(clusters=tuple(self._views.values()))

    def view(self, cluster: str) -> ClusterView | None:
        """One cluster as it is known now."""
        return self._views.get(cluster)

    def untold(self, cluster: str) -> bool:
        """Whether changes of a cluster are still to be told."""
        return self.updates.untold(cluster)

    def pinned(self, pins: Pins) -> None:
        """No pin can be of another cluster here."""

    async def look_again(self, clusters: Collection[str]) -> None:
        """List clusters anew."""
        await asyncio.sleep(LIST_SECONDS)
        self._fleet.lists += len(clusters)
        for cluster in clusters:
            self.tell(cluster, None)

    def tell(self, cluster: str, changes: Changes | None) -> None:
        """An event of a cluster: its view changes together with what is said of it."""
        before, now = self._views[cluster], self._fleet.seen(cluster)
        self._views[cluster] = now
        if changes is not None:
            self.updates.changed(cluster, changes)
        else:
            prints = (_known(before), _known(now))
            self.updates.whole(cluster, prints if before != now else None)


def _known(view: ClusterView) -> int:
    return 0 if isinstance(view.objects, Unknown) else 1


def exposed(name: str, version: int) -> VirtualService:
    """A VirtualService whose wish is another one for every version."""
    route = {"destination": {"host": f"s{version % 3}", "port": {"number": 5432}}}
    weighted = {
        "destination": {"host": f"s{(version + 1) % 3}", "port": {"number": 5432}}
    }
    spec = {
        "hosts": ["*"],
        "tcp": [
            {
                "route": [
                    {**route, "weight": 1 + version},
                    {**weighted, "weight": 1},
                ]
            }
        ],
    }
    made = virtual_service(name, namespace=NAMESPACE, spec=spec)
    return replace(made, generation=1 + version, resource_version=f"{1000 + version}")


def _time() -> float:
    return asyncio.get_running_loop().time()

"""What objects of a hub name is fetched; and watched hubs are what one reading finds."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from reconciler.kube import KubeError, NotFound
from reconciler.loaders import RefusedKubeconfig, from_kubeconfig, secret_text
from reconciler.model.clusters import (
    ClusterEntry,
    ClusterState,
    Unknown,
    Why,
)
from reconciler.observe.inventories import HUBS, Found, Member
from reconciler.observe.inventories.found import member
from reconciler.observe.inventories.source import (
    Fetched,
    Json,
    Kind,
    Objects,
    Reference,
)
from reconciler.observe.watching import references
from reconciler.observe.watching.members import Members
from reconciler.settings import Inventory
from tests import hubs
from tests.hub_places import GONE, QUICK, Made, Place, read, watch_hub
from tests.hubs import CLUSTERS, SECRETS, FakeHub, capi_cluster, capi_secret
from tests.kubeserver import serving, status

On = Callable[..., None]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return serving(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def on(tmp_path: Path, made: Made) -> On:
    return partial(watch_hub, tmp_path, made)


class Named:
    """A Source whose Clusters name Secrets with kubeconfigs."""

    seconds = 600.0

    def kinds(self, inventory: Inventory) -> tuple[Kind, ...]:
        return (Kind(plural="clusters", versions=(CLUSTERS[0],), keep=dict),)

    def reference(self, namespace: str, name: str) -> Reference:
        path = f"/api/v1/namespaces/{namespace}/secrets/{name}-kubeconfig"
        return Reference(path=path, seconds=self.seconds, of=f"{namespace}/{name}")

    def references(
        self, inventory: Inventory, objects: Objects
    ) -> tuple[Reference, ...]:
        return tuple(self.reference(*key) for key in objects.all("clusters"))

    def clusters(
        self, inventory: Inventory, objects: Objects, fetched: Fetched
    ) -> tuple[Member, ...]:
        return tuple(
            self.member(inventory, fetched, *key) for key in objects.all("clusters")
        )

    def member(
        self, inventory: Inventory, fetched: Fetched, namespace: str, name: str
    ) -> Member:
        said = ClusterEntry(name=name, inventory=inventory.name)
        found: Json | KubeError = fetched[self.reference(namespace, name)]
        if isinstance(found, KubeError):
            assert isinstance(found, NotFound) or found.why is not Why.NO_ID
            return member(inventory, f"{namespace}/{name}", said, found.unknown())
        try:
            text = secret_text(found, "value", name)
            access = from_kubeconfig(text, inventory.allow, name)
        except RefusedKubeconfig as refused:
            return member(inventory, name, said, refused.unknown())
        return member(inventory, name, said, access)


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Named:
    source = Named()
    monkeypatch.setitem(HUBS, "gardener", source)
    return source


def test_what_objects_name_is_fetched_when_it_is_new_and_when_it_comes(
    on: On, named: Named
) -> None:
    async def use(place: Place) -> None:
        place.hub.put(CLUSTERS, capi_cluster("eu1"))
        await place.until(lambda: place.hub.count("get", "secrets") > 0)
        await place.until(lambda: place.states() == {"eu1": "ready"})
        assert not place.is_known()
        place.hub.put(SECRETS, capi_secret("eu1", place.kubeconfig()))
        await place.until(
            place.is_known, "a Secret that was missing is asked for again"
        )

    on(use, source="gardener")


def test_what_objects_name_is_fetched_again_after_its_seconds(
    on: On, named: Named
) -> None:
    named.seconds = 0.2

    async def use(place: Place) -> None:
        place.provision()
        await place.until(place.is_known)
        text = place.kubeconfig("an0ther-token")
        place.hub.put(SECRETS, capi_secret("eu1", text))
        await place.until(lambda: place.token() == "an0ther-token")

    on(use, source="gardener")


def test_credentials_that_are_refused_are_fetched_at_once(
    on: On, named: Named, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "SOON", 0.1)

    async def use(place: Place) -> None:
        place.provision()
        await place.until(place.is_known)
        asked = place.hub.count("get", "secrets")
        refuse = status(401, "Unauthorized")
        place.cluster.broken = {
            (verb, kind): refuse
            for verb in ("watch", "list")
            for kind in place.cluster.objects
        }
        text = place.kubeconfig("an0ther-token")
        place.hub.put(SECRETS, capi_secret("eu1", text))
        place.cluster.cut()
        await place.until(lambda: place.hub.count("get", "secrets") > asked)
        place.cluster.broken = {}
        await place.until(lambda: place.workload_heard("an0ther-token"))
        await place.until(place.is_known)

    on(use, source="gardener")


def test_a_hub_that_hesitates_takes_no_credentials_away(on: On, named: Named) -> None:
    named.seconds = 0.1

    async def use(place: Place) -> None:
        place.provision()
        await place.until(place.is_known)
        place.hub.broken["get"] = status(500, "InternalError")
        asked = place.hub.count("get", "secrets")
        await place.until(lambda: place.hub.count("get", "secrets") > asked + 1)
        assert place.is_known()

    on(use, source="gardener", pace=replace(QUICK, deadline=60.0))


def mutate(chance: random.Random, hub: FakeHub) -> None:
    """One thing that happens to a hub."""
    name, space = chance.choice("abcd"), chance.choice(("team-a", "team-b"))
    present = list(hub.objects.get(CLUSTERS, {}))
    match chance.randrange(7):
        case 0 | 1:
            port = chance.choice((0, 443, 6443))
            up = chance.random() < 0.7
            hub.put(CLUSTERS, capi_cluster(name, "h.example.net", port, up=up), space)
        case 2 if present:
            space, name = chance.choice(present)
            hub.drop(CLUSTERS, name, space)
        case 3 if present:
            # The object stays, so that a list sees that it is being deleted, too.
            space, name = chance.choice(present)
            hub.put(CLUSTERS, capi_cluster(name, "h.example.net", 1, meta=GONE), space)
        case 4:
            text = hubs.kubeconfig("https://127.0.0.1:1", "", f"t{chance.random()}")
            hub.put(SECRETS, capi_secret(name, text), space)
        case 5:
            # It is another Secret now, which nobody lists.
            body = capi_secret(name, "x")
            del body["metadata"]["labels"]
            hub.put(SECRETS, body, space)
        case _:
            key = (space, f"{name}-kubeconfig")
            if key in hub.objects.get(SECRETS, {}):
                hub.drop(SECRETS, key[1], space)


@pytest.mark.parametrize("seed", range(6))
def test_watched_and_read_at_once_are_the_same(on: On, seed: int) -> None:
    chance, hub = random.Random(seed), FakeHub()
    taken: list[Found] = []

    async def use(place: Place) -> None:
        for _ in range(12):
            for _ in range(chance.randrange(1, 6)):
                mutate(chance, hub)
            if chance.random() < 0.3:
                hub.cut()
            wanted = await read(place.inventory)
            assert not isinstance(wanted, Unknown)
            await place.until(partial(same, taken, wanted))

    def same(taken: list[Found], wanted: Found) -> bool:
        found = taken[-1]
        assert not isinstance(found, Unknown)
        assert not isinstance(wanted, Unknown)
        # What went away while it was being deleted: only who watched knows.
        keys = {(each.entry.name, each.entry.origin) for each in wanted}
        seen = [
            each
            for each in found
            if each.entry.state is not ClusterState.DELETED
            or (each.entry.name, each.entry.origin) in keys
        ]
        return seen == list(wanted)

    class Recorded(Members):
        def take(self, found: Found) -> None:
            taken.append(found)
            self.settled.set()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("reconciler.observe.watching.inventory.Members", Recorded)
        on(use, hub)

"""A hub that is watched: what is known is what its API server says, and costs no lists."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from reconciler.kube import Limits
from reconciler.model.clusters import (
    ClusterView,
    Unknown,
    Why,
)
from reconciler.observe.watching import hubs as watching
from tests import hubs
from tests.hub_places import GONE, QUICK, Made, Place, read, watch_hub
from tests.hubs import CLUSTERS, SECRETS, FakeHub, capi_cluster, capi_secret
from tests.kubeserver import Answer, serving, status

On = Callable[..., None]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return serving(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def on(tmp_path: Path, made: Made) -> On:
    return partial(watch_hub, tmp_path, made)


def test_a_cluster_appears_is_provisioned_changes_and_is_deleted(on: On) -> None:
    async def use(place: Place) -> None:
        hub = place.hub
        assert place.states() == {}
        hub.put(CLUSTERS, capi_cluster("eu1", up=False))
        await place.until(lambda: place.states() == {"eu1": "provisioning"})
        place.provision()
        await place.until(place.is_known, "provisioned")
        view = place.view()
        assert view is not None
        assert view.entry.cluster_id == "uid-eu1"
        assert view.entry.inventory_id == "uid-of-eu1"

        hub.put(CLUSTERS, capi_cluster("eu1", "10.9.9.9", 6443))
        await place.until(
            lambda: (
                [each.host for each in _view(place).entry.api_servers] == ["10.9.9.9"]
            ),
            "another endpoint",
        )
        await place.until(place.is_known, "known at another endpoint")

        hub.put(CLUSTERS, capi_cluster("eu1", "10.9.9.9", 6443, meta=GONE))
        await place.until(lambda: place.states() == {"eu1": "deleted"})
        hub.drop(CLUSTERS, "eu1")
        hub.put(CLUSTERS, capi_cluster("eu2", up=False))
        await place.until(lambda: "eu2" in place.states())
        # What was seen being deleted stays deleted when its object is gone.
        assert place.states()["eu1"] == "deleted"
        assert hub.count("list") == 2

    on(use)


def _view(place: Place, name: str = "eu1") -> ClusterView:
    view = place.view(name)
    assert view is not None
    return view


def test_a_cluster_that_merely_vanished_is_not_deleted(on: On) -> None:
    async def use(place: Place) -> None:
        place.provision()
        await place.until(place.is_known)
        place.hub.drop(CLUSTERS, "eu1")
        await place.until(lambda: place.states() == {})
        assert place.failure() is None

    on(use)


def test_a_deletion_that_is_over_at_once_is_seen(on: On) -> None:
    async def use(place: Place) -> None:
        place.provision()
        await place.until(place.is_known)
        place.hub.put(CLUSTERS, capi_cluster("eu1", "10.9.9.9", 1, meta=GONE))
        place.hub.drop(CLUSTERS, "eu1")
        await place.until(lambda: place.states() == {"eu1": "deleted"})
        # Another cluster of the name is a new one.
        place.hub.put(CLUSTERS, capi_cluster("eu1", up=False), "team-b")
        await place.until(lambda: place.states() == {"eu1": "provisioning"})

    on(use)


def test_a_deletion_while_nobody_watched_is_seen_by_the_next_list(on: On) -> None:
    async def use(place: Place) -> None:
        place.provision()
        place.hub.put(CLUSTERS, capi_cluster("eu1", "10.9.9.9", 1, meta=GONE))
        await place.until(lambda: place.states() == {"eu1": "deleted"})
        place.hub.objects[CLUSTERS].clear()
        place.hub.forget()
        await place.until(lambda: place.hub.count("list", "clusters") > 1)
        assert place.states() == {"eu1": "deleted"}

    on(use)


def test_new_credentials_are_followed_without_a_new_list_of_the_hub(on: On) -> None:
    async def use(place: Place) -> None:
        place.provision()
        await place.until(place.is_known)
        secret = capi_secret("eu1", place.kubeconfig("an0ther-token"))
        place.hub.put(SECRETS, secret)
        await place.until(lambda: place.token() == "an0ther-token")
        place.cluster.cut()
        await place.until(lambda: place.workload_heard("an0ther-token"))
        await place.until(place.is_known)
        assert place.hub.count("list") == 2

    on(use)


def test_without_its_secret_a_cluster_is_unknown_and_keeps_its_endpoint(
    on: On,
) -> None:
    async def use(place: Place) -> None:
        place.provision()
        await place.until(place.is_known)
        place.hub.drop(SECRETS, "eu1-kubeconfig")
        await place.until(lambda: not place.is_known())
        found = _view(place)
        assert isinstance(found.objects, Unknown)
        assert found.objects.why is Why.UNAUTHORISED
        assert [each.host for each in found.entry.api_servers] == ["127.0.0.1"]
        place.provision()
        await place.until(place.is_known)

    on(use)


def test_watches_go_on_where_they_ended(on: On) -> None:
    async def use(place: Place) -> None:
        for name in ("a", "b", "c"):
            place.hub.cut()
            place.hub.put(CLUSTERS, capi_cluster(name, up=False))
            await place.until(partial(place.has, name))
        assert place.hub.count("list") == 2

    on(use)


def test_what_was_forgotten_is_listed_anew(on: On) -> None:
    async def use(place: Place) -> None:
        body = capi_cluster("a", up=False)
        place.hub.objects[CLUSTERS] = {
            ("team-a", "a"): {
                **body,
                "metadata": {**body["metadata"], "namespace": "team-a"},
            }
        }
        place.hub.forget()
        await place.until(lambda: "a" in place.states())
        await place.until(lambda: place.hub.count("list", "clusters") >= 2)
        place.hub.put(CLUSTERS, capi_cluster("b", up=False))
        await place.until(lambda: "b" in place.states())

    on(use)


def test_nonsense_is_no_news(on: On) -> None:
    async def use(place: Place) -> None:
        place.provision()
        await place.until(place.is_known)
        place.hub.say(b'{"type": "DELETED", "object": {"metadata": {}}}\n')
        place.hub.say(b"\x00\xff\n")
        place.hub.put(CLUSTERS, capi_cluster("b", up=False))
        await place.until(lambda: "b" in place.states())
        assert place.is_known()
        assert place.failure() is None

    on(use)


def test_a_hub_that_goes_away_is_a_failure_after_its_time_and_comes_back(
    on: On,
) -> None:
    async def use(place: Place) -> None:
        place.provision()
        await place.until(place.is_known)
        place.hub.down = True
        place.hub.cut()
        await asyncio.sleep(0.3)
        assert place.failure() is None
        assert place.is_known()
        await place.until(lambda: place.failure() is Why.UNREACHABLE)
        assert place.states() == {}
        place.hub.objects[CLUSTERS].clear()
        place.hub.forget()
        place.hub.put(CLUSTERS, capi_cluster("b", up=False))
        place.hub.down = False
        await place.until(lambda: place.states() == {"b": "provisioning"})
        assert place.failure() is None

    on(use)


@pytest.mark.parametrize(
    ("break_it", "why"),
    [
        (lambda hub: setattr(hub, "down", True), Why.UNREACHABLE),
        (lambda hub: hub.served.clear(), Why.NO_CRD),
        (lambda hub: hub.tokens.clear(), Why.UNAUTHORISED),
        (lambda hub: hub.broken.update(list=status(403, "Forbidden")), Why.FORBIDDEN),
        (lambda hub: hub.broken.update(list=Answer(body=b"[]")), Why.UNREADABLE),
    ],
)
def test_a_hub_that_never_could_be_read_is_no_empty_inventory(
    on: On, break_it: Callable[[FakeHub], object], why: Why
) -> None:
    hub = FakeHub()
    break_it(hub)

    async def use(place: Place) -> None:
        assert place.failure() is why
        one_shot = await read(place.inventory)
        assert isinstance(one_shot, Unknown)
        assert one_shot.why is why

    on(use, hub)


def test_a_hub_without_permission_to_watch_is_a_failure(on: On) -> None:
    hub = FakeHub()
    hub.broken["watch"] = status(403, "Forbidden")

    async def use(place: Place) -> None:
        await place.until(lambda: place.failure() is Why.FORBIDDEN)

    on(use, hub)


def test_a_crd_that_is_removed_is_a_failure_and_its_return_is_not(on: On) -> None:
    async def use(place: Place) -> None:
        place.provision()
        await place.until(place.is_known)
        objects = dict(place.hub.objects[CLUSTERS])
        place.hub.drop(CLUSTERS, "eu1")
        place.hub.served.clear()
        place.hub.cut()
        await place.until(lambda: place.failure() is Why.NO_CRD)
        place.hub.served.add(CLUSTERS)
        for (namespace, _), body in objects.items():
            place.hub.put(CLUSTERS, body, namespace)
        await place.until(place.is_known)
        assert place.failure() is None

    on(use)


def test_a_hub_that_denies_what_it_says_that_it_serves_is_a_failure(on: On) -> None:
    async def use(place: Place) -> None:
        place.provision()
        await place.until(place.is_known)
        for verb in ("list", "watch"):
            place.hub.broken[verb] = status(404, "NotFound")
        place.hub.cut()
        await place.until(lambda: place.failure() is not None)

    on(use)


def test_an_older_version_that_is_served_is_followed_and_left(on: On) -> None:
    old = ("cluster.x-k8s.io/v1beta1", "clusters")
    hub = FakeHub()
    hub.served = {old}

    async def use(place: Place) -> None:
        hub.put(old, capi_cluster("eu1", up=False))
        await place.until(lambda: place.states() == {"eu1": "provisioning"})
        hub.objects[CLUSTERS] = dict(hub.objects[old])
        hub.served = {old, CLUSTERS}
        await place.until(lambda: hub.count("list", "clusters") == 2, "listed anew")
        hub.put(CLUSTERS, capi_cluster("b", up=False))
        await place.until(lambda: "b" in place.states())

    on(use, hub, pace=replace(QUICK, tend=0.2))


def test_our_own_token_is_replaced_without_a_list(on: On) -> None:
    async def use(place: Place) -> None:
        place.hub.tokens.add("n3w-token")
        address = f"https://127.0.0.1:{place.server.port}"
        place.file.write_text(
            hubs.kubeconfig(address, place.server.ca, "n3w-token", "hub")
        )
        await asyncio.sleep(1.0)
        place.hub.tokens = {"n3w-token"}
        place.hub.cut()
        place.hub.put(CLUSTERS, capi_cluster("a", up=False))
        await place.until(lambda: "a" in place.states())
        assert place.hub.count("list") == 2

    on(use)


def test_a_token_that_is_refused_is_read_again(on: On) -> None:
    async def use(place: Place) -> None:
        address = f"https://127.0.0.1:{place.server.port}"
        place.hub.tokens = {"n3w-token"}
        place.file.write_text(
            hubs.kubeconfig(address, place.server.ca, "n3w-token", "hub")
        )
        place.hub.cut()
        place.hub.put(CLUSTERS, capi_cluster("a", up=False))
        await place.until(lambda: "a" in place.states())
        assert place.failure() is None

    on(use, pace=replace(QUICK, inventory_anew=600.0))


def test_a_kubeconfig_of_the_hub_that_cannot_be_read_is_a_failure(
    on: On,
) -> None:
    async def use(place: Place) -> None:
        place.file.write_text("{")
        place.hub.tokens = set()
        place.hub.cut()
        await place.until(lambda: place.failure() is not None)

    on(use)


def test_a_hub_with_more_than_we_keep_is_a_failure(
    on: On, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Limits(kept_bytes=20_000)
    monkeypatch.setattr(watching, "LIMITS", small)

    async def use(place: Place) -> None:
        place.hub.put(CLUSTERS, capi_cluster("a", up=False))
        await place.until(lambda: "a" in place.states())
        for number in range(200):
            place.hub.put(CLUSTERS, capi_cluster(f"c{number}", up=False))
        await place.until(lambda: place.failure() is Why.INCOMPLETE)

    on(use)

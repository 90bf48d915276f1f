"""Clusters behind API servers that fail or lie: unknown, all or nothing, others go on."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from reconciler.model.clusters import (
    ApiServer,
    ClusterObjects,
    ClusterView,
    Snapshot,
    Unknown,
    Why,
)
from reconciler.observe import observe
from tests import builders
from tests.kubeserver import (
    TOKEN,
    Answer,
    Handler,
    Request,
    ok,
    page,
    raw,
    running,
    serving,
    status,
    thing,
)
from tests.stack.certificates import Authority, Issued

ISTIO = "/apis/networking.istio.io/v1"
SYSTEM = "/api/v1/namespaces/kube-system"
KINDS = ("virtualservices", "destinationrules", "services", "nodes", "endpointslices")
SUBSET = {
    "wharfinger.dev/expose": "tcp",
    "wharfinger.dev/backend": "pod",
}
Made = tuple[Authority, Issued]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return serving(tmp_path_factory.mktemp("tls"))


class World:
    """A whole cluster; `paths` replaces answers."""

    def __init__(self, uid: str = "uid-eu1") -> None:
        self.uid = uid
        self.served: tuple[str, ...] = KINDS[:2]
        self.items: dict[str, list[Any]] = {}
        self.paths: dict[str, Answer | Handler] = {}
        self.asked: list[str] = []

    def __call__(self, request: Request) -> Answer:
        self.asked.append(request.path)
        found = self.paths.get(request.path)
        if found is not None:
            return found if isinstance(found, Answer) else found(request)
        if request.path == SYSTEM:
            return ok({"kind": "Namespace", "metadata": {"uid": self.uid}})
        if request.path == ISTIO:
            named = [{"name": name} for name in self.served]
            return ok({"kind": "APIResourceList", "resources": named})
        kind = request.path.rpartition("/")[2]
        if kind in (*KINDS, "pods"):
            return page(self.items.get(kind, []))
        return status(404, "NotFound")


LIMITS: Mapping[str, Any] = {"cluster": {"deadline": "3s"}}


def snapshot(
    made: Made, path: Path, worlds: Mapping[str, Handler], **change: Any
) -> Snapshot:
    """What is observed of real servers that answer as `worlds` do; `change` is of the entries,

    but for `limits`, which are the settings'.
    """
    limits = change.pop("limits", LIMITS)

    async def run() -> Snapshot:
        async with AsyncExitStack() as stack:
            clusters, contexts = [], []
            for name, world in worlds.items():
                server = await stack.enter_async_context(running(made, world))
                file = path / "ca.crt"
                file.write_text(server.ca)
                url = f"https://127.0.0.1:{server.port}"
                entry = {"server": url, "certificate-authority": "ca.crt"}
                clusters.append({"name": name, "cluster": {**entry, **change}})
                context = {"cluster": name, "user": "u"}
                contexts.append({"name": name, "context": context})
            users = [{"name": "u", "user": {"token": TOKEN}}]
            body = {"clusters": clusters, "contexts": contexts, "users": users}
            (path / "config").write_text(json.dumps(body))
            real = {"name": "real", "kubeconfig": {"path": str(path / "config")}}
            return await observe(builders.settings(inventories=[real], limits=limits))

    return asyncio.run(run())


def view(made: Made, path: Path, world: Handler) -> ClusterView:
    (found,) = snapshot(made, path, {"eu1": world}).clusters
    return found


def unknown(made: Made, path: Path, world: Handler) -> Unknown:
    found = view(made, path, world).objects
    assert isinstance(found, Unknown), found
    assert TOKEN not in found.message
    assert "eu1" in found.message
    return found


def objects(made: Made, path: Path, world: Handler) -> ClusterObjects:
    found = view(made, path, world).objects
    assert isinstance(found, ClusterObjects), found
    return found


def test_a_whole_cluster(made: Made, tmp_path: Path) -> None:
    world = World()
    world.items["virtualservices"] = [thing("b"), thing("a")]
    world.items["services"] = [thing("db", spec={"type": "NodePort"})]
    found = view(made, tmp_path, world)
    assert isinstance(found.objects, ClusterObjects)
    assert [each.name for each in found.objects.virtual_services] == ["a", "b"]
    assert [each.type for each in found.objects.services] == ["NodePort"]
    assert not found.objects.one_look_is_proof
    assert found.entry.cluster_id == "uid-eu1"
    assert [type(each) for each in found.entry.api_servers] == [ApiServer]
    expected = ("127.0.0.1", "eu1.k8s.example.com", "localhost")
    assert found.entry.certificate_names == expected
    assert found.entry.ca_bundle.startswith("-----BEGIN CERTIFICATE")
    assert f"{ISTIO}/destinationrules" in world.asked
    assert "/api/v1/pods" not in world.asked


PATHS = {
    SYSTEM: "the namespace",
    ISTIO: "discovery",
    f"{ISTIO}/virtualservices": "virtualservices",
    f"{ISTIO}/destinationrules": "destinationrules",
    "/api/v1/services": "services",
    "/api/v1/nodes": "nodes",
    "/apis/discovery.k8s.io/v1/endpointslices": "endpointslices",
}
FAULTS: dict[str, tuple[Answer, Why]] = {
    "401": (status(401), Why.UNAUTHORISED),
    "403": (status(403), Why.FORBIDDEN),
    "500": (status(500), Why.UNREACHABLE),
    "cut": (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"), Why.INCOMPLETE),
    "gone": (raw(b""), Why.UNREACHABLE),
    "html": (Answer(body=b"<html>"), Why.UNREADABLE),
    "moved": (
        Answer(status=302, headers={"Location": "https://127.0.0.1/"}),
        Why.UNREADABLE,
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("path", PATHS, ids=PATHS.values())
def test_one_request_that_fails_makes_the_cluster_unknown(
    made: Made, tmp_path: Path, path: str, fault: str
) -> None:
    world = World()
    world.paths[path] = FAULTS[fault][0]
    found = view(made, tmp_path, world)
    assert isinstance(found.objects, Unknown)
    assert found.objects.why is FAULTS[fault][1]
    # Who it is was read by then: its API can be followed without its objects.
    assert found.entry.cluster_id == ("uid-eu1" if path == ISTIO else "")


def test_of_several_failures_it_is_always_the_same(made: Made, tmp_path: Path) -> None:
    world = World()
    world.paths["/api/v1/nodes"] = status(403)
    world.paths[f"{ISTIO}/virtualservices"] = status(500)
    messages = {
        unknown(made, tmp_path, world).message.rpartition(":")[2] for _ in range(5)
    }
    assert messages == {" HTTP 500 Because"}


def test_a_cluster_without_the_crd(made: Made, tmp_path: Path) -> None:
    world = World()
    world.served = ("destinationrules",)
    assert unknown(made, tmp_path, world).why is Why.NO_CRD
    world.paths[ISTIO] = status(404)
    found = unknown(made, tmp_path, world)
    assert found.why is Why.NO_CRD
    assert "CRD" in found.message


@pytest.mark.parametrize("version", ["v1beta1", "v1alpha3"])
def test_older_versions_of_the_crd(made: Made, tmp_path: Path, version: str) -> None:
    world = World()
    older = f"/apis/networking.istio.io/{version}"
    world.paths[ISTIO] = status(404)
    world.paths[older] = ok({"resources": [{"name": "virtualservices"}]})
    objects(made, tmp_path, world)
    assert f"{older}/virtualservices" in world.asked


def test_a_list_that_is_not_found_after_discovery(made: Made, tmp_path: Path) -> None:
    world = World()
    world.paths[f"{ISTIO}/virtualservices"] = status(404)
    assert unknown(made, tmp_path, world).why is Why.INCOMPLETE
    world = World()
    world.paths[f"{ISTIO}/destinationrules"] = status(404)
    assert unknown(made, tmp_path, world).why is Why.INCOMPLETE


def test_without_destination_rules_there_are_none(made: Made, tmp_path: Path) -> None:
    world = World()
    world.served = ("virtualservices",)
    assert objects(made, tmp_path, world).destination_rules == ()
    assert f"{ISTIO}/destinationrules" not in world.asked


@pytest.mark.parametrize(
    ("uid", "why"),
    [(None, Why.NO_ID), ("", Why.NO_ID), (7, Why.NO_ID), ("a\nb", Why.NO_ID)],
)
def test_an_identity_that_is_none(
    made: Made, tmp_path: Path, uid: Any, why: Why
) -> None:
    assert unknown(made, tmp_path, World(uid)).why is why


def test_a_cluster_without_kube_system(made: Made, tmp_path: Path) -> None:
    world = World()
    world.paths[SYSTEM] = status(404)
    assert unknown(made, tmp_path, world).why is Why.NO_ID


def test_another_cluster_that_answers_meanwhile(made: Made, tmp_path: Path) -> None:
    world, uids = World(), iter(("uid-1", "uid-2"))
    world.paths[SYSTEM] = lambda _: ok({"metadata": {"uid": next(uids)}})
    found = unknown(made, tmp_path, world)
    assert found.why is Why.INCOMPLETE
    assert "another cluster" in found.message


@pytest.mark.parametrize("kind", ["virtualservices", "services", "nodes"])
def test_an_object_that_is_listed_twice(made: Made, tmp_path: Path, kind: str) -> None:
    world = World()
    world.items[kind] = [thing("a"), thing("a")]
    assert unknown(made, tmp_path, world).why is Why.INCOMPLETE


def test_an_object_without_a_name(made: Made, tmp_path: Path) -> None:
    world = World()
    world.items["virtualservices"] = [{"metadata": {"namespace": "shop"}}]
    assert unknown(made, tmp_path, world).why is Why.UNREADABLE


def test_one_odd_object_stays_odd_alone(made: Made, tmp_path: Path) -> None:
    world = World()
    odd: dict[str, Any] = {"spec": ["x"], "status": 5}
    world.items["virtualservices"] = [
        thing("bad", **odd),
        {
            "metadata": {
                **thing("good")["metadata"],
                "annotations": {"wharfinger.dev/expose": "tcp"},
            },
            "spec": {"tcp": []},
        },
    ]
    world.items["services"] = [thing("bad", **odd)]
    world.items["nodes"] = [thing("bad", **odd)]
    found = objects(made, tmp_path, world)
    assert [each.spec for each in found.virtual_services] == [{}, {"tcp": []}]
    assert found.services[0].ports == ()
    assert not found.nodes[0].ready


def subset_world() -> World:
    world = World()
    destination = {"host": "db", "subset": "v1"}
    body = thing("db", spec={"tcp": [{"route": [{"destination": destination}]}]})
    body["metadata"]["annotations"] = SUBSET
    world.items["virtualservices"] = [body]
    slices = thing("db-1", endpoints=[{"addresses": ["10.1.0.1"], "targetRef": {"kind": "Pod", "name": "p"}}])  # fmt: skip
    world.items["endpointslices"] = [slices]
    pod = thing("p")
    pod["metadata"]["labels"] = {"version": "v1"}
    world.items["pods"] = [pod]
    return world


def labels_of(found: ClusterObjects) -> object:
    return found.endpoint_slices[0].endpoints[0].pod_labels


def test_labels_of_pods_are_asked_for_where_a_subset_needs_them(
    made: Made, tmp_path: Path
) -> None:
    world = subset_world()
    assert labels_of(objects(made, tmp_path, world)) == (("version", "v1"),)


def test_pods_that_may_not_be_listed_reject_one_unit_and_not_the_cluster(
    made: Made, tmp_path: Path
) -> None:
    world = subset_world()
    world.paths["/api/v1/pods"] = status(403)
    assert labels_of(objects(made, tmp_path, world)) is None
    world.paths["/api/v1/pods"] = status(500)
    assert unknown(made, tmp_path, world).why is Why.UNREACHABLE


def test_one_cluster_that_hangs_stops_no_other(made: Made, tmp_path: Path) -> None:
    hanging = World("uid-us1")
    hanging.paths["/api/v1/nodes"] = raw(b"", pause=60)
    lying = World("uid-us2")
    lying.paths["/api/v1/services"] = lambda it: page(
        [thing("x")], it.query.get("continue", "") + "x"
    )
    start = time.monotonic()
    eu1, us1, us2 = snapshot(
        made, tmp_path, {"eu1": World(), "us1": hanging, "us2": lying}
    ).clusters
    assert time.monotonic() - start < 20
    assert isinstance(eu1.objects, ClusterObjects)
    assert isinstance(us1.objects, Unknown)
    assert us1.objects.why is Why.TIMEOUT
    assert isinstance(us2.objects, Unknown)


def test_all_clusters_together_have_a_deadline(made: Made, tmp_path: Path) -> None:
    hanging = World("uid-us1")
    hanging.paths["/api/v1/nodes"] = raw(b"", pause=60)
    worlds = {"eu1": World(), "us1": hanging}
    limits = {"deadline": "2s"}
    eu1, us1 = snapshot(made, tmp_path, worlds, limits=limits).clusters
    assert isinstance(eu1.objects, ClusterObjects)
    assert isinstance(us1.objects, Unknown)
    assert us1.objects.why is Why.TIMEOUT
    assert "2 s for all clusters" in us1.objects.message


def test_a_cluster_has_limits_of_objects_and_memory(made: Made, tmp_path: Path) -> None:
    world = World()
    world.items["nodes"] = [thing(f"n{number}") for number in range(4)]
    few: dict[str, Any] = {"cluster": {"deadline": "3s", "objects": 3}}
    (found,) = snapshot(made, tmp_path, {"eu1": world}, limits=few).clusters
    assert isinstance(found.objects, Unknown)
    assert "more than 3 items" in found.objects.message
    world.items["nodes"] = []
    annotations = {"wharfinger.dev/expose": "tcp", "filler": "x" * 1024 * 1024}
    large = {"metadata": {"name": "a", "namespace": "b", "annotations": annotations}}
    world.items["virtualservices"] = [large]
    small: dict[str, Any] = {"cluster": {"deadline": "3s", "mebibytes": 1}}
    (found,) = snapshot(made, tmp_path, {"eu1": world}, limits=small).clusters
    assert isinstance(found.objects, Unknown)
    assert found.objects.why is Why.INCOMPLETE
    assert "1 MiB of memory" in found.objects.message


def test_a_context_that_is_refused_stops_no_other(made: Made, tmp_path: Path) -> None:
    (found,) = snapshot(
        made, tmp_path, {"eu1": World()}, **{"proxy-url": "http://x"}
    ).clusters
    assert isinstance(found.objects, Unknown)
    assert "proxy-url" in found.objects.message


def test_two_contexts_of_one_cluster_are_both_unknown(
    made: Made, tmp_path: Path
) -> None:
    worlds: dict[str, Callable[[Request], Answer]] = {
        "eu1": World(),
        "eu2": World(),
        "us1": World("other"),
    }
    found = snapshot(made, tmp_path, worlds).clusters
    whys = [
        each.objects.why if isinstance(each.objects, Unknown) else None
        for each in found
    ]
    assert whys == [Why.DUPLICATE, Why.DUPLICATE, None]


def test_a_name_that_no_cluster_may_have(made: Made, tmp_path: Path) -> None:
    world = World("other")
    one, two = snapshot(made, tmp_path, {"eu1": World(), "kind@home": world}).clusters
    assert isinstance(one.objects, ClusterObjects)
    assert isinstance(two.objects, Unknown)
    assert "map it under names" in two.objects.message
    assert world.asked == []


@pytest.mark.parametrize("content", ["", "{", "contexts: 1\n"])
def test_a_kubeconfig_that_cannot_be_read_is_a_failure(
    tmp_path: Path, content: str
) -> None:
    path = tmp_path / "config"
    path.write_text(content)
    real = {"name": "real", "kubeconfig": {"path": str(path)}}
    found = asyncio.run(observe(builders.settings(inventories=[real])))
    assert found.clusters == ()
    assert [each.inventory for each in found.failures] == ["real"]

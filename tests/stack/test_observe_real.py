"""What observing relies on, from real API servers: pages, refusals, and equal directories."""

from __future__ import annotations

import asyncio
import dataclasses
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from reconciler.kube import (
    METADATA_ONLY,
    KubeApi,
    KubeError,
    Limits,
    NotFound,
    Rejected,
    object_path,
    server_certificate_names,
)
from reconciler.kubeconfig import load_kubeconfig
from reconciler.model.clusters import (
    ClusterObjects,
    ClusterView,
    Snapshot,
    Unknown,
    Why,
)
from reconciler.observe import observe, parse
from tests import builders, documents
from tests.stack import pins
from tests.stack.api import Access
from tests.stack.documents import Document, Ref
from tests.stack.kube import Cluster
from tests.stack.stack import Stack

pytestmark = pytest.mark.stack
T = TypeVar("T")
SPACE = "observe-shop"
ISTIO = "networking.istio.io/v1"
SERVICES = f"/api/v1/namespaces/{SPACE}/services"
NAMES = tuple(f"db-{number}" for number in range(5))


def virtual_service(name: str) -> Document:
    made: Any = documents.virtual_service(name, {name: 1}, None, SPACE)
    destination = {"host": name, "subset": "v1", "port": {"number": 5432}}
    made["metadata"]["annotations"]["wharfinger.dev/backend"] = "pod"
    made["spec"]["tcp"][0]["route"] = [{"destination": destination}]
    return dict(made)


def service(name: str) -> Document:
    made: Any = documents.service(name, 0, SPACE)
    del made["spec"]["clusterIP"], made["spec"]["ports"][0]["nodePort"]
    return dict(made)


def pod_and_slice(name: str) -> list[Document]:
    metadata = {"name": name, "namespace": SPACE}
    labels = {"app": name, "version": "v1"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**metadata, "labels": labels},
        "spec": {"containers": [{"name": "db", "image": "none"}]},
    }
    endpoint = {
        "addresses": ["10.1.0.1"],
        "targetRef": {"kind": "Pod", "name": name, "namespace": SPACE},
    }
    labels = {"kubernetes.io/service-name": name}
    slices = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**metadata, "labels": labels},
        "addressType": "IPv4",
        "ports": [{"name": "tcp", "port": 5432}],
        "endpoints": [endpoint],
    }
    return [pod, slices]


@pytest.fixture(scope="module")
def cluster(workload_1: Cluster) -> Iterator[Cluster]:
    """Five exposures with all that belongs to them, and a node."""
    api = workload_1.api
    workload_1.namespace(SPACE)
    rule = {
        "apiVersion": ISTIO,
        "kind": "DestinationRule",
        "metadata": {"name": NAMES[0], "namespace": SPACE},
        "spec": {
            "host": NAMES[0],
            "subsets": [{"name": "v1", "labels": {"version": "v1"}}],
        },
    }
    for name in NAMES:
        api.apply([service(name), virtual_service(name), *pod_and_slice(name)])
    made = documents.node("observe-1", "10.99.250.9")
    api.apply([rule, made])
    api.patch_status(Ref("v1", "Node", "observe-1"), dict(made)["status"])  # type: ignore[arg-type]
    yield workload_1
    for kind in ("VirtualService", "DestinationRule"):
        api.call("DELETE", api.path(Ref(ISTIO, kind, namespace=SPACE)))
    for kind in ("Service", "Pod"):
        api.call("DELETE", f"{api.path(Ref('v1', kind, namespace=SPACE))}?gracePeriodSeconds=0")  # fmt: skip
    api.call("DELETE", api.path(Ref("discovery.k8s.io/v1", "EndpointSlice", namespace=SPACE)))  # fmt: skip
    api.delete(Ref("v1", "Node", "observe-1"))


def on(
    cluster: Cluster,
    use: Callable[[KubeApi], Awaitable[T]],
    access: Access | None = None,
    limits: Limits | None = None,
) -> T:
    async def run() -> T:
        credentials = load_kubeconfig(cluster.kubeconfig(access)).credentials()
        async with KubeApi(credentials, name="real", limits=limits) as api:
            return await use(api)

    return asyncio.run(run())


def snapshot(path: Path, *texts: str) -> Snapshot:
    inventories = []
    for number, text in enumerate(texts):
        file = path / f"kubeconfig-{number}"
        file.write_text(text)
        inventories.append({"name": f"i{number}", "kubeconfig": {"path": str(file)}})
    return asyncio.run(observe(builders.settings(inventories=inventories)))


def view(path: Path, cluster: Cluster, access: Access | None = None) -> ClusterView:
    (found,) = snapshot(path, cluster.kubeconfig(access)).clusters
    return found


def why(found: ClusterView) -> Why | None:
    return found.objects.why if isinstance(found.objects, Unknown) else None


def test_a_list_really_comes_in_pages(cluster: Cluster) -> None:
    asked: list[object] = []

    class Watched(KubeApi):
        def _send(self, request: Any) -> Any:
            asked.append(request.params.get("continue", ""))
            return super()._send(request)

    async def run() -> tuple[str, ...]:
        credentials = load_kubeconfig(cluster.kubeconfig()).credentials()
        limits = Limits(page_items=2)
        async with Watched(credentials, name="real", limits=limits) as api:
            return await api.list(SERVICES, lambda body: parse.service(body).name)

    assert asyncio.run(run()) == NAMES
    assert len(asked) == 3
    assert asked[0] == ""
    assert len(set(asked)) == 3


def test_pages_are_one_snapshot_although_objects_come_meanwhile(
    cluster: Cluster,
) -> None:
    def convert(body: Any) -> str:
        if len(seen) < 2:
            cluster.api.apply(service(f"db-meanwhile-{len(seen)}"))
        seen.append(body["metadata"]["name"])
        return str(seen[-1])

    seen: list[str] = []
    found = on(
        cluster, lambda api: api.list(SERVICES, convert), limits=Limits(page_items=2)
    )
    for number in range(2):
        ref = Ref("v1", "Service", f"db-meanwhile-{number}", SPACE)
        cluster.api.delete(ref)
    assert found == NAMES


def test_an_empty_list_is_complete(cluster: Cluster) -> None:
    path = f"/apis/{ISTIO}/namespaces/nothing-here/virtualservices"
    assert on(cluster, lambda api: api.list(path, parse.virtual_service)) == ()


def test_metadata_alone_is_a_list_too(cluster: Cluster) -> None:
    path = f"/api/v1/namespaces/{SPACE}/pods"
    found = on(
        cluster, lambda api: api.list(path, parse.pod_labels, accept=METADATA_ONLY)
    )
    assert dict(found)[SPACE, "db-0"] == (("app", "db-0"), ("version", "v1"))


def test_a_whole_cluster(cluster: Cluster, tmp_path: Path) -> None:
    found = view(tmp_path, cluster)
    assert isinstance(found.objects, ClusterObjects), found.objects
    assert found.entry.cluster_id == cluster.uid
    assert found.entry.api_servers[0].port == cluster.port
    assert f"{cluster.name}.k8s.example.com" in (found.entry.certificate_names or ())
    mine = [each for each in found.objects.virtual_services if each.namespace == SPACE]
    assert [each.name for each in mine] == list(NAMES)
    assert all(each.uid and each.resource_version for each in mine)
    slices = [each for each in found.objects.endpoint_slices if each.namespace == SPACE]
    labels = {each.endpoints[0].pod_labels for each in slices}
    assert (("app", "db-0"), ("version", "v1")) in labels
    node = next(each for each in found.objects.nodes if each.name == "observe-1")
    assert (node.ready, node.internal_ips) == (True, ("10.99.250.9",))
    assert node.ready_since is not None


KINDS = (
    *("virtualservices.networking.istio.io", "destinationrules.networking.istio.io"),
    *("services", "nodes", "endpointslices", "pods"),
)


def test_a_directory_with_what_kubectl_prints_is_the_same_cluster(
    cluster: Cluster, tmp_path: Path
) -> None:
    folder = tmp_path / "clusters" / cluster.name
    folder.mkdir(parents=True)
    kubectl = [str(pins.binary("kubectl")), f"--kubeconfig={cluster.kubeconfig_file()}"]

    def print_to(name: str, *args: str) -> None:
        done = subprocess.run(
            [*kubectl, "get", *args], check=True, capture_output=True, text=True
        )
        (folder / name).write_text(done.stdout)

    print_to("id.yaml", "namespace", "kube-system", "-o", "yaml")
    for number, kind in enumerate(KINDS):
        output = "json" if number % 2 else "yaml"
        print_to(f"{number}.{output}", kind, "-A", "-o", output)
    lab = {"name": "lab", "directory": {"path": str(tmp_path / "clusters")}}
    (copied,) = asyncio.run(observe(builders.settings(inventories=[lab]))).clusters
    served = view(tmp_path, cluster)
    assert isinstance(copied.objects, ClusterObjects), copied.objects
    assert isinstance(served.objects, ClusterObjects), served.objects
    assert copied.entry.cluster_id == served.entry.cluster_id
    assert served.objects == dataclasses.replace(
        copied.objects, one_look_is_proof=False
    )


def test_a_wrong_token(cluster: Cluster, tmp_path: Path) -> None:
    access = cluster.service_account("observer", SPACE)
    wrong = dataclasses.replace(access, token="nobody-s-token")
    found = view(tmp_path, cluster, wrong)
    assert why(found) is Why.UNAUTHORISED
    assert isinstance(found.objects, Unknown)
    assert "HTTP 401 Unauthorized" in found.objects.message
    assert "nobody" not in found.objects.message


def test_a_user_without_permissions(cluster: Cluster, tmp_path: Path) -> None:
    found = view(tmp_path, cluster, cluster.service_account("observer", SPACE))
    assert why(found) is Why.FORBIDDEN
    assert isinstance(found.objects, Unknown)
    assert "HTTP 403 Forbidden" in found.objects.message


def test_another_authority(
    cluster: Cluster, workload_2: Cluster, tmp_path: Path
) -> None:
    access = dataclasses.replace(cluster.access, ca=workload_2.access.ca)
    found = view(tmp_path, cluster, access)
    assert why(found) is Why.UNREACHABLE
    assert isinstance(found.objects, Unknown)
    assert "certificate is not trusted" in found.objects.message


def test_a_cluster_without_the_crd_and_then_without_a_server(
    stack: Stack, tmp_path: Path, cluster: Cluster
) -> None:
    plain = stack.cluster("observe-plain", crds=())
    texts = (cluster.kubeconfig(), plain.kubeconfig())
    found = {each.entry.name: each for each in snapshot(tmp_path, *texts).clusters}
    assert why(found[plain.name]) is Why.NO_CRD
    assert why(found[cluster.name]) is None
    daemon = plain.daemon
    assert daemon is not None
    daemon.stop()
    found = {each.entry.name: each for each in snapshot(tmp_path, *texts).clusters}
    assert why(found[plain.name]) is Why.UNREACHABLE
    assert why(found[cluster.name]) is None


def test_patches_test_what_was_seen(cluster: Cluster) -> None:
    path = object_path(ISTIO, "virtualservices", SPACE, "db-0")
    seen = on(cluster, lambda api: api.get(path))
    version = seen["metadata"]["resourceVersion"]

    def patch(version: str, value: str) -> list[dict[str, Any]]:
        key = "/metadata/annotations/wharfinger.dev~1state"
        return [
            {"op": "test", "path": "/metadata/resourceVersion", "value": version},
            {"op": "add", "path": key, "value": value},
        ]

    after = on(cluster, lambda api: api.json_patch(path, patch(version, "Ready")))
    assert after["metadata"]["annotations"]["wharfinger.dev/state"] == "Ready"
    with pytest.raises(Rejected):
        on(cluster, lambda api: api.json_patch(path, patch(version, "Held")))
    again = on(cluster, lambda api: api.get(path))
    assert again["metadata"]["annotations"]["wharfinger.dev/state"] == "Ready"


def test_objects_are_created_and_applied(cluster: Cluster) -> None:
    maps = f"/api/v1/namespaces/{SPACE}/configmaps"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "observed"}}
    on(cluster, lambda api: api.create(maps, body))
    with pytest.raises(Rejected):
        on(cluster, lambda api: api.create(maps, body))
    change = {**body, "data": {"a": "1"}}
    path = f"{maps}/observed"
    on(cluster, lambda api: api.apply(path, change, manager="tests"))
    assert on(cluster, lambda api: api.get(path))["data"] == {"a": "1"}
    cluster.api.delete(Ref("v1", "ConfigMap", "observed", SPACE))
    with pytest.raises(NotFound):
        on(cluster, lambda api: api.get(path))


def test_a_continue_token_that_the_server_does_not_know_is_an_error(
    cluster: Cluster,
) -> None:
    path = f"{SERVICES}?limit=1&continue=junk"
    with pytest.raises(KubeError) as error:
        on(cluster, lambda api: api.get(path))
    assert error.value.status in (400, 410)


def test_certificate_by_the_name_that_is_asked_for(
    cluster: Cluster, workload_2: Cluster
) -> None:
    name = f"{cluster.name}.k8s.example.com"
    for each, carries in ((cluster, True), (workload_2, False)):
        found = asyncio.run(
            server_certificate_names(each.host, each.port, ca=each.ca, server_name=name)
        )
        assert found is not None
        assert (name in found) is carries
        assert each.host in found

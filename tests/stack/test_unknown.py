"""Unknown is not empty, and least privilege, on real API servers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler import yamlio
from tests import documents
from tests.ingress import Ingress
from tests.stack import pins
from tests.stack.documents import Ref, load
from tests.stack.kube import Cluster
from tests.stack.network import free_port

pytestmark = pytest.mark.stack

RBAC = Path(__file__).parents[2] / "manifests" / "rbac-workload.yaml"
SPACE = "unknown-shop"
ROLE = Ref("rbac.authorization.k8s.io/v1", "ClusterRole", "wharfinger-workload")


@pytest.fixture
def exposed(workload_1: Cluster) -> Iterator[Cluster]:
    """A workload cluster with one exposure on a node of its own."""
    api = workload_1.api
    workload_1.namespace(SPACE)
    api.apply(documents.node("unknown-1", "10.99.250.1"))
    api.patch_status(
        Ref("v1", "Node", "unknown-1"), documents.node("n", "10.99.250.1")["status"]
    )
    made = documents.service("db", 0, SPACE)
    del made["spec"]["clusterIP"]  # type: ignore[attr-defined]
    del made["spec"]["ports"][0]["nodePort"]  # type: ignore[index]
    api.apply([made, documents.virtual_service("db", {"db": 1}, None, SPACE)])
    api.apply(load(RBAC.read_text()))
    yield workload_1
    api.delete(Ref("networking.istio.io/v1", "VirtualService", "db", SPACE))
    api.delete(Ref("v1", "Node", "unknown-1"))


def kubeconfig(tmp_path: Path, cluster: Cluster, **change: str) -> Path:
    """A kubeconfig of Wharfinger's own ServiceAccount, with one thing changed."""
    access = cluster.service_account("wharfinger", "wharfinger")
    body = json.loads(cluster.kubeconfig(access))
    body["users"][0]["user"].update({k: v for k, v in change.items() if k == "token"})
    body["clusters"][0]["cluster"].update(
        {k: v for k, v in change.items() if k == "server"}
    )
    path = tmp_path / "workloads.kubeconfig"
    path.touch(mode=0o600)
    path.write_text(json.dumps(body))
    return path


@pytest.fixture
def ingress(tmp_path: Path, exposed: Cluster) -> Ingress:
    """An ingress repository with the real cluster and a directory beside it."""
    made = Ingress(tmp_path / "ingress")
    real = {"path": str(tmp_path / "workloads.kubeconfig")}
    return made.start(
        inventories=[
            {"name": "lab", "directory": {"path": str(made.clusters)}},
            {"name": "real", "kubeconfig": real},
        ],
        tenants=[{"clusters": ["*"], "gateways": ["public"]}],
    )


def subtree(ingress: Ingress, cluster: str) -> str:
    """The id of a cluster's tree: equal ids are equal bytes."""
    path = f"main:manifests/public/{cluster}"
    return ingress.git("rev-parse", path, at=ingress.remote)


@pytest.mark.parametrize("fault", ["stopped", "unauthorised", "forbidden"])
def test_nothing_of_a_cluster_that_cannot_be_read_changes(
    fault: str, ingress: Ingress, exposed: Cluster, tmp_path: Path
) -> None:
    kubeconfig(tmp_path, exposed)
    assert ingress.run("reconcile").code == 0
    before = subtree(ingress, exposed.name)
    assert before
    match fault:
        case "stopped":
            kubeconfig(tmp_path, exposed, server=f"https://127.0.0.1:{free_port()}")
        case "unauthorised":
            kubeconfig(tmp_path, exposed, token="nobody")
        case "forbidden":
            without(exposed, "virtualservices", "list")
    ingress.expose("eu1", "other")
    done = ingress.reconcile()
    assert done.code == 3
    assert subtree(ingress, exposed.name) == before
    assert [row["cluster"] for row in done.rows("create")] == ["eu1"]
    exposed.api.apply(load(RBAC.read_text()))


def without(cluster: Cluster, resource: str, verb: str) -> None:
    """Take one verb from the reconciler's role."""
    (role,) = [each for each in load(RBAC.read_text()) if each["kind"] == "ClusterRole"]
    for rule in role["rules"]:
        if resource in rule["resources"]:
            rule["verbs"] = [each for each in rule["verbs"] if each != verb]
    role["rules"] = [rule for rule in role["rules"] if rule["verbs"]]
    cluster.api.apply(role)


@pytest.mark.parametrize(
    "resource", ["services", "nodes", "endpointslices", "destinationrules"]
)
def test_one_verb_less_is_reported_and_destroys_nothing(
    resource: str, ingress: Ingress, exposed: Cluster, tmp_path: Path
) -> None:
    kubeconfig(tmp_path, exposed)
    assert ingress.run("reconcile").code == 0
    before = ingress.tip()
    without(exposed, resource, "list")
    done = ingress.run("plan", "-o", "json")
    assert done.code == 3
    assert [row["code"] for row in done.rows("skip")] == ["WHF309"]
    assert ingress.tip() == before
    exposed.api.apply(load(RBAC.read_text()))


def test_kubectl_accepts_the_kubeconfig_of_a_cluster(
    ingress: Ingress, exposed: Cluster, tmp_path: Path
) -> None:
    kubeconfig(tmp_path, exposed)
    assert ingress.run("reconcile").code == 0
    path = tmp_path / "printed"
    path.write_text(ingress.run("kubeconfig", exposed.name).out)
    shown = subprocess.run(
        [
            str(pins.binary("kubectl")),
            "--kubeconfig",
            str(path),
            "config",
            "view",
            "--raw",
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    body = yamlio.load(shown.stdout.encode())
    assert isinstance(body, dict)
    server = body["clusters"][0]["cluster"]["server"]
    assert server == f"https://{exposed.name}.k8s.example.com:443"

"""What each inventory tells of reaches Git and real kubectl: by its name through real Envoy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.envoys import RealEnvoy
from tests.hub_objects import changed
from tests.ingress import Near
from tests.stack import pins
from tests.stack.conftest import DOMAIN, NAMED
from tests.stack.kube import Cluster
from tests.stack.lives import Life
from tests.stack.process import run
from tests.stack.test_inventories_real import (  # noqa: F401 - fixtures
    Accounts,
    accounts,
    hub,
    lives,
    settings,
    settings_of,
    told,
    workload,
)

pytestmark = [pytest.mark.stack, pytest.mark.envoy]
API = f"manifests/public/{NAMED}/api.yaml"
ENDPOINTS = f"manifests/public/{NAMED}/api.endpoints.yaml"
RECORD = f"clusters/{NAMED}.yaml"
HOSTNAME = f"{NAMED}.k8s.{DOMAIN}"
FOREIGN = {
    "cluster_profile": "fleet/eu1",
    "open_cluster_management": "eu1",
    "flux": "flux-system/eu1-kubeconfig",
    "rancher": "fleet-default/eu1",
    "karmada": "eu1",
    "gardener": "garden-shop/eu1",
}


@pytest.fixture
def envoy(tmp_path: Path) -> Iterator[RealEnvoy]:
    with RealEnvoy(tmp_path) as started:
        yield started


@pytest.fixture
def place(told: Life, envoy: RealEnvoy, tmp_path: Path) -> Near:  # noqa: F811
    """An ingress repository whose only inventory is the hub."""
    (entry,) = settings_of(told, tmp_path).inventories
    lab = entry.model_dump(by_alias=True, exclude_defaults=True)
    made = Near(root=tmp_path / "place")
    gateway = {
        "name": "public",
        "renderer": "envoy",
        "namespace": "ingress",
        "ports": {"range": "20000-20099"},
        "tlsPort": envoy.tls_port,
    }
    made.start(
        gateways=[gateway],
        inventories=[{**lab, "names": {FOREIGN[told.source]: NAMED}}],
    )
    return made


def file(place: Near, path: str) -> str:
    return place.git("show", f"main:{path}", at=place.remote)


def uid_by_name(place: Near, envoy: RealEnvoy, workload: Cluster) -> str:  # noqa: F811
    """The cluster's id as kubectl gets it by the cluster's name through Envoy."""
    options = envoy.options
    done = place.run(
        "envoy-sync",
        "--once",
        *("--out", str(options.folder), "--status", str(options.status)),
        *("--admin", options.admin, "--bind", options.bind),
    )
    assert done.code == 0, done
    server = f"https://{options.bind}:{envoy.tls_port}"
    through = workload.kubeconfig_file(workload.through(server, server_name=HOSTNAME))
    what = ("get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}")
    return run(str(pins.binary("kubectl")), f"--kubeconfig={through}", *what)


def test_from_its_first_word_to_kubectl_and_out_again(
    told: Life,  # noqa: F811
    workload: Cluster,  # noqa: F811
    accounts: Accounts,  # noqa: F811
    place: Near,
    envoy: RealEnvoy,
) -> None:
    told.appear()
    place.run("reconcile")
    told.provision(accounts.token())
    if told.source == "rancher":  # without it there is no address of an API server
        told.hub.api.patch(told.ref, {"spec": direct(workload)})
    done = place.run("reconcile")
    assert done.code == 0, done
    assert workload.host in file(place, ENDPOINTS)
    assert workload.uid in file(place, RECORD)
    assert uid_by_name(place, envoy, workload) == workload.uid

    if told.source == "flux":  # it vanishes, which is told and removes nothing
        told.vanish()
        done = place.run("reconcile")
        assert "WHF210" in done.out + done.err
        assert API in place.files()
        return
    told.delete()
    place.run("reconcile")
    assert API not in place.files()


def direct(workload: Cluster) -> dict[str, object]:  # noqa: F811
    """Rancher's authorized cluster endpoint."""
    fqdn = f"{workload.host}:{workload.port}"
    endpoint = {"enabled": True, "fqdn": fqdn, "caCerts": workload.ca}
    return {"localClusterAuthEndpoint": endpoint}


@pytest.mark.parametrize("told", ["karmada"], indirect=True)
def test_a_cluster_without_credentials_has_its_api_route_all_the_same(
    told: Life,  # noqa: F811
    workload: Cluster,  # noqa: F811
    place: Near,
    envoy: RealEnvoy,
) -> None:
    body = changed(told.golden.body, "spec", syncMode="Pull", secretRef=None)
    kept = {key: body[key] for key in ("apiVersion", "kind", "spec")}
    metadata = {"name": body["metadata"]["name"]}
    told.hub.api.apply({**kept, "metadata": metadata})
    done = place.run("reconcile")
    assert "Pull mode" in done.out + done.err
    assert workload.host in file(place, ENDPOINTS)
    assert uid_by_name(place, envoy, workload) == workload.uid

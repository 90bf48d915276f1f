"""The roles in manifests/ are enough for the whole road, and none of their verbs is spare."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.stack.documents import load
from tests.stack.engines import flux, gitea, remote  # noqa: F401 - fixtures
from tests.stack.envoy_gateway import EnvoyGateway
from tests.stack.flux import Flux
from tests.stack.gitea import GitRemote
from tests.stack.kube import Cluster
from tests.stack.process import wait_until
from tests.stack.road import Road, answers

pytestmark = pytest.mark.stack

MANIFESTS = Path(__file__).parents[2] / "manifests"
WORKLOAD, PLATFORM = "rbac-workload.yaml", "rbac-platform.yaml"


def install(cluster: Cluster, manifest: str) -> None:
    """The role as it is installed."""
    cluster.api.apply(load((MANIFESTS / manifest).read_text()))


def without(cluster: Cluster, manifest: str, resource: str, verb: str) -> None:
    """The role again, with one verb on one resource less."""
    documents = load((MANIFESTS / manifest).read_text())
    (role,) = [each for each in documents if each["kind"] == "ClusterRole"]
    role["rules"] = [
        rule for each in role["rules"] for rule in _split(each, resource, verb)
    ]
    cluster.api.apply(role)


def _split(rule: dict[str, Any], resource: str, verb: str) -> Iterator[dict[str, Any]]:
    """The rule for all other resources, and for this one without the verb."""
    if others := [each for each in rule["resources"] if each != resource]:
        yield {**rule, "resources": others}
    verbs = [each for each in rule["verbs"] if each != verb]
    if resource in rule["resources"] and verbs:
        yield {**rule, "resources": [resource], "verbs": verbs}


def own_kubeconfig(cluster: Cluster) -> str:
    """A kubeconfig of the ServiceAccount that the role is bound to."""
    access = cluster.service_account("wharfinger", "wharfinger")
    return str(cluster.kubeconfig_file(access))


@pytest.fixture
def road(
    hub: Cluster,
    workload_1: Cluster,
    remote: GitRemote,  # noqa: F811
    flux: Flux,  # noqa: F811
    namespace: str,
    address: str,
    tmp_path: Path,
) -> Iterator[Road]:
    """A road on which Wharfinger has its own ServiceAccounts and nothing else."""
    install(hub, PLATFORM)
    install(workload_1, WORKLOAD)
    own = {"path": own_kubeconfig(workload_1)}
    made = Road(
        hub=hub,
        workload=workload_1,
        remote=remote,
        folder=tmp_path,
        renderer="envoy-gateway",
        engine=flux,
        namespace=namespace,
        node=address,
        first_port=20032,
        extra={
            "platform": {"context": hub.name, "kubeconfig": own_kubeconfig(hub)},
            "inventories": [{"name": "lab", "kubeconfig": own}],
        },
    )
    made.prepare()
    yield made
    made.forget()
    install(hub, PLATFORM)
    install(workload_1, WORKLOAD)


def stages(road: Road) -> dict[str, str]:
    """unit -> the stage that is proven now."""
    done = road.wharfinger("prove", "-o", "json")
    return {each["unit"]: each["stage"] for each in json.loads(done.out)["items"]}


def test_the_installed_roles_walk_the_whole_road_and_no_verb_is_spare(
    road: Road, envoy_gateway: EnvoyGateway
) -> None:
    with road.service("blue"):
        road.expose({"blue": 1})
        road.wharfinger("reconcile")
        road.follow()
        road.apply()
        where = envoy_gateway.address(road.gateway, road.namespace)
        port = int(road.prove_until("Ready")["port"])
        wait_until(lambda: answers(where, port) == "blue", "blue is served")
        proven = stages(road)
        assert len(set(proven.values())) == 1, proven

        for resource in ("kustomizations", "gateways", "listenersets", "tcproutes"):
            without(road.hub, PLATFORM, resource, "list")
            wait_until(
                lambda: not set(stages(road).values()) & set(proven.values()),
                f"nothing is proven without {resource}",
            )
            assert road.annotations()["port"] == str(port), resource
            install(road.hub, PLATFORM)
            wait_until(lambda: stages(road) == proven, f"{resource} can be read again")

        head = road.head()
        for resource, verb in (("namespaces", "get"), ("virtualservices", "list")):
            without(road.workload, WORKLOAD, resource, verb)
            road.wharfinger("reconcile", code=3)
            assert road.head() == head, resource
            install(road.workload, WORKLOAD)
        assert answers(where, port) == "blue"


def test_a_state_that_may_not_be_written_is_told_and_stops_nothing_else(
    road: Road,
) -> None:
    with road.service("blue"):
        road.expose({"blue": 1})
        without(road.workload, WORKLOAD, "virtualservices", "patch")
        done = road.wharfinger("reconcile")
        unit = f"{road.workload.name}/{road.space}/orders"
        assert unit in done.err
        assert "403" in done.err or "forbidden" in done.err.lower(), done.err
        assert "state" not in road.annotations()
        assert [path for path in road.files() if "orders" in path]

        install(road.workload, WORKLOAD)
        road.wharfinger("reconcile")
        assert road.annotations()["state"] == "Allocated"

"""What clusters follow from objects of Cluster API and Argo CD."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reconciler.model.clusters import (
    ApiServer,
    ClusterState,
    ClusterView,
    Unknown,
    Why,
)
from reconciler.observe.inventories import HUBS, Member, Server
from reconciler.observe.inventories.source import Objects, collections, keyed
from reconciler.settings import Inventory
from tests import hubs
from tests.kubeserver import TOKEN

CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
ADDRESS = "https://api.eu1.example.net:6443"
Json = dict[str, Any]


def inventory(source: str = "clusterApi", **rest: Any) -> Inventory:
    asked = rest.pop("asked", {})
    return Inventory.model_validate({"name": "lab", source: asked, **rest})


def clusters(made: Inventory, **objects: list[Json]) -> tuple[Member, ...]:
    """What follows from raw objects, by plural."""
    source = HUBS[made.source]
    kept = {
        kind.called: dict(
            pair
            for body in objects.get(kind.plural, [])
            if (pair := keyed(body, kind)) is not None
        )
        for kind in source.kinds(made)
    }
    return source.clusters(made, Objects(of=kept), {})


def there(body: Json, namespace: str = "team-a") -> Json:
    return {**body, "metadata": {**body["metadata"], "namespace": namespace}}


def capi(
    cluster: Json, secret: Json | None = None, made: Inventory | None = None
) -> Member:
    secrets = [there(secret)] if secret else []
    (found,) = clusters(made or inventory(), clusters=[there(cluster)], secrets=secrets)
    return found


SECRET = hubs.capi_secret("eu1", hubs.kubeconfig(ADDRESS, CA))
UP = hubs.capi_cluster("eu1", "api.eu1.example.net", 6443)


def test_a_cluster_that_is_up_is_followed_at_its_endpoint() -> None:
    found = capi(UP, SECRET)
    assert isinstance(found, Server)
    assert found.entry.name == "eu1"
    assert found.entry.inventory_id == "uid-of-eu1"
    assert found.entry.origin == "Cluster team-a/eu1"
    assert found.entry.state is ClusterState.READY
    assert found.entry.api_servers == (
        ApiServer(host="api.eu1.example.net", port=6443),
    )
    assert found.entry.ca_bundle == CA
    assert found.credentials.token == TOKEN


def v1beta1(**status: Any) -> Json:
    spec = {"controlPlaneEndpoint": {"host": "10.0.0.7", "port": 6443}}
    version = "cluster.x-k8s.io/v1beta1"
    return {**UP, "apiVersion": version, "spec": spec, "status": status}


@pytest.mark.parametrize(
    "status",
    [
        {"controlPlaneReady": True},
        {"conditions": [{"type": "ControlPlaneInitialized", "status": "True"}]},
        {"v1beta2": {"conditions": [{"type": "ControlPlaneInitialized", "status": "True"}]}},
    ],
)  # fmt: skip
def test_v1beta1_says_otherwise_that_it_is_up(status: Json) -> None:
    found = capi(v1beta1(**status), SECRET)
    assert found.entry.state is ClusterState.READY
    assert found.entry.api_servers == (ApiServer(host="10.0.0.7", port=6443),)


@pytest.mark.parametrize(
    "cluster",
    [
        hubs.capi_cluster("eu1", up=False),
        hubs.capi_cluster("eu1", "api.eu1.example.net", 6443, up=False),
        {**UP, "status": {}},
        {"metadata": UP["metadata"]},
        {**UP, "spec": {"controlPlaneEndpoint": {"host": "", "port": 0}}},
        {**UP, "spec": {"controlPlaneEndpoint": None}},
        v1beta1(controlPlaneReady=False),
        v1beta1(conditions=[{"type": "ControlPlaneInitialized", "status": "False"}]),
    ],
)
def test_a_cluster_that_was_never_up_is_provisioned(cluster: Json) -> None:
    found = capi(cluster, SECRET)
    assert isinstance(found, ClusterView)
    assert found.entry.state is ClusterState.PROVISIONING
    assert found.entry.inventory_id == "uid-of-eu1"
    assert found.entry.api_servers == ()
    assert isinstance(found.objects, Unknown)
    assert "provisioned" in found.objects.message


def test_paused_or_upgraded_or_failing_clusters_are_alive() -> None:
    for spec, status in (
        ({"paused": True}, {}),
        ({"topology": {"version": "v1.37.2"}}, {"phase": "Provisioning"}),
        ({}, {"conditions": [{"type": "Available", "status": "False"}]}),
        ({}, {"conditions": [{"type": "RemoteConnectionProbe", "status": "False"}]}),
    ):
        cluster = {
            **UP,
            "spec": {**UP["spec"], **spec},
            "status": {**UP["status"], **status},
        }
        assert isinstance(capi(cluster, SECRET), Server), spec


def test_deleted_is_a_word_and_moved_is_another() -> None:
    gone = {"deletionTimestamp": "2026-11-24T00:00:00Z"}
    deleted = capi(hubs.capi_cluster("eu1", "h.example.net", 1, meta=gone), SECRET)
    moved = capi(
        hubs.capi_cluster(
            "eu1",
            "h.example.net",
            1,
            meta={
                "annotations": {"clusterctl.cluster.x-k8s.io/delete-for-move": ""},
                **gone,
            },
        ),
        SECRET,
    )
    assert deleted.entry.state is ClusterState.DELETED
    assert moved.entry.state is ClusterState.UNKNOWN
    assert isinstance(moved, ClusterView)
    assert isinstance(moved.objects, Unknown)
    assert "clusterctl move" in moved.objects.message


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        (None, Why.UNAUTHORISED),
        ({**SECRET, "type": "Opaque"}, Why.UNAUTHORISED),
        ({**SECRET, "data": {}}, Why.UNREADABLE),
        ({**SECRET, "data": {"value": "%%%"}}, Why.UNREADABLE),
        ({**SECRET, "data": None}, Why.UNREADABLE),
        (hubs.capi_secret("eu1", "kind: [}"), Why.UNREADABLE),
        (hubs.capi_secret("eu1-user", "{}"), Why.UNAUTHORISED),
    ],
)
def test_without_credentials_the_endpoint_is_known_all_the_same(
    secret: Json | None, why: Why
) -> None:
    found = capi(UP, secret)
    assert isinstance(found, ClusterView)
    assert isinstance(found.objects, Unknown)
    assert found.objects.why is why
    assert "eu1-kubeconfig" in found.objects.message
    assert found.entry.api_servers == (
        ApiServer(host="api.eu1.example.net", port=6443),
    )


def test_a_kubeconfig_that_starts_programs_is_refused_for_its_cluster_alone() -> None:
    text = json.loads(hubs.kubeconfig(ADDRESS, CA))
    text["users"][0]["user"] = {"exec": {"command": "/bin/sh"}}
    bad = hubs.capi_secret("eu1", json.dumps(text))
    good = hubs.capi_secret("eu2", hubs.kubeconfig(ADDRESS, CA))
    found = clusters(
        inventory(),
        clusters=[there(UP), there(hubs.capi_cluster("eu2", "h.example.net", 443))],
        secrets=[there(bad), there(good)],
    )
    assert [type(each) for each in found] == [ClusterView, Server]
    first = found[0]
    assert isinstance(first, ClusterView)
    assert isinstance(first.objects, Unknown)
    assert "exec" in first.objects.message


def test_one_name_in_two_namespaces_is_told_apart_by_names() -> None:
    made = inventory(names={"team-b/eu1": "eu1-b"})
    found = clusters(made, clusters=[there(UP), there(UP, "team-b")])
    assert [each.entry.name for each in found] == ["eu1", "eu1-b"]


@pytest.mark.parametrize(
    "endpoint",
    [
        {"host": "a@b", "port": 443},
        {"host": "h/x", "port": 443},
        {"host": "h", "port": 70000},
        {"host": "h", "port": -1},
        {"host": "h?x", "port": 443},
        {"host": "[", "port": 443},
    ],
)
def test_an_endpoint_that_is_none_makes_one_cluster_unknown(endpoint: Json) -> None:
    found = capi({**UP, "spec": {"controlPlaneEndpoint": endpoint}}, SECRET)
    assert isinstance(found, ClusterView)
    assert isinstance(found.objects, Unknown)
    assert found.objects.why is Why.UNREADABLE
    assert found.entry.api_servers == ()


def test_an_endpoint_may_be_an_ipv6_address() -> None:
    cluster = {
        **UP,
        "spec": {"controlPlaneEndpoint": {"host": "fd00::7", "port": 6443}},
    }
    assert capi(cluster, SECRET).entry.api_servers == (
        ApiServer(host="fd00::7", port=6443),
    )


@pytest.mark.parametrize("value", [None, 7, "x", [], {}, [None], {"a": 1}])
@pytest.mark.parametrize("part", ["spec", "status", "data"])
def test_objects_of_any_shape_harm_nobody_else(part: str, value: object) -> None:
    odd = {**hubs.capi_cluster("odd", "h.example.net", 443), part: value}
    odd_secret = {**hubs.capi_secret("odd", "x"), part: value}
    found = clusters(
        inventory(),
        clusters=[there(UP), there(odd)],
        secrets=[there(SECRET), there(odd_secret)],
    )
    assert isinstance(found[0], Server)
    assert [each.entry.name for each in found] == ["eu1", "odd"]


def test_what_changes_all_the_time_is_not_kept() -> None:
    (kind, secrets) = HUBS["cluster_api"].kinds(inventory())
    busy = {**UP, "status": {**UP["status"], "conditions": [{"type": "Available"}]}}
    assert keyed(there(busy), kind) == keyed(there(UP), kind)
    authority = {
        **SECRET,
        "metadata": {**SECRET["metadata"], "name": "eu1-ca"},
        "data": {"tls.key": "c2VjcmV0"},
    }
    assert keyed(there(authority), secrets) is None


def test_namespaces_and_selectors_become_paths() -> None:
    made = inventory(
        asked={"namespaces": ["a", "b", "a"], "selector": {"tier": "gold"}}
    )
    of_clusters, of_secrets = HUBS["cluster_api"].kinds(made)
    root = "/apis/cluster.x-k8s.io/v1beta2/namespaces"
    assert collections(made, of_clusters, "cluster.x-k8s.io/v1beta2") == (
        f"{root}/a/clusters?labelSelector=tier%3Dgold",
        f"{root}/b/clusters?labelSelector=tier%3Dgold",
    )
    label = "labelSelector=cluster.x-k8s.io%2Fcluster-name"
    kind = "fieldSelector=type%3Dcluster.x-k8s.io%2Fsecret"
    assert collections(made, of_secrets, "v1") == (
        f"/api/v1/namespaces/a/secrets?{label}&{kind}",
        f"/api/v1/namespaces/b/secrets?{label}&{kind}",
    )
    argo = inventory("argocd", asked={"selector": {"tier": "gold"}})
    (of_argo,) = HUBS["argocd"].kinds(argo)
    assert collections(argo, of_argo, "v1") == (
        "/api/v1/namespaces/argocd/secrets?labelSelector="
        "argocd.argoproj.io%2Fsecret-type%3Dcluster%2Ctier%3Dgold",
    )


def argo(secret: Json, **rest: Any) -> tuple[Member, ...]:
    return clusters(inventory("argocd", **rest), secrets=[there(secret, "argocd")])


def test_a_secret_of_argo_cd_is_a_cluster() -> None:
    (found,) = argo(hubs.argocd_secret("eu1", f"{ADDRESS}/", hubs.argocd_config(CA)))
    assert isinstance(found, Server)
    assert found.entry.name == "eu1"
    assert found.entry.inventory_id == "uid-of-eu1"
    assert found.entry.origin == "Secret argocd/cluster-eu1"
    assert found.entry.api_servers == (
        ApiServer(host="api.eu1.example.net", port=6443),
    )
    assert found.credentials.server == ADDRESS
    assert found.credentials.token == TOKEN


def test_a_cluster_that_argo_cd_leaves_alone_is_a_cluster() -> None:
    annotations = {"argocd.argoproj.io/skip-reconcile": "true"}
    config = hubs.argocd_config(CA)
    made = hubs.argocd_secret("eu1", ADDRESS, config, annotations=annotations)
    assert isinstance(argo(made)[0], Server)


@pytest.mark.parametrize(
    "server",
    ["https://kubernetes.default.svc", "https://kubernetes.default.svc:443/"],
)
def test_argo_cds_own_cluster_is_left_out(server: str) -> None:
    assert argo(hubs.argocd_secret("in-cluster", server, "{}")) == ()


@pytest.mark.parametrize(
    "change",
    [
        {"execProviderConfig": {"command": "argocd-k8s-auth"}},
        {"awsAuthConfig": {"clusterName": "x"}},
        {"username": "u", "password": "p"},
        {"bearerToken": ""},
    ],
)
def test_refused_credentials_leave_the_address_and_the_ca(change: Json) -> None:
    config = {**json.loads(hubs.argocd_config(CA)), **change}
    (found,) = argo(hubs.argocd_secret("eu1", ADDRESS, json.dumps(config)))
    assert isinstance(found, ClusterView)
    assert isinstance(found.objects, Unknown)
    assert "Secret argocd/cluster-eu1" in found.objects.message
    assert found.entry.api_servers == (
        ApiServer(host="api.eu1.example.net", port=6443),
    )
    assert found.entry.ca_bundle == hubs.encoded(CA)


def test_an_insecure_server_has_no_ca_and_is_refused() -> None:
    config = json.dumps({"bearerToken": "t", "tlsClientConfig": {"insecure": True}})
    (found,) = argo(hubs.argocd_secret("eu1", ADDRESS, config))
    assert isinstance(found, ClusterView)
    assert found.entry.ca_bundle == ""


def test_names_of_argo_cd_are_free_texts_and_are_mapped() -> None:
    arn = "arn:aws:eks:eu-west-1:1:cluster/eu1"
    config = hubs.argocd_config(CA)
    (short,) = argo(hubs.argocd_secret("x", ADDRESS, config) | {"data": data(arn)})
    assert short.entry.name == "eu1"
    (mapped,) = argo(
        hubs.argocd_secret("x", ADDRESS, config) | {"data": data(arn)},
        names={f"argocd/{arn}": "prod"},
    )
    assert mapped.entry.name == "prod"
    (refused,) = argo(
        hubs.argocd_secret("x", ADDRESS, config) | {"data": data("Prod EU")}
    )
    assert isinstance(refused, ClusterView)
    assert isinstance(refused.objects, Unknown)
    (unnamed,) = argo(hubs.argocd_secret("x", ADDRESS, config) | {"data": data("")})
    assert unnamed.entry.name == "cluster-x"


def data(name: str) -> Json:
    config = hubs.argocd_config(CA)
    found = {"name": name, "server": ADDRESS, "config": config}
    return {key: hubs.encoded(value) for key, value in found.items()}


def test_a_secret_that_is_being_deleted_says_so() -> None:
    gone = {"deletionTimestamp": "2026-11-24T00:00:00Z"}
    config = hubs.argocd_config(CA)
    (found,) = argo(hubs.argocd_secret("eu1", ADDRESS, config, **gone))
    assert found.entry.state is ClusterState.DELETED


@pytest.mark.parametrize("key", ["name", "server", "config"])
@pytest.mark.parametrize("value", [None, 7, "%%%", "", "/w=="])
def test_secrets_of_any_shape_harm_nobody_else(key: str, value: object) -> None:
    config = hubs.argocd_config(CA)
    odd = hubs.argocd_secret("odd", ADDRESS, config)
    odd["data"] = {**odd["data"], key: value}
    good = hubs.argocd_secret("eu1", ADDRESS, config)
    found = clusters(
        inventory("argocd"), secrets=[there(good, "argocd"), there(odd, "argocd")]
    )
    assert isinstance(found[0], Server)
    assert len(found) == 2

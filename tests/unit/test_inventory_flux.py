"""Flux has no clusters: kubeconfigs that Kustomizations and HelmReleases name are them."""

from __future__ import annotations

from typing import Any

from reconciler.model.clusters import ApiServer, ClusterState, Why
from tests.hub_objects import (
    PEM,
    TOKEN,
    deleted,
    inventory,
    kubeconfig,
    kustomization,
    reached,
    read,
    read_one,
    secret,
    wanted,
    why,
)

SOURCE, GOLDEN = "flux", kustomization("eu1")
KUSTOMIZATIONS, RELEASES = "kustomizations", "helmreleases"
SECRETS = "/api/v1/namespaces/flux-system/secrets/"


def applying(name: str, namespace: str = "flux-system", **named: Any) -> dict[str, Any]:
    """An object of Flux with this kubeConfig."""
    spec = {"kubeConfig": named} if named else {}
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


def by_secret(name: str, key: str = "") -> dict[str, Any]:
    return {"secretRef": {"name": name, **({"key": key} if key else {})}}


def test_a_secret_names_a_cluster() -> None:
    found = reached(read_one(SOURCE, GOLDEN))
    entry = found.entry
    assert found.credentials.token == TOKEN
    assert entry.api_servers == (ApiServer(host="10.0.0.1", port=6443),)
    assert (entry.name, entry.state) == ("eu1", ClusterState.READY)
    assert entry.inventory_id == "flux-system/eu1-kubeconfig"
    assert entry.origin == "Secret flux-system/eu1-kubeconfig"


def test_what_is_taken_off_its_name_is_a_setting_and_names_map_the_whole() -> None:
    as_it_is = read_one(SOURCE, GOLDEN, settings={"suffix": ""})
    assert as_it_is.entry.name == "eu1-kubeconfig"
    mapped = read_one(SOURCE, GOLDEN, names={"flux-system/eu1-kubeconfig": "europe"})
    assert mapped.entry.name == "europe"


def test_many_objects_of_one_cluster_are_one_cluster() -> None:
    named = by_secret("eu1-kubeconfig")
    listed = [applying(f"app-{number}", **named) for number in range(50)]
    releases = [applying("db", **by_secret("eu1-kubeconfig", "value"))]
    objects = {KUSTOMIZATIONS: listed, RELEASES: releases}
    lab = inventory(SOURCE)
    (reference,) = wanted(lab, objects)
    assert (reference.path, reference.of) == (f"{SECRETS}eu1-kubeconfig", "eu1")
    assert list(read(lab, objects, GOLDEN.answers)) == ["eu1"]


def test_what_flux_applies_where_it_runs_is_no_cluster() -> None:
    assert read(inventory(SOURCE), {KUSTOMIZATIONS: [applying("self")]}, {}) == {}


def test_the_last_object_leaves_a_cluster_that_vanished_not_a_deleted_one() -> None:
    lab = inventory(SOURCE)
    found = read(lab, {KUSTOMIZATIONS: [deleted(GOLDEN.body)]}, GOLDEN.answers)
    assert found["eu1"].entry.state is ClusterState.READY
    assert read(lab, {KUSTOMIZATIONS: []}, GOLDEN.answers) == {}


def test_the_default_key_is_value_or_value_yaml() -> None:
    path = f"{SECRETS}eu1-kubeconfig"
    other = {path: secret(value_yaml=kubeconfig("https://10.0.0.2:6443"))}
    found = reached(read_one(SOURCE, GOLDEN, answers=other))
    assert found.credentials.server == "https://10.0.0.2:6443"
    assert "has no value" in why(read_one(SOURCE, GOLDEN, answers={path: secret()}))[1]


def test_two_keys_of_a_secret_are_two_clusters_once_the_settings_name_them() -> None:
    named = {"flux-system/fleet/eu1": "eu1", "flux-system/fleet/eu2": "eu2"}
    listed = [applying(key, **by_secret("fleet", key)) for key in ("eu1", "eu2")]
    answers = {
        f"{SECRETS}fleet": secret(
            eu1=kubeconfig("https://10.0.0.1:6443"),
            eu2=kubeconfig("https://10.0.0.2:6443"),
        )
    }
    found = read(inventory(SOURCE, names=named), {KUSTOMIZATIONS: listed}, answers)
    servers = {name: reached(each).credentials.host for name, each in found.items()}
    assert servers == {"eu1": "10.0.0.1", "eu2": "10.0.0.2"}


def test_a_config_map_tells_the_address_and_flux_keeps_its_tokens() -> None:
    listed = [applying("app", configMapRef={"name": "eu1"})]
    data = {
        "provider": "generic",
        "address": "https://10.0.0.1:6443",
        "ca.crt": PEM,
        "serviceAccountName": "deployer",
    }
    answers = {"/api/v1/namespaces/flux-system/configmaps/eu1": {"data": data}}
    found = read(inventory(SOURCE), {KUSTOMIZATIONS: listed}, answers)["eu1"]
    assert found.entry.api_servers == (ApiServer(host="10.0.0.1", port=6443),)
    assert found.entry.ca_bundle == PEM
    assert why(found) == (
        Why.UNAUTHORISED,
        "ConfigMap flux-system/eu1: Flux makes its own tokens for it (provider"
        " 'generic'); list the cluster by another inventory, too",
    )


def test_a_tenants_secret_name_is_no_path() -> None:
    listed = [applying("app", **by_secret("../../kube-system/secrets/admin"))]
    lab = inventory(SOURCE)
    assert wanted(lab, {KUSTOMIZATIONS: listed}) == []
    (found,) = read(lab, {KUSTOMIZATIONS: listed}, {}).values()
    assert why(found)[0] is Why.UNREADABLE


def test_what_a_kubeconfig_may_not_say_is_refused_here_too() -> None:
    text = kubeconfig().replace('"token"', '"tokenFile"')
    answers = {f"{SECRETS}eu1-kubeconfig": secret(value=text)}
    assert why(read_one(SOURCE, GOLDEN, answers=answers))[0] is Why.UNREADABLE

"""Shoots: a kubeconfig is asked for, addresses are advertised, a deletion is confirmed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from reconciler.kubeerrors import KubeError
from reconciler.model.clusters import ApiServer, ClusterState, Why
from tests.hub_objects import (
    TOKEN,
    UID,
    changed,
    deleted,
    inventory,
    reached,
    read_one,
    shoot,
    wanted,
    why,
)

SOURCE, GOLDEN = "gardener", shoot("eu1")
PATH = "/apis/core.gardener.cloud/v1beta1/namespaces/garden-shop/shoots/eu1"


def confirmed(body: dict[str, Any], **notes: str) -> dict[str, Any]:
    annotations = {
        f"confirmation.gardener.cloud/{key}": value for key, value in notes.items()
    }
    return {**body, "metadata": {**body["metadata"], "annotations": annotations}}


def test_a_viewers_kubeconfig_is_asked_for_well_before_the_last_expires() -> None:
    (reference,) = wanted(inventory(SOURCE), {"shoots": [GOLDEN.body]})
    assert reference.path == f"{PATH}/viewerkubeconfig"
    assert json.loads(reference.body) == {
        "apiVersion": "authentication.gardener.cloud/v1alpha1",
        "kind": "ViewerKubeconfigRequest",
        "spec": {"expirationSeconds": 3600},
    }
    assert reference.seconds == 1800
    assert reference.of == "garden-shop/eu1"


def test_an_admins_is_asked_for_when_the_settings_say_so() -> None:
    lab = inventory(SOURCE, {"access": "admin", "expirationSeconds": 600})
    (reference,) = wanted(lab, {"shoots": [GOLDEN.body]})
    assert reference.path == f"{PATH}/adminkubeconfig"
    body = json.loads(reference.body)
    assert body["kind"] == "AdminKubeconfigRequest"
    assert body["spec"] == {"expirationSeconds": 600}
    assert reference.seconds == 300
    for wrong in ({"access": "root"}, {"expirationSeconds": 60}):
        with pytest.raises(ValidationError):
            inventory(SOURCE, wrong)


def test_the_answer_is_who_we_are_and_the_external_address_is_the_api_servers() -> None:
    found = reached(read_one(SOURCE, GOLDEN))
    entry = found.entry
    assert found.credentials.token == TOKEN
    external = ApiServer(host="api.eu1.shop.shoot.example.com", port=443)
    assert entry.api_servers == (external,)
    assert (entry.name, entry.inventory_id) == ("eu1", UID)
    assert (entry.state, entry.origin) == (ClusterState.READY, "Shoot garden-shop/eu1")


@pytest.mark.parametrize(
    ("names", "host"),
    [
        (("internal", "unmanaged"), "unmanaged.example.com"),
        (("internal",), "internal.example.com"),
        (("service-account-issuer", "wildcard-tls-seed-bound"), None),
    ],
)
def test_other_advertised_addresses(names: tuple[str, ...], host: str | None) -> None:
    listed = [{"name": name, "url": f"https://{name}.example.com"} for name in names]
    body = changed(GOLDEN.body, "status", advertisedAddresses=listed)
    found = reached(read_one(SOURCE, GOLDEN, body))
    # Without one that we know, the server of the kubeconfig is taken.
    expected = host or "api.eu1.shop.shoot.example.com"
    assert found.entry.api_servers == (ApiServer(host=expected, port=443),)


def test_a_hibernated_shoot_is_alive_and_nothing_is_asked_for_it() -> None:
    body = changed(GOLDEN.body, "status", hibernated=True)
    assert wanted(inventory(SOURCE), {"shoots": [body]}) == []
    found = read_one(SOURCE, GOLDEN, body)
    assert found.entry.state is ClusterState.READY
    assert found.entry.api_servers
    assert why(found)[0] is Why.UNREACHABLE


@pytest.mark.parametrize(
    ("kind", "state", "expected"),
    [
        ("Create", "Processing", ClusterState.PROVISIONING),
        ("Create", "Failed", ClusterState.PROVISIONING),
        ("Create", "Succeeded", ClusterState.READY),
        ("Reconcile", "Error", ClusterState.READY),
        ("Migrate", "Processing", ClusterState.READY),
        ("Restore", "Pending", ClusterState.READY),
    ],
)
def test_only_a_creation_that_has_not_succeeded_is_provisioning(
    kind: str, state: str, expected: ClusterState
) -> None:
    body = changed(GOLDEN.body, "status", lastOperation={"type": kind, "state": state})
    assert read_one(SOURCE, GOLDEN, body).entry.state is expected


def test_a_deletion_counts_when_it_is_confirmed() -> None:
    for notes in ({"deletion": "true"}, {"force-deletion": "1"}):
        body = confirmed(deleted(GOLDEN.body), **notes)
        assert read_one(SOURCE, GOLDEN, body).entry.state is ClusterState.DELETED
    for body in (
        deleted(GOLDEN.body),
        confirmed(GOLDEN.body, deletion="true"),
        confirmed(deleted(GOLDEN.body), deletion="false"),
    ):
        found = reached(read_one(SOURCE, GOLDEN, body))
        assert found.entry.state is ClusterState.READY


def test_what_gardener_refuses_says_which_permission_is_missing() -> None:
    error = KubeError("HTTP 403 Forbidden", "lab", why=Why.FORBIDDEN, status=403)
    found = read_one(SOURCE, GOLDEN, answers={f"{PATH}/viewerkubeconfig": error})
    assert why(found) == (
        Why.FORBIDDEN,
        "Shoot garden-shop/eu1: shoots garden-shop/eu1/viewerkubeconfig:"
        " HTTP 403 Forbidden; grant create at the hub",
    )
    empty = read_one(SOURCE, GOLDEN, answers={f"{PATH}/viewerkubeconfig": {}})
    assert "no kubeconfig" in why(empty)[1]

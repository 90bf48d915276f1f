"""Rancher's Clusters: read by a path behind Rancher, which is no API server's address."""

from __future__ import annotations

from reconciler.model.clusters import ApiServer, ClusterState, Why
from tests.hub_objects import (
    PEM,
    TOKEN,
    UID,
    changed,
    deleted,
    inventory,
    rancher_cluster,
    reached,
    read,
    read_one,
    wanted,
    why,
)

SOURCE, GOLDEN = "rancher", rancher_cluster("eu1")
BEHIND = "https://rancher.example.com/k8s/clusters/c-m-7xk2v9qz"


def test_a_path_behind_rancher_is_read_and_is_no_address_of_an_api_server() -> None:
    found = reached(read_one(SOURCE, GOLDEN))
    entry, access = found.entry, found.credentials
    assert (access.server, access.token) == (BEHIND, TOKEN)
    assert entry.api_servers == ()
    assert (entry.name, entry.inventory_id) == ("eu1", UID)
    assert (entry.state, entry.origin) == (
        ClusterState.READY,
        "Cluster fleet-default/eu1",
    )


def test_an_authorized_cluster_endpoint_is_an_address() -> None:
    endpoint = {
        "enabled": True,
        "fqdn": "api.eu1.example.com:6443",
        "caCerts": PEM * 2,
    }
    body = changed(GOLDEN.body, "spec", localClusterAuthEndpoint=endpoint)
    found = reached(read_one(SOURCE, GOLDEN, body))
    assert found.entry.api_servers == (
        ApiServer(host="api.eu1.example.com", port=6443),
    )
    assert found.entry.ca_bundle == PEM * 2
    assert found.credentials.server == BEHIND
    for off in ({**endpoint, "enabled": False}, {**endpoint, "fqdn": ""}):
        body = changed(GOLDEN.body, "spec", localClusterAuthEndpoint=off)
        assert read_one(SOURCE, GOLDEN, body).entry.api_servers == ()


def test_a_bundle_that_is_no_ascii_is_none() -> None:
    endpoint = {"enabled": True, "fqdn": "api.eu1.example.com", "caCerts": "\u00e4"}
    body = changed(GOLDEN.body, "spec", localClusterAuthEndpoint=endpoint)
    found = reached(read_one(SOURCE, GOLDEN, body))
    assert found.entry.ca_bundle == PEM  # of the server that it is read from


def test_the_secret_is_what_the_status_says_else_by_its_name() -> None:
    body = changed(GOLDEN.body, "status", clientSecretName=None)
    (reference,) = wanted(inventory(SOURCE), {"clusters": [body]})
    assert reference.path.endswith("/fleet-default/secrets/eu1-kubeconfig")
    body = changed(GOLDEN.body, "status", clientSecretName="other")
    (reference,) = wanted(inventory(SOURCE), {"clusters": [body]})
    assert reference.path.endswith("/fleet-default/secrets/other")
    assert reference.of == "fleet-default/eu1"


def test_one_that_was_never_ready_is_being_provisioned() -> None:
    body = changed(GOLDEN.body, "status", ready=None, clientSecretName=None)
    assert wanted(inventory(SOURCE), {"clusters": [body]}) == []
    found = read_one(SOURCE, GOLDEN, body)
    assert found.entry.state is ClusterState.PROVISIONING
    assert why(found)[0] is Why.INCOMPLETE


def test_an_upgrade_loses_nothing_and_a_deletion_is_seen() -> None:
    listed = [
        {"type": "Updated", "status": "Unknown", "message": "upgrading"},
        {"type": "Ready", "status": "False"},
    ]
    body = changed(GOLDEN.body, "status", conditions=listed)
    assert reached(read_one(SOURCE, GOLDEN, body)).entry.state is ClusterState.READY
    gone = read_one(SOURCE, GOLDEN, deleted(GOLDEN.body))
    assert gone.entry.state is ClusterState.DELETED


def test_a_name_of_the_settings_replaces_the_one_in_rancher() -> None:
    lab = inventory(SOURCE, names={"fleet-default/eu1": "europe"})
    found = read(lab, {"clusters": [GOLDEN.body]}, GOLDEN.answers)
    assert list(found) == ["europe"]

"""ManagedClusters: who is accepted, where the token comes from, what deletes one."""

from __future__ import annotations

from reconciler.kubeerrors import KubeError
from reconciler.model.clusters import ApiServer, ClusterState, ClusterView, Why
from tests.hub_objects import (
    PEM,
    TOKEN,
    UID,
    changed,
    deleted,
    inventory,
    managed_cluster,
    reached,
    read_one,
    secret,
    wanted,
    why,
)

SOURCE, GOLDEN = "open_cluster_management", managed_cluster("eu1")
PATH = "/api/v1/namespaces/eu1/secrets/wharfinger"


def test_address_and_ca_of_the_hub_with_the_token_of_the_managed_service_account() -> (
    None
):
    found = reached(read_one(SOURCE, GOLDEN))
    entry, access = found.entry, found.credentials
    assert (entry.name, entry.state) == ("eu1", ClusterState.READY)
    assert entry.api_servers == (ApiServer(host="10.0.0.1", port=6443),)
    assert (entry.inventory_id, entry.ca_bundle) == (UID, PEM)
    assert entry.origin == "ManagedCluster eu1"
    assert (access.server, access.ca, access.token) == (
        "https://10.0.0.1:6443",
        PEM,
        TOKEN,
    )


def test_the_managed_service_account_is_a_setting() -> None:
    lab = inventory(SOURCE, {"serviceAccount": "reader"})
    (reference,) = wanted(lab, {GOLDEN.plural: [GOLDEN.body]})
    assert reference.path == "/api/v1/namespaces/eu1/secrets/reader"
    assert reference.of == "eu1"


def test_without_a_bundle_the_ca_beside_the_token_is_used() -> None:
    clients = [{"url": "https://api.eu1.example.com:6443"}]
    body = changed(GOLDEN.body, "spec", managedClusterClientConfigs=clients)
    assert reached(read_one(SOURCE, GOLDEN, body)).credentials.ca == PEM
    system = {PATH: secret(token=TOKEN)}
    assert reached(read_one(SOURCE, GOLDEN, body, system)).credentials.ca == ""


def test_nothing_that_a_cluster_says_is_used_before_the_hub_accepts_it() -> None:
    for value in (False, None, "true", 1):
        body = changed(GOLDEN.body, "spec", hubAcceptsClient=value)
        assert wanted(inventory(SOURCE), {GOLDEN.plural: [body]}) == []
        found = read_one(SOURCE, GOLDEN, body)
        assert found.entry.state is ClusterState.PROVISIONING
        assert found.entry.api_servers == ()
        assert why(found) == (
            Why.UNAUTHORISED,
            "ManagedCluster eu1: the hub has not accepted it;"
            " accept it at the hub: spec.hubAcceptsClient",
        )


def test_one_that_the_hub_cannot_reach_is_alive_and_looked_at() -> None:
    for status in ("False", "Unknown"):
        listed = [
            {"type": "ManagedClusterJoined", "status": "True"},
            {"type": "ManagedClusterConditionAvailable", "status": status},
        ]
        body = changed(GOLDEN.body, "status", conditions=listed)
        found = reached(read_one(SOURCE, GOLDEN, body))
        assert found.entry.state is ClusterState.READY


def test_one_that_has_not_joined_is_being_provisioned() -> None:
    body = changed(GOLDEN.body, "status", conditions=[])
    assert read_one(SOURCE, GOLDEN, body).entry.state is ClusterState.PROVISIONING


def test_only_the_deletion_timestamp_deletes_not_what_its_agent_writes() -> None:
    found = read_one(SOURCE, GOLDEN, deleted(GOLDEN.body))
    assert isinstance(found, ClusterView)
    assert found.entry.state is ClusterState.DELETED
    listed = [
        *GOLDEN.body["status"]["conditions"],
        {"type": "Deleting", "status": "True"},
    ]
    body = changed(GOLDEN.body, "status", conditions=listed)
    assert reached(read_one(SOURCE, GOLDEN, body)).entry.state is ClusterState.READY


def test_without_an_address_or_a_token_it_says_what_to_do() -> None:
    body = changed(GOLDEN.body, "spec", managedClusterClientConfigs=[])
    reason, message = why(read_one(SOURCE, GOLDEN, body))
    assert reason is Why.UNREACHABLE
    assert "externalServerURLs" in message
    found = read_one(SOURCE, GOLDEN, answers={})
    missing = "ManagedCluster eu1: secrets eu1/wharfinger is not there"
    assert why(found) == (Why.UNAUTHORISED, missing)
    assert found.entry.api_servers == (ApiServer(host="10.0.0.1", port=6443),)
    error = KubeError("HTTP 403 Forbidden", "lab", why=Why.FORBIDDEN, status=403)
    reason, message = why(read_one(SOURCE, GOLDEN, answers={PATH: error}))
    assert reason is Why.FORBIDDEN
    assert message.endswith("grant get at the hub")


def test_of_several_addresses_the_first_that_can_be_used_is() -> None:
    clients = [{"url": "http://10.0.0.9:8080"}, {"url": "https://10.0.0.2:6443"}]
    body = changed(GOLDEN.body, "spec", managedClusterClientConfigs=clients)
    found = reached(read_one(SOURCE, GOLDEN, body))
    assert found.credentials.server == "https://10.0.0.2:6443"
    assert found.entry.api_servers == (ApiServer(host="10.0.0.2", port=6443),)

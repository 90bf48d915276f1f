"""Karmada's Clusters: token and CA by secretRef; what is refused, and what Pull mode lacks."""

from __future__ import annotations

import pytest

from reconciler.model.clusters import ApiServer, ClusterState, Why
from tests.hub_objects import (
    PEM,
    TOKEN,
    UID,
    changed,
    deleted,
    inventory,
    karmada_cluster,
    reached,
    read_one,
    secret,
    wanted,
    why,
)

SOURCE, GOLDEN = "karmada", karmada_cluster("eu1")
SERVER = "https://10.0.0.1:6443"
PATH = "/api/v1/namespaces/karmada-cluster/secrets/eu1"


def test_endpoint_token_ca_and_the_id_that_karmada_collected() -> None:
    found = reached(read_one(SOURCE, GOLDEN))
    entry, access = found.entry, found.credentials
    assert (access.server, access.ca, access.token) == (SERVER, PEM, TOKEN)
    assert entry.api_servers == (ApiServer(host="10.0.0.1", port=6443),)
    assert entry.inventory_id == "0b9f63a0-9a3a-4a0e-a4a9-6d6a3c5c9a11"
    assert (entry.state, entry.origin) == (ClusterState.READY, "Cluster eu1")
    without = changed(GOLDEN.body, "spec", id=None)
    assert read_one(SOURCE, GOLDEN, without).entry.inventory_id == UID


@pytest.mark.parametrize(
    ("endpoint", "server"),
    [
        ("10.0.0.1:6443", SERVER),
        ("api.eu1.example.com", "https://api.eu1.example.com"),
        ("https://api.eu1.example.com:6443", "https://api.eu1.example.com:6443"),
    ],
)
def test_an_endpoint_needs_no_scheme(endpoint: str, server: str) -> None:
    body = changed(GOLDEN.body, "spec", apiEndpoint=endpoint)
    assert reached(read_one(SOURCE, GOLDEN, body)).credentials.server == server


def test_pull_mode_has_no_credentials_and_says_what_to_do() -> None:
    body = changed(GOLDEN.body, "spec", syncMode="Pull", secretRef=None)
    assert wanted(inventory(SOURCE), {"clusters": [body]}) == []
    found = read_one(SOURCE, GOLDEN, body)
    assert why(found) == (
        Why.UNAUTHORISED,
        "Cluster eu1: Karmada holds no credentials in Pull mode;"
        " list the cluster by another inventory, too",
    )
    assert found.entry.api_servers == (ApiServer(host="10.0.0.1", port=6443),)


def test_an_unchecked_certificate_is_refused_unless_that_server_is_allowed() -> None:
    body = changed(GOLDEN.body, "spec", insecureSkipTLSVerification=True)
    reason, message = why(read_one(SOURCE, GOLDEN, body))
    assert reason is Why.UNREADABLE
    assert "insecure-skip-tls-verify is not accepted" in message
    other = {"insecure": ["https://10.0.0.2:6443"]}
    assert why(read_one(SOURCE, GOLDEN, body, allow=other))[0] is Why.UNREADABLE
    found = reached(read_one(SOURCE, GOLDEN, body, allow={"insecure": [SERVER]}))
    assert (found.credentials.insecure, found.credentials.ca) == (True, "")


def test_a_proxy_is_refused_unless_it_is_allowed() -> None:
    proxy = "http://proxy.example.com:3128"
    body = changed(GOLDEN.body, "spec", proxyURL=proxy)
    assert "proxy-url is not accepted" in why(read_one(SOURCE, GOLDEN, body))[1]
    found = reached(read_one(SOURCE, GOLDEN, body, allow={"proxies": [proxy]}))
    assert found.credentials.proxy == proxy
    headers = changed(body, "spec", proxyHeader={"X-Token": "x"})
    refused = read_one(SOURCE, GOLDEN, headers, allow={"proxies": [proxy]})
    assert "proxyHeader is not accepted" in why(refused)[1]


@pytest.mark.parametrize("name", ["../../nodes/x", "a/b", "", 7, "x?y"])
def test_a_reference_that_is_no_name_is_no_path(name: object) -> None:
    named = {"namespace": "karmada-cluster", "name": name}
    body = changed(GOLDEN.body, "spec", secretRef=named)
    assert wanted(inventory(SOURCE), {"clusters": [body]}) == []
    assert why(read_one(SOURCE, GOLDEN, body))[0] is Why.UNREADABLE


def test_unjoining_deletes_and_not_being_ready_does_not() -> None:
    gone = read_one(SOURCE, GOLDEN, deleted(GOLDEN.body))
    assert gone.entry.state is ClusterState.DELETED
    listed = [{"type": "Ready", "status": "Unknown"}]
    body = changed(GOLDEN.body, "status", conditions=listed)
    assert reached(read_one(SOURCE, GOLDEN, body)).entry.state is ClusterState.READY


def test_a_secret_without_a_token_is_one_clusters_trouble() -> None:
    found = read_one(SOURCE, GOLDEN, answers={PATH: secret(caBundle=PEM)})
    assert why(found) == (Why.UNREADABLE, "Cluster eu1: the Secret has no token")


def test_a_secret_of_another_namespace_is_nobodys_business() -> None:
    named = {"namespace": "kube-system", "name": "admin-token"}
    body = changed(GOLDEN.body, "spec", secretRef=named)
    assert wanted(inventory(SOURCE), {"clusters": [body]}) == []
    found = read_one(SOURCE, GOLDEN, body)
    assert why(found)[0] is Why.FORBIDDEN
    assert "`namespaces`" in why(found)[1]


def test_a_secret_without_a_ca_sends_no_token_to_whom_others_vouch_for() -> None:
    found = read_one(SOURCE, GOLDEN, answers={PATH: secret(token=TOKEN)})
    assert "caBundle" in why(found)[1]

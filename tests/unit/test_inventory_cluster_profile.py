"""ClusterProfiles: the way is the manager's, who we are there is the settings'."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from reconciler.model.clusters import ApiServer, ClusterState, Why
from tests.hub_objects import (
    PEM,
    TOKEN,
    UID,
    changed,
    cluster_profile,
    deleted,
    encoded,
    inventory,
    reached,
    read,
    read_one,
    wanted,
    why,
)

SOURCE, GOLDEN = "cluster_profile", cluster_profile("eu1")
WAY = GOLDEN.body["status"]["accessProviders"][0]["cluster"]


def with_ways(**ways: Any) -> dict[str, Any]:
    listed = [{"name": name, "cluster": way} for name, way in ways.items()]
    return changed(GOLDEN.body, "status", accessProviders=listed)


def test_the_token_of_the_settings_goes_where_the_profile_leads() -> None:
    found = reached(read_one(SOURCE, GOLDEN))
    entry, access = found.entry, found.credentials
    assert (access.server, access.ca, access.token) == (
        "https://10.0.0.1:6443",
        PEM,
        TOKEN,
    )
    assert entry.api_servers == (ApiServer(host="10.0.0.1", port=6443),)
    assert (entry.name, entry.inventory_id) == ("eu1", UID)
    assert (entry.state, entry.origin) == (
        ClusterState.READY,
        "ClusterProfile fleet/eu1",
    )


def test_an_exec_plugin_is_chosen_by_the_providers_name() -> None:
    config = {"clusterName": "eu1"}
    extension = {"name": "client.authentication.k8s.io/exec", "extension": config}
    body = with_ways(google={**WAY, "extensions": [extension]})
    settings = {"providers": {"google": {"command": "gke-plugin"}}}
    found = reached(read_one(SOURCE, GOLDEN, body, {}, settings=settings))
    plugin = found.credentials.plugin
    assert plugin is not None
    assert (plugin.program, plugin.arguments, plugin.cluster_info) == (
        "gke-plugin",
        (),
        True,
    )
    assert json.loads(plugin.config) == config
    assert found.credentials.token == ""


def test_the_profile_chooses_no_program_and_no_arguments() -> None:
    reserved = {
        "name": "clusterprofiles.multicluster.x-k8s.io/exec/additional-args",
        "extension": ["--evil"],
    }
    body = with_ways(
        google={**WAY, "extensions": [reserved], "exec": {"command": "sh"}}
    )
    settings = {"providers": {"google": {"command": "gke-plugin"}}}
    found = read_one(SOURCE, GOLDEN, body, {}, settings=settings)
    assert "'exec' is not accepted" in why(found)[1]
    body = with_ways(google={**WAY, "extensions": [reserved]})
    plugin = reached(
        read_one(SOURCE, GOLDEN, body, {}, settings=settings)
    ).credentials.plugin
    assert plugin is not None
    assert plugin.arguments == ()


def test_of_two_lists_access_providers_are_believed() -> None:
    old = [
        {"name": "token", "cluster": {**WAY, "server": "https://10.0.0.8:6443"}},
        {"name": "older", "cluster": {**WAY, "server": "https://10.0.0.7:6443"}},
    ]
    body = changed(GOLDEN.body, "status", credentialProviders=old)
    found = reached(read_one(SOURCE, GOLDEN, body))
    assert found.credentials.server == "https://10.0.0.1:6443"
    settings = {"providers": {"older": {"secret": "{name}-token"}}}
    found = reached(read_one(SOURCE, GOLDEN, body, settings=settings))
    assert found.credentials.server == "https://10.0.0.7:6443"


def test_without_a_provider_that_the_settings_know_it_says_which_are_offered() -> None:
    found = read_one(SOURCE, GOLDEN, settings={})
    assert why(found) == (
        Why.UNAUTHORISED,
        "ClusterProfile fleet/eu1: no access provider that the settings know; it offers"
        " 'token'; name one under clusterProfile.providers",
    )
    assert found.entry.api_servers == (ApiServer(host="10.0.0.1", port=6443),)


def test_several_managers_are_told_apart_by_the_settings() -> None:
    fleet = {**GOLDEN.body["metadata"], "namespace": "azure"}
    spec = {"clusterManager": {"name": "fleet"}}
    other = {**GOLDEN.body, "metadata": fleet, "spec": spec}
    lab = inventory(SOURCE, {"managers": ["ocm"], **GOLDEN.settings})
    found = read(lab, {GOLDEN.plural: [GOLDEN.body, other]}, GOLDEN.answers)
    assert [each.entry.origin for each in found.values()] == [
        "ClusterProfile fleet/eu1"
    ]


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ({**WAY, "insecure-skip-tls-verify": True}, "insecure-skip-tls-verify"),
        ({**WAY, "proxy-url": "http://10.9.9.9:1"}, "proxy-url"),
        ({"server": WAY["server"], "certificate-authority": "/etc/x"}, "certificate-authority"),
        ({"server": "http://10.0.0.1"}, "server"),
        ({}, "server"),
    ],
)  # fmt: skip
def test_what_a_kubeconfig_may_not_say_a_profile_may_not(
    way: dict[str, Any], words: str
) -> None:
    reason, message = why(read_one(SOURCE, GOLDEN, with_ways(token=way)))
    assert reason is Why.UNREADABLE
    assert words in message


def test_states() -> None:
    gone = read_one(SOURCE, GOLDEN, deleted(GOLDEN.body))
    assert gone.entry.state is ClusterState.DELETED
    new = {key: GOLDEN.body[key] for key in ("metadata", "spec")}
    assert read_one(SOURCE, GOLDEN, new).entry.state is ClusterState.PROVISIONING
    ill = [{"type": "ControlPlaneHealthy", "status": "False"}]
    body = changed(GOLDEN.body, "status", conditions=ill)
    assert reached(read_one(SOURCE, GOLDEN, body)).entry.state is ClusterState.READY


def test_a_name_in_the_settings_cannot_leave_the_namespace() -> None:
    settings = {"providers": {"token": {"secret": "../../x/{name}"}}}
    lab = inventory(SOURCE, settings)
    assert wanted(lab, {GOLDEN.plural: [GOLDEN.body]}) == []
    assert why(read_one(SOURCE, GOLDEN, settings=settings))[0] is Why.UNREADABLE


@pytest.mark.parametrize("provider", [{}, {"command": "a", "secret": "b"}])
def test_a_provider_is_a_command_or_a_secret(provider: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="either command or secret"):
        inventory(SOURCE, {"providers": {"google": provider}})


def test_a_token_that_is_no_token_is_refused() -> None:
    path = "/api/v1/namespaces/fleet/secrets/eu1-token"
    answers = {path: {"data": {"token": encoded("two words")}}}
    assert why(read_one(SOURCE, GOLDEN, answers=answers))[0] is Why.UNREADABLE

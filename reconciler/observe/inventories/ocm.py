"""Open Cluster Management: ManagedClusters, and tokens of ManagedServiceAccounts; pure.

Who may register can make a ManagedCluster: until the hub accepts it nothing that it says of its
address is used. Its agent writes its own status, so only `deletionTimestamp` deletes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.loaders import RefusedKubeconfig, from_token, secret_text
from reconciler.model.access import Credentials
from reconciler.model.clusters import ClusterEntry, ClusterState, Why
from reconciler.observe import parse
from reconciler.observe.inventories.found import Member, api_server, member
from reconciler.observe.inventories.objects import (
    answer,
    conditions,
    or_unknown,
    secret,
    trimmed,
)
from reconciler.observe.inventories.source import Fetched, Kind, Objects, Reference
from reconciler.settings import Inventory
from reconciler.settings_inventories import OpenClusterManagement

Json = Mapping[str, Any]
JOINED = "ManagedClusterJoined"


class Ocm:
    """A Source: the hub of an Open Cluster Management."""

    def kinds(self, inventory: Inventory) -> tuple[Kind, ...]:
        """ManagedClusters, which have no namespace; each has a namespace of its name."""
        versions = ("cluster.open-cluster-management.io/v1",)
        plural = "managedclusters"
        return (Kind(plural=plural, versions=versions, keep=kept, namespaced=False),)

    def references(
        self, inventory: Inventory, objects: Objects
    ) -> tuple[Reference, ...]:
        """The token of each cluster that the hub has accepted."""
        wanted = (
            _secret(inventory, name)
            for (_, name), body in objects.all("managedclusters").items()
            if _accepted(body) and not body["deleting"]
        )
        return tuple(each for each in wanted if each is not None)

    def clusters(
        self, inventory: Inventory, objects: Objects, fetched: Fetched
    ) -> tuple[Member, ...]:
        """One cluster for each ManagedCluster."""
        return tuple(
            _member(inventory, name, body, fetched)
            for (_, name), body in objects.all("managedclusters").items()
        )


def kept(body: Json) -> Json:
    """What is needed of a ManagedCluster."""
    found = trimmed(body, spec=("managedClusterClientConfigs", "hubAcceptsClient"))
    return {**found, "joined": conditions(body).get(JOINED) == "True"}


def _accepted(body: Json) -> bool:
    return body["spec"].get("hubAcceptsClient") is True


def _secret(inventory: Inventory, name: str) -> Reference | None:
    settings = inventory.open_cluster_management or OpenClusterManagement()
    return secret(name, settings.service_account, of=name)


def _client(body: Json) -> Json:
    """The first address that can be used; several are several ways to one API server."""
    listed = parse.items(body["spec"].get("managedClusterClientConfigs"))
    clients = [parse.mapping(each) for each in listed]
    usable = (each for each in clients if api_server(parse.text(each.get("url"))))
    return next(usable, clients[0] if clients else {})


def _state(body: Json) -> ClusterState:
    if body["deleting"]:
        return ClusterState.DELETED
    known = _accepted(body) and body["joined"]
    return ClusterState.READY if known else ClusterState.PROVISIONING


def _member(inventory: Inventory, name: str, body: Json, fetched: Fetched) -> Member:
    origin = f"ManagedCluster {name}"
    url = parse.text(_client(body).get("url")) if _accepted(body) else ""
    address = api_server(url)
    said = ClusterEntry(
        name=name,
        inventory=inventory.name,
        state=_state(body),
        api_servers=(address,) if address is not None else (),
        inventory_id=body["uid"],
        origin=origin,
    )
    access = or_unknown(lambda: _access(inventory, name, body, fetched))
    return member(inventory, name, said, access)


def _access(
    inventory: Inventory, name: str, body: Json, fetched: Fetched
) -> Credentials:
    """Raises RefusedKubeconfig."""
    where = f"ManagedCluster {name}"
    if not _accepted(body):
        hint = "accept it at the hub: spec.hubAcceptsClient"
        what = "the hub has not accepted it"
        raise RefusedKubeconfig(what, where, why=Why.UNAUTHORISED, hint=hint)
    client = _client(body)
    if not client:
        hint = "set externalServerURLs of its Klusterlet"
        what = "it tells no address (spec.managedClusterClientConfigs)"
        raise RefusedKubeconfig(what, where, why=Why.UNREACHABLE, hint=hint)
    found = answer(fetched, _secret(inventory, name), where)
    ca = parse.text(client.get("caBundle"))
    if not ca and "ca.crt" in parse.mapping(found.get("data")):
        ca = secret_text(found, "ca.crt", where)
    token = secret_text(found, "token", where)
    return from_token(parse.text(client.get("url")), ca, token, where)

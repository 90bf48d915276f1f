"""Rancher's provisioning Clusters, and their kubeconfig Secrets; pure.

The server in those is a path behind Rancher: good for reading, no address of an API server. An
authorized cluster endpoint (`localClusterAuthEndpoint`) with an FQDN is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.loaders import RefusedKubeconfig
from reconciler.model.access import Credentials
from reconciler.model.clusters import ClusterEntry, ClusterState, Why
from reconciler.observe import parse
from reconciler.observe.inventories.found import Member, api_server, member
from reconciler.observe.inventories.objects import (
    answer,
    from_secret,
    or_unknown,
    pem,
    secret,
    trimmed,
)
from reconciler.observe.inventories.source import Fetched, Key, Kind, Objects, Reference
from reconciler.settings import Inventory

Json = Mapping[str, Any]


class Rancher:
    """A Source: the cluster that Rancher runs in."""

    def kinds(self, inventory: Inventory) -> tuple[Kind, ...]:
        """Clusters of provisioning.cattle.io, which imported clusters have, too."""
        versions = ("provisioning.cattle.io/v1",)
        return (Kind(plural="clusters", versions=versions, keep=kept),)

    def references(
        self, inventory: Inventory, objects: Objects
    ) -> tuple[Reference, ...]:
        """The kubeconfig Secrets."""
        wanted = (_secret(key, body) for key, body in objects.all("clusters").items())
        return tuple(each for each in wanted if each is not None)

    def clusters(
        self, inventory: Inventory, objects: Objects, fetched: Fetched
    ) -> tuple[Member, ...]:
        """One cluster for each Cluster."""
        return tuple(
            _member(inventory, key, body, fetched)
            for key, body in objects.all("clusters").items()
        )


def kept(body: Json) -> Json:
    """What is needed of a Cluster."""
    status = ("clientSecretName", "clusterName", "ready")
    return trimmed(body, spec=("localClusterAuthEndpoint",), status=status)


def _secret(key: Key, body: Json) -> Reference | None:
    if _state(body) is not ClusterState.READY:
        return None
    namespace, name = key
    named = body["status"].get("clientSecretName") or f"{name}-kubeconfig"
    return secret(namespace, named, of=f"{namespace}/{name}")


def _state(body: Json) -> ClusterState:
    """`ready` was true once and then stays: upgrades and outages do not undo it."""
    if body["deleting"]:
        return ClusterState.DELETED
    status = body["status"]
    known = status.get("ready") is True or status.get("clientSecretName")
    return ClusterState.READY if known else ClusterState.PROVISIONING


def _member(inventory: Inventory, key: Key, body: Json, fetched: Fetched) -> Member:
    namespace, name = key
    endpoint = parse.mapping(body["spec"].get("localClusterAuthEndpoint"))
    host = parse.text(endpoint.get("fqdn")) if endpoint.get("enabled") is True else ""
    address = api_server(f"https://{host.removeprefix('https://')}") if host else None
    said = ClusterEntry(
        name=name,
        inventory=inventory.name,
        state=_state(body),
        api_servers=(address,) if address is not None else (),
        ca_bundle=pem(endpoint.get("caCerts")) if address is not None else "",
        inventory_id=body["uid"],
        origin=f"Cluster {namespace}/{name}",
    )
    access = or_unknown(lambda: _access(inventory, key, body, fetched))
    return member(inventory, f"{namespace}/{name}", said, access)


def _access(
    inventory: Inventory, key: Key, body: Json, fetched: Fetched
) -> Credentials:
    """Raises RefusedKubeconfig."""
    where = f"Cluster {'/'.join(key)}"
    if _state(body) is ClusterState.PROVISIONING:
        what = "Rancher has not provisioned it yet"
        raise RefusedKubeconfig(what, where, why=Why.INCOMPLETE)
    found = answer(fetched, _secret(key, body), where)
    return from_secret(found, ("value",), inventory.allow, where)

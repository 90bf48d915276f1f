"""Cluster API: Clusters, and the `<name>-kubeconfig` Secrets that lie beside them; pure.

no endpoint, or a control plane that was never up  -> provisioning
paused, upgraded, unhealthy                        -> alive: its route stays and is followed
deletionTimestamp                                  -> deleted
deletionTimestamp of `clusterctl move`             -> unknown: another hub has it from now on
"""

from __future__ import annotations

from dataclasses import replace

from reconciler.loaders import RefusedKubeconfig, from_kubeconfig, secret_text
from reconciler.model.access import Credentials
from reconciler.model.clusters import (
    ApiServer,
    ClusterEntry,
    ClusterState,
    Unknown,
    Why,
)
from reconciler.observe import parse
from reconciler.observe.inventories.found import Member, api_server, member
from reconciler.observe.inventories.source import (
    Fetched,
    Json,
    Kind,
    Objects,
    Reference,
)
from reconciler.settings import Inventory

GROUP = "cluster.x-k8s.io"
CLUSTER_NAME = f"{GROUP}/cluster-name"
SECRET_TYPE = f"{GROUP}/secret"
MOVED = "clusterctl.cluster.x-k8s.io/delete-for-move"
INITIALIZED = "ControlPlaneInitialized"


class ClusterApi:
    """A Source: the management cluster is the hub."""

    def kinds(self, inventory: Inventory) -> tuple[Kind, ...]:
        """Clusters, and all their Secrets: a list by name is not to be had."""
        return (
            Kind(
                plural="clusters",
                versions=(f"{GROUP}/v1beta2", f"{GROUP}/v1beta1"),
                keep=_cluster,
            ),
            Kind(
                plural="secrets",
                versions=("v1",),
                keep=_kubeconfig,
                label=CLUSTER_NAME,
                field=f"type={SECRET_TYPE}",
            ),
        )

    def references(
        self, inventory: Inventory, objects: Objects
    ) -> tuple[Reference, ...]:
        """Nothing: the Secrets are listed, so that their rotation is an event."""
        return ()

    def clusters(
        self, inventory: Inventory, objects: Objects, fetched: Fetched
    ) -> tuple[Member, ...]:
        """One cluster a Cluster; names of two namespaces are told apart by `names:`."""
        secrets = objects.all("secrets")
        return tuple(
            _member(
                inventory,
                f"{namespace}/{name}",
                cluster,
                secrets.get((namespace, f"{name}-kubeconfig")),
            )
            for (namespace, name), cluster in objects.all("clusters").items()
        )


def _cluster(body: Json) -> Json:
    metadata = parse.mapping(body.get("metadata"))
    endpoint = parse.mapping(
        parse.mapping(body.get("spec")).get("controlPlaneEndpoint")
    )
    return {
        "uid": parse.cluster_id(metadata.get("uid")),
        "deleting": metadata.get("deletionTimestamp") is not None,
        "moved": MOVED in parse.mapping(metadata.get("annotations")),
        "host": parse.text(endpoint.get("host")),
        "port": parse.number(endpoint.get("port")),
        "initialized": _is_initialized(parse.mapping(body.get("status"))),
    }


def _is_initialized(status: Json) -> bool:
    """Was its control plane up once? The first line is v1beta2, the others are older."""
    initialization = parse.mapping(status.get("initialization"))
    if initialization.get("controlPlaneInitialized") is True:
        return True
    conditions = parse.items(status.get("conditions"))
    conditions += parse.items(parse.mapping(status.get("v1beta2")).get("conditions"))
    return status.get("controlPlaneReady") is True or any(
        condition.get("type") == INITIALIZED and condition.get("status") == "True"
        for condition in map(parse.mapping, conditions)
    )


def _kubeconfig(body: Json) -> Json | None:
    metadata = parse.mapping(body.get("metadata"))
    cluster = parse.text(parse.mapping(metadata.get("labels")).get(CLUSTER_NAME))
    if (
        body.get("type") != SECRET_TYPE
        or metadata.get("name") != f"{cluster}-kubeconfig"
    ):
        return None  # keys of authorities are Secrets of the cluster, too
    return {"data": {"value": parse.mapping(body.get("data")).get("value")}}


def _member(
    inventory: Inventory, foreign: str, cluster: Json, secret: Json | None
) -> Member:
    said = ClusterEntry(
        name=foreign,
        inventory=inventory.name,
        inventory_id=cluster["uid"],
        origin=f"Cluster {foreign}",
    )
    why_not = _standing(cluster)
    if why_not is not None:
        state, what = why_not
        reason = Unknown(why=Why.INCOMPLETE, message=f"{said.origin}: {what}")
        return member(inventory, foreign, replace(said, state=state), reason)
    address = _address(cluster["host"], cluster["port"])
    if address is None:
        message = f"{said.origin}: spec.controlPlaneEndpoint is no host and port"
        broken = Unknown(why=Why.UNREADABLE, message=message)
        broken_state = replace(said, state=ClusterState.UNKNOWN)
        return member(inventory, foreign, broken_state, broken)
    said = replace(said, api_servers=(address,))
    return member(inventory, foreign, said, _access(inventory, foreign, secret))


def _standing(cluster: Json) -> tuple[ClusterState, str] | None:
    """Why there is nothing to follow now; `None` for a cluster that is alive."""
    if cluster["deleting"] and cluster["moved"]:
        what = "`clusterctl move` takes it to another hub: list that one, too"
        return ClusterState.UNKNOWN, what
    if cluster["deleting"]:
        return ClusterState.DELETED, "is being deleted"
    if not cluster["host"] or not cluster["port"]:
        what = "is being provisioned: it has no controlPlaneEndpoint yet"
        return ClusterState.PROVISIONING, what
    if not cluster["initialized"]:
        what = "is being provisioned: its control plane was not up yet"
        return ClusterState.PROVISIONING, what
    return None


def _address(host: str, port: int) -> ApiServer | None:
    """The endpoint as the API server's address; what may be served is decided elsewhere."""
    shown = f"[{host}]" if ":" in host else host
    found = api_server(f"https://{shown}:{port}")
    return found if found is not None and found.host == host.lower() else None


def _access(
    inventory: Inventory, foreign: str, secret: Json | None
) -> Credentials | Unknown:
    where = f"Secret {foreign}-kubeconfig"
    if secret is None:
        message = f"{where}: is not there, or has not the type {SECRET_TYPE}"
        return Unknown(why=Why.UNAUTHORISED, message=message)
    try:
        text = secret_text(secret, "value", where)
        return from_kubeconfig(text, inventory.allow, where)
    except RefusedKubeconfig as refused:
        return refused.unknown()

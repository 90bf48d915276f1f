"""Argo CD's cluster Secrets: `name`, `server` and the JSON in `config`; pure.

`skip-reconcile` says that Argo CD leaves a cluster alone, which is no reason for us to. The
cluster that Argo CD runs in needs no Secret; one that it has all the same names an address which
leads nowhere from outside, and is left out.
"""

from __future__ import annotations

from reconciler import jsonio
from reconciler.loaders import RefusedKubeconfig, from_argocd, secret_text
from reconciler.model.access import Credentials
from reconciler.model.clusters import ClusterEntry, ClusterState, Unknown
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

LABEL = "argocd.argoproj.io/secret-type=cluster"
KEYS = ("name", "server", "config")
OWN = ("kubernetes.default.svc", "kubernetes.default.svc.cluster.local")


class Argocd:
    """A Source: the cluster that Argo CD runs in is the hub."""

    def kinds(self, inventory: Inventory) -> tuple[Kind, ...]:
        """Secrets with Argo CD's label."""
        return (
            Kind(
                plural="secrets",
                versions=("v1",),
                keep=_secret,
                label=LABEL,
                selected=True,
            ),
        )

    def references(
        self, inventory: Inventory, objects: Objects
    ) -> tuple[Reference, ...]:
        """Nothing: the objects are the Secrets."""
        return ()

    def clusters(
        self, inventory: Inventory, objects: Objects, fetched: Fetched
    ) -> tuple[Member, ...]:
        """One cluster a Secret, but for Argo CD's own."""
        found = (
            _member(inventory, f"{namespace}/{name}", secret)
            for (namespace, name), secret in objects.all("secrets").items()
        )
        return tuple(each for each in found if each is not None)


def _secret(body: Json) -> Json:
    metadata = parse.mapping(body.get("metadata"))
    data = parse.mapping(body.get("data"))
    return {
        "uid": parse.cluster_id(metadata.get("uid")),
        "deleting": metadata.get("deletionTimestamp") is not None,
        "data": {key: parse.text(data.get(key)) for key in KEYS},
    }


def _member(inventory: Inventory, path: str, secret: Json) -> Member | None:
    where = f"Secret {path}"
    namespace, _, name = path.partition("/")
    server = _text(secret, "server", where).rstrip("/")
    address = api_server(server)
    if address is not None and address.host in OWN:
        return None
    foreign = f"{namespace}/{_text(secret, 'name', where) or name}"
    access = _access(inventory, secret, where)
    said = ClusterEntry(
        name=foreign,
        inventory=inventory.name,
        state=ClusterState.DELETED if secret["deleting"] else ClusterState.READY,
        api_servers=(address,) if address is not None else (),
        ca_bundle=_authority(secret, where) if isinstance(access, Unknown) else "",
        inventory_id=secret["uid"],
        origin=where,
    )
    return member(inventory, foreign, said, access)


def _text(secret: Json, key: str, where: str) -> str:
    try:
        return secret_text(secret, key, where)
    except RefusedKubeconfig:
        return ""


def _access(inventory: Inventory, secret: Json, where: str) -> Credentials | Unknown:
    try:
        server = secret_text(secret, "server", where).rstrip("/")
        config = secret_text(secret, "config", where)
        return from_argocd(server, config, inventory.allow, where)
    except RefusedKubeconfig as refused:
        return refused.unknown()


def _authority(secret: Json, where: str) -> str:
    """The CA of a cluster whose credentials are not ours to use; its route needs no more."""
    try:
        config = jsonio.loads(_text(secret, "config", where).encode())
    except jsonio.InvalidJson:
        return ""
    tls = parse.mapping(parse.mapping(config).get("tlsClientConfig"))
    return parse.text(tls.get("caData"))

"""Karmada's Clusters, and the Secrets that their `secretRef` names; pure.

In `Pull` mode Karmada holds no credentials: an agent in the cluster fetches. `apiEndpoint` has a
scheme where `karmadactl join` wrote it and need not have one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.loaders import RefusedKubeconfig, secret_text
from reconciler.model.access import Credentials
from reconciler.model.clusters import (
    ApiServer,
    ClusterEntry,
    ClusterState,
    Why,
)
from reconciler.observe import parse
from reconciler.observe.inventories.found import Member, api_server, member
from reconciler.observe.inventories.objects import (
    answer,
    from_halves,
    or_unknown,
    secret,
    trimmed,
)
from reconciler.observe.inventories.source import Fetched, Kind, Objects, Reference
from reconciler.settings import Inventory

Json = Mapping[str, Any]
SPEC = (
    *("id", "syncMode", "apiEndpoint", "secretRef"),
    *("insecureSkipTLSVerification", "proxyURL", "proxyHeader"),
)


class Karmada:
    """A Source: the API server of a Karmada is the hub."""

    def kinds(self, inventory: Inventory) -> tuple[Kind, ...]:
        """Clusters, which have no namespace."""
        versions = ("cluster.karmada.io/v1alpha1",)
        return (
            Kind(plural="clusters", versions=versions, keep=kept, namespaced=False),
        )

    def references(
        self, inventory: Inventory, objects: Objects
    ) -> tuple[Reference, ...]:
        """The Secrets with token and CA."""
        wanted = (
            _secret(inventory, name, body)
            for (_, name), body in objects.all("clusters").items()
        )
        return tuple(each for each in wanted if each is not None)

    def clusters(
        self, inventory: Inventory, objects: Objects, fetched: Fetched
    ) -> tuple[Member, ...]:
        """One cluster for each Cluster."""
        return tuple(
            _member(inventory, name, body, fetched)
            for (_, name), body in objects.all("clusters").items()
        )


def kept(body: Json) -> Json:
    """What is needed of a Cluster."""
    return trimmed(body, spec=SPEC)


def _secret(inventory: Inventory, name: str, body: Json) -> Reference | None:
    """The Secret that a Cluster names, where it is a cluster's: any other may be anybody's."""
    named = parse.mapping(body["spec"].get("secretRef"))
    if not named or body["deleting"]:
        return None
    if not _may_read(inventory, named):
        return None
    return secret(named.get("namespace"), named.get("name"), of=name)


def _may_read(inventory: Inventory, named: Json) -> bool:
    allowed = inventory.hub.namespaces if inventory.hub is not None else ()
    return not allowed or named.get("namespace") in allowed


def _member(inventory: Inventory, name: str, body: Json, fetched: Fetched) -> Member:
    spec, origin = body["spec"], f"Cluster {name}"
    address = api_server(_endpoint(spec))
    said = ClusterEntry(
        name=name,
        inventory=inventory.name,
        state=ClusterState.DELETED if body["deleting"] else ClusterState.READY,
        api_servers=(address,) if isinstance(address, ApiServer) else (),
        inventory_id=parse.cluster_id(spec.get("id")) or body["uid"],
        origin=origin,
    )
    access = or_unknown(lambda: _access(inventory, name, body, fetched))
    return member(inventory, name, said, access)


def _endpoint(spec: Json) -> str:
    text = parse.text(spec.get("apiEndpoint"))
    return text if "://" in text or not text else f"https://{text}"


def _access(
    inventory: Inventory, name: str, body: Json, fetched: Fetched
) -> Credentials:
    """Raises RefusedKubeconfig."""
    spec, where = body["spec"], f"Cluster {name}"
    if not spec.get("secretRef"):
        mode = parse.text(spec.get("syncMode"))
        what = (
            "Karmada holds no credentials in Pull mode"
            if mode == "Pull"
            else "it has no secretRef"
        )
        hint = "list the cluster by another inventory, too"
        raise RefusedKubeconfig(what, where, why=Why.UNAUTHORISED, hint=hint)
    if spec.get("proxyHeader"):
        raise RefusedKubeconfig("proxyHeader is not accepted", where)
    if not _may_read(inventory, parse.mapping(spec.get("secretRef"))):
        what = "its secretRef is not in a namespace that the inventory may read"
        hint = "add it to `namespaces` of the inventory when it is a cluster's"
        raise RefusedKubeconfig(what, where, why=Why.FORBIDDEN, hint=hint)
    found = answer(fetched, _secret(inventory, name, body), where)
    bundle = parse.text(parse.mapping(found.get("data")).get("caBundle"))
    if not bundle and not spec.get("insecureSkipTLSVerification"):
        what = "its Secret has no caBundle: nothing would say whose server it is"
        raise RefusedKubeconfig(what, where)
    cluster = {
        "server": _endpoint(spec),
        "certificate-authority-data": bundle,
        "insecure-skip-tls-verify": spec.get("insecureSkipTLSVerification", False),
        "proxy-url": spec.get("proxyURL", ""),
    }
    if spec.get("insecureSkipTLSVerification"):
        del cluster["certificate-authority-data"]  # Karmada ignores it then, too
    user = {"token": secret_text(found, "token", where)}
    return from_halves(cluster, user, inventory.allow, where)

"""Gardener's Shoots; a kubeconfig of one is asked for and lasts an hour; pure.

A deletion counts when it is confirmed, as Gardener itself has it. A hibernated Shoot is alive and
has no API server; nothing is asked for it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from reconciler.loaders import RefusedKubeconfig, from_kubeconfig, secret_text
from reconciler.model.access import Credentials
from reconciler.model.clusters import (
    ApiServer,
    ClusterEntry,
    ClusterState,
    Why,
)
from reconciler.names import is_dns_name
from reconciler.observe import parse
from reconciler.observe.inventories.found import Member, api_server, member
from reconciler.observe.inventories.objects import answer, or_unknown, trimmed
from reconciler.observe.inventories.source import Fetched, Key, Kind, Objects, Reference
from reconciler.settings import Inventory
from reconciler.settings_inventories import Gardener as Settings

Json = Mapping[str, Any]
GROUP = "core.gardener.cloud/v1beta1"
REQUESTS = "authentication.gardener.cloud/v1alpha1"
ADDRESSES = ("external", "unmanaged", "internal")
"""Names of advertised addresses of the API server, the first that is there is used."""
CONFIRMED = (
    "confirmation.gardener.cloud/deletion",
    "confirmation.gardener.cloud/force-deletion",
)

TRUE = ("1", "t", "T", "true", "TRUE", "True")


class Gardener:
    """A Source: the garden's API server."""

    def kinds(self, inventory: Inventory) -> tuple[Kind, ...]:
        """Shoots."""
        return (Kind(plural="shoots", versions=(GROUP,), keep=kept),)

    def references(
        self, inventory: Inventory, objects: Objects
    ) -> tuple[Reference, ...]:
        """A kubeconfig of each Shoot whose API server runs."""
        wanted = (
            _request(inventory, key)
            for key, body in objects.all("shoots").items()
            if _state(body) is ClusterState.READY and not _hibernated(body)
        )
        return tuple(each for each in wanted if each is not None)

    def clusters(
        self, inventory: Inventory, objects: Objects, fetched: Fetched
    ) -> tuple[Member, ...]:
        """One cluster for each Shoot."""
        return tuple(
            _member(inventory, key, body, fetched)
            for key, body in objects.all("shoots").items()
        )


def kept(body: Json) -> Json:
    """What is needed of a Shoot."""
    found = trimmed(body, status=("advertisedAddresses", "hibernated", "uid"))
    notes = parse.mapping(parse.mapping(body.get("metadata")).get("annotations"))
    operation = parse.mapping(parse.mapping(body.get("status")).get("lastOperation"))
    created = operation and (
        operation.get("type") != "Create" or operation.get("state") == "Succeeded"
    )
    return {
        **found,
        "confirmed": any(notes.get(each) in TRUE for each in CONFIRMED),
        "created": bool(created),
    }


def _state(body: Json) -> ClusterState:
    if body["deleting"] and body["confirmed"]:
        return ClusterState.DELETED
    return ClusterState.READY if body["created"] else ClusterState.PROVISIONING


def _hibernated(body: Json) -> bool:
    return bool(body["status"].get("hibernated"))


def _request(inventory: Inventory, key: Key) -> Reference | None:
    namespace, name = key
    settings = inventory.gardener or Settings()
    if not (is_dns_name(namespace) and is_dns_name(name)):
        return None
    seconds = settings.expiration_seconds
    body = {
        "apiVersion": REQUESTS,
        "kind": f"{settings.access.capitalize()}KubeconfigRequest",
        "spec": {"expirationSeconds": seconds},
    }
    path = f"/apis/{GROUP}/namespaces/{namespace}/shoots/{name}"
    return Reference(
        path=f"{path}/{settings.access}kubeconfig",
        body=json.dumps(body),
        seconds=seconds / 2,
        of="/".join(key),
    )


def _address(body: Json) -> ApiServer | None:
    listed = parse.items(body["status"].get("advertisedAddresses"))
    urls = {
        parse.text(each.get("name")): parse.text(each.get("url"))
        for each in map(parse.mapping, listed)
    }
    found = (api_server(urls[name]) for name in ADDRESSES if name in urls)
    return next((each for each in found if each is not None), None)


def _member(inventory: Inventory, key: Key, body: Json, fetched: Fetched) -> Member:
    namespace, name = key
    address = _address(body)
    said = ClusterEntry(
        name=name,
        inventory=inventory.name,
        state=_state(body),
        api_servers=(address,) if address is not None else (),
        inventory_id=parse.cluster_id(body["status"].get("uid")) or body["uid"],
        origin=f"Shoot {namespace}/{name}",
    )
    access = or_unknown(lambda: _access(inventory, key, body, fetched))
    return member(inventory, f"{namespace}/{name}", said, access)


def _access(
    inventory: Inventory, key: Key, body: Json, fetched: Fetched
) -> Credentials:
    """Raises RefusedKubeconfig."""
    where = f"Shoot {'/'.join(key)}"
    if _state(body) is ClusterState.PROVISIONING:
        what = "Gardener has not created it yet"
        raise RefusedKubeconfig(what, where, why=Why.INCOMPLETE)
    if _hibernated(body):
        what = "it is hibernated, its API server does not run"
        raise RefusedKubeconfig(what, where, why=Why.UNREACHABLE)
    found = answer(fetched, _request(inventory, key), where)
    status = parse.mapping(found.get("status"))
    if not status.get("kubeconfig"):
        raise RefusedKubeconfig("Gardener's answer has no kubeconfig", where)
    # In base64, as the values of a Secret are.
    text = secret_text({"data": status}, "kubeconfig", where)
    return from_kubeconfig(text, inventory.allow, where)

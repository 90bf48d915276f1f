"""ClusterProfiles of the multicluster SIG (cluster-inventory-api); pure.

A profile tells how its cluster is reached; who we are there comes from the settings, by the name
of the access provider: an exec plug-in, or the token in a Secret beside the profile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.loaders import RefusedKubeconfig, secret_text
from reconciler.model.access import Credentials
from reconciler.model.clusters import ClusterEntry, ClusterState, Why
from reconciler.observe import parse
from reconciler.observe.inventories.found import Member, api_server, member
from reconciler.observe.inventories.objects import (
    answer,
    from_halves,
    or_unknown,
    secret,
    shown,
    trimmed,
)
from reconciler.observe.inventories.source import Fetched, Key, Kind, Objects, Reference
from reconciler.settings import Inventory
from reconciler.settings_inventories import AccessProvider, ClusterProfile

Json = Mapping[str, Any]
PLURAL = "clusterprofiles"
EXEC_VERSION = "client.authentication.k8s.io/v1"


class ClusterProfiles:
    """A Source: a hub where one manager or several keep ClusterProfiles."""

    def kinds(self, inventory: Inventory) -> tuple[Kind, ...]:
        """ClusterProfiles."""
        versions = ("multicluster.x-k8s.io/v1alpha1",)
        return (Kind(plural=PLURAL, versions=versions, keep=kept),)

    def references(
        self, inventory: Inventory, objects: Objects
    ) -> tuple[Reference, ...]:
        """The Secrets of providers whose tokens lie beside the profiles."""
        wanted = (
            _secret(key, _chosen(inventory, body)[0])
            for key, body in _profiles(inventory, objects)
        )
        return tuple(each for each in wanted if each is not None)

    def clusters(
        self, inventory: Inventory, objects: Objects, fetched: Fetched
    ) -> tuple[Member, ...]:
        """One cluster for each ClusterProfile of the managers that the settings name."""
        return tuple(
            _member(inventory, key, body, fetched)
            for key, body in _profiles(inventory, objects)
        )


def kept(body: Json) -> Json:
    """What is needed of a ClusterProfile; `ways` are its clusters by access provider."""
    found = trimmed(body, spec=("clusterManager",))
    status = parse.mapping(body.get("status"))
    ways = {
        parse.text(each.get("name")): parse.mapping(each.get("cluster"))
        for field in (
            "credentialProviders",
            "accessProviders",
        )  # the latter is believed
        for each in map(parse.mapping, parse.items(status.get(field)))
    }
    return {**found, "ways": ways, "told": bool(status)}


def _settings(inventory: Inventory) -> ClusterProfile:
    return inventory.cluster_profile or ClusterProfile()


def _profiles(inventory: Inventory, objects: Objects) -> list[tuple[Key, Json]]:
    managers = _settings(inventory).managers
    return [
        (key, body)
        for key, body in objects.all(PLURAL).items()
        if not managers or _manager(body) in managers
    ]


def _manager(body: Json) -> str:
    return parse.text(parse.mapping(body["spec"].get("clusterManager")).get("name"))


def _chosen(inventory: Inventory, body: Json) -> tuple[AccessProvider | None, Json]:
    """The first provider of the settings that the profile has, and the way that it tells."""
    ways = body["ways"]
    for name, provider in _settings(inventory).providers.items():
        if name in ways:
            return provider, ways[name]
    return None, next(iter(ways.values()), {})


def _secret(key: Key, provider: AccessProvider | None) -> Reference | None:
    if provider is None or not provider.secret:
        return None
    namespace, name = key
    return secret(namespace, provider.secret.replace("{name}", name), of="/".join(key))


def _member(inventory: Inventory, key: Key, body: Json, fetched: Fetched) -> Member:
    namespace, name = key
    _, way = _chosen(inventory, body)
    address = api_server(parse.text(way.get("server")))
    said = ClusterEntry(
        name=name,
        inventory=inventory.name,
        state=_state(body),
        api_servers=(address,) if address is not None else (),
        inventory_id=body["uid"],
        origin=f"ClusterProfile {namespace}/{name}",
    )
    access = or_unknown(lambda: _access(inventory, key, body, fetched))
    return member(inventory, f"{namespace}/{name}", said, access)


def _state(body: Json) -> ClusterState:
    if body["deleting"]:
        return ClusterState.DELETED
    return ClusterState.READY if body["told"] else ClusterState.PROVISIONING


def _access(
    inventory: Inventory, key: Key, body: Json, fetched: Fetched
) -> Credentials:
    """Raises RefusedKubeconfig."""
    where = f"ClusterProfile {'/'.join(key)}"
    provider, way = _chosen(inventory, body)
    if provider is None:
        offered = ", ".join(map(shown, sorted(body["ways"]))) or "none"
        what = f"no access provider that the settings know; it offers {offered}"
        hint = "name one under clusterProfile.providers"
        raise RefusedKubeconfig(what, where, why=Why.UNAUTHORISED, hint=hint)
    allow = inventory.allow
    if provider.command:
        user: Json = {"exec": _exec(provider)}
        allow = allow.model_copy(update={"exec": (provider.command,)})
    else:
        found = answer(fetched, _secret(key, provider), where)
        user = {"token": secret_text(found, "token", where)}
    return from_halves(way, user, allow, where)


def _exec(provider: AccessProvider) -> Json:
    return {
        "apiVersion": EXEC_VERSION,
        "command": provider.command,
        "interactiveMode": "Never",
        "provideClusterInfo": True,
    }

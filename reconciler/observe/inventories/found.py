"""What an inventory found, one result for all of them; pure.

A cluster that can be looked at is a `Server`; one that cannot, or that its inventory calls
deleted, is a view already. One cluster that is wrong never hides the others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol
from urllib.parse import urlsplit

from reconciler.model.access import Credentials
from reconciler.model.clusters import (
    ApiServer,
    ClusterEntry,
    ClusterState,
    ClusterView,
    Unknown,
    Why,
)
from reconciler.names import is_cluster_name
from reconciler.observe import parse
from reconciler.settings import Inventory
from reconciler.trust import beside


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One cluster that an inventory names and how to reach it."""

    entry: ClusterEntry
    credentials: Credentials


Member = Server | ClusterView
Found = tuple[Member, ...] | Unknown
"""All clusters of an inventory; unknown when it could not be read whole."""


class Reader(Protocol):
    """Reads one inventory again and again; what it keeps in between (tokens) is its own."""

    async def read(self) -> Found:
        """All clusters of the inventory. Never raises for what a server or a file says."""
        ...


def member(
    inventory: Inventory,
    foreign: str,
    said: ClusterEntry,
    access: Credentials | Unknown,
) -> Member:
    """One cluster as the inventory tells of it, under the name that it has here.

    `foreign` is its name there (`namespace/name`), `said` all that is known of it (its name and
    inventory are filled in). Without `api_servers` the server of its credentials is taken,
    unless that is a path of some proxy.
    """
    name = inventory.called(foreign)
    if not is_cluster_name(name):
        return parse.refused_name(name, inventory.name)
    entry = replace(said, name=name, inventory=inventory.name)
    if entry.state is ClusterState.DELETED:
        gone = Unknown(why=Why.INCOMPLETE, message=f"{name}: {entry.origin} is deleted")
        return ClusterView(entry=entry, objects=gone)
    if isinstance(access, Unknown):
        return ClusterView(entry=entry, objects=access)
    if not entry.api_servers and access.is_root:
        address = ApiServer(host=access.host, port=access.port)
        entry = replace(entry, api_servers=(address,))
    bundle = entry.ca_bundle or access.ca
    entry = replace(entry, ca_bundle=bundle, trust=beside(access, bundle))
    return Server(entry=entry, credentials=access)


def unbelieved(entry: ClusterEntry) -> ClusterEntry:
    """An entry of which nothing counts but its name: whoever swapped its CA wrote the rest, too."""
    return replace(entry, api_servers=(), ca_bundle="", trust=())


def is_same_place(one: Server, other: Server) -> bool:
    """Whether two differ only in who we are there."""
    a, b = (
        replace(
            each.credentials,
            token="",
            client_certificate="",
            client_key="",
            plugin=None,
        )
        for each in (one, other)
    )
    return a == b and one.entry == other.entry


def api_server(url: str) -> ApiServer | None:
    """Host and port of `https://HOST[:PORT]`, `None` for anything else."""
    try:
        parts = urlsplit(url)
        port = parts.port or 443
    except ValueError:
        return None
    if parts.scheme != "https" or not parts.hostname or parts.path not in ("", "/"):
        return None
    return ApiServer(host=parts.hostname, port=port)

"""Clusters as objects of a Kubernetes API, the hub: read whole, then understood (does I/O).

What an ecosystem calls a cluster is the matter of one small pure module each, a `Source`; how
its objects are listed, fetched and kept is the same for all of them and is here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

from reconciler.kube import KubeApi, KubeError, NotFound
from reconciler.kubeconfig import (
    IN_CLUSTER,
    RefusedKubeconfig,
    in_cluster,
    load_kubeconfig,
)
from reconciler.model.access import Credentials
from reconciler.model.clusters import Why
from reconciler.observe import parse
from reconciler.observe.inventories.found import Found, Member
from reconciler.settings import Inventory
from reconciler.settings_inventories import Hub

Json = Mapping[str, Any]
Key = tuple[str, str]
"""(namespace, name) of an object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of object that an inventory lists. `keep` takes what is needed of one.

    `versions` are served versions by preference (`cluster.x-k8s.io/v1beta2`, `v1` for the core
    group). `label` and `field` are selectors. Where the kind is not `required`, its absence
    from the API is the same as no objects.
    """

    plural: str
    versions: tuple[str, ...]
    keep: Callable[[Json], Json | None]
    namespaced: bool = True
    label: str = ""
    field: str = ""
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One thing that is fetched because an object names it: GET, or POST where there is a body.

    Fetched anew after `seconds`, and whenever the credentials in it are refused.
    """

    path: str
    body: str = ""
    seconds: float = 60.0


Fetched = Mapping[Reference, Json | KubeError]
"""What was fetched, or why it could not be (a Secret that is missing is NotFound)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """All objects of all kinds: plural -> (namespace, name) -> what `keep` kept."""

    of: Mapping[str, Mapping[Key, Json]] = field(default_factory=dict)

    def all(self, plural: str) -> Mapping[Key, Json]:
        """The objects of a kind, sorted by namespace and name."""
        return dict(sorted(self.of.get(plural, {}).items()))


class Source(Protocol):
    """What one ecosystem calls a cluster; pure. Hostile objects make one cluster unknown."""

    def kinds(self, inventory: Inventory) -> tuple[Kind, ...]:
        """What is listed."""
        ...

    def references(
        self, inventory: Inventory, objects: Objects
    ) -> tuple[Reference, ...]:
        """What must be fetched beside it: Secrets that objects name."""
        ...

    def clusters(
        self, inventory: Inventory, objects: Objects, fetched: Fetched
    ) -> tuple[Member, ...]:
        """All clusters that the hub tells of."""
        ...


class HubReader:
    """Reads a hub once and whole."""

    def __init__(self, inventory: Inventory, source: Source) -> None:
        self._inventory = inventory
        self._source = source

    async def read(self) -> Found:
        """All clusters of the hub."""
        inventory = self._inventory
        try:
            api = KubeApi(hub_credentials(inventory), name=inventory.name)
            async with api:
                kinds = self._source.kinds(inventory)
                listed = {
                    kind.plural: await objects_of(api, inventory, kind)
                    for kind in kinds
                }
                objects = Objects(of=listed)
                wanted = self._source.references(inventory, objects)
                fetched = {
                    each: await fetch(api, each) for each in dict.fromkeys(wanted)
                }
        except (KubeError, RefusedKubeconfig) as exc:
            return exc.unknown()
        return self._source.clusters(inventory, objects, fetched)


def hub_credentials(inventory: Inventory) -> Credentials:
    """Who we are at the hub. Raises RefusedKubeconfig."""
    hub = inventory.hub.hub if inventory.hub is not None else Hub()
    if hub.context == IN_CLUSTER:
        return in_cluster()
    path = Path(hub.kubeconfig) if hub.kubeconfig else None
    return load_kubeconfig(path).credentials(hub.context)


async def served(api: KubeApi, kind: Kind) -> str:
    """The first version of a kind that is served, empty when none is. Raises KubeError."""
    for version in kind.versions:
        if version == "v1":
            return version
        try:
            found = await api.get(f"/apis/{version}")
        except NotFound:
            continue
        names = {
            parse.text(parse.mapping(each).get("name"))
            for each in parse.items(found.get("resources"))
        }
        if kind.plural in names:
            return version
    if kind.required:
        what = f"{kind.plural} of {' or '.join(kind.versions)} are not served: is their CRD installed?"
        raise KubeError(what, api.name, why=Why.NO_CRD)
    return ""


def collections(inventory: Inventory, kind: Kind, version: str) -> tuple[str, ...]:
    """Paths of the collections of a kind: one, or one a namespace."""
    root = f"/api/{version}" if version == "v1" else f"/apis/{version}"
    wanted = inventory.hub.namespaces if inventory.hub and kind.namespaced else ()
    query = {"labelSelector": _labels(inventory, kind), "fieldSelector": kind.field}
    text = urlencode({key: value for key, value in query.items() if value})
    end = f"{kind.plural}?{text}" if text else kind.plural
    if not wanted:
        return (f"{root}/{end}",)
    return tuple(f"{root}/namespaces/{each}/{end}" for each in wanted)


def _labels(inventory: Inventory, kind: Kind) -> str:
    # People select clusters; the Secrets beside them need not carry those labels.
    chosen = inventory.hub.selector if inventory.hub and not kind.label else {}
    return kind.label or ",".join(
        f"{key}={value}" for key, value in sorted(chosen.items())
    )


def keyed(body: Json, kind: Kind) -> tuple[Key, Json] | None:
    """What is kept of an object under its key. Raises ValueError for one without identity."""
    key = parse.identity(body, namespaced=kind.namespaced)
    kept = kind.keep(body)
    return None if kept is None else (key, kept)


async def objects_of(api: KubeApi, inventory: Inventory, kind: Kind) -> dict[Key, Json]:
    """All objects of a kind, whole. Raises KubeError."""
    version = await served(api, kind)
    found: dict[Key, Json] = {}
    if not version:
        return found
    for path in collections(inventory, kind, version):
        listed = await api.list(path, lambda body: keyed(body, kind))
        found.update(each for each in listed if each is not None)
    return found


async def fetch(api: KubeApi, reference: Reference) -> Json | KubeError:
    """What a reference leads to, or why it cannot be had: that is one cluster's trouble."""
    try:
        if reference.body:
            return await api.create(reference.path, json.loads(reference.body))
        return await api.get(reference.path)
    except KubeError as exc:
        return exc

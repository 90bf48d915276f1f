"""Clusters as objects of a Kubernetes API, the hub: read once and whole (does I/O).

What an ecosystem calls a cluster is the matter of one small pure module each, a `Source`; how
its objects are listed, fetched and kept is the same for all of them and is here. `run` follows
them instead: `watching/hubs.py`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

from reconciler.kube import KubeApi, KubeError, Limits, NotFound, Spent
from reconciler.kubeconfig import (
    IN_CLUSTER,
    RefusedKubeconfig,
    in_cluster,
    load_kubeconfig,
)
from reconciler.model.access import Credentials
from reconciler.model.clusters import Unknown, Why
from reconciler.observe import parse
from reconciler.observe.inventories.found import Found
from reconciler.observe.inventories.source import (
    Json,
    Key,
    Kind,
    Objects,
    Reference,
    Source,
    collections,
    keyed,
)
from reconciler.settings import Inventory
from reconciler.settings_inventories import Hub

LIMITS = Limits(kept_bytes=256 * 1024 * 1024)
"""What a hub may cost: 10,000 clusters with their kubeconfigs fit."""
FETCHES = 8
"""References that are fetched at the same time."""
SECONDS = 120.0
"""How long a hub is read."""


class HubReader:
    """Reads a hub once and whole."""

    def __init__(self, inventory: Inventory, source: Source) -> None:
        self._inventory = inventory
        self._source = source

    async def read(self) -> Found:
        """All clusters of the hub."""
        inventory = self._inventory
        try:
            async with asyncio.timeout(SECONDS):
                api = KubeApi(
                    hub_credentials(inventory), name=inventory.name, limits=LIMITS
                )
                async with api:
                    return await self._read(api)
        except (KubeError, RefusedKubeconfig) as exc:
            return exc.unknown()
        except TimeoutError:
            message = f"inventory {inventory.name}: not read within {SECONDS:g} s"
            return Unknown(why=Why.TIMEOUT, message=message)

    async def _read(self, api: KubeApi) -> Found:
        inventory, spent = self._inventory, Spent()
        kinds = self._source.kinds(inventory)
        listed = {
            kind.called: await objects_of(api, inventory, kind, spent) for kind in kinds
        }
        objects = Objects(of=listed)
        wanted = self._source.references(inventory, objects)
        fetched = await fetch_all(api, tuple(dict.fromkeys(wanted)))
        return self._source.clusters(inventory, objects, fetched)


def hub_credentials(inventory: Inventory) -> Credentials:
    """Who we are at the hub. Raises RefusedKubeconfig."""
    hub = inventory.hub.hub if inventory.hub is not None else Hub()
    if hub.context == IN_CLUSTER:
        return in_cluster()
    path = Path(hub.kubeconfig) if hub.kubeconfig else None
    return load_kubeconfig(path).credentials(hub.context, inventory.allow)


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


async def objects_of(
    api: KubeApi, inventory: Inventory, kind: Kind, spent: Spent
) -> dict[Key, Json]:
    """All objects of a kind, whole. Raises KubeError."""
    version = await served(api, kind)
    found: dict[Key, Json] = {}
    if not version:
        return found
    for path in collections(inventory, kind, version):
        listed = await api.list(path, lambda body: keyed(body, kind), spent=spent)
        kept = [each for each in listed if each is not None]
        if len(dict(kept)) != len(kept):
            raise KubeError("a list has an object twice", api.name, why=Why.INCOMPLETE)
        found.update(kept)
    return found


async def fetch(api: KubeApi, reference: Reference) -> Json | KubeError:
    """What a reference leads to, or why it cannot be had: that is one cluster's trouble."""
    try:
        if reference.body:
            return await api.create(reference.path, json.loads(reference.body))
        return await api.get(reference.path)
    except KubeError as exc:
        return exc


async def fetch_all(
    api: KubeApi, references: Sequence[Reference]
) -> dict[Reference, Json | KubeError]:
    """What all of them lead to, a few at a time."""
    places = asyncio.Semaphore(FETCHES)

    async def one(reference: Reference) -> Json | KubeError:
        async with places:
            return await fetch(api, reference)

    found = await asyncio.gather(*map(one, references))
    return dict(zip(references, found, strict=True))

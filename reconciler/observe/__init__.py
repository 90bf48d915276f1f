"""Observes all inventories and clusters of the settings -> Snapshot (does I/O).

One cluster or inventory that cannot be read never stops the others.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

from reconciler.model.clusters import (
    ClusterView,
    InventoryFailure,
    Snapshot,
    Unknown,
    Why,
)
from reconciler.observe.folders import read_directory
from reconciler.observe.servers import known_servers, read_servers
from reconciler.settings import Inventory, Settings

__all__ = ["observe"]


async def observe(
    settings: Settings, *, only: frozenset[str] | None = None
) -> Snapshot:
    """A snapshot of all clusters, or of those named in `only`."""
    results = await asyncio.gather(
        *(_inventory(each, settings, only) for each in settings.inventories)
    )
    views: list[ClusterView] = []
    failures: list[InventoryFailure] = []
    for inventory, result in zip(settings.inventories, results, strict=True):
        if isinstance(result, Unknown):
            failures.append(InventoryFailure(inventory=inventory.name, reason=result))
        else:
            views.extend(result)
    kept = [view for view in views if only is None or view.entry.name in only]
    return Snapshot(
        clusters=tuple(sorted(_distinct(kept), key=lambda view: view.entry.name)),
        failures=tuple(failures),
    )


async def _inventory(
    inventory: Inventory, settings: Settings, only: frozenset[str] | None
) -> tuple[ClusterView, ...] | Unknown:
    if inventory.directory is not None:
        return await asyncio.to_thread(read_directory, inventory, only)
    found = known_servers(inventory)
    if isinstance(found, Unknown):
        return found
    wanted = [each for each in found if only is None or each.entry.name in only]
    return await read_servers(wanted, settings)


def _distinct(views: list[ClusterView]) -> list[ClusterView]:
    """One view a name. Names or ids that are claimed twice are unknown for all who claim them.

    Who was there first is not known here but in Git, so nobody's objects are believed: what is
    served stays as it is for all of them until the inventories agree again.
    """
    names = Counter(view.entry.name for view in views)
    ids = Counter(view.entry.cluster_id for view in views if view.entry.cluster_id)
    found: dict[str, ClusterView] = {}
    for view in views:
        entry = view.entry
        if names[entry.name] > 1:
            message = f"several inventory entries are called {entry.name}"
            view = replace(view, objects=Unknown(why=Why.DUPLICATE, message=message))
        elif ids[entry.cluster_id] > 1:
            message = f"several clusters have the id {entry.cluster_id}"
            view = replace(view, objects=Unknown(why=Why.DUPLICATE, message=message))
        found[entry.name] = view
    return list(found.values())

"""Observes all inventories and clusters of the settings -> Snapshot (does I/O).

One cluster or inventory that cannot be read never stops the others.
"""

from __future__ import annotations

import asyncio

from reconciler.model.clusters import (
    ClusterView,
    InventoryFailure,
    Snapshot,
    Unknown,
)
from reconciler.model.pins import NO_PINS, Pins
from reconciler.observe.distinct import distinct, settled
from reconciler.observe.folders import read_directory
from reconciler.observe.inventories import reader
from reconciler.observe.servers import read_servers
from reconciler.settings import Inventory, Settings

__all__ = ["observe"]


async def observe(
    settings: Settings,
    *,
    only: frozenset[str] | None = None,
    pins: Pins = NO_PINS,
) -> Snapshot:
    """A snapshot of all clusters, or of those named in `only`; `pins` are what Git knows of them."""
    results = await asyncio.gather(
        *(_inventory(each, settings, only, pins) for each in settings.inventories)
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
        clusters=tuple(sorted(distinct(kept, pins), key=lambda view: view.entry.name)),
        failures=tuple(failures),
    )


async def _inventory(
    inventory: Inventory, settings: Settings, only: frozenset[str] | None, pins: Pins
) -> tuple[ClusterView, ...] | Unknown:
    if inventory.directory is not None:
        return await asyncio.to_thread(read_directory, inventory, only)
    found = await reader(inventory).read()
    if isinstance(found, Unknown):
        return found
    one = settled(found, pins)
    wanted = [each for each in one if only is None or each.entry.name in only]
    return await read_servers(wanted, settings, pins)

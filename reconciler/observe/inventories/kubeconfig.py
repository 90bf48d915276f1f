"""Contexts of a kubeconfig file as clusters (reads files)."""

from __future__ import annotations

import asyncio
from pathlib import Path

from reconciler.kubeconfig import Kubeconfig, RefusedKubeconfig, load_kubeconfig
from reconciler.model.clusters import ClusterEntry
from reconciler.observe.inventories.found import Found, Member, member
from reconciler.settings import Inventory


class KubeconfigReader:
    """Reads the file anew each time: files that it names may have changed although it did not."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory

    async def read(self) -> Found:
        """All contexts."""
        return await asyncio.to_thread(known_servers, self._inventory)


def known_servers(inventory: Inventory) -> Found:
    """The contexts of a kubeconfig, unknown when the file cannot be read.

    A context that cannot be used is a view already; the others go on.
    """
    if inventory.kubeconfig is None:
        raise AssertionError("not a kubeconfig inventory")
    path = inventory.kubeconfig.path
    try:
        config = load_kubeconfig(Path(path) if path else None)
    except RefusedKubeconfig as exc:
        return exc.unknown()
    contexts = config.matching(inventory.kubeconfig.contexts)
    return tuple(_member(config, context, inventory) for context in contexts)


def _member(config: Kubeconfig, context: str, inventory: Inventory) -> Member:
    name = inventory.names.get(context, context)
    said = ClusterEntry(
        name=name, inventory=inventory.name, origin=f"context {context}"
    )
    try:
        access = config.credentials(context, inventory.allow)
    except RefusedKubeconfig as exc:
        return member(inventory, context, said, exc.unknown())
    return member(inventory, context, said, access)

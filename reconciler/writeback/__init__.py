"""Writes states, hosts and ports back onto VirtualServices; nothing equal is written again (I/O)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from reconciler.directory import will_write
from reconciler.settings import Inventory, Settings
from reconciler.writeback.annotations import SERVED, no_annotations, wanted_annotations
from reconciler.writeback.folders import write_folder
from reconciler.writeback.kubernetes import Refusals, to_servers
from reconciler.writeback.values import ObjectChange, Outcome

__all__ = [
    "SERVED",
    "ObjectChange",
    "Outcome",
    "Refusals",
    "no_annotations",
    "wanted_annotations",
    "write_back",
]


async def write_back(
    changes: Sequence[ObjectChange],
    settings: Settings,
    mode: str,
    environ: Mapping[str, str],
    refusals: Refusals | None = None,
) -> tuple[Outcome, ...]:
    """Write all changes; a problem with one object or cluster never stops the others.

    `mode` is `auto`, `on` or `off` and is about directories only. `refusals` is what this
    process remembers of changes that an API server did not keep.
    """
    remembered = {} if refusals is None else refusals
    outcomes: list[Outcome] = []
    for inventory in settings.inventories:
        mine = [each for each in changes if each.inventory == inventory.name]
        if inventory.directory is not None:
            folder = Path(inventory.directory.path)
            if will_write(mode, folder, environ):
                outcomes.extend(_to_folders(folder, inventory, mine))
        elif mine and inventory.cloud_foundry is None:  # people read it in Git
            outcomes.extend(await to_servers(inventory, mine, remembered))
    return tuple(outcomes)


def _to_folders(
    root: Path, inventory: Inventory, changes: Sequence[ObjectChange]
) -> list[Outcome]:
    foreign = {ours: name for name, ours in inventory.names.items()}
    outcomes: list[Outcome] = []
    for cluster in sorted({each.source.unit.cluster for each in changes}):
        here = [each for each in changes if each.source.unit.cluster == cluster]
        mine = {each.source.unit: each.annotations for each in here}
        seen = {each.source.unit: each.source for each in here}
        problems = write_folder(root / foreign.get(cluster, cluster), mine, seen)
        outcomes.extend(
            Outcome(unit=unit, problem=problems.get(unit, "")) for unit in mine
        )
    return outcomes

"""Writes states, hosts and ports back onto VirtualServices; nothing equal is written again (I/O)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.kube import KubeApi, KubeError, Rejected, object_path
from reconciler.kubeconfig import RefusedKubeconfig, load_kubeconfig
from reconciler.model.claims import Source
from reconciler.model.units import UnitId
from reconciler.settings import Inventory, Settings
from reconciler.writeback.annotations import SERVED, no_annotations, wanted_annotations
from reconciler.writeback.folders import decide, write_folder
from reconciler.writeback.patches import annotation_patch

__all__ = [
    "SERVED",
    "ObjectChange",
    "Outcome",
    "decide",
    "no_annotations",
    "wanted_annotations",
    "write_back",
]

AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectChange:
    """Annotations to set or remove (`None`) on one VirtualService of an inventory's cluster."""

    source: Source
    inventory: str
    annotations: Mapping[str, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one change; an empty problem means that it was written."""

    unit: UnitId
    problem: str


async def write_back(
    changes: Sequence[ObjectChange],
    settings: Settings,
    mode: str,
    environ: Mapping[str, str],
) -> tuple[Outcome, ...]:
    """Write all changes; a problem with one object or cluster never stops the others.

    `mode` is `auto`, `on` or `off` and is about directories only.
    """
    outcomes: list[Outcome] = []
    for inventory in settings.inventories:
        mine = [each for each in changes if each.inventory == inventory.name]
        if inventory.directory is not None:
            folder = Path(inventory.directory.path)
            if decide(mode, folder, environ):
                outcomes.extend(_to_folders(folder, inventory, mine))
        elif mine:
            outcomes.extend(await _to_servers(inventory, mine))
    return tuple(outcomes)


def _to_folders(
    root: Path, inventory: Inventory, changes: Sequence[ObjectChange]
) -> list[Outcome]:
    foreign = {ours: name for name, ours in inventory.names.items()}
    outcomes: list[Outcome] = []
    for cluster in sorted({each.source.unit.cluster for each in changes}):
        mine = {
            each.source.unit: each.annotations
            for each in changes
            if each.source.unit.cluster == cluster
        }
        problems = write_folder(root / foreign.get(cluster, cluster), mine)
        outcomes.extend(
            Outcome(unit=unit, problem=problems.get(unit, "")) for unit in mine
        )
    return outcomes


async def _to_servers(
    inventory: Inventory, changes: Sequence[ObjectChange]
) -> list[Outcome]:
    clusters = sorted({each.source.unit.cluster for each in changes})
    results = await asyncio.gather(
        *(
            _to_server(
                inventory,
                cluster,
                [each for each in changes if each.source.unit.cluster == cluster],
            )
            for cluster in clusters
        )
    )
    return [outcome for each in results for outcome in each]


async def _to_server(
    inventory: Inventory, cluster: str, changes: Sequence[ObjectChange]
) -> list[Outcome]:
    foreign = {ours: name for name, ours in inventory.names.items()}
    path = inventory.kubeconfig.path if inventory.kubeconfig is not None else None
    slots = asyncio.Semaphore(AT_ONCE)
    try:
        config = load_kubeconfig(Path(path) if path else None)
        credentials = config.credentials(foreign.get(cluster, cluster))
        async with KubeApi(credentials, name=cluster) as api:

            async def one(change: ObjectChange) -> Outcome:
                async with slots:
                    return await _patch(api, change)

            return list(await asyncio.gather(*map(one, changes)))
    except (KubeError, RefusedKubeconfig) as exc:
        return [Outcome(unit=each.source.unit, problem=str(exc)) for each in changes]


async def _patch(api: KubeApi, change: ObjectChange) -> Outcome:
    unit = change.source.unit
    path = object_path(
        "networking.istio.io/v1", "virtualservices", unit.namespace, unit.name
    )
    try:
        answer = await api.json_patch(
            path, annotation_patch(change.source, change.annotations)
        )
    except Rejected:
        return Outcome(
            unit=unit, problem="the object changed meanwhile; the next pass writes it"
        )
    except KubeError as exc:
        return Outcome(unit=unit, problem=str(exc))
    metadata = answer.get("metadata")
    now = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    kept = isinstance(now, Mapping) and all(
        now.get(key) == value for key, value in change.annotations.items()
    )
    return Outcome(
        unit=unit, problem="" if kept else "the API server did not keep the change"
    )

"""All clusters: where each came from, why it is or is not served, and what to do; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from reconciler.codes import Code
from reconciler.plan.arrivals import arrived
from reconciler.plan.index import Index
from reconciler.plan.inputs import Inputs
from reconciler.plan.records import ClusterRecord
from reconciler.plan.standing import Standing, Stands, standings
from reconciler.plan.world import World, read_world


class Phase(StrEnum):
    """Where a cluster is in its life (docs/clusters.md). From Git alone: known, awaited, deleted."""

    SERVED = "served"
    API_ONLY = "api only"
    KNOWN = "known"
    AWAITED = "awaited"
    PROVISIONING = "provisioning"
    UNAPPROVED = "unapproved"
    WITHHELD = "withheld"
    FROZEN = "frozen"
    DISPUTED = "disputed"
    UNREADABLE = "unreadable"
    VANISHED = "vanished"
    DELETED = "deleted"


_PHASES = {
    Code.CLUSTER_PROVISIONING: Phase.PROVISIONING,
    Code.CLUSTER_UNAPPROVED: Phase.UNAPPROVED,
    Code.ARRIVALS_WITHHELD: Phase.WITHHELD,
    Code.CLUSTER_RECREATED: Phase.FROZEN,
    Code.OTHER_CA: Phase.FROZEN,
    Code.DUPLICATE_CLUSTER: Phase.DISPUTED,
    Code.INVENTORIES_DISAGREE: Phase.DISPUTED,
    Code.CLUSTER_VANISHED: Phase.VANISHED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One cluster. `code` and `reason` say why not all of it is followed, empty where it is.

    `origin` is its place in the inventory, `also` other inventories that name it; both are
    known only of a look at them. `api` is where its API answers, in this `mode`.
    """

    cluster: str
    phase: Phase
    exposures: int
    cluster_id: str = ""
    inventory: str = ""
    api: str = ""
    mode: str = ""
    code: str = ""
    reason: str = ""
    origin: str = ""
    also: tuple[str, ...] = ()


def in_git(index: Index, records: Mapping[str, ClusterRecord]) -> tuple[Listed, ...]:
    """What Git says of each cluster, without a look at any inventory."""
    counts = index.heads.exposures
    names = sorted({*records, *(name for name, count in counts.items() if count)})
    return tuple(_recorded(name, records.get(name), counts[name]) for name in names)


def seen(inputs: Inputs) -> tuple[Listed, ...]:
    """What the inventories say now, as the pass of these inputs understands it."""
    world = read_world(Index(inputs.head, inputs.history), inputs)
    stand, _ = arrived(world, standings(world))
    return tuple(_seen(world, each, inputs) for each in stand)


def _recorded(name: str, record: ClusterRecord | None, exposures: int) -> Listed:
    if record is None:
        return Listed(cluster=name, phase=Phase.KNOWN, exposures=exposures)
    phase = Phase.DELETED if record.deleted else Phase.KNOWN
    api = record.api
    return Listed(
        cluster=name,
        phase=phase if record.cluster_id else Phase.AWAITED,
        exposures=exposures,
        cluster_id=record.cluster_id,
        inventory=record.inventory,
        api=f"https://{api.host}:{api.port}" if api else "",
        mode=api.mode if api else "",
    )


def _seen(world: World, stand: Standing, inputs: Inputs) -> Listed:
    name = stand.cluster
    listed = _recorded(name, world.records.get(name), world.exposures(name))
    entries = (each.view.entry for each in inputs.claims)
    entry = next((each for each in entries if each.name == name), None)
    if entry is not None:
        found_id = listed.cluster_id or entry.cluster_id or entry.inventory_id
        against = "; ".join(entry.against)
        listed = replace(
            listed,
            cluster_id=found_id,
            inventory=entry.inventory,
            origin=entry.origin,
            also=entry.also,
            reason=against,
        )
    phase = _phase(stand)
    if phase in (Phase.SERVED, Phase.DELETED):
        return replace(listed, phase=phase, reason=stand.message or listed.reason)
    return replace(listed, phase=phase, code=str(stand.code), reason=stand.message)


def _phase(stand: Standing) -> Phase:
    match stand.stands:
        case Stands.KNOWN:
            return Phase.SERVED
        case Stands.API:
            return Phase.API_ONLY
        case Stands.DELETED:
            return Phase.DELETED
    return _PHASES.get(stand.code, Phase.UNREADABLE)


def named(listed: Iterable[Listed], cluster: str) -> Listed | None:
    """The line of one cluster."""
    return next((each for each in listed if each.cluster == cluster), None)

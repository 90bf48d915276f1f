"""New clusters: which ones an inventory brings at once, and when a person must agree; pure.

Who can write to an inventory could name ten thousand clusters. Each would get a name, a record and
ports; so a set of new ones that is large beside what Git knows waits as a whole. Clusters that
people accepted one by one are no part of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from reconciler.codes import Code
from reconciler.errors import Exit
from reconciler.guards import set_digest, too_many_arrivals
from reconciler.model.clusters import (
    ClusterEntry,
    ClusterState,
    ClusterView,
    Unknown,
    Why,
)
from reconciler.model.plans import Op
from reconciler.plan.identity import is_accepted
from reconciler.plan.records import ClusterRecord
from reconciler.plan.standing import Standing, Stands
from reconciler.plan.world import World
from reconciler.settings import Settings

_NOT_HERE = frozenset({ClusterState.DELETED, ClusterState.PROVISIONING})


def newcomers(
    views: Iterable[ClusterView],
    records: Mapping[str, ClusterRecord],
    settings: Settings,
) -> frozenset[str]:
    """The clusters that inventories name now and that Git and people do not know, each with its id.

    One that is about to be listed counts, one that cannot be read does not.
    """
    closed = {each.name for each in settings.inventories if each.approval}
    return frozenset(
        _named(view.entry)
        for view in views
        if view.entry.inventory not in closed
        and view.entry.state not in _NOT_HERE
        and _may_come(view)
        and not _is_known(view.entry, records.get(view.entry.name))
    )


def _named(entry: ClusterEntry) -> str:
    return f"arrive {entry.name} {entry.inventory_id or entry.cluster_id}"


def _may_come(view: ClusterView) -> bool:
    if not isinstance(view.objects, Unknown) or view.objects.why is Why.NOT_YET:
        return True
    has_id = view.entry.inventory_id or view.entry.cluster_id
    return bool(has_id and view.entry.api_servers)


def _is_known(entry: ClusterEntry, record: ClusterRecord | None) -> bool:
    if record is None:
        return False
    return bool(record.cluster_id) or is_accepted(entry, record.accept)


def arrived(
    world: World, stand: Sequence[Standing]
) -> tuple[tuple[Standing, ...], str]:
    """How clusters stand when too many new ones wait, and the digest of those; empty for none."""
    if not any(each.is_new for each in stand):
        return tuple(stand), ""
    inputs = world.inputs
    coming = inputs.arriving
    if coming is None:
        views = (each.view for each in inputs.claims)
        coming = newcomers(views, world.records, inputs.settings)
    known = sum(1 for each in world.records.values() if each.cluster_id)
    why = too_many_arrivals(
        inputs.settings.guards.arrivals, known=known, new=len(coming)
    )
    digest = set_digest(coming)
    if not why or inputs.accept_arrivals == digest:
        return tuple(stand), ""
    message = f"{why}; all of them pass with --accept-arrivals={digest}"
    return tuple(
        _waits(each, message) if each.is_new else each for each in stand
    ), digest


def _waits(new: Standing, message: str) -> Standing:
    return replace(
        new,
        stands=Stands.SKIPPED,
        claims=None,
        record=None,
        code=Code.ARRIVALS_WITHHELD,
        message=message,
        op=Op.WITHHOLD,
        exit=Exit.BLOCKED,
        waiting=new.claims,
    )

"""How each cluster stands in this pass, before any of its units is looked at; pure.

view      | record in Git                      | stands
----------+------------------------------------+---------------------------------------
unknown   | any                                | SKIPPED: nothing follows from unknown
other CA  | any                                | SKIPPED (other CA): frozen
deleted   | any                                | DELETED: its units are removed, guarded
known     | none, id known of another cluster  | SKIPPED (duplicate)
known     | none                               | KNOWN, new
known     | same id                            | KNOWN
known     | other id, accepted by people       | KNOWN as successor: ports and holds stay
known     | other id, old one was deleted      | DELETED until nothing of it is left
known     | other id                           | SKIPPED (recreated): frozen
none      | any                                | SKIPPED (vanished), or inventory unreadable
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from reconciler.codes import Code
from reconciler.errors import Exit
from reconciler.model.claims import ClusterClaims
from reconciler.model.clusters import ClusterEntry, ClusterState, Unknown, Why
from reconciler.plan.records import ClusterRecord, certificates
from reconciler.plan.world import World
from reconciler.trust import fingerprints

_CODES = {
    Why.UNREACHABLE: Code.CLUSTER_UNREACHABLE,
    Why.TIMEOUT: Code.CLUSTER_TIMEOUT,
    Why.UNAUTHORISED: Code.CLUSTER_UNAUTHORISED,
    Why.FORBIDDEN: Code.CLUSTER_FORBIDDEN,
    Why.INCOMPLETE: Code.CLUSTER_INCOMPLETE,
    Why.NO_CRD: Code.CLUSTER_NO_CRD,
    Why.UNREADABLE: Code.CLUSTER_UNREADABLE,
    Why.NO_ID: Code.CLUSTER_NO_ID,
    Why.DUPLICATE: Code.DUPLICATE_CLUSTER,
    Why.OTHER_CA: Code.OTHER_CA,
}


class Stands(StrEnum):
    """What may be done for a cluster in this pass."""

    KNOWN = "known"
    DELETED = "deleted"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One cluster in this pass. `record` is what its file shall say (`None` when skipped)."""

    cluster: str
    stands: Stands
    claims: ClusterClaims | None
    record: ClusterRecord | None
    code: Code = Code.CLUSTER_ADDED
    message: str = ""
    exit: Exit = Exit.DONE


def standings(world: World) -> tuple[Standing, ...]:
    """Every cluster that is observed or that Git knows, sorted by name."""
    observed = {each.view.entry.name: each for each in world.inputs.claims}
    names = sorted({*observed, *world.clusters()})
    only = world.inputs.only
    return tuple(
        _standing(world, name, observed.get(name))
        for name in names
        if only is None or name in only
    )


def _standing(world: World, name: str, claims: ClusterClaims | None) -> Standing:
    record = world.records.get(name)
    if claims is None:
        return _absent(world, name, record)
    entry = claims.view.entry
    if entry.state is ClusterState.DELETED:
        gone = replace(record, deleted=True) if record is not None else None
        return Standing(cluster=name, stands=Stands.DELETED, claims=None, record=gone)
    unknown = claims.view.objects
    if isinstance(unknown, Unknown):
        code = _CODES[unknown.why]
        means = Exit.BLOCKED if unknown.why is Why.OTHER_CA else Exit.INCOMPLETE
        return _skip(name, code, unknown.message, means)
    return _known(world, claims, record)


def _known(
    world: World, claims: ClusterClaims, record: ClusterRecord | None
) -> Standing:
    entry = claims.view.entry
    name, found = entry.name, entry.cluster_id
    if record is None:
        other = next(
            (
                each.cluster
                for each in world.records.values()
                if each.cluster_id == found
            ),
            None,
        )
        if other is not None and other != name:
            message = f"its id {found} is the id of cluster {other}; one of the two is an impostor"
            return _skip(name, Code.DUPLICATE_CLUSTER, message, Exit.BLOCKED)
        return _stands(claims, fresh(claims))
    if found == record.cluster_id:
        return _stands(claims, _refreshed(claims, record))
    if found in record.accept:
        lineage = tuple(dict.fromkeys((*record.previous_ids, record.cluster_id)))
        successor = replace(
            record,
            cluster_id=found,
            previous_ids=tuple(each for each in lineage if each != found),
            accept=tuple(each for each in record.accept if each != found),
            deleted=False,
        )
        return _stands(claims, _refreshed(claims, successor))
    if record.deleted:
        return Standing(cluster=name, stands=Stands.DELETED, claims=None, record=record)
    message = (
        f"the cluster has another id ({found}, was {record.cluster_id}): it was recreated or "
        f"swapped; run `wharfinger accept-cluster {name} {found}` when that is right"
    )
    return _skip(name, Code.CLUSTER_RECREATED, message, Exit.BLOCKED)


def _stands(claims: ClusterClaims, record: ClusterRecord) -> Standing:
    return Standing(
        cluster=record.cluster, stands=Stands.KNOWN, claims=claims, record=record
    )


def fresh(claims: ClusterClaims) -> ClusterRecord:
    """The record of a cluster that Git does not know yet."""
    entry = claims.view.entry
    return ClusterRecord(
        cluster=entry.name,
        cluster_id=entry.cluster_id,
        inventory=entry.inventory,
        ca_bundle=certificates(entry.ca_bundle),
        trust=entry.trust,
    )


def _refreshed(claims: ClusterClaims, record: ClusterRecord) -> ClusterRecord:
    entry = claims.view.entry
    return vouched(entry, replace(record, inventory=entry.inventory))


def vouched(entry: ClusterEntry, record: ClusterRecord) -> ClusterRecord:
    """The record with what vouches for the cluster's API server now; that is accepted no more."""
    bundle = certificates(entry.ca_bundle)
    if not bundle and not entry.trust:
        return record
    now = {*fingerprints(bundle), *entry.trust}
    return replace(
        record,
        ca_bundle=bundle or record.ca_bundle,
        trust=entry.trust,
        accept=tuple(each for each in record.accept if each not in now),
    )


def _absent(world: World, name: str, record: ClusterRecord | None) -> Standing:
    inventory = record.inventory if record is not None else ""
    failed = {each.inventory: each.reason for each in world.inputs.failures}
    if inventory in failed:
        message = f"inventory {inventory}: {failed[inventory].message}"
        return _skip(name, Code.INVENTORY_UNREADABLE, message, Exit.INCOMPLETE)
    if record is not None and record.deleted:
        return Standing(cluster=name, stands=Stands.DELETED, claims=None, record=record)
    message = (
        "the cluster is gone from its inventory, which is no proof that it was deleted: "
        "nothing is removed"
    )
    return _skip(name, Code.CLUSTER_VANISHED, message, Exit.INCOMPLETE)


def _skip(name: str, code: Code, message: str, code_of_exit: Exit) -> Standing:
    return Standing(
        cluster=name,
        stands=Stands.SKIPPED,
        claims=None,
        record=None,
        code=code,
        message=message,
        exit=code_of_exit,
    )

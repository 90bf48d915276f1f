"""How each cluster stands in this pass, before any of its units is looked at; pure.

`identity.py` has the table of who is who. What then follows, the first line that applies:

view                  | record in Git                   | stands
----------------------+---------------------------------+-----------------------------------------
none                  | accepted, nothing else          | SKIPPED (unapproved, no failure)
none                  | its inventory could not be read | SKIPPED (inventory unreadable)
none                  | says deleted                    | DELETED: its units are removed, guarded
none                  | any                             | SKIPPED (vanished)
deleted, ANOTHER      | any                             | SKIPPED (recreated): frozen
deleted, UNSURE       | is of another inventory         | as none: nobody vouches that it is gone
deleted               | its inventory could not be read | SKIPPED (inventory unreadable)
deleted               | any                             | DELETED
refused               | any                             | SKIPPED (duplicate, disagree, other CA)
provisioning, unknown | any                             | SKIPPED (provisioning, no failure)
provisioning          | none                            | SKIPPED (provisioning, no failure)
unknown, without id   | none                            | SKIPPED: nothing follows from unknown
any, UNSURE           | any                             | SKIPPED: nothing follows from unknown
any, id of another    | none                            | SKIPPED (duplicate): renamed, or an impostor
any                   | none, must be approved          | SKIPPED (unapproved, no failure)
any                   | none, too many at once          | SKIPPED (arrivals withheld)
any, ANOTHER          | says deleted                    | DELETED until nothing of it is left
any, ANOTHER          | any                             | SKIPPED (recreated): frozen
unknown, other CA     | any                             | SKIPPED (other CA): frozen
unknown, API servers  | none, SAME or SUCCESSOR         | API: its API route alone is followed
unknown               | any                             | SKIPPED: nothing follows from unknown
known                 | none, SAME or SUCCESSOR         | KNOWN; of a successor ports and holds stay
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from reconciler.codes import Code
from reconciler.errors import Exit
from reconciler.model.claims import ApiClaim, ClusterClaims
from reconciler.model.clusters import ClusterEntry, ClusterState, Unknown, Why
from reconciler.model.plans import Op
from reconciler.plan.identity import (
    Likeness,
    fresh,
    id_of,
    is_accepted,
    likeness,
    other_ca,
    refreshed,
    successor,
)
from reconciler.plan.records import ClusterRecord
from reconciler.plan.world import World

_CODES = {
    Why.UNREACHABLE: Code.CLUSTER_UNREACHABLE,
    Why.TIMEOUT: Code.CLUSTER_TIMEOUT,
    Why.UNAUTHORISED: Code.CLUSTER_UNAUTHORISED,
    Why.FORBIDDEN: Code.CLUSTER_FORBIDDEN,
    Why.INCOMPLETE: Code.CLUSTER_INCOMPLETE,
    Why.NOT_YET: Code.CLUSTER_INCOMPLETE,
    Why.NO_CRD: Code.CLUSTER_NO_CRD,
    Why.UNREADABLE: Code.CLUSTER_UNREADABLE,
    Why.NO_ID: Code.CLUSTER_NO_ID,
    Why.DUPLICATE: Code.DUPLICATE_CLUSTER,
    Why.DISAGREE: Code.INVENTORIES_DISAGREE,
    Why.OTHER_CA: Code.OTHER_CA,
}
_REFUSED = frozenset({Why.DUPLICATE, Why.DISAGREE, Why.OTHER_CA})


class Stands(StrEnum):
    """What may be done for a cluster in this pass."""

    KNOWN = "known"
    API = "api"  # its objects are unknown, its API servers are not
    DELETED = "deleted"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One cluster in this pass. `record` is what its file shall say (`None` when skipped).

    `code`, `message`, `op` and `exit` say why not all of it is followed, or why it is removed.
    `waiting` is what a cluster asks for that is not taken yet; `is_new`: Git does not know it, and
    no person accepted it.
    """

    cluster: str
    stands: Stands
    claims: ClusterClaims | None = None
    record: ClusterRecord | None = None
    code: Code = Code.CLUSTER_ADDED
    message: str = ""
    exit: Exit = Exit.DONE
    op: Op = Op.SKIP
    waiting: ClusterClaims | None = None
    is_new: bool = False


def standings(world: World) -> tuple[Standing, ...]:
    """Every cluster that is observed or that Git knows, sorted by name."""
    observed = {each.view.entry.name: each for each in world.inputs.claims}
    # One that nobody names any more and that Git never knew is nobody's concern.
    left = (each for each in world.clusters() if _is_in_git(world, each))
    names = sorted({*observed, *left})
    only = world.inputs.only
    judge = _Judge(world)
    return tuple(
        judge.standing(name, observed.get(name))
        for name in names
        if only is None or name in only
    )


def _is_in_git(world: World, name: str) -> bool:
    return name in world.records or bool(world.all_of(name))


class _Judge:
    """Says how clusters stand."""

    def __init__(self, world: World) -> None:
        settings, failures = world.inputs.settings, world.inputs.failures
        self._records = world.records
        self._closed = {each.name for each in settings.inventories if each.approval}
        self._failed = {each.inventory: each.reason for each in failures}
        self._names: Mapping[tuple[str, str], str] | None = None

    def standing(self, name: str, claims: ClusterClaims | None) -> Standing:
        record = self._records.get(name)
        if claims is None:
            return self._absent(name, record)
        entry, unknown = claims.view.entry, claims.view.objects
        is_known = record is not None and record.cluster_id
        if entry.state is ClusterState.DELETED:
            return self._deleted(entry, record if is_known else None)
        if isinstance(unknown, Unknown):
            if unknown.why in _REFUSED:
                return _unknown(name, unknown)
            if entry.state is ClusterState.PROVISIONING:
                return _provisioning(entry)
        if record is None or not record.cluster_id:
            return self._new(claims, record.accept if record is not None else ())
        return self._again(claims, record)

    def _new(self, claims: ClusterClaims, accept: tuple[str, ...]) -> Standing:
        """A cluster that Git does not know."""
        entry, unknown = claims.view.entry, claims.view.objects
        name, found = entry.name, id_of(entry)
        if entry.state is ClusterState.PROVISIONING:
            return _provisioning(entry)
        if isinstance(unknown, Unknown) and (
            not found
            or not isinstance(claims.api, ApiClaim)
            or unknown.why is Why.NOT_YET
        ):
            return _unknown(name, unknown)
        other = self._named(entry)
        if other:
            return _skip(
                name,
                Code.DUPLICATE_CLUSTER,
                f"its id {found} is the id of cluster {other}: when it was renamed, map it with "
                f"`names: {{{name}: {other}}}` of inventory {entry.inventory}; "
                "otherwise one of the two is an impostor",
                Exit.BLOCKED,
            )
        accepted = is_accepted(entry, accept)
        if entry.inventory in self._closed and not accepted:
            message = (
                f"the cluster is new and inventory {entry.inventory} wants approval: run "
                f"`wharfinger accept-cluster {name} {found}` when it shall be served"
            )
            waits = _skip(name, Code.CLUSTER_UNAPPROVED, message, Exit.DONE)
            return replace(waits, waiting=claims)
        ids = (entry.cluster_id, entry.inventory_id)
        left = tuple(each for each in accept if each not in ids)
        made = _stands(claims, replace(fresh(entry), accept=left))
        return replace(made, is_new=not accepted)

    def _again(self, claims: ClusterClaims, record: ClusterRecord) -> Standing:
        """A cluster of a name that Git knows."""
        entry, unknown = claims.view.entry, claims.view.objects
        match likeness(entry, record):
            case Likeness.SAME:
                after = refreshed(entry, record)
            case Likeness.SUCCESSOR:
                after = successor(entry, record)
            case Likeness.ANOTHER if record.deleted:
                return _gone(record, _OF_OLD)
            case Likeness.ANOTHER:
                return _recreated(entry, record)
            case Likeness.UNSURE:
                return _unknown(entry.name, unknown)
        if isinstance(unknown, Unknown) and (other := other_ca(entry, record)):
            return _skip(entry.name, Code.OTHER_CA, other, Exit.BLOCKED)
        if entry.inventory != record.inventory and record.inventory in self._failed:
            # What only another inventory says of it may be less than what Git has from its own.
            claims = replace(claims, api=None)
            after = replace(
                after,
                inventory=record.inventory,
                inventory_id=record.inventory_id,
                ca_bundle=record.ca_bundle,
                trust=record.trust,
            )
        if isinstance(unknown, Unknown) and claims.api is None:
            return _unknown(entry.name, unknown)
        return _stands(claims, after)

    def _deleted(self, entry: ClusterEntry, record: ClusterRecord | None) -> Standing:
        """A cluster that its inventory calls deleted: when it is the one that Git knows."""
        if record is None:
            return Standing(cluster=entry.name, stands=Stands.DELETED)
        is_it, is_own = likeness(entry, record), entry.inventory == record.inventory
        if is_it is Likeness.UNSURE and not is_own:
            # It speaks of whatever it called so: of the one that Git knows it says nothing.
            return self._absent(entry.name, record)
        if is_it is Likeness.ANOTHER:
            message = (
                f"the inventory says that {id_of(entry)} was deleted, and Git knows "
                f"{record.cluster_id} by this name: nothing is removed"
            )
            return _skip(entry.name, Code.CLUSTER_RECREATED, message, Exit.BLOCKED)
        if entry.inventory != record.inventory and record.inventory in self._failed:
            return self._unreadable(entry.name, record.inventory)
        return _gone(replace(record, deleted=True), "its inventory says so")

    def _absent(self, name: str, record: ClusterRecord | None) -> Standing:
        if record is not None and not record.cluster_id:
            message = "people accepted it, and no inventory names it yet"
            return _skip(name, Code.CLUSTER_UNAPPROVED, message, Exit.DONE)
        inventory = record.inventory if record is not None else ""
        if inventory in self._failed:
            return self._unreadable(name, inventory)
        if record is not None and record.deleted:
            return _gone(record, f"so says clusters/{name}.yaml")
        message = (
            "the cluster is gone from its inventory, which is no proof that it was deleted: "
            f"nothing is removed; run `wharfinger accept-cluster {name} --gone` when it is"
        )
        return _skip(name, Code.CLUSTER_VANISHED, message, Exit.INCOMPLETE)

    def _unreadable(self, name: str, inventory: str) -> Standing:
        message = f"inventory {inventory}: {self._failed[inventory].message}"
        return _skip(name, Code.INVENTORY_UNREADABLE, message, Exit.INCOMPLETE)

    def _named(self, entry: ClusterEntry) -> str:
        """The other cluster that has an id of this one; empty for none."""
        if self._names is None:
            # Ten thousand new clusters must not each look through all that Git knows.
            records = self._records.values()
            ids = ((("", each.cluster_id), each.cluster) for each in records)
            uids = ((("", each.uid), each.cluster) for each in records)
            said = (
                ((each.inventory, each.inventory_id), each.cluster) for each in records
            )
            self._names = dict((*said, *uids, *ids))
        keys = (("", entry.cluster_id), (entry.inventory, entry.inventory_id))
        found = (self._names.get(key, "") for key in keys if key[1])
        return next((each for each in found if each not in ("", entry.name)), "")


_OF_OLD = "it was deleted before another one got its name"


def _stands(claims: ClusterClaims, record: ClusterRecord) -> Standing:
    """A cluster that goes on, with its API alone where no more of it is known."""
    unknown = claims.view.objects
    if not isinstance(unknown, Unknown):
        return Standing(
            cluster=record.cluster, stands=Stands.KNOWN, claims=claims, record=record
        )
    why = _unknown(record.cluster, unknown)
    return replace(why, stands=Stands.API, claims=claims, record=record)


def _gone(record: ClusterRecord, why: str) -> Standing:
    return Standing(
        cluster=record.cluster, stands=Stands.DELETED, record=record, message=why
    )


def _provisioning(entry: ClusterEntry) -> Standing:
    message = f"inventory {entry.inventory} is still making it"
    return _skip(entry.name, Code.CLUSTER_PROVISIONING, message, Exit.DONE)


def _recreated(entry: ClusterEntry, record: ClusterRecord) -> Standing:
    found = id_of(entry)
    known = record.known_uid if entry.cluster_id else record.inventory_id
    message = (
        f"the cluster has another id ({found}, was {known or record.cluster_id}): it was "
        f"recreated or swapped; run `wharfinger accept-cluster {entry.name} {found}` when that "
        "is right"
    )
    return _skip(entry.name, Code.CLUSTER_RECREATED, message, Exit.BLOCKED)


def _unknown(name: str, unknown: object) -> Standing:
    if not isinstance(unknown, Unknown):
        raise AssertionError("the objects of a cluster without any id are unknown")
    means = Exit.BLOCKED if unknown.why is Why.OTHER_CA else Exit.INCOMPLETE
    return _skip(name, _CODES[unknown.why], unknown.message, means)


def _skip(name: str, code: Code, message: str, code_of_exit: Exit) -> Standing:
    return Standing(
        cluster=name,
        stands=Stands.SKIPPED,
        code=code,
        message=message,
        exit=code_of_exit,
    )

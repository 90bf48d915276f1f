"""Whether a cluster that is seen is the one that Git knows by its name; pure.

A kube-system UID counts more than the id that an inventory gives: an object of an inventory is
written anew (`clusterctl move`, a restored backup) while the cluster goes on. Without a UID only
the inventory that Git knows the cluster from can say which one it is.

    UID seen | inventory's id   | the record                           | it is
    ---------+------------------+--------------------------------------+---------------------
    agrees   | any              | has this UID (`id` or `uid`)         | the SAME
    accepted | any              | has the UID in `accept`              | its SUCCESSOR
    any      | accepted         | has the inventory's id in `accept`   | its SUCCESSOR
    first    | agrees           | has no UID yet                       | the SAME, `uid` is pinned
    differs  | any              | has another UID                      | ANOTHER
    first    | differs          | has no UID yet                       | ANOTHER
    none     | agrees           | has this `inventoryId`, or it is `id`| the SAME
    none     | differs          | has another one of this inventory    | ANOTHER
    none     | of another inventory, or none                           | UNSURE
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum

from reconciler.model.clusters import ClusterEntry
from reconciler.plan.records import ClusterRecord, certificates
from reconciler.trust import fingerprints


class Likeness(StrEnum):
    """What a cluster that is seen is to the one in Git."""

    SAME = "same"
    SUCCESSOR = "successor"
    ANOTHER = "another"
    UNSURE = "unsure"


def likeness(entry: ClusterEntry, record: ClusterRecord) -> Likeness:
    """What the cluster of an entry is to the one of a record that has an id."""
    seen, said = entry.cluster_id, entry.inventory_id
    if seen and seen in (record.cluster_id, record.uid):
        return Likeness.SAME
    if is_accepted(entry, record.accept):
        return Likeness.SUCCESSOR
    is_known_there = entry.inventory == record.inventory and record.inventory_id
    agrees = said and (
        said == record.cluster_id or (is_known_there and said == record.inventory_id)
    )
    if seen:
        is_first = not record.known_uid
        return Likeness.SAME if is_first and agrees else Likeness.ANOTHER
    if agrees:
        return Likeness.SAME
    return Likeness.ANOTHER if said and is_known_there else Likeness.UNSURE


def is_accepted(entry: ClusterEntry, accept: Iterable[str]) -> bool:
    """Whether people accepted the cluster by one of its ids."""
    return any(
        each in (entry.cluster_id, entry.inventory_id) for each in accept if each
    )


def id_of(entry: ClusterEntry) -> str:
    """The id by which a new cluster owns its ports: its UID, else its inventory's; may be empty."""
    return entry.cluster_id or entry.inventory_id


def fresh(entry: ClusterEntry) -> ClusterRecord:
    """The record of a cluster that Git does not know yet."""
    is_both = entry.cluster_id == entry.inventory_id
    return ClusterRecord(
        cluster=entry.name,
        cluster_id=id_of(entry),
        inventory=entry.inventory,
        inventory_id=entry.inventory_id,
        uid=entry.cluster_id if is_both else "",
        ca_bundle=certificates(entry.ca_bundle),
        trust=entry.trust,
    )


def refreshed(entry: ClusterEntry, record: ClusterRecord) -> ClusterRecord:
    """The record of the same cluster with what is seen of it now."""
    is_there = entry.inventory == record.inventory
    was_inventorys = record.cluster_id == record.inventory_id
    after = replace(
        record,
        inventory=entry.inventory,
        inventory_id=entry.inventory_id or (record.inventory_id if is_there else ""),
        uid=record.uid or (entry.cluster_id if was_inventorys else ""),
        deleted=False,
    )
    return vouched(entry, after)


def successor(entry: ClusterEntry, record: ClusterRecord) -> ClusterRecord:
    """The record of a cluster that people accepted in the place of another: ports and holds stay."""
    new = fresh(entry)
    lineage = dict.fromkeys((*record.previous_ids, record.cluster_id))
    used = (entry.cluster_id, entry.inventory_id)
    after = replace(
        record,
        cluster_id=new.cluster_id,
        inventory=new.inventory,
        inventory_id=new.inventory_id,
        uid=new.uid,
        previous_ids=tuple(each for each in lineage if each != new.cluster_id),
        accept=tuple(each for each in record.accept if each not in used),
        deleted=False,
    )
    return vouched(entry, after)


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


def other_ca(entry: ClusterEntry, record: ClusterRecord) -> str:
    """Why the API servers that an inventory gives are not followed; empty when they are.

    Of a cluster that answers the CA was compared before anything was sent to it; of one that
    does not, what its inventory says is all there is.
    """
    pinned = {*fingerprints(record.ca_bundle), *record.trust}
    found = (*fingerprints(entry.ca_bundle), *entry.trust)
    if not pinned or not found or not pinned.union(record.accept).isdisjoint(found):
        return ""
    return (
        f"its inventory gives another CA than Git has pinned ({found[0]}); run `wharfinger "
        f"accept-cluster {entry.name} {found[0]}` when that is right"
    )

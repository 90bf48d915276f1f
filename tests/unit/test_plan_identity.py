"""Who is who: the table of `plan/identity.py`, row by row, and what a cluster's file says of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.model.clusters import ClusterEntry
from reconciler.plan.identity import (
    Likeness,
    fresh,
    likeness,
    other_ca,
    refreshed,
    successor,
)
from reconciler.plan.records import ClusterRecord, format_record, parse_record

ONE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
TWO = "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n"


def seen(uid: str = "", said: str = "", inventory: str = "lab") -> ClusterEntry:
    return ClusterEntry(
        name="eu1", inventory=inventory, cluster_id=uid, inventory_id=said
    )


def record(**given: object) -> ClusterRecord:
    base = ClusterRecord(cluster="eu1", cluster_id="uid", inventory="lab")
    return replace(base, **given)  # type: ignore[arg-type]


BY_UID = record(inventory_id="inv")
BY_INVENTORY = record(cluster_id="inv", inventory_id="inv")
PINNED = record(cluster_id="inv", inventory_id="inv", uid="uid")
OLD = record()  # written before inventories had ids
ACCEPTING = record(inventory_id="inv", accept=("uid2", "inv2"))


@pytest.mark.parametrize(
    ("entry", "known", "is_it"),
    [
        (seen("uid", "inv"), BY_UID, Likeness.SAME),
        (seen("uid", "moved"), BY_UID, Likeness.SAME),
        (seen("uid", "other", "hub2"), BY_UID, Likeness.SAME),
        (seen("uid"), OLD, Likeness.SAME),
        (seen("uid", "moved"), PINNED, Likeness.SAME),
        (seen("uid2", "inv"), ACCEPTING, Likeness.SUCCESSOR),
        (seen("uid3", "inv2"), ACCEPTING, Likeness.SUCCESSOR),
        (seen("", "inv2"), ACCEPTING, Likeness.SUCCESSOR),
        (seen("uid", "inv"), BY_INVENTORY, Likeness.SAME),
        (seen("uid2", "inv"), BY_UID, Likeness.ANOTHER),
        (seen("uid2", "inv"), PINNED, Likeness.ANOTHER),
        (seen("uid2"), OLD, Likeness.ANOTHER),
        (seen("uid", "moved"), BY_INVENTORY, Likeness.ANOTHER),
        (seen("uid"), BY_INVENTORY, Likeness.ANOTHER),
        (seen("", "inv"), BY_UID, Likeness.SAME),
        (seen("", "inv"), PINNED, Likeness.SAME),
        (seen("", "inv", "renamed"), BY_INVENTORY, Likeness.SAME),
        (seen("", "moved"), BY_UID, Likeness.ANOTHER),
        (seen("", "inv", "hub2"), BY_UID, Likeness.UNSURE),
        (seen("", "inv"), OLD, Likeness.UNSURE),
        (seen(), BY_UID, Likeness.UNSURE),
        (seen(), OLD, Likeness.UNSURE),
    ],
)
def test_who_is_who(entry: ClusterEntry, known: ClusterRecord, is_it: Likeness) -> None:
    assert likeness(entry, known) is is_it


def test_a_new_cluster_goes_by_its_uid_and_remembers_its_inventorys_id() -> None:
    assert fresh(seen("uid", "inv")) == BY_UID


def test_one_that_cannot_be_read_goes_by_its_inventorys_id_until_its_uid_is_pinned() -> (
    None
):
    first = fresh(seen("", "inv"))
    assert first == BY_INVENTORY
    pinned = refreshed(seen("uid", "inv"), first)
    assert pinned == PINNED
    assert refreshed(seen("uid", "moved"), pinned) == replace(
        PINNED, inventory_id="moved"
    )


def test_an_inventory_whose_id_is_the_uid_pins_it_once_it_was_read() -> None:
    """Else the first other UID at that address would be taken for the first one that is seen."""
    said = fresh(seen("", "uid"))
    assert said.known_uid == ""
    read = refreshed(seen("uid", "uid"), said)
    assert (read.uid, read.known_uid) == ("uid", "uid")
    assert fresh(seen("uid", "uid")) == read
    assert likeness(seen("uid2", "uid"), read) is Likeness.ANOTHER


def test_what_is_seen_again_is_not_deleted_any_more() -> None:
    assert not refreshed(seen("uid", "inv"), replace(BY_UID, deleted=True)).deleted


def test_a_successor_has_the_lineage_and_what_else_people_accepted() -> None:
    after = successor(seen("uid2", "inv2"), replace(ACCEPTING, accept=("uid2", "x")))
    assert (after.cluster_id, after.previous_ids) == ("uid2", ("uid",))
    assert (after.inventory_id, after.accept) == ("inv2", ("x",))


@pytest.mark.parametrize(
    ("bundle", "pinned", "accept", "is_other"),
    [
        (ONE, ONE, (), False),
        (TWO + ONE, ONE, (), False),
        ("", ONE, (), False),
        (TWO, "", (), False),
        (TWO, ONE, (), True),
    ],
)
def test_an_address_that_only_an_inventory_knows_is_not_followed_under_another_ca(
    bundle: str, pinned: str, accept: tuple[str, ...], is_other: bool
) -> None:
    known = replace(BY_UID, ca_bundle=pinned, accept=accept)
    message = other_ca(replace(seen("", "inv"), ca_bundle=bundle), known)
    assert bool(message) is is_other
    if is_other:
        token = message.partition("eu1 ")[2].split("`")[0]
        accepting = replace(known, accept=(token,))
        assert other_ca(replace(seen("", "inv"), ca_bundle=bundle), accepting) == ""


@pytest.mark.parametrize("known", [OLD, BY_UID, BY_INVENTORY, PINNED, ACCEPTING])
def test_a_record_reads_as_it_was_written(known: ClusterRecord) -> None:
    assert parse_record("eu1", format_record(known)) == known


def test_the_bytes_of_a_record_without_the_new_ids_stay_as_they_were() -> None:
    assert format_record(OLD) == b"cluster: eu1\nid: uid\ninventory: lab\n"


def test_a_file_may_accept_a_cluster_that_no_pass_has_taken() -> None:
    awaited = ClusterRecord(cluster="eu1", cluster_id="", inventory="", accept=("uid",))
    data = b"cluster: eu1\naccept:\n  - uid\n"
    assert format_record(awaited) == data
    assert parse_record("eu1", data) == awaited
    assert parse_record("eu1", b"cluster: eu1\n") is None
    assert parse_record("eu1", b"cluster: eu1\nid: ''\naccept:\n- uid\n") is None

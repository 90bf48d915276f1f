"""Looks: what counts as a second one, and when to take it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from reconciler.looks import Looks
from reconciler.model.units import UnitId

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
GRACE = timedelta(seconds=60)
ORDERS = UnitId(cluster="eu1", namespace="shop", name="orders")
KNOWN = frozenset({"eu1"})


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def test_every_snapshot_of_a_process_that_lists_is_a_look() -> None:
    looks = Looks()
    looks.note([ORDERS], KNOWN, at(0))
    looks.note([ORDERS], KNOWN, at(15))

    (look,) = looks.current(GRACE)

    assert (look.first, look.last, look.count) == (at(0), at(15), 2)
    assert list(looks.due(GRACE)) == []


def test_what_a_watch_goes_on_saying_is_one_look() -> None:
    looks = Looks(watched=True)
    looks.note([ORDERS], KNOWN, at(0))
    looks.note([ORDERS], KNOWN, at(61))
    looks.note([ORDERS], KNOWN, at(3600))

    (look,) = looks.current(GRACE)

    assert (look.last, look.count) == (at(0), 0)  # with the present one it is one
    assert list(looks.due(GRACE)) == [(at(60), "eu1")]


def test_a_list_of_its_own_after_the_grace_is_the_second_look() -> None:
    looks = Looks(watched=True)
    looks.note([ORDERS], KNOWN, at(0))
    looks.listed(["eu1"], at(60))

    (look,) = looks.current(GRACE)

    assert (look.first, look.count) == (at(0), 1)  # with the present one it is two
    looks.note([ORDERS], KNOWN, at(61))
    (look,) = looks.current(GRACE)
    assert (look.last, look.count) == (at(60), 1)  # the same list is no third look


def test_a_list_within_the_grace_is_no_second_look() -> None:
    looks = Looks(watched=True)
    looks.note([ORDERS], KNOWN, at(0))
    looks.listed(["eu1"], at(59))

    (look,) = looks.current(GRACE)

    assert look.count == 0


def test_a_list_of_another_cluster_is_no_look() -> None:
    looks = Looks(watched=True)
    looks.note([ORDERS], KNOWN, at(0))
    looks.listed(["eu2"], at(60))

    assert [look.count for look in looks.current(GRACE)] == [0]


def test_a_unit_that_is_back_is_forgotten_and_begins_anew() -> None:
    looks = Looks(watched=True)
    looks.note([ORDERS], KNOWN, at(0))
    looks.note([], KNOWN, at(30))
    assert len(looks) == 0

    looks.note([ORDERS], KNOWN, at(60))

    assert [look.first for look in looks.current(GRACE)] == [at(60)]


def test_a_cluster_that_cannot_be_seen_says_nothing() -> None:
    looks = Looks(watched=True)
    looks.note([ORDERS], KNOWN, at(0))
    looks.note([], frozenset(), at(30))

    assert [look.first for look in looks.current(GRACE)] == [at(0)]


def test_a_look_at_other_units_of_the_cluster_forgets_nothing() -> None:
    carts = UnitId(cluster="eu1", namespace="shop", name="carts")
    looks = Looks(watched=True)
    looks.note([ORDERS], KNOWN, at(0))
    looks.note([], KNOWN, at(5), among=[carts])
    assert len(looks) == 1

    looks.note([], KNOWN, at(6), among=[carts, ORDERS])

    assert len(looks) == 0


def test_what_is_there_again_is_forgotten() -> None:
    looks = Looks(watched=True)
    looks.note([ORDERS], KNOWN, at(0))
    assert looks.missing() == {"eu1": {ORDERS}}

    looks.there([ORDERS])

    assert (len(looks), dict(looks.missing())) == (0, {})


def test_what_is_served_no_more_is_not_looked_for_again() -> None:
    looks = Looks(watched=True)
    other = UnitId(cluster="eu1", namespace="shop", name="other")
    looks.note([ORDERS, other], KNOWN, at(0))

    looks.removed(lambda unit: unit == other)

    assert looks.missing() == {"eu1": frozenset({other})}

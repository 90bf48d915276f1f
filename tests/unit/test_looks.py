"""Looks: what counts as a second one, and when to take it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from reconciler.looks import Looks
from reconciler.model.units import UnitId
from reconciler.settings import Guards

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
GRACE = timedelta(seconds=60)
GUARDS = Guards(grace=GRACE)
ORDERS = UnitId(cluster="eu1", namespace="shop", name="orders")


def known(unit: UnitId) -> bool:
    return unit.cluster == "eu1"


def nobody(unit: UnitId) -> bool:
    return False


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def test_every_snapshot_of_a_process_that_lists_is_a_look() -> None:
    looks = Looks()
    looks.note([ORDERS], known, at(0), GRACE)
    looks.note([ORDERS], known, at(15), GRACE)

    (look,) = looks.current(GRACE)

    assert (look.first, look.last, look.count) == (at(0), at(15), 2)
    assert list(looks.due(GUARDS)) == []


def test_what_a_watch_goes_on_saying_is_one_look() -> None:
    looks = Looks(watched=True)
    looks.note([ORDERS], known, at(0), GRACE)
    looks.note([ORDERS], known, at(61), GRACE)
    looks.note([ORDERS], known, at(3600), GRACE)

    (look,) = looks.current(GRACE)

    assert (look.last, look.count) == (at(0), 0)  # with the present one it is one
    assert list(looks.due(GUARDS)) == [(at(60), "eu1")]


def test_a_list_of_its_own_after_the_grace_is_the_second_look() -> None:
    looks = Looks(watched=True)
    looks.note([ORDERS], known, at(0), GRACE)
    looks.listed(["eu1"], at(60))

    (look,) = looks.current(GRACE)

    assert (look.first, look.count) == (at(0), 1)  # with the present one it is two
    looks.note([ORDERS], known, at(61), GRACE)
    (look,) = looks.current(GRACE)
    assert (look.last, look.count) == (at(60), 1)  # the same list is no third look


def test_a_list_within_the_grace_is_no_second_look() -> None:
    looks = Looks(watched=True)
    looks.note([ORDERS], known, at(0), GRACE)
    looks.listed(["eu1"], at(59))

    (look,) = looks.current(GRACE)

    assert look.count == 0


def test_a_list_of_another_cluster_is_no_look() -> None:
    looks = Looks(watched=True)
    looks.note([ORDERS], known, at(0), GRACE)
    looks.listed(["eu2"], at(60))

    assert [look.count for look in looks.current(GRACE)] == [0]


def test_a_unit_that_is_back_is_forgotten_and_begins_anew() -> None:
    looks = Looks(watched=True)
    looks.note([ORDERS], known, at(0), GRACE)
    looks.note([], known, at(30), GRACE)
    assert len(looks) == 0

    looks.note([ORDERS], known, at(60), GRACE)

    assert [look.first for look in looks.current(GRACE)] == [at(60)]


def test_a_cluster_that_cannot_be_seen_says_nothing() -> None:
    looks = Looks(watched=True)
    looks.note([ORDERS], known, at(0), GRACE)
    looks.note([], nobody, at(30), GRACE)

    assert [look.first for look in looks.current(GRACE)] == [at(0)]


def test_a_look_at_other_units_of_the_cluster_forgets_nothing() -> None:
    carts = UnitId(cluster="eu1", namespace="shop", name="carts")
    looks = Looks(watched=True)
    looks.note([ORDERS], known, at(0), GRACE)
    looks.note([], lambda unit: unit == carts, at(5), GRACE)
    assert len(looks) == 1

    looks.note([], known, at(6), GRACE)

    assert len(looks) == 0


def test_what_is_there_again_is_forgotten() -> None:
    looks = Looks(watched=True)
    looks.note([ORDERS], known, at(0), GRACE)
    assert looks.missing() == {"eu1": {ORDERS}}

    looks.forget([ORDERS])

    assert (len(looks), dict(looks.missing())) == (0, {})


def test_what_is_served_no_more_is_not_looked_for_again() -> None:
    looks = Looks(watched=True)
    other = UnitId(cluster="eu1", namespace="shop", name="other")
    looks.note([ORDERS, other], known, at(0), GRACE)

    looks.removed(lambda unit: unit == other)

    assert looks.missing() == {"eu1": frozenset({other})}


def test_a_list_for_the_sake_of_another_unit_is_no_look_before_the_grace_is_over() -> (
    None
):
    looks = Looks(watched=True)
    looks.note([ORDERS], known, at(0), GRACE)
    looks.listed(["eu1"], at(1))
    looks.note([ORDERS], known, at(2), GRACE)

    (look,) = looks.current(GRACE)

    assert look.count == 0
    assert list(looks.due(GUARDS)) == [(at(60), "eu1")]


def test_what_was_looked_for_enough_is_looked_for_ever_more_seldom() -> None:
    looks = Looks(watched=True)
    looks.note([ORDERS], known, at(0), GRACE)
    lists = []
    for _ in range(9):
        ((due, _),) = looks.due(GUARDS)
        lists.append(round((due - at(0)).total_seconds()))
        looks.listed(["eu1"], due)
        looks.note([ORDERS], known, due, GRACE)

    assert lists == [60, 120, 240, 480, 960, 1920, 3840, 7440, 11040]


def test_as_many_looks_as_people_want_are_a_grace_apart() -> None:
    looks = Looks(watched=True)
    looks.note([ORDERS], known, at(0), GRACE)
    guards = Guards(grace=GRACE, confirmations=4)
    for seconds in (60, 120, 180):
        assert list(looks.due(guards)) == [(at(seconds), "eu1")]
        looks.listed(["eu1"], at(seconds))
        looks.note([ORDERS], known, at(seconds), GRACE)

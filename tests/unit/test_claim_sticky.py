"""The sticky set changes only when it must, and then as little as possible."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from reconciler.claim.sticky import ENOUGH, MAX_ADDRESSES, Standing, choose, pool
from reconciler.model.units import Address
from reconciler.names import short_hash, short_hashes

SALT = ("eu1/shop/orders", "shop/db:5432")


def at(number: int) -> Address:
    return Address(host=f"10.20.0.{number}", port=31000)


def among(standings: Mapping[int, Standing]):
    return pool((at(number), standing) for number, standing in standings.items())


def ready(*numbers: int):
    return among(dict.fromkeys(numbers, Standing.READY))


standings = st.dictionaries(st.integers(1, 30), st.sampled_from(Standing), max_size=24)
sets = st.lists(st.integers(1, 40), unique=True, max_size=12).map(
    lambda numbers: tuple(sorted(at(number) for number in numbers))
)


def test_a_new_set_has_eight_members() -> None:
    assert len(choose((), ready(*range(20)), SALT)) == ENOUGH


def test_units_spread_over_members() -> None:
    chosen = {
        choose((), ready(*range(20)), (f"eu1/shop/u{index}", "key"))
        for index in range(20)
    }
    assert len(chosen) > 15


def test_members_that_come_change_nothing() -> None:
    before = choose((), ready(*range(8)), SALT)
    assert choose(before, ready(*range(30)), SALT) == before


def test_a_small_set_is_filled() -> None:
    before = choose((), ready(1, 2), SALT)
    assert choose(before, ready(1, 2, 3), SALT) == tuple(map(at, (1, 2, 3)))


def test_a_member_that_goes_is_replaced_alone() -> None:
    before = choose((), ready(*range(20)), SALT)
    gone = before[3]
    rest = ready(*(n for n in range(20) if at(n) != gone))
    after = choose(before, rest, SALT)
    assert set(before) - set(after) == {gone}
    assert len(after) == ENOUGH


def test_an_unready_member_stays_for_the_grace_and_goes_after() -> None:
    before = tuple(map(at, (1, 2)))
    lasting = among({1: Standing.LASTING, 2: Standing.READY, 3: Standing.READY})
    expired = among({1: Standing.EXPIRED, 2: Standing.READY, 3: Standing.READY})
    assert choose(before, lasting, SALT) == before
    assert choose(before, expired, SALT) == tuple(map(at, (2, 3)))


def test_unready_members_are_never_chosen_anew() -> None:
    mixed = among({1: Standing.LASTING, 2: Standing.EXPIRED, 3: Standing.SPARE})
    assert choose((), mixed, SALT) == ()


def test_when_nothing_is_ready_members_that_exist_are_kept() -> None:
    before = tuple(map(at, (1, 2, 3)))
    left = among({1: Standing.EXPIRED, 2: Standing.LASTING, 9: Standing.EXPIRED})
    assert choose(before, left, SALT) == tuple(map(at, (1, 2)))


def test_a_larger_set_is_not_cut() -> None:
    before = tuple(sorted(map(at, range(12))))
    assert choose(before, ready(*range(30)), SALT) == before


def test_a_set_has_a_bound() -> None:
    many = [Address(host=f"10.20.{n // 250}.{n % 250}", port=1) for n in range(500)]
    found = choose(many, pool((each, Standing.READY) for each in many), SALT)
    assert len(found) == MAX_ADDRESSES


def test_of_an_address_found_twice_the_better_standing_counts() -> None:
    twice = [(at(1), Standing.EXPIRED), (at(1), Standing.READY)]
    assert pool(twice) == pool(reversed(twice))
    assert pool(twice).ready == (at(1),)


@given(previous=sets, standing=standings)
def test_a_choice_is_final_until_something_changes(
    previous: tuple[Address, ...], standing: dict[int, Standing]
) -> None:
    once = choose(previous, among(standing), SALT)
    assert choose(once, among(standing), SALT) == once


@given(previous=sets, standing=standings, data=st.data())
def test_order_means_nothing(
    previous: tuple[Address, ...], standing: dict[int, Standing], data: st.DataObject
) -> None:
    shuffled = dict(data.draw(st.permutations(list(standing.items()))))
    before = data.draw(st.permutations(previous))
    expected = choose(previous, among(standing), SALT)
    assert choose(before, among(shuffled), SALT) == expected


@given(previous=sets, standing=standings)
def test_members_leave_for_a_reason_and_join_for_a_need(
    previous: tuple[Address, ...], standing: dict[int, Standing]
) -> None:
    everything = among(standing)
    chosen = choose(previous, everything, SALT)
    left = set(previous) - set(chosen)
    joined = set(chosen) - set(previous)
    for each in left:
        assert everything.members.get(each) in (None, Standing.EXPIRED)
    for each in joined:
        assert everything.members[each] is Standing.READY
    assert set(chosen) <= set(everything.members)
    assert len(chosen) >= min(ENOUGH, len(everything.ready))
    if joined:
        assert len(chosen) == min(ENOUGH, len(everything.ready))


@given(
    size=st.integers(1, 20),
    gone=st.sets(st.integers(0, 19), max_size=8),
)
def test_removing_members_changes_only_what_is_needed(
    size: int, gone: set[int]
) -> None:
    before = choose((), ready(*range(size)), SALT)
    rest = ready(*(n for n in range(size) if n not in gone))
    after = choose(before, rest, SALT)
    lost = set(before) & {at(n) for n in gone}
    assert set(before) - set(after) == lost
    assert len(set(after) - set(before)) <= len(lost)


def test_hashes_that_begin_alike_are_those_of_all_parts() -> None:
    one_more = short_hashes("eu1/shop/orders", "shop/db:5432", length=16)
    for part in ("10.20.0.1:0", "[fd00::1]:0", ""):
        whole = short_hash("eu1/shop/orders", "shop/db:5432", part, length=16)
        assert one_more(part) == whole

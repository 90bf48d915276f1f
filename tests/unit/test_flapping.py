"""Two reconcilers that disagree stop; so does an object that flaps."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings, strategies

from reconciler.errors import Exit
from reconciler.flapping import RETURNS, recent_moves, returns
from reconciler.ledger import touches
from reconciler.model.claims import ClusterClaims
from reconciler.model.repository import History
from tests.planning import Bench, claims, ops, wanted, wish

WISH = "manifests/public/eu1/shop/vs-orders.yaml"
UNIT = wish().unit


def weights(blue: int) -> ClusterClaims:
    return claims(wanted(wish(routes={"tcp": (("blue", blue), ("green", 1))})))


GONE = claims(unexposed=(UNIT,))


def turned(bench: Bench, *worlds: ClusterClaims, every: float = 1) -> None:
    """One pass after the other, each with its view of the world."""
    for world in worlds:
        made = bench.run(world)
        assert made.exits == ()
        bench.wait(minutes=every)


@pytest.fixture
def fought() -> Bench:
    bench = Bench()
    turned(bench, *[weights(1), weights(2)] * 2, weights(1))
    return bench


def test_two_that_disagree_stop_and_say_so(fought: Bench) -> None:
    before = fought.files[WISH]
    made = fought.plan(weights(2))
    assert ops(made) == [("skip", "orders", "WHF213")]
    assert made.exits == (Exit.BLOCKED,)
    assert made.drafts == ()
    reason = made.rows[0].reason
    assert "two reconcilers" in reason
    assert "flaps" in reason
    assert "wharfinger release" in reason
    assert made.rows[0].port is not None
    assert [each.message[:6] for each in made.states] == ["WHF213"]
    assert fought.files[WISH] == before


def test_the_one_that_agrees_with_git_has_nothing_to_do(fought: Bench) -> None:
    made = fought.plan(weights(1))
    assert (made.rows, made.exits) == ((), ())


def test_fewer_returns_are_people_who_change_their_minds() -> None:
    bench = Bench()
    turned(bench, *[weights(1), weights(2)] * 2)
    assert ops(bench.plan(weights(1))) == [("update", "orders", "WHF502")]


def test_a_wish_that_is_new_is_written(fought: Bench) -> None:
    assert ops(fought.run(weights(3))) == [("update", "orders", "WHF502")]


def test_it_ends_by_itself(fought: Bench) -> None:
    fought.wait(minutes=50)
    assert ops(fought.plan(weights(2))) == [("skip", "orders", "WHF213")]
    fought.wait(minutes=10)
    assert ops(fought.plan(weights(2))) == [("update", "orders", "WHF502")]


def test_slow_turns_are_no_fight() -> None:
    bench = Bench()
    turned(bench, *[weights(1), weights(2)] * 5, every=21)


def test_a_person_ends_it(fought: Bench) -> None:
    released = fought.plan(weights(2), released=frozenset({UNIT}))
    assert ops(released) == [("update", "orders", "WHF502")]
    fought.person({WISH: fought.files[WISH] + b"# we looked\n"})
    assert [row.op for row in fought.plan(weights(2)).rows] == ["update"]


def test_what_one_sees_and_the_other_does_not_stops_too() -> None:
    bench = Bench()
    turned(bench, *[weights(1), GONE] * 2)
    assert ops(bench.plan(weights(1))) == [("skip", "orders", "WHF213")]
    port = next(path for path in bench.files if path.startswith("ports/"))
    assert b"released" in bench.files[port]
    other = Bench()
    turned(other, *[weights(1), GONE] * 2)
    other.wait(hours=1)
    assert ops(other.run(weights(1))) == [("create", "orders", "WHF501")]
    assert port in other.files


def test_a_cluster_that_two_inventories_name_stops_too() -> None:
    bench, one = Bench(), claims()
    entry = replace(one.view.entry, inventory="other")
    other = replace(one, view=replace(one.view, entry=entry))
    turned(bench, *[one, other] * 2, one)
    made = bench.plan(other)
    assert ops(made) == [("skip", None, "WHF213")]
    assert made.drafts == ()


def test_other_units_go_on(fought: Bench) -> None:
    both = replace(
        weights(2), claims=(*weights(2).claims, *claims(wanted(wish("x"))).claims)
    )
    assert ("create", "x", "WHF501") in ops(fought.run(both))
    assert ops(fought.plan(both)) == [("skip", "orders", "WHF213")]


def test_a_release_of_the_unit_is_a_last_word(fought: Bench) -> None:
    at = len(fought.commits) - 1
    fought.commits[at] = replace(fought.commits[at], released=(str(UNIT),))
    history = History(commits=tuple(reversed(fought.commits)), read=fought.blobs.get)  # type: ignore[arg-type]
    assert recent_moves(touches(history)[WISH], str(UNIT), fought.now) == ()
    assert recent_moves(touches(history)[WISH], "eu1/shop/else", fought.now) != ()


@given(strategies.lists(strategies.sampled_from([0, 1, 2, 3]), max_size=24))
@settings(max_examples=80, deadline=None)
def test_no_fight_goes_on_and_planning_again_plans_nothing(turns: list[int]) -> None:
    bench = Bench()
    worlds = {0: GONE, **{each: weights(each) for each in (1, 2, 3)}}
    for turn in turns:
        bench.run(worlds[turn])
        assert bench.plan(worlds[turn]).drafts == ()
        bench.wait(seconds=15)
    history = History(
        commits=tuple(reversed(bench.commits)), read=bench.blobs.__getitem__
    )
    moves = touches(history).get(WISH, [])
    assert len(moves) <= RETURNS + len(worlds)
    assert returns(b"something new", moves, bench.blobs.__getitem__) == 0

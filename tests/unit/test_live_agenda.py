"""The agenda: what is due when, after pushes, failures and proofs."""

from __future__ import annotations

import math
from dataclasses import replace

from reconciler.codes import Code
from reconciler.live.agenda import HOUR, Agenda
from reconciler.live.tally import NOBODY, Tally
from reconciler.live.windows import Pace
from reconciler.model.plans import Op, Plan, Row
from reconciler.model.repository import CommitId
from reconciler.model.units import UnitId


def agenda() -> Agenda:
    """One whose first pass has just ended, at 100 s."""
    made = Agenda(pace=Pace(quiet=2.0, longest=15.0), interval=15.0)
    made.passed(100.0, pushed=False)
    made.passed_whole(100.0, None)
    made.fetch_at = math.inf
    return made


def test_a_window_makes_a_pass_due_and_a_push_spaces_the_next() -> None:
    made = agenda()
    made.windows.note("eu1", 100.0)
    assert made.next_at(proofs=False) == 102.0
    assert (made.due(101.9).passes, made.due(102.0).passes) == (False, True)
    made.windows.take(102.0)
    made.passed(102.0, pushed=True)

    made.alarms.note("eu1", 102.5)

    assert made.next_at(proofs=False) == 104.0
    assert made.due(104.0).passes
    assert not made.due(104.0).whole


def test_everything_is_looked_at_once_an_hour() -> None:
    made = agenda()
    assert made.next_at(proofs=False) == 100.0 + HOUR
    assert made.hourly
    assert made.due(100.0 + HOUR).whole

    made.everything(200.0)

    assert (made.next_at(proofs=False), made.hourly) == (200.0, False)


def test_failures_back_off_up_to_a_minute_until_the_branch_moves() -> None:
    made = agenda()
    rests = []
    for _ in range(6):
        made.failed(200.0, whole=True, chance=1.0)
        rests.append(made.rest_until - 200.0)
    assert rests == [15.0, 30.0, 60.0, 60.0, 60.0, 60.0]
    made.failed(200.0, whole=True, chance=0.0)
    assert made.rest_until == 230.0

    made.moved(205.0)

    assert made.due(205.0).whole


def test_a_fetch_tells_of_a_repair_before_the_next_try() -> None:
    made = agenda()
    made.fetch_at = 100.0
    for _ in range(5):
        made.failed(200.0, whole=True, chance=1.0)
    assert made.fetch_at == 215.0 < made.rest_until


def test_what_moves_is_proven_ever_later_and_everything_seldom() -> None:
    made = agenda()
    made.prove_soon(200.0)
    now, steps = 200.0, []
    for _ in range(6):
        assert made.due(now).prove
        made.proven(now, moving=True)
        assert made.prove_at is not None
        steps.append(made.prove_at - now)
        now = made.prove_at
    assert steps == [1.0, 2.0, 4.0, 8.0, 15.0, 15.0]
    made.proven(now, moving=False)
    assert made.prove_at is None

    made.proven_all(now, seconds=0.1)
    assert made.all_at == now + 15.0
    made.proven_all(now, seconds=3.0)
    assert made.all_at == now + 60.0


def row(name: str, op: Op, code: Code) -> Row:
    return Row(
        op=op,
        cluster="eu1",
        namespace="shop",
        name=name,
        route="tcp",
        gateway="public",
        host="h",
        port=1,
        code=code,
        reason="",
    )


def plan(*rows: Row) -> Plan:
    return Plan(
        base=CommitId(""),
        digest="",
        rows=rows,
        drafts=(),
        states=(),
        withheld="",
        exits=(),
    )


def test_rows_stand_until_a_pass_over_their_unit() -> None:
    a, b = (UnitId(cluster="eu1", namespace="shop", name=name) for name in "ab")
    tally = Tally()
    tally.whole(
        plan(row("a", Op.HOLD, Code.HELD_BY_FILE), row("b", Op.REJECT, Code.PORT_TAKEN))
    )
    assert (tally.ops[Op.HOLD], tally.ops[Op.REJECT]) == (1, 1)
    assert (tally.held[Code.HELD_BY_FILE], tally.waiting) == (1, {b})

    tally.slice(plan(row("b", Op.CREATE, Code.EXPOSED)), {b})
    assert (tally.ops[Op.HOLD], tally.ops[Op.REJECT]) == (1, 0)
    assert tally.waiting == set()

    tally.slice(plan(), {a, b})
    assert (sum(tally.ops.values()), sum(tally.held.values())) == (0, 0)


def test_a_row_of_no_unit_waits_for_its_whole_cluster() -> None:
    of_cluster = replace(row("", Op.SKIP, Code.DUPLICATE_CLUSTER), name=None)
    of_nobody = replace(row("", Op.SKIP, Code.LEDGER_CONTRADICTION), name=None)
    tally = Tally()
    tally.whole(
        plan(
            replace(of_cluster, namespace=None),
            replace(of_nobody, cluster="", namespace=None),
            row("a", Op.SKIP, Code.LEDGER_CONTRADICTION),
        )
    )

    a = UnitId(cluster="eu1", namespace="shop", name="a")
    assert tally.waiting == {UnitId(cluster="eu1"), NOBODY, a}
    assert set(tally.keys()) == {"eu1", a}


def test_the_branch_is_fetched_although_passes_are_always_due() -> None:
    made = agenda()
    made.fetched(100.0)
    made.windows.note("eu1", 100.0)
    assert (made.due(129.9).passes, made.due(129.9).late) == (True, False)
    assert made.due(130.0).late
    made.fetched(130.0)
    assert not made.due(130.0).late


def test_what_is_withheld_waits_for_a_pass_over_everything() -> None:
    a, b = (UnitId(cluster="eu1", namespace="shop", name=name) for name in "ab")
    tally = Tally()
    tally.whole(
        plan(
            row("a", Op.WITHHOLD, Code.DELETIONS_WITHHELD),
            row("b", Op.WITHHOLD, Code.REWRITES_WITHHELD),
        )
    )
    assert tally.withheld == {a, b}
    assert set(tally.keys()) == set()

    tally.slice(plan(row("a", Op.UPDATE, Code.EXPOSED)), {a})
    assert tally.withheld == {b}
    tally.whole(plan())
    assert tally.withheld == set()

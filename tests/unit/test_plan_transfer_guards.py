"""What keeps a transfer from going wrong: settings, holds, reverts, budgets, hostile words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.ledger_file import format_entry, parse_entry
from reconciler.model.clusters import ClusterObjects
from reconciler.model.plans import State
from tests.planning import Bench, claims, ops, settings, wanted, wish
from tests.transferring import (
    BOTH,
    NEW,
    OLD,
    U1,
    U2,
    eu1,
    eu2,
    give,
    live,
    quiet,
    said,
    started,
    there,
    unseen,
)

TWO = {"5432": (("db", 1),), "5433": (("web", 1),)}


@pytest.fixture
def bench() -> Bench:
    return started()


def test_an_unreachable_new_cluster_takes_nothing(bench: Bench) -> None:
    give(bench, 20042, str(U2))
    before = dict(bench.files)
    made = bench.run(BOTH[0], unseen("eu2"))
    assert bench.files == before
    assert any("cluster eu2 cannot be seen" in row.reason for row in made.rows)


def test_which_of_several_routes_must_be_clear(bench: Bench) -> None:
    give(bench, 20042, str(U2))
    unclear = eu2(wanted(wish(cluster="eu2", routes=TWO)))
    made = bench.run(BOTH[0], unclear)
    assert ops(made) == [("reject", "orders", "WHF129")]
    assert "request-port: 5432=20042" in made.rows[0].reason
    assert said(made, U2)[0] is State.REJECTED
    assert live(bench) == {20042: f"active {U1}/tcp -> {U2}"}


def test_another_request_of_the_new_unit_is_never_overruled(bench: Bench) -> None:
    give(bench, 20042, str(U2))
    made = bench.run(BOTH[0], eu2(there(port=20050)))
    assert "asks for port 20050" in made.rows[0].reason
    assert live(bench) == {20042: f"active {U1}/tcp -> {U2}"}


def test_a_tenant_without_the_gateway_gets_nothing(bench: Bench) -> None:
    bench.settings = settings(
        gateways=[
            {
                "name": name,
                "renderer": "envoy",
                "namespace": "x",
                "ports": {"range": ports},
            }
            for name, ports in (("public", "20000-20099"), ("inner", "30000-30099"))
        ],
        tenants=[
            {"clusters": ["eu1"], "gateways": ["public"]},
            {"clusters": ["*"], "gateways": ["inner"]},
        ],
    )
    give(bench, 20042, str(U2))
    made = bench.run(*BOTH)
    assert ops(made) == [("reject", "orders", "WHF129")]
    assert live(bench) == {20042: f"active {U1}/tcp -> {U2}"}
    assert "may not use gateway public" in said(made, U2)[1]


def test_a_quota_counts_what_arrives(bench: Bench) -> None:
    bench.settings = settings(
        tenants=[
            {"clusters": ["eu1"], "gateways": ["public"]},
            {"clusters": ["*"], "gateways": ["public"], "quota": {"routes": 1}},
        ]
    )
    other = wanted(wish("other", cluster="eu2"))
    bench.run(BOTH[0], eu2(other))
    give(bench, 20042, str(U2))
    made = bench.run(BOTH[0], eu2(other, there()))
    assert made.drafts == ()
    assert said(made, U2)[0] is State.REJECTED
    assert "may have 1 routes" in said(made, U2)[1]
    bench.settings = settings(
        tenants=[{"clusters": ["*"], "gateways": ["public"], "quota": {"routes": 2}}]
    )
    bench.run(BOTH[0], eu2(other, there()))
    assert live(bench)[20042] == f"active {U2}/tcp"


@pytest.mark.parametrize("path", ["holds/eu1/shop/orders.yaml", "holds/eu2.yaml"])
def test_a_hold_of_either_side_waits(bench: Bench, path: str) -> None:
    give(bench, 20042, str(U2))
    bench.person({path: b"{reason: freeze week, by: Ada}\n"})
    made = bench.run(*BOTH)
    assert live(bench) == {20042: f"active {U1}/tcp -> {U2}"}
    assert any("freeze week" in row.reason and row.op == "hold" for row in made.rows)
    assert "freeze week" in said(made, U2)[1]
    bench.person({path: None})
    bench.run(*BOTH)
    assert live(bench) == {20042: f"active {U2}/tcp"}


def test_a_held_wish_of_the_old_unit_waits(bench: Bench) -> None:
    changed = eu1(wanted(wish(routes={"tcp": (("db", 7),)}), port=20042))
    bench.run(changed, eu2())
    bench.revert()
    give(bench, 20042, str(U2))
    made = bench.run(changed, eu2(there()))
    assert live(bench) == {20042: f"active {U1}/tcp -> {U2}"}
    assert said(made, U2)[0] is State.HELD
    assert "Ada Lovelace" in said(made, U2)[1]


def test_a_reverted_transfer_gives_the_port_back_and_holds(bench: Bench) -> None:
    give(bench, 20042, str(U2))
    bench.run(*BOTH)
    commit = bench.revert()
    made = bench.run(*BOTH)
    assert made.drafts == ()
    assert made.exits == ()
    assert live(bench) == {20042: f"active {U1}/tcp -> {U2}"}
    assert said(made, U1)[0] is State.ALLOCATED
    state, message = said(made, U2)
    assert state is State.HELD
    assert commit[:7] in message
    bench.wait(hours=30)
    quiet(bench, *BOTH)
    bench.run(*BOTH, released=frozenset({U2}))
    assert live(bench) == {20042: f"active {U2}/tcp"}


def test_reverting_the_revert_hands_over_again(bench: Bench) -> None:
    give(bench, 20042, str(U2))
    bench.run(*BOTH)
    bench.revert()
    bench.revert()
    made = bench.run(*BOTH)
    assert made.drafts == ()
    assert live(bench) == {20042: f"active {U2}/tcp"}
    assert made.exits == ()


def test_a_cancelled_transfer_after_a_revert_leaves_the_old_owner(bench: Bench) -> None:
    give(bench, 20042, str(U2))
    bench.run(*BOTH)
    bench.revert()
    give(bench, 20042, "")
    bench.run(*BOTH)
    assert live(bench)[20042] == f"active {U1}/tcp"
    assert bench.plan(*BOTH).exits == ()


def test_taking_back_only_the_ledger_is_a_contradiction(bench: Bench) -> None:
    give(bench, 20042, str(U2))
    bench.run(*BOTH)
    bench.revert(
        keep=[path for path in bench.files if path.startswith("manifests/")] + [OLD]
    )
    before = dict(bench.files)
    made = bench.run(*BOTH)
    assert ("skip", "orders", "WHF202") in ops(made)
    assert {path for path in bench.files if path.startswith("manifests/")} == {
        path for path in before if path.startswith("manifests/")
    }
    assert OLD not in bench.files


def test_cancelled_in_time_nothing_happens(bench: Bench) -> None:
    give(bench, 20042, str(U2))
    bench.run(BOTH[0], eu2())
    give(bench, 20042, "")
    made = bench.run(BOTH[0], eu2())
    assert made.rows == ()
    assert live(bench) == {20042: f"active {U1}/tcp"}


def test_a_foreign_edit_counts_for_next_alone(bench: Bench) -> None:
    path = "ports/public/20042.yaml"
    entry = parse_entry(path, bench.files[path])
    assert entry.owner is not None
    thief = replace(entry, owner=replace(entry.owner, route="x"), next=str(U2))
    bench.person({path: format_entry(thief)})
    made = bench.run(*BOTH)
    assert live(bench)[20042] != f"active {U2}/tcp"
    assert made.exits


@pytest.mark.parametrize(
    "text", ["eu2", "eu2/shop", "EU2/shop/x", "../x/y", "a/b/c/d", "all/a/b"]
)
def test_a_malformed_next_loses_nothing(bench: Bench, text: str) -> None:
    give(bench, 20042, text)
    before = dict(bench.files)
    made = bench.run(*BOTH[:1], eu2())
    assert bench.files == before
    assert ops(made) == [("reject", "orders", "WHF129")]
    assert "--cancel" in made.rows[0].reason
    assert said(made, U1)[0] is State.ALLOCATED


def test_a_next_of_another_shape_is_put_back_in_order(bench: Bench) -> None:
    path = "ports/public/20042.yaml"
    before = bench.files[path]
    bench.person({path: before + b"next: [eu2, shop, orders]\n"})
    made = bench.run(*BOTH)
    assert ("update", "orders", "WHF502") in ops(made)
    assert bench.files[path] == before


def test_next_of_the_owner_itself_is_refused(bench: Bench) -> None:
    give(bench, 20042, str(U1))
    made = bench.run(BOTH[0], eu2())
    assert "has it already" in made.rows[0].reason
    assert live(bench) == {20042: f"active {U1}/tcp -> {U1}"}


def test_two_ports_for_one_route_are_refused() -> None:
    bench = Bench()
    other = wanted(wish("other"), port=20043)
    observed = (eu1(wanted(port=20042), other), eu2(there()))
    bench.run(observed[0], eu2())
    give(bench, 20042, str(U2))
    give(bench, 20043, str(U2))
    made = bench.run(*observed)
    assert made.drafts == ()
    assert all("cancel all but one" in row.reason for row in made.rows)
    assert len(made.rows) == 2


def test_one_commit_also_when_very_many_units_change() -> None:
    bench = Bench(
        settings=settings(
            gateways=[
                {
                    "name": "public",
                    "renderer": "envoy",
                    "namespace": "x",
                    "ports": {"range": "20000-20999"},
                }
            ]
        )
    )
    bench.run(eu1(wanted(port=20042)), eu2())
    give(bench, 20042, str(U2))
    crowd = [wanted(wish(f"n{number}", cluster="eu2")) for number in range(250)]
    made = bench.run(eu1(wanted(port=20042)), eu2(there(), *crowd))
    holding = [
        draft for draft in made.drafts if any(w.path == OLD for w in draft.writes)
    ]
    assert [draft.units for draft in holding] == [(str(U1), str(U2))]
    assert NEW in {write.path for write in holding[0].writes}
    assert "ports/public/20042.yaml" in {write.path for write in holding[0].writes}


def test_transfers_are_no_deletions_for_the_budget() -> None:
    names = [f"n{number}" for number in range(8)]
    bench = Bench()
    old = eu1(*(wanted(wish(name), port=20040 + at) for at, name in enumerate(names)))
    bench.run(old, eu2())
    for at, name in enumerate(names):
        give(bench, 20040 + at, f"eu2/shop/{name}")
    new = eu2(*(wanted(wish(name, cluster="eu2")) for name in names[:7]))
    made = bench.run(old, new)
    assert not made.withheld
    assert sorted(live(bench).values())[1:] == [
        f"active eu2/shop/{name}/tcp" for name in names[:7]
    ]
    gone = bench.plan(
        eu1(
            *(wanted(wish(name)) for name in names[:7]),
            unexposed=(wish(names[7]).unit,),
        ),
        new,
    )
    assert ("delete", "n7", "WHF505") in ops(gone)


def test_a_removed_owner_leaves_the_port_to_the_next_alone(bench: Bench) -> None:
    give(bench, 20042, str(U2))
    gone = eu1(unexposed=(U1,))
    bench.run(gone, eu2())
    assert live(bench) == {20042: f"released {U1}/tcp -> {U2}"}
    bench.wait(hours=48)
    thief = wanted(wish("thief"), port=20042)
    made = bench.run(eu1(thief, unexposed=(U1,)), eu2())
    assert ("reject", "thief", "WHF123") in ops(made)
    bench.run(gone, eu2(there()))
    assert live(bench) == {20042: f"active {U2}/tcp"}
    bench.run(*BOTH)
    assert live(bench)[20042] == f"active {U2}/tcp"


def test_cancelling_frees_what_waited_for_nobody(bench: Bench) -> None:
    give(bench, 20042, str(U2))
    bench.run(eu1(unexposed=(U1,)), eu2())
    give(bench, 20042, "")
    bench.wait(hours=48)
    bench.run(eu1(wanted(wish("heir"), port=20042), unexposed=(U1,)), eu2())
    assert live(bench) == {20042: "active eu1/shop/heir/tcp"}


def test_nobody_else_gets_it_meanwhile(bench: Bench) -> None:
    give(bench, 20042, str(U2))
    bench.wait(hours=48)
    thief = eu2(wanted(wish("thief", cluster="eu2"), port=20042))
    made = bench.run(BOTH[0], thief)
    assert ("reject", "thief", "WHF123") in ops(made)


def test_a_pass_of_some_clusters_leaves_it_to_a_whole_one(bench: Bench) -> None:
    give(bench, 20042, str(U2))
    for only in ("eu1", "eu2"):
        made = bench.run(*BOTH, only=frozenset({only}))
        assert made.drafts == ()
    assert said(made, U2)[0] is State.PENDING


def test_a_look_that_missed_the_old_one_hands_over_at_once(bench: Bench) -> None:
    give(bench, 20042, str(U2))
    empty = claims()
    view = replace(empty.view, objects=ClusterObjects(one_look_is_proof=False))
    bench.run(replace(empty, view=view), eu2(there()))
    assert live(bench) == {20042: f"active {U2}/tcp"}

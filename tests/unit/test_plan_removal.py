"""Removing things: unknown is not empty, budgets, and what needs a person."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.codes import Code
from reconciler.errors import Exit, Usage
from reconciler.model.claims import ClusterClaims, Rejection, Wanted
from reconciler.model.clusters import (
    ClusterEntry,
    ClusterState,
    ClusterView,
    InventoryFailure,
    Unknown,
    Why,
)
from reconciler.model.plans import Look, Plan
from tests.planning import Bench, claims, ops, settings, summary, wanted, wish


def many(count: int) -> list[Wanted]:
    return [wanted(wish(f"s{index:02}")) for index in range(count)]


def unknown(why: Why = Why.UNREACHABLE) -> ClusterClaims:
    return ClusterClaims(
        view=ClusterView(
            entry=ClusterEntry(name="eu1", inventory="lab"),
            objects=Unknown(why=why, message="no answer"),
        )
    )


@pytest.mark.parametrize("why", list(Why))
def test_nothing_of_an_unknown_cluster_changes(why: Why) -> None:
    bench = Bench()
    bench.run(claims(*many(5)))
    before = dict(bench.files)
    other = claims(wanted(wish(cluster="us1")), cluster="us1", cluster_id="id-us1")
    made = bench.run(unknown(why), other)
    assert summary(made) == ["create", "skip"]
    frozen = why is Why.OTHER_CA
    assert made.exits == (Exit.BLOCKED if frozen else Exit.INCOMPLETE,)
    assert {path: bench.files[path] for path in before} == before


def test_a_cluster_that_vanished_from_its_inventory_is_reported_not_deleted() -> None:
    bench = Bench()
    bench.run(claims(*many(2)))
    made = bench.plan()
    assert [(row.op, row.name, row.code) for row in made.rows] == [
        ("skip", None, Code.CLUSTER_VANISHED)
    ]
    assert made.drafts == ()
    assert made.exits == (Exit.INCOMPLETE,)


def test_an_unreadable_inventory_is_unknown() -> None:
    bench = Bench()
    bench.run(claims(*many(2)))
    failure = InventoryFailure(
        inventory="lab", reason=Unknown(why=Why.UNREADABLE, message="no such folder")
    )
    made = bench.plan(failures=(failure,))
    assert {row.code for row in made.rows} == {Code.INVENTORY_UNREADABLE}
    assert made.drafts == ()
    assert made.exits == (Exit.INCOMPLETE,)


def test_an_unreadable_inventory_is_incomplete_even_when_git_knows_no_cluster() -> None:
    failure = InventoryFailure(
        inventory="lab", reason=Unknown(why=Why.UNREADABLE, message="no such folder")
    )
    assert Bench().plan(failures=(failure,)).exits == (Exit.INCOMPLETE,)


def test_an_object_missing_from_one_list_waits_for_the_next_look() -> None:
    bench = Bench()
    bench.run(claims(wanted(), one_look=False))
    first = bench.plan(claims(one_look=False))
    assert ops(first) == [("withhold", "orders", "WHF207")]
    assert first.unconfirmed == (wish().unit,)
    assert first.drafts == ()
    assert Exit.BLOCKED in first.exits
    looked = bench.now
    bench.wait(seconds=59)
    look = Look(unit=wish().unit, first=looked, last=looked, count=1)
    assert bench.plan(claims(one_look=False), looks=(look,)).drafts == ()
    bench.wait(seconds=1)
    assert ops(bench.plan(claims(one_look=False), looks=(look,))) == [
        ("delete", "orders", "WHF506")
    ]


def test_a_list_of_nothing_is_believed_as_a_whole_or_not_at_all() -> None:
    bench = Bench()
    bench.run(claims(*many(3), one_look=False))
    began = bench.now
    bench.wait(seconds=60)
    units = sorted(each.wish.unit for each in many(3))

    def gone(*since: int) -> Plan:
        looks = (
            Look(unit=unit, first=at, last=at, count=1)
            for unit, seconds in zip(units, since, strict=False)
            for at in [began + timedelta(seconds=seconds)]
        )
        nothing = replace(claims(one_look=False), empty=True)
        return bench.plan(nothing, looks=tuple(looks))

    assert {row.op for row in gone(0).rows} == {"withhold"}
    assert {row.op for row in gone(0, 0, 1).rows} == {"withhold"}
    assert gone(0).unconfirmed == tuple(units)
    assert [row.op for row in gone(0, 0, 0).rows] == ["delete"] * 3


def test_an_object_without_the_annotation_is_proof_by_itself() -> None:
    bench = Bench()
    bench.run(claims(wanted(), one_look=False))
    made = bench.plan(claims(one_look=False, unexposed=(wish().unit,)))
    assert ops(made) == [("delete", "orders", "WHF505")]


def test_deletions_over_budget_wait_all_together_while_the_rest_goes_on() -> None:
    bench = Bench()
    bench.run(claims(*many(20)))
    made = bench.plan(claims(*many(16), wanted(wish("new"))))
    assert summary(made) == ["create", "withhold", "withhold", "withhold", "withhold"]
    assert made.withheld
    assert Exit.BLOCKED in made.exits
    accepted = bench.run(
        claims(*many(16), wanted(wish("new"))), accept_deletions=made.withheld
    )
    assert summary(accepted) == ["create", "delete", "delete", "delete", "delete"]
    assert accepted.withheld == ""


def test_another_set_is_not_accepted_with_the_digest_of_the_first() -> None:
    bench = Bench()
    bench.run(claims(*many(20)))
    shown = bench.plan(claims(*many(16)))
    made = bench.plan(claims(*many(15)), accept_deletions=shown.withheld)
    assert summary(made) == ["withhold"] * 5


def test_the_budget_rolls_over_24_hours() -> None:
    bench = Bench()
    bench.run(claims(*many(20)))
    assert summary(bench.run(claims(*many(18)))) == ["delete", "delete"]
    assert summary(bench.plan(claims(*many(16)))) == ["withhold", "withhold"]
    bench.wait(hours=24)
    assert summary(bench.run(claims(*many(16)))) == ["delete", "delete"]


def test_a_cluster_to_zero_waits_when_more_than_a_few_were_there() -> None:
    bench = Bench(
        settings=settings(guards={"deletions": {"percent": 100, "atLeast": 3}})
    )
    bench.run(claims(*many(4)))
    assert summary(bench.plan(claims())) == ["withhold"] * 4


def test_a_few_of_a_small_cluster_go_without_a_person() -> None:
    bench = Bench()
    bench.run(claims(*many(3)))
    assert summary(bench.run(claims())) == ["delete"] * 3


def test_one_cluster_over_budget_does_not_stop_another() -> None:
    bench = Bench()
    us1 = {"cluster": "us1", "cluster_id": "id-us1"}
    bench.run(claims(*many(20)), claims(wanted(wish(cluster="us1")), **us1))
    made = bench.plan(claims(), claims(**us1))
    assert summary(made) == ["delete"] + ["withhold"] * 20


def test_a_rejection_changes_nothing_that_is_served() -> None:
    bench = Bench()
    bench.run(claims(wanted()))
    before = dict(bench.files)
    bad = Rejection(code=Code.INVALID_WEIGHTS, reason="weights")
    made = bench.run(claims((wish().unit, bad)))
    assert ops(made) == [("reject", "orders", "WHF115")]
    assert made.exits == ()
    assert bench.files == before


def test_what_settings_no_longer_permit_is_removed_as_a_guarded_deletion() -> None:
    bench = Bench()
    bench.run(claims(wanted(hosts=("10.0.0.1",))))
    bench.settings = settings(
        tenants=[
            {"clusters": ["*"], "gateways": ["public"], "endpoints": ["192.0.2.0/24"]}
        ]
    )
    bad = Rejection(code=Code.ENDPOINT_NOT_ALLOWED, reason="not allowed")
    made = bench.run(claims((wish().unit, bad)))
    assert ("delete", "orders", "WHF507") in ops(made)
    again = bench.plan(claims((wish().unit, bad)))
    assert ops(again) == [("reject", "orders", "WHF119")]


def test_a_tenant_that_is_gone_removes_its_routes() -> None:
    bench = Bench()
    bench.run(claims(wanted()))
    bench.settings = settings(tenants=[{"clusters": ["other"], "gateways": ["public"]}])
    bad = Rejection(code=Code.NO_TENANT, reason="no tenant")
    assert ("delete", "orders", "WHF507") in ops(bench.plan(claims((wish().unit, bad))))


def test_a_recreated_cluster_freezes_until_a_person_accepts_it() -> None:
    bench = Bench()
    bench.run(claims(wanted(port=20042)))
    made = bench.plan(claims(wanted(), cluster_id="id-new"))
    assert [(row.op, row.code) for row in made.rows] == [
        ("skip", Code.CLUSTER_RECREATED)
    ]
    assert made.exits == (Exit.BLOCKED,)
    assert made.drafts == ()
    record = bench.files["clusters/eu1.yaml"] + b"accept:\n  - id-new\n"
    bench.person({"clusters/eu1.yaml": record})
    bench.run(claims(wanted(), cluster_id="id-new"))
    assert b"id-new" in bench.files["ports/public/20042.yaml"]
    assert b"state: active" in bench.files["ports/public/20042.yaml"]
    assert bench.plan(claims(wanted(), cluster_id="id-new")).drafts == ()


def test_a_removed_cluster_file_lets_no_recreated_cluster_in() -> None:
    bench = Bench()
    bench.run(claims(wanted()))
    bench.person({"clusters/eu1.yaml": None})
    made = bench.plan(claims(wanted(), cluster_id="id-new"))
    assert [row.code for row in made.rows] == [Code.CLUSTER_RECREATED]


def test_a_cluster_that_its_inventory_calls_deleted_is_removed_guarded() -> None:
    deleted = ClusterClaims(
        view=ClusterView(
            entry=ClusterEntry(name="eu1", inventory="lab", state=ClusterState.DELETED),
            objects=Unknown(why=Why.UNREACHABLE, message="gone"),
        )
    )
    bench = Bench()
    bench.run(claims(*many(5)))
    made = bench.run(deleted)
    assert summary(made) == ["withhold"] * 5
    assert b"deleted: true" in bench.files["clusters/eu1.yaml"]
    bench.run(deleted, accept_deletions=made.withheld)
    assert [path for path in bench.files if not path.startswith("ports/")] == []
    fresh = bench.run(claims(wanted(), cluster_id="id-new"))
    assert summary(fresh) == ["create"]


def test_a_contradicted_unit_of_a_deleted_cluster_is_frozen_not_removed() -> None:
    deleted = ClusterClaims(
        view=ClusterView(
            entry=ClusterEntry(name="eu1", inventory="lab", state=ClusterState.DELETED),
            objects=Unknown(why=Why.UNREACHABLE, message="gone"),
        )
    )
    bench = Bench()
    bench.run(claims(wanted(wish("a"), port=20042), wanted(wish("b"), port=20043)))
    ledger = "ports/public/20042.yaml"
    stolen = bench.files[ledger].replace(b"name: a,", b"name: b,")
    bench.person({ledger: stolen})
    made = bench.run(deleted)
    assert ("skip", "b", "WHF202") in ops(made)
    assert "manifests/public/eu1/shop/vs-b.yaml" in bench.files
    assert b"state: active" in bench.files["ports/public/20043.yaml"]


def test_a_gateway_with_live_allocations_cannot_leave_the_settings() -> None:
    bench = Bench()
    bench.run(claims(wanted()))
    bench.settings = settings(
        gateways=[
            {
                "name": "other",
                "renderer": "envoy",
                "namespace": "x",
                "ports": {"range": "1-2"},
            }
        ],
        tenants=[{"clusters": ["*"], "gateways": ["other"]}],
    )
    with pytest.raises(Usage, match="public"):
        bench.plan(claims(wanted()))


def test_many_rewrites_without_a_changed_wish_wait_for_a_person() -> None:
    bench = Bench()
    bench.run(claims(*many(20)))
    bench.settings = settings(
        gateways=[
            {
                "name": "public",
                "renderer": "envoy",
                "namespace": "ingress",
                "host": "new.example.com",
                "ports": {"range": "20000-20099"},
            }
        ]
    )
    made = bench.plan(claims(*many(20), wanted(wish("new"))))
    assert summary(made) == ["create"] + ["withhold"] * 20
    assert all(
        row.code == Code.REWRITES_WITHHELD for row in made.rows if row.op == "withhold"
    )
    passed = bench.run(
        claims(*many(20), wanted(wish("new"))), accept_rewrites=made.withheld
    )
    assert summary(passed) == ["create"] + ["update"] * 20


def test_a_wish_without_an_address_is_pending_and_one_that_loses_them_is_degraded() -> (
    None
):
    bench = Bench()
    made = bench.run(claims(wanted(hosts=())))
    assert ops(made) == [("skip", "orders", "WHF201")]
    assert bench.files.keys() == {"clusters/eu1.yaml"}
    bench.run(claims(wanted()))
    emptied = bench.run(claims(wanted(hosts=())))
    assert ops(emptied) == [("update", "orders", "WHF503")]
    assert emptied.states[0].degraded
    assert any(path.startswith("ports/") for path in bench.files)


def test_files_of_people_under_our_folders_are_left_alone() -> None:
    bench = Bench()
    header = b"# eu1 shop/foreign -> tcp.ingress.example.com:20099 wish 00000000\n"
    path = "manifests/public/eu1/shop/vs-foreign.yaml"
    bench.person({path: header, "manifests/public/eu1/notes.txt": b"x"})
    bench.run(claims(wanted()))
    assert path in bench.files
    assert "manifests/public/eu1/notes.txt" in bench.files


def test_grace_of_zero_and_one_confirmation_delete_at_once() -> None:
    bench = Bench(settings=settings(guards={"confirmations": 1, "grace": "0s"}))
    bench.run(claims(wanted(), one_look=False))
    assert ops(bench.plan(claims(one_look=False))) == [("delete", "orders", "WHF506")]
    assert settings(guards={"grace": "0s"}).guards.grace == timedelta(0)

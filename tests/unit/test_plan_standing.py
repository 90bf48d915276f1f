"""How clusters stand: the table of `plan/standing.py`, by what a pass writes and says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.codes import Code
from reconciler.errors import Exit
from reconciler.model.claims import ApiClaim, ClusterClaims
from reconciler.model.clusters import (
    ClusterEntry,
    ClusterState,
    ClusterView,
    InventoryFailure,
    Unknown,
    Why,
)
from reconciler.model.plans import Op, Plan
from reconciler.model.units import (
    Address,
    Backend,
    Destination,
    Failover,
    Located,
    LocatedRoute,
    UnitAddresses,
    UnitId,
)
from reconciler.plan.records import ClusterRecord, parse_record
from reconciler.trust import fingerprints
from tests.planning import Bench, claims, settings, wanted, wish

API = UnitId(cluster="eu1")
RECORD = "clusters/eu1.yaml"
NO_ANSWER = Unknown(why=Why.UNREACHABLE, message="no answer")
CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
OTHER = "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n"
INVENTORIES = [
    {"name": name, "directory": {"path": f"/{name}"}} for name in ("lab", "hub")
]


def api(*masters: str, cluster: str = "eu1") -> ApiClaim:
    unit = UnitId(cluster=cluster)
    there = Destination(namespace="", service="", port=0, backend=Backend.API_SERVER)
    found = tuple(Address(host=host, port=6443) for host in sorted(masters))
    located = Located(destination=there, addresses=found)
    addresses = UnitAddresses(
        unit=unit,
        failover=Failover.NONE,
        routes=(LocatedRoute(name="api", located=(located,)),),
    )
    return ApiClaim(unit=unit, addresses=addresses, certificate_names=None)


def known(
    *names: str,
    uid: str = "uid",
    masters: tuple[str, ...] = ("10.0.0.1",),
    **rest: object,
) -> ClusterClaims:
    """Cluster eu1 as it is read, with these exposures and API servers."""
    made = claims(*(wanted(wish(name)) for name in names), cluster_id=uid)
    entry = replace(made.view.entry, **{"inventory_id": "inv", **rest})  # type: ignore[arg-type]
    view = replace(made.view, entry=entry)
    return replace(made, view=view, api=api(*masters) if masters else None)


def unread(
    masters: tuple[str, ...] = ("10.0.0.1",), why: Unknown = NO_ANSWER, **rest: object
) -> ClusterClaims:
    """Cluster eu1, of which only its inventory knows something."""
    entry = ClusterEntry(name="eu1", inventory="lab", inventory_id="inv")
    entry = replace(entry, **rest)  # type: ignore[arg-type]
    view = ClusterView(entry=entry, objects=why)
    return ClusterClaims(view=view, api=api(*masters) if masters else None)


def rows(made: Plan) -> set[tuple[str, str | None, str]]:
    return {(row.op.value, row.name, row.code.value) for row in made.rows}


def said(made: Plan) -> tuple[set[tuple[str, str | None, str]], tuple[Exit, ...]]:
    return rows(made), made.exits


def record(bench: Bench) -> ClusterRecord:
    found = parse_record("eu1", bench.files[RECORD])
    assert found is not None
    return found


def served(*names: str, **rest: object) -> Bench:
    """A repository that serves cluster eu1."""
    bench = Bench(settings=settings(inventories=INVENTORIES))
    bench.run(known(*names, **rest))  # type: ignore[arg-type]
    return bench


def test_a_cluster_that_cannot_be_read_has_an_api_route_from_its_inventory() -> None:
    bench = Bench()
    made = bench.run(unread())
    assert said(made) == (
        {
            ("create", None, str(Code.EXPOSED)),
            ("skip", None, str(Code.CLUSTER_UNREACHABLE)),
        },
        (Exit.INCOMPLETE,),
    )
    assert (record(bench).cluster_id, record(bench).inventory_id) == ("inv", "inv")
    assert bench.run(unread()).drafts == ()
    bench.run(known("orders"))
    assert (record(bench).cluster_id, record(bench).uid) == ("inv", "uid")
    assert b"clusterId: inv" in bench.files["ports/public/" + port_of(bench)]


def port_of(bench: Bench) -> str:
    return next(
        path.removeprefix("ports/public/")
        for path, data in bench.files.items()
        if path.startswith("ports/public/") and b"name: orders" in data
    )


def test_the_masters_are_followed_while_a_cluster_cannot_be_read() -> None:
    bench = served("orders", "billing")
    before = dict(bench.files)
    endpoints = "manifests/public/eu1/api.endpoints.yaml"
    for masters in (("10.0.0.1", "10.0.0.2", "10.0.0.3"), ("10.0.0.2",), ("10.0.0.9",)):
        made = bench.run(unread(masters))
        assert said(made) == (
            {
                ("update", None, str(Code.ADDRESSES_CHANGED)),
                ("skip", None, str(Code.CLUSTER_UNREACHABLE)),
            },
            (Exit.INCOMPLETE,),
        )
        changed = {p for p in bench.files if bench.files[p] != before.get(p)}
        assert changed == {endpoints}
        for host in masters:
            assert host.encode() in bench.files[endpoints]


def test_an_unreadable_cluster_with_the_same_masters_changes_nothing() -> None:
    bench = served("orders")
    before = dict(bench.files)
    made = bench.run(unread())
    assert said(made) == (
        {("skip", None, str(Code.CLUSTER_UNREACHABLE))},
        (Exit.INCOMPLETE,),
    )
    assert bench.files == before


@pytest.mark.parametrize("why", [Why.DUPLICATE, Why.DISAGREE, Why.OTHER_CA])
def test_what_is_refused_moves_no_api_route(why: Why) -> None:
    bench = served("orders")
    before = dict(bench.files)
    made = bench.run(unread(("10.6.6.6",), Unknown(why=why, message="no")))
    assert bench.files == before
    assert {row.op for row in made.rows} == {Op.SKIP}
    made = Bench().run(unread(("10.6.6.6",), Unknown(why=why, message="no")))
    assert made.drafts == ()


@pytest.mark.parametrize(
    ("rest", "code", "means"),
    [
        ({"inventory_id": ""}, Code.CLUSTER_UNREACHABLE, Exit.INCOMPLETE),
        ({"inventory": "hub"}, Code.CLUSTER_UNREACHABLE, Exit.INCOMPLETE),
        ({"inventory_id": "inv2"}, Code.CLUSTER_RECREATED, Exit.BLOCKED),
        ({"cluster_id": "uid2"}, Code.CLUSTER_RECREATED, Exit.BLOCKED),
        ({"ca_bundle": OTHER}, Code.OTHER_CA, Exit.BLOCKED),
    ],
)
def test_an_inventory_moves_the_api_route_of_nobody_but_the_cluster_that_git_knows(
    rest: dict[str, str], code: Code, means: Exit
) -> None:
    bench = served("orders", ca_bundle=CA)
    before = dict(bench.files)
    made = bench.run(unread(("10.6.6.6",), **rest))
    assert said(made) == ({("skip", None, str(code))}, (means,))
    assert bench.files == before


def test_another_ca_that_people_accept_is_followed() -> None:
    bench = served(ca_bundle=CA)
    token = fingerprints(OTHER)[0].encode()
    bench.person({RECORD: bench.files[RECORD] + b"accept:\n- '" + token + b"'\n"})
    made = bench.run(unread(("10.0.0.7",), ca_bundle=OTHER))
    assert ("update", None, str(Code.ADDRESSES_CHANGED)) in rows(made)
    assert (record(bench).ca_bundle, record(bench).accept) == (OTHER, ())


def test_a_rotated_ca_and_a_moved_object_are_a_note_and_no_decision() -> None:
    bench = served("orders", ca_bundle=CA)
    before = dict(bench.files)
    made = bench.run(known("orders", ca_bundle=OTHER + CA, inventory_id="moved"))
    assert made.rows == ()
    changed = {p for p in bench.files if bench.files[p] != before.get(p)}
    assert changed == {RECORD}
    assert record(bench).inventory_id == "moved"


def test_swapped_endpoints_freeze_both_clusters() -> None:
    bench = served("orders")
    us1 = known("orders", uid="uid-us1")
    us1 = _as("us1", us1)
    bench.run(known("orders"), us1)
    before = dict(bench.files)
    swapped = known("orders", uid="uid-us1", masters=("10.9.9.9",))
    other = _as("us1", known("orders", uid="uid", masters=("10.9.9.8",)))
    made = bench.run(swapped, other)
    assert {(row.cluster, row.op, row.code) for row in made.rows} == {
        (name, Op.SKIP, Code.CLUSTER_RECREATED) for name in ("eu1", "us1")
    }
    assert made.exits == (Exit.BLOCKED,)
    assert bench.files == before


def _as(name: str, seen: ClusterClaims) -> ClusterClaims:
    entry = replace(seen.view.entry, name=name, inventory_id=f"inv-{name}")
    made = claims(wanted(wish("orders", cluster=name)), cluster=name)
    masters = seen.api.addresses.routes[0].located[0].addresses if seen.api else ()
    return replace(
        made,
        view=replace(seen.view, entry=entry),
        api=api(*(each.host for each in masters), cluster=name),
    )


def test_a_cluster_in_the_making_is_no_failure_and_gets_nothing() -> None:
    bench = Bench()
    for seen in (
        unread(state=ClusterState.PROVISIONING),
        known("orders", state=ClusterState.PROVISIONING),
    ):
        made = bench.run(seen)
        assert said(made) == (
            {("skip", None, str(Code.CLUSTER_PROVISIONING))},
            (Exit.DONE,),
        )
        assert bench.files == {}


def test_a_served_cluster_that_is_changed_loses_nothing() -> None:
    """An inventory may call an upgrade in progress what it likes."""
    bench = served("orders")
    before = dict(bench.files)
    for state in (ClusterState.PROVISIONING, ClusterState.UNKNOWN):
        assert bench.run(known("orders", state=state)).rows == ()
        bench.run(unread(state=state))
        assert bench.files == before


def test_a_deletion_of_another_cluster_of_its_name_removes_nothing() -> None:
    bench = served("orders")
    before = dict(bench.files)
    for rest in ({"inventory_id": "inv2"}, {"cluster_id": "uid2"}):
        made = bench.run(unread((), state=ClusterState.DELETED, **rest))
        assert said(made) == (
            {("skip", None, str(Code.CLUSTER_RECREATED))},
            (Exit.BLOCKED,),
        )
        assert bench.files == before


def test_a_deletion_that_another_inventory_tells_of_an_unknown_id_removes_nothing() -> (
    None
):
    bench = served("orders")
    before = dict(bench.files)
    state = ClusterState.DELETED
    for inventory_id in ("other", ""):
        gone = unread((), inventory="hub", inventory_id=inventory_id, state=state)
        assert rows(bench.run(gone)) == {("skip", None, str(Code.CLUSTER_VANISHED))}
        assert bench.files == before


def test_what_another_inventory_says_counts_less_while_its_own_cannot_be_read() -> None:
    bench = served("orders")
    before = dict(bench.files)
    failed = InventoryFailure(inventory="lab", reason=NO_ANSWER)
    elsewhere = known("orders", masters=("10.9.9.9",), inventory="hub", ca_bundle=CA)
    assert bench.run(elsewhere, failures=(failed,)).drafts == ()
    gone = unread((), inventory="hub", state=ClusterState.DELETED)
    made = bench.run(gone, failures=(failed,))
    assert ("skip", None, str(Code.INVENTORY_UNREADABLE)) in rows(made)
    assert bench.files == before
    made = bench.run(elsewhere)
    assert rows(made) == {("update", None, str(Code.ADDRESSES_CHANGED))}
    assert record(bench).inventory == "hub"


def test_a_deleted_cluster_goes_with_all_that_it_has() -> None:
    bench = served("orders")
    made = bench.run(unread((), state=ClusterState.DELETED))
    assert {row.reason for row in made.rows} == {
        "the cluster was deleted: its inventory says so"
    }
    assert RECORD not in bench.files


def test_a_person_says_that_a_vanished_cluster_is_gone() -> None:
    bench = served("orders")
    made = bench.run()
    assert said(made) == (
        {("skip", None, str(Code.CLUSTER_VANISHED))},
        (Exit.INCOMPLETE,),
    )
    assert "accept-cluster eu1 --gone" in made.rows[0].reason
    bench.person({RECORD: bench.files[RECORD] + b"deleted: true\n"})
    made = bench.run()
    assert {row.code for row in made.rows} == {Code.CLUSTER_DELETED}
    assert {row.reason for row in made.rows} == {
        "the cluster was deleted: so says clusters/eu1.yaml"
    }
    assert RECORD not in bench.files


def test_the_word_that_a_cluster_is_gone_is_over_when_an_inventory_names_it() -> None:
    bench = served("orders")
    before = dict(bench.files)
    bench.person({RECORD: bench.files[RECORD] + b"deleted: true\n"})
    assert bench.run(known("orders")).rows == ()
    assert bench.files == before


def test_the_word_that_a_cluster_is_gone_is_only_of_the_id_that_we_wrote() -> None:
    bench = served("orders")
    told = (
        bench.files[RECORD].replace(b"id: uid\n", b"id: other\n") + b"deleted: true\n"
    )
    bench.person({RECORD: told})
    made = bench.run()
    assert rows(made) == {("skip", None, str(Code.CLUSTER_VANISHED))}


def test_one_id_under_another_name_is_told_how_to_map_it() -> None:
    bench = served("orders")
    before = dict(bench.files)
    renamed = _as("new", known("orders"))
    made = bench.run(renamed)
    told = {row.cluster: (row.code, row.reason) for row in made.rows}
    assert told["eu1"][0] is Code.CLUSTER_VANISHED
    assert told["new"][0] is Code.DUPLICATE_CLUSTER
    assert "names: {new: eu1}" in told["new"][1]
    by_inventory = _as("new", known("orders", uid="uid9"))
    entry = replace(by_inventory.view.entry, inventory_id="inv")
    view = replace(by_inventory.view, entry=entry)
    made = bench.run(replace(by_inventory, view=view))
    assert Code.DUPLICATE_CLUSTER in {row.code for row in made.rows}
    assert bench.files == before


def test_who_else_has_the_name_of_a_served_cluster_is_told_beside_it() -> None:
    bench = served("orders")
    made = bench.run(known("orders", "billing", against=("an impostor",)))
    assert ("skip", None, str(Code.DUPLICATE_CLUSTER)) in rows(made)
    assert ("create", "billing", str(Code.EXPOSED)) in rows(made)
    assert made.exits == (Exit.INCOMPLETE,)

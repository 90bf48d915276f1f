"""Transfers: one commit, never two owners, never unserved, nobody else in between."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from reconciler.codes import Code
from reconciler.headers import parse_wish_header
from reconciler.ledger import format_entry, parse_entry
from reconciler.model.claims import ClusterClaims, Rejection, Wanted
from reconciler.model.clusters import ClusterObjects, ClusterState, Unknown, Why
from reconciler.model.plans import Plan, State
from reconciler.model.units import PortState, UnitId, UnitKind, Wish
from tests.planning import Bench, claims, ops, settings, wanted, wish

OLD = "manifests/public/eu1/shop/vs-orders.yaml"
NEW = "manifests/public/eu2/shop/vs-orders.yaml"
U1, U2 = wish().unit, wish(cluster="eu2").unit
TWO = {"5432": (("db", 1),), "5433": (("web", 1),)}
NOWHERE: tuple[str, ...] = ()


def eu1(*outcomes: Wanted, **rest: object) -> ClusterClaims:
    return claims(*outcomes, **rest)  # type: ignore[arg-type]


def eu2(
    *outcomes: Wanted | tuple[UnitId, Rejection], cluster: str = "eu2"
) -> ClusterClaims:
    return claims(*outcomes, cluster=cluster, cluster_id=f"id-{cluster}")


def there(**rest: object) -> Wanted:
    return wanted(wish(cluster="eu2"), **rest)  # type: ignore[arg-type]


def unseen(cluster: str = "eu1") -> ClusterClaims:
    made = claims(cluster=cluster, cluster_id=f"id-{cluster}")
    why = Unknown(why=Why.UNREACHABLE, message="no route to host")
    return replace(made, view=replace(made.view, objects=why))


def live(bench: Bench) -> dict[int, str]:
    """port -> `state unit/route -> next`; checks that ledger and manifests agree."""
    found, owners = {}, {}
    for path, data in bench.files.items():
        if path.startswith("ports/"):
            entry = parse_entry(path, data)
            assert entry.owner is not None
            found[int(entry.key)] = (
                f"{entry.state} {entry.owner.unit}/{entry.owner.route}"
                + (f" -> {entry.next}" if entry.next else "")
            )
            if entry.live:
                owners[int(entry.key)] = entry.owner.unit
    served: dict[int, UnitId] = {}
    for path, data in bench.files.items():
        if path.startswith("manifests/") and not path.endswith(".endpoints.yaml"):
            header = parse_wish_header(data)
            assert header is not None
            for each in header.served:
                assert each.port not in served
                served[each.port] = header.unit
    assert served == owners
    return found


def give(bench: Bench, port: int, to: str, *, gateway: str = "public") -> None:
    """What `wharfinger transfer` commits."""
    path = f"ports/{gateway}/{port}.yaml"
    entry = replace(parse_entry(path, bench.files[path]), next=to)
    bench.person({path: format_entry(entry)}, subject=f"Transfer to {to}")


def said(made: Plan, unit: UnitId) -> tuple[State, str]:
    (state,) = [each for each in made.states if each.unit == unit]
    return state.state, state.message


def quiet(bench: Bench, *observed: ClusterClaims) -> None:
    assert bench.plan(*observed).drafts == ()


@pytest.fixture
def bench() -> Bench:
    """eu1/shop/orders has 20042; eu2 is known and asks for nothing."""
    made = Bench()
    made.run(eu1(wanted(port=20042)), eu2())
    return made


BOTH = (eu1(wanted(port=20042)), eu2(there()))


def test_one_commit_hands_over_route_and_port(bench: Bench) -> None:
    give(bench, 20042, str(U2))
    count = len(bench.commits)
    made = bench.run(*BOTH)
    assert len(bench.commits) == count + 1
    assert live(bench) == {20042: "active eu2/shop/orders/tcp"}
    assert OLD not in bench.files
    assert NEW in bench.files
    assert made.drafts[0].units == (str(U1), str(U2))
    assert made.drafts[0].subject == f"Transfer public/20042 from {U1} to {U2}"
    assert sorted(ops(made)) == [
        ("create", "orders", "WHF514"),
        ("delete", "orders", "WHF514"),
    ]
    assert made.exits == ()
    assert said(made, U2) == (
        State.ALLOCATED,
        f"transferred public/20042 from {U1} to {U2}; in Git, waiting for the gateway",
    )
    quiet(bench, *BOTH)


def test_until_the_new_unit_has_addresses_the_old_one_serves(bench: Bench) -> None:
    give(bench, 20042, str(U2))
    observed = (BOTH[0], eu2(there(hosts=NOWHERE)))
    before = dict(bench.files)
    made = bench.run(*observed)
    assert bench.files == before
    assert live(bench) == {20042: f"active {U1}/tcp -> {U2}"}
    state, message = said(made, U2)
    assert state is State.PENDING
    assert message == (
        f"WHF514: waits for public/20042 of {U1}: no ready address yet for shop/db:5432"
    )
    assert made.exits == ()
    assert said(made, U1)[0] is State.ALLOCATED
    bench.run(*BOTH)
    assert live(bench) == {20042: "active eu2/shop/orders/tcp"}


def test_a_unit_that_is_not_exposed_yet_is_waited_for(bench: Bench) -> None:
    give(bench, 20042, str(U2))
    made = bench.run(BOTH[0], eu2())
    assert ops(made) == [("skip", "orders", "WHF514")]
    assert "no VirtualService eu2/shop/orders is exposed yet" in made.rows[0].reason
    assert made.drafts == ()


def test_an_own_port_of_the_new_unit_drains(bench: Bench) -> None:
    bench.run(*BOTH)
    (own,) = [port for port in live(bench) if port != 20042]
    bench.wait(hours=48)
    give(bench, 20042, str(U2))
    proven = frozenset({(U2, "public"), (U1, "public")})
    bench.run(*BOTH, proven=proven)
    assert live(bench) == {20042: f"active {U2}/tcp", own: f"draining {U2}/tcp"}
    bench.wait(minutes=9)
    assert bench.plan(*BOTH, proven=proven).drafts == ()
    bench.wait(minutes=2)
    bench.run(*BOTH, proven=proven)
    assert live(bench) == {20042: f"active {U2}/tcp", own: f"released {U2}/tcp"}


def test_the_old_workload_gets_no_other_port_in_silence(bench: Bench) -> None:
    give(bench, 20042, str(U2))
    bench.run(*BOTH)
    observed = (eu1(wanted()), BOTH[1])
    for _ in range(3):
        made = bench.run(*observed)
        bench.wait(hours=30)
        assert made.drafts == ()
        state, message = said(made, U1)
        assert state is State.PENDING
        assert "20042 to eu2/shop/orders" in message
        assert f"wharfinger release {U1}" in message


def test_the_old_workload_may_ask_for_another_port(bench: Bench) -> None:
    give(bench, 20042, str(U2))
    bench.run(*BOTH)
    bench.run(eu1(wanted(port=20050)), BOTH[1])
    assert live(bench) == {20042: f"active {U2}/tcp", 20050: f"active {U1}/tcp"}
    bench.run(eu1(wanted()), BOTH[1])
    assert live(bench)[20050] == f"active {U1}/tcp"


def test_release_gives_the_old_workload_another_port(bench: Bench) -> None:
    give(bench, 20042, str(U2))
    bench.run(*BOTH)
    observed = (eu1(wanted()), BOTH[1])
    bench.run(*observed, released=frozenset({U1}))
    assert len(live(bench)) == 2
    quiet(bench, *observed)
    bench.run(eu1(unexposed=(U1,)), BOTH[1])
    bench.run(*observed)
    assert sorted(live(bench).values()) == [f"active {U1}/tcp", f"active {U2}/tcp"]


def test_back_again(bench: Bench) -> None:
    give(bench, 20042, str(U2))
    bench.run(*BOTH)
    give(bench, 20042, str(U1))
    bench.run(*BOTH)
    assert live(bench) == {20042: f"active {U1}/tcp"}
    assert NEW not in bench.files
    made = bench.plan(*BOTH)
    assert made.drafts == ()
    assert said(made, U2)[0] is State.PENDING


@pytest.mark.parametrize("observed", ["unseen", "vanished", "deleted", "rejected"])
def test_the_old_cluster_need_not_be_there(bench: Bench, observed: str) -> None:
    give(bench, 20042, str(U2))
    gone = claims()
    entry = replace(gone.view.entry, state=ClusterState.DELETED)
    bad = Rejection(code=Code.INVALID_WEIGHTS, reason="bad")
    first = {
        "unseen": (unseen(),),
        "vanished": (),
        "deleted": (replace(gone, view=replace(gone.view, entry=entry)),),
        "rejected": (claims((U1, bad)),),
    }[observed]
    bench.run(*first, eu2(there()))
    assert live(bench) == {20042: f"active {U2}/tcp"}
    assert OLD not in bench.files
    quiet(bench, *first, eu2(there()))


def test_an_unreachable_new_cluster_takes_nothing(bench: Bench) -> None:
    give(bench, 20042, str(U2))
    before = dict(bench.files)
    made = bench.run(BOTH[0], unseen("eu2"))
    assert bench.files == before
    assert any("cluster eu2 cannot be seen" in row.reason for row in made.rows)


def test_one_of_several_routes_goes_and_the_rest_stays() -> None:
    bench = Bench()
    observed = (
        eu1(wanted(wish(routes=TWO), port={"5432": 20042, "5433": 20043})),
        eu2(),
    )
    bench.run(*observed)
    give(bench, 20043, str(U2))
    observed = (observed[0], eu2(there()))
    made = bench.run(*observed)
    assert live(bench) == {20042: f"active {U1}/5432", 20043: f"active {U2}/tcp"}
    assert len(made.drafts) == 1
    made = bench.plan(*observed)
    assert made.drafts == ()
    assert ("skip", "orders", "WHF514") in ops(made)
    assert said(made, U1)[0] is State.ALLOCATED


def test_a_route_of_an_unreadable_cluster_goes_only_with_all_others() -> None:
    bench = Bench()
    bench.run(eu1(wanted(wish(routes=TWO), port={"5432": 20042, "5433": 20043})), eu2())
    give(bench, 20043, str(U2))
    new = eu2(wanted(wish(cluster="eu2", routes=TWO)))
    made = bench.run(unseen(), new)
    assert made.drafts == ()
    assert any("transfer all of them" in row.reason for row in made.rows)
    give(bench, 20042, str(U2))
    bench.run(unseen(), new)
    assert live(bench) == {20042: f"active {U2}/5432", 20043: f"active {U2}/5433"}


def test_routes_go_by_request_then_by_name() -> None:
    bench = Bench()
    old = eu1(wanted(wish(routes=TWO), port={"5432": 20042, "5433": 20043}))
    bench.run(old, eu2())
    give(bench, 20042, str(U2))
    asks = eu2(wanted(wish(cluster="eu2", routes=TWO), port={"5433": 20042}))
    bench.run(old, asks)
    found = live(bench)
    assert found[20042] == f"active {U2}/5433"
    assert found[20043] == f"active {U1}/5433"


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


def test_a_request_for_the_very_port_is_fine(bench: Bench) -> None:
    asks = eu2(there(port=20042))
    assert ("reject", "orders", "WHF123") in ops(bench.plan(BOTH[0], asks))
    give(bench, 20042, str(U2))
    made = bench.plan(BOTH[0], eu2(there(port=20042, hosts=NOWHERE)))
    assert said(made, U2)[0] is State.PENDING
    bench.run(BOTH[0], asks)
    assert live(bench) == {20042: f"active {U2}/tcp"}
    quiet(bench, BOTH[0], asks)


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


def test_next_of_the_owner_itself_is_refused(bench: Bench) -> None:
    give(bench, 20042, str(U1))
    made = bench.run(BOTH[0], eu2())
    assert "has it already" in made.rows[0].reason
    assert live(bench) == {20042: f"active {U1}/tcp -> {U1}"}


def test_a_chain_is_one_commit() -> None:
    bench = Bench()
    names = ("eu1", "eu2", "eu3")
    observed = [
        eu2(wanted(wish(cluster=name), port=20040 + number), cluster=name)
        for number, name in enumerate(names)
    ]
    bench.run(*observed)
    free = [eu2(wanted(wish(cluster=name)), cluster=name) for name in names]
    give(bench, 20040, "eu2/shop/orders")
    give(bench, 20041, "eu3/shop/orders")
    count = len(bench.commits)
    bench.run(*free)
    assert len(bench.commits) == count + 1
    assert live(bench) == {
        20040: "active eu2/shop/orders/tcp",
        20041: "active eu3/shop/orders/tcp",
        20042: "draining eu3/shop/orders/tcp",
    }
    quiet(bench, *free)


def test_two_units_may_swap() -> None:
    bench = Bench()
    bench.run(eu1(wanted(port=20040)), eu2(there(port=20041)))
    give(bench, 20040, str(U2))
    give(bench, 20041, str(U1))
    bench.run(eu1(wanted()), eu2(there()))
    assert live(bench) == {20040: f"active {U2}/tcp", 20041: f"active {U1}/tcp"}
    quiet(bench, eu1(wanted()), eu2(there()))


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


def test_a_chain_waits_only_where_it_must() -> None:
    bench = Bench()
    clusters = {
        name: wanted(wish(cluster=name), port=port)
        for name, port in (("eu1", 20040), ("eu2", 20041))
    }
    bench.run(*(eu2(each, cluster=name) for name, each in clusters.items()))
    give(bench, 20040, "eu2/shop/orders")
    give(bench, 20041, "eu3/shop/orders")
    late = wanted(wish(cluster="eu3"), hosts=NOWHERE)
    observed = (
        eu1(clusters["eu1"]),
        eu2(there()),
        eu2(late, cluster="eu3"),
    )
    bench.run(*observed)
    assert live(bench) == {
        20040: "active eu2/shop/orders/tcp",
        20041: "draining eu2/shop/orders/tcp -> eu3/shop/orders",
    }
    ready = (*observed[:2], eu2(wanted(wish(cluster="eu3")), cluster="eu3"))
    bench.run(*ready)
    assert live(bench) == {
        20040: "active eu2/shop/orders/tcp",
        20041: "active eu3/shop/orders/tcp",
    }


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


def tls(cluster: str, *hosts: str) -> Wanted:
    made = wanted(wish(cluster=cluster))
    (route,) = made.wish.routes
    new: Wish = replace(
        made.wish, kind=UnitKind.TLS, routes=(replace(route, hosts=hosts),)
    )
    return replace(made, wish=new)


def test_hosts_go_as_ports_do() -> None:
    bench = Bench()
    one, two = "a.apps.example.com", "b.apps.example.com"
    old = eu1(tls("eu1", one, two))
    bench.run(old, eu2())
    path = f"hosts/public/{one}.yaml"
    entry = replace(parse_entry(path, bench.files[path]), next=str(U2))
    bench.person({path: format_entry(entry)})
    refused = bench.plan(old, eu2(tls("eu2", two)))
    assert any("does not ask for host" in row.reason for row in refused.rows)
    observed = (old, eu2(tls("eu2", one)))
    made = bench.run(*observed)
    assert len(made.drafts) == 1
    after = parse_entry(path, bench.files[path])
    assert after.owner is not None
    assert (after.owner.unit, after.state, after.next) == (U2, PortState.ACTIVE, "")
    header = parse_wish_header(bench.files[OLD])
    assert header is not None
    assert [each.host for each in header.served] == [two]
    quiet(bench, *observed)


def test_any_order_gives_the_same_plan(bench: Bench) -> None:
    give(bench, 20042, str(U2))
    other = eu2(wanted(wish(cluster="eu3")), cluster="eu3")
    digests = {
        bench.plan(*order).digest for order in itertools.permutations((*BOTH, other))
    }
    assert len(digests) == 1


def test_a_look_that_missed_the_old_one_hands_over_at_once(bench: Bench) -> None:
    give(bench, 20042, str(U2))
    empty = claims()
    view = replace(empty.view, objects=ClusterObjects(one_look_is_proof=False))
    bench.run(replace(empty, view=view), eu2(there()))
    assert live(bench) == {20042: f"active {U2}/tcp"}

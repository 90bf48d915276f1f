"""Transfers: one commit, never two owners, never unserved, nobody else in between."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from reconciler.codes import Code
from reconciler.headers import parse_wish_header
from reconciler.ledger_file import format_entry, parse_entry
from reconciler.model.claims import Rejection, Wanted
from reconciler.model.clusters import ClusterState
from reconciler.model.plans import State
from reconciler.model.units import PortState, UnitKind, Wish
from tests.planning import Bench, claims, ops, settings, wanted, wish
from tests.transferring import (
    BOTH,
    NEW,
    NOWHERE,
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


def test_a_proof_of_the_own_port_is_none_of_the_new_one(bench: Bench) -> None:
    bench.settings = settings(release={"drain": "0s"})
    bench.run(*BOTH)
    (own,) = [port for port in live(bench) if port != 20042]
    give(bench, 20042, str(U2))
    proven = frozenset({(U2, "public")})
    bench.run(*BOTH, proven=proven)
    assert live(bench)[own] == f"draining {U2}/tcp"
    bench.run(*BOTH, proven=proven)
    assert live(bench)[own] == f"released {U2}/tcp"


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


def test_a_request_for_the_very_port_is_fine(bench: Bench) -> None:
    asks = eu2(there(port=20042))
    assert ("reject", "orders", "WHF123") in ops(bench.plan(BOTH[0], asks))
    give(bench, 20042, str(U2))
    made = bench.plan(BOTH[0], eu2(there(port=20042, hosts=NOWHERE)))
    assert said(made, U2)[0] is State.PENDING
    bench.run(BOTH[0], asks)
    assert live(bench) == {20042: f"active {U2}/tcp"}
    quiet(bench, BOTH[0], asks)


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

"""Ports: deterministic, sticky, never given twice, never another one than asked for."""

from __future__ import annotations

import itertools

from reconciler.ledger_file import Entry, format_entry, parse_entry
from reconciler.model.plans import Op
from reconciler.model.units import Owner, PortState, UnitId
from tests.planning import Bench, claims, ops, settings, summary, wanted, wish


def owners(bench: Bench) -> dict[int, str]:
    """port -> `state name/route` of every port file."""
    found = {}
    for path, data in bench.files.items():
        if path.startswith("ports/"):
            entry = parse_entry(path, data)
            assert entry.owner is not None
            found[int(entry.key)] = (
                f"{entry.state} {entry.owner.name}/{entry.owner.route}"
            )
    return found


def the_port(bench: Bench, name: str, route: str = "tcp") -> int:
    (port,) = [
        port for port, what in owners(bench).items() if what == f"active {name}/{route}"
    ]
    return port


def test_a_new_exposure_gets_one_port_and_a_second_pass_changes_nothing() -> None:
    bench = Bench()
    first = bench.run(claims(wanted()))
    assert summary(first) == ["create"]
    assert first.rows[0].host == "tcp.ingress.example.com"
    assert first.rows[0].port == the_port(bench, "orders")
    again = bench.plan(claims(wanted()))
    assert again.drafts == ()
    assert again.rows == ()


def test_order_of_arrival_does_not_matter() -> None:
    names = ["a", "b", "c", "d"]
    results = set()
    for order in itertools.permutations(names):
        bench = Bench(settings=settings())
        bench.run(claims(*(wanted(wish(name)) for name in order)))
        results.add(tuple(sorted(owners(bench).items())))
    assert len(results) == 1


def test_existing_allocations_stay_when_others_come() -> None:
    bench = Bench()
    bench.run(claims(wanted(wish("a"))))
    before = the_port(bench, "a")
    bench.run(claims(*(wanted(wish(name)) for name in "abcdefgh")))
    assert the_port(bench, "a") == before
    assert len(owners(bench)) == 8


def test_a_request_is_granted_exactly() -> None:
    bench = Bench()
    bench.run(claims(wanted(port=20042)))
    assert owners(bench) == {20042: "active orders/tcp"}


def test_a_taken_port_is_rejected_never_replaced() -> None:
    bench = Bench()
    bench.run(claims(wanted(wish("a"), port=20042)))
    made = bench.run(
        claims(wanted(wish("a"), port=20042), wanted(wish("b"), port=20042))
    )
    assert ops(made) == [("reject", "b", "WHF123")]
    assert owners(bench) == {20042: "active a/tcp"}


def test_a_port_out_of_range_or_needed_by_proxies_is_rejected() -> None:
    bench = Bench(
        settings=settings(
            gateways=[
                {
                    "name": "public",
                    "renderer": "envoy",
                    "namespace": "x",
                    "ports": {"range": "10000-20099", "exclude": [20001]},
                }
            ]
        )
    )
    for port in (9999, 20001, 10443, 15000, 15090, 19003, 10080):
        made = bench.plan(claims(wanted(port=port)))
        assert ops(made) == [("reject", "orders", "WHF122")], port


def test_two_requests_for_one_port_in_one_pass_have_one_winner_in_any_order() -> None:
    results = set()
    for order in (("a", "b"), ("b", "a")):
        bench = Bench()
        made = bench.run(claims(*(wanted(wish(name), port=20042) for name in order)))
        assert summary(made) == ["create", "reject"]
        results.add(owners(bench)[20042])
    assert len(results) == 1


def test_automatic_choice_avoids_the_static_band_until_the_rest_is_full() -> None:
    bench = Bench(
        settings=settings(
            gateways=[
                {
                    "name": "public",
                    "renderer": "envoy",
                    "namespace": "x",
                    "ports": {"range": "20000-20009", "static": "20000-20004"},
                }
            ]
        )
    )
    bench.run(claims(*(wanted(wish(name)) for name in "abcde")))
    assert set(owners(bench)) == set(range(20005, 20010))
    bench.run(claims(*(wanted(wish(name)) for name in "abcdef")))
    assert len([port for port in owners(bench) if port < 20005]) == 1


def test_a_full_gateway_rejects_and_keeps_everybody() -> None:
    bench = Bench(
        settings=settings(
            gateways=[
                {
                    "name": "public",
                    "renderer": "envoy",
                    "namespace": "x",
                    "ports": {"range": "20000-20099", "max": 2},
                }
            ]
        )
    )
    bench.run(claims(wanted(wish("a")), wanted(wish("b"))))
    made = bench.run(claims(*(wanted(wish(name)) for name in "abc")))
    assert ops(made) == [("reject", "c", "WHF125")]


def test_a_move_serves_both_ports_until_proven_and_drained() -> None:
    bench = Bench()
    bench.run(claims(wanted(port=20001)))
    moved = bench.run(claims(wanted(port=20002)))
    assert ops(moved) == [("update", "orders", "WHF504")]
    assert owners(bench) == {20001: "draining orders/tcp", 20002: "active orders/tcp"}
    assert len(moved.drafts) == 1
    unit = wish().unit
    bench.wait(minutes=30)
    assert bench.plan(claims(wanted(port=20002))).drafts == ()
    proven = frozenset({(unit, "public")})
    bench.run(claims(wanted(port=20002)), proven=proven)
    assert owners(bench) == {20001: "released orders/tcp", 20002: "active orders/tcp"}
    assert bench.plan(claims(wanted(port=20002)), proven=proven).drafts == ()


def test_a_drain_waits_for_its_time_even_when_proven() -> None:
    bench = Bench()
    bench.run(claims(wanted(port=20001)))
    bench.run(claims(wanted(port=20002)))
    bench.wait(minutes=9)
    proven = frozenset({(wish().unit, "public")})
    assert bench.plan(claims(wanted(port=20002)), proven=proven).drafts == ()


def test_moving_back_while_draining_swaps_the_two() -> None:
    bench = Bench()
    bench.run(claims(wanted(port=20001)))
    bench.run(claims(wanted(port=20002)))
    bench.run(claims(wanted(port=20001)))
    assert owners(bench) == {20001: "active orders/tcp", 20002: "draining orders/tcp"}


def test_a_removed_request_moves_nothing() -> None:
    bench = Bench()
    bench.run(claims(wanted(port=20001)))
    assert bench.plan(claims(wanted())).drafts == ()


def test_a_released_port_goes_to_others_only_after_the_quarantine() -> None:
    bench = Bench()
    bench.run(claims(wanted(wish("a"), port=20042)))
    bench.run(claims(unexposed=(wish("a").unit,)))
    assert owners(bench) == {20042: "released a/tcp"}
    bench.wait(hours=23)
    assert ops(bench.plan(claims(wanted(wish("b"), port=20042)))) == [
        ("reject", "b", "WHF123")
    ]
    bench.wait(hours=1)
    bench.run(claims(wanted(wish("b"), port=20042)))
    assert owners(bench) == {20042: "active b/tcp"}


def test_a_recreated_virtual_service_gets_its_port_back_at_once() -> None:
    bench = Bench()
    bench.run(claims(wanted(port=20042)))
    bench.run(claims())
    assert owners(bench) == {20042: "released orders/tcp"}
    bench.run(claims(wanted()))
    assert owners(bench) == {20042: "active orders/tcp"}


def test_an_only_route_inherits_the_only_allocation() -> None:
    bench = Bench()
    bench.run(claims(wanted(port=20042)))
    renamed = wish(routes={"5432": (("db", 1),)})
    bench.run(claims(wanted(renamed)))
    assert owners(bench) == {20042: "active orders/5432"}
    assert bench.plan(claims(wanted(renamed))).drafts == ()


def test_a_route_that_leaves_releases_its_port_and_keeps_the_other() -> None:
    bench = Bench()
    two = wish(routes={"5432": (("db", 1),), "5433": (("db", 1),)})
    bench.run(claims(wanted(two, port={"5432": 20001, "5433": 20002})))
    one = wish(routes={"5433": (("db", 1),)})
    made = bench.run(claims(wanted(one)))
    assert summary(made) == ["release", "update"]
    assert owners(bench) == {20001: "released orders/5432", 20002: "active orders/5433"}


def test_a_route_cannot_take_the_port_that_its_sibling_keeps() -> None:
    bench = Bench()
    two = wish(routes={"5432": (("db", 1),), "5433": (("db", 1),)})
    bench.run(claims(wanted(two, port={"5432": 20001, "5433": 20002})))
    made = bench.plan(claims(wanted(two, port={"5432": 20002})))
    assert ops(made) == [("reject", "orders", "WHF123")]


def test_siblings_may_swap_their_ports_in_one_commit() -> None:
    bench = Bench()
    two = wish(routes={"5432": (("db", 1),), "5433": (("db", 1),)})
    bench.run(claims(wanted(two, port={"5432": 20001, "5433": 20002})))
    made = bench.run(claims(wanted(two, port={"5432": 20002, "5433": 20001})))
    assert len(made.drafts) == 1
    assert owners(bench) == {20001: "active orders/5433", 20002: "active orders/5432"}


def test_a_ledger_file_that_a_person_removed_still_counts() -> None:
    bench = Bench()
    bench.run(claims(wanted(wish("a"), port=20042)))
    bench.person({"ports/public/20042.yaml": None})
    made = bench.plan(claims(wanted(wish("a")), wanted(wish("b"), port=20042)))
    assert ("reject", "b", "WHF123") in ops(made)
    assert [write.path for draft in made.drafts for write in draft.writes] == [
        "ports/public/20042.yaml"
    ]


def test_a_port_that_a_person_reserved_is_never_given() -> None:
    bench = Bench()
    bench.person(
        {"ports/public/20042.yaml": b"gateway: public\nport: 20042\nstate: reserved\n"}
    )
    assert ops(bench.plan(claims(wanted(port=20042)))) == [
        ("reject", "orders", "WHF123")
    ]


def reserved(bench: Bench, port: int, name: str, route: str = "tcp") -> None:
    """A person reserves a port for a route of eu1."""
    owner = f"{{cluster: eu1, clusterId: id-eu1, namespace: shop, name: {name}, route: {route}}}"
    text = f"gateway: public\nport: {port}\nstate: reserved\nowner: {owner}\n"
    bench.person({f"ports/public/{port}.yaml": text.encode()})


def test_a_port_that_a_person_reserved_for_a_route_is_given_to_it_alone() -> None:
    bench = Bench()
    reserved(bench, 20042, "orders")
    made = bench.plan(claims(wanted(wish("a"), port=20042)))
    assert ops(made) == [("reject", "a", "WHF123")]
    bench.run(claims(wanted()))
    assert owners(bench) == {20042: "active orders/tcp"}
    assert bench.plan(claims(wanted())).drafts == ()


def test_what_is_reserved_for_a_unit_may_be_asked_for_by_it() -> None:
    bench = Bench()
    reserved(bench, 20042, "orders")
    bench.run(claims(wanted(port=20042)))
    assert owners(bench) == {20042: "active orders/tcp"}


def test_an_only_route_has_the_only_reservation_whatever_it_is_called() -> None:
    bench = Bench()
    reserved(bench, 20042, "orders", route='"5432"')
    bench.run(claims(wanted()))
    assert owners(bench) == {20042: "active orders/tcp"}


def test_of_several_reservations_each_route_has_its_own() -> None:
    bench = Bench()
    reserved(bench, 20042, "orders", route='"5433"')
    reserved(bench, 20043, "orders", route='"5432"')
    two = wish(routes={"5432": (("db", 1),), "5433": (("db", 1),)})
    bench.run(claims(wanted(two)))
    assert owners(bench) == {20042: "active orders/5433", 20043: "active orders/5432"}


def test_a_reservation_outlives_any_quarantine_and_counts_before_a_former_port() -> (
    None
):
    bench = Bench()
    bench.run(claims(wanted(port=20050)))
    bench.run(claims())
    reserved(bench, 20042, "orders")
    bench.wait(days=400)
    bench.run(claims(wanted(wish("a")), wanted()))
    assert the_port(bench, "orders") == 20042


def test_a_person_who_gives_a_port_to_another_owner_freezes_that_owner_only() -> None:
    bench = Bench()
    bench.run(claims(wanted(wish("a"), port=20042), wanted(wish("b"), port=20043)))
    stolen = bench.files["ports/public/20042.yaml"].replace(b"name: a,", b"name: b,")
    bench.person({"ports/public/20042.yaml": stolen})
    made = bench.plan(claims(wanted(wish("a")), wanted(wish("b"))))
    assert ("skip", "b", "WHF202") in ops(made)
    assert 5 in made.exits
    assert all("b" not in draft.units for draft in made.drafts)


def test_a_foreign_file_name_in_the_ledger_blocks_and_is_not_guessed() -> None:
    bench = Bench()
    bench.run(claims(wanted()))
    bench.person(
        {"ports/public/08080.yaml": b"gateway: public\nport: 8080\nstate: reserved\n"}
    )
    made = bench.plan(claims(wanted()))
    assert 5 in made.exits
    assert made.drafts == ()


def test_shrinking_the_range_strands_nothing() -> None:
    bench = Bench()
    bench.run(claims(wanted(port=20090)))
    bench.settings = settings(
        gateways=[
            {
                "name": "public",
                "renderer": "envoy",
                "namespace": "ingress",
                "ports": {"range": "20000-20050"},
            }
        ]
    )
    assert bench.plan(claims(wanted(port=20090))).drafts == ()
    assert bench.plan(claims(wanted())).drafts == ()


def test_quota_keeps_existing_routes_and_admits_new_ones_by_identity() -> None:
    bench = Bench()
    bench.run(claims(wanted(wish("a")), wanted(wish("b"))))
    bench.settings = settings(
        tenants=[{"clusters": ["*"], "gateways": ["public"], "quota": {"routes": 3}}]
    )
    results = set()
    for order in (("a", "b", "c", "d"), ("d", "c", "b", "a")):
        made = bench.plan(claims(*(wanted(wish(name)) for name in order)))
        assert summary(made) == ["create", "reject"]
        results.add(made.digest)
    assert len(results) == 1
    bench.settings = settings(
        tenants=[{"clusters": ["*"], "gateways": ["public"], "quota": {"routes": 1}}]
    )
    assert bench.plan(claims(wanted(wish("a")), wanted(wish("b")))).drafts == ()


def test_a_gateway_move_serves_both_and_leaves_the_old_one_when_drained() -> None:
    two = [
        {
            "name": name,
            "renderer": "envoy",
            "namespace": "ingress",
            "host": f"{name}.example.com",
            "ports": {"range": "20000-20099"},
        }
        for name in ("public", "dmz")
    ]
    bench = Bench(
        settings=settings(
            gateways=two, tenants=[{"clusters": ["*"], "gateways": ["public", "dmz"]}]
        )
    )
    bench.run(claims(wanted()))
    bench.run(claims(wanted(gateway="dmz")))
    wishes = [path for path in bench.files if path.endswith("vs-orders.yaml")]
    assert len(wishes) == 2
    old = bench.files["manifests/public/eu1/shop/vs-orders.yaml"]
    assert b"(draining)" in old.split(b"\n")[0]
    bench.wait(minutes=11)
    proven = frozenset({(wish().unit, "dmz")})
    bench.run(claims(wanted(gateway="dmz")), proven=proven)
    wishes = [path for path in bench.files if path.endswith("vs-orders.yaml")]
    assert wishes == ["manifests/dmz/eu1/shop/vs-orders.yaml"]
    assert bench.plan(claims(wanted(gateway="dmz")), proven=proven).drafts == ()
    assert bench.plan(claims(wanted()), proven=proven).drafts == (), (
        "it stays where it is"
    )


def test_ports_of_a_cluster_that_cannot_be_seen_stay_reserved() -> None:
    bench = Bench()
    bench.run(claims(wanted(port=20042)))
    other = claims(
        wanted(wish("x", cluster="us1"), port=20042), cluster="us1", cluster_id="id-us1"
    )
    made = bench.run(other)
    assert ("reject", "x", "WHF123") in ops(made)
    assert ("skip", None, "WHF210") in ops(made)
    assert owners(bench)[20042] == "active orders/tcp"


def test_states_of_the_ledger_are_the_documented_words() -> None:
    assert [str(state) for state in PortState] == [
        "active",
        "draining",
        "released",
        "reserved",
    ]
    assert str(UnitId(cluster="eu1", namespace="shop", name="a")) == "eu1/shop/a"


def test_a_successor_has_what_people_reserved_for_its_unit() -> None:
    bench = Bench()
    bench.run(claims(wanted(wish("orders"))))
    owner = Owner(
        cluster="eu1",
        cluster_id="id-eu1",
        namespace="shop",
        name="billing",
        route="tcp",
    )
    kept = Entry(gateway="public", key=20042, state=PortState.RESERVED, owner=owner)
    bench.person({kept.path: format_entry(kept)})
    record = bench.files["clusters/eu1.yaml"]
    bench.person({"clusters/eu1.yaml": record + b"accept: [new]\n"})
    orders, billing = wanted(wish("orders")), wanted(wish("billing"))
    bench.run(claims(orders, cluster_id="new"))
    made = bench.run(claims(orders, billing, cluster_id="new"))
    assert [(row.op, row.port) for row in made.rows] == [(Op.CREATE, 20042)]

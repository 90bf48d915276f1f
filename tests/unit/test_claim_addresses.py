"""Where destinations are: nodes, load balancers and pods, relative to what HEAD has."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.codes import Code
from reconciler.model.clusters import Node, Service
from reconciler.model.units import UnitAddresses
from tests.builders import (
    NOW,
    balanced,
    destination,
    destination_rule,
    endpoint,
    endpoint_slice,
    node,
    nodes,
    service,
    service_port,
    settings,
    tcp_route,
    tenant,
    virtual_service,
)
from tests.claiming import ORDERS, addresses, claims, code, granted, refused

VOLATILE = settings(tenant(volatileBackends=True))
KEY = "shop/db:5432"
JUST_NOW = NOW - timedelta(seconds=60)
LONGER = NOW - timedelta(seconds=61)


def pods_of(**annotated: str):
    return virtual_service(annotated={"expose": "tcp", "backend": "pod", **annotated})


def after(head: UnitAddresses, *objects: Service | Node) -> list[str]:
    """Addresses when HEAD has these."""
    found = granted(virtual_service(), *objects, head={ORDERS: head})
    return addresses(found)[KEY]


TWO = granted(virtual_service(), service(), *nodes(2)).addresses


def test_nodes_serve_at_the_node_port() -> None:
    assert addresses(TWO)[KEY] == ["10.20.0.1:31000", "10.20.0.2:31000"]


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        pytest.param(node("n2", ready=False, since=JUST_NOW), ["1", "2"], id="grace"),
        pytest.param(node("n2", ready=False, since=LONGER), ["1", "3"], id="expired"),
        pytest.param(node("n2", ready=False, since=None), ["1", "3"], id="no-time"),
        pytest.param(node("n2", "10.20.0.9"), ["1", "3", "9"], id="readdressed"),
    ],
)
def test_members_stay_while_they_can(second: Node, expected: list[str]) -> None:
    found = after(TWO, service(), node("n1"), second, node("n3"))
    assert found == [f"10.20.0.{each}:31000" for each in expected]


def test_a_member_may_become_a_nodes_second_address() -> None:
    found = after(TWO, service(), node("n1"), node("n2", "10.20.0.8", "10.20.0.2"))
    assert found == ["10.20.0.1:31000", "10.20.0.2:31000"]


def test_a_new_node_port_replaces_all_members() -> None:
    changed = service(ports=(service_port(node_port=32000),))
    assert after(TWO, changed, *nodes(2)) == ["10.20.0.1:32000", "10.20.0.2:32000"]


def test_an_unready_node_has_no_grace_at_a_new_node_port() -> None:
    changed = service(ports=(service_port(node_port=32000),))
    second = node("n2", ready=False, since=JUST_NOW)
    assert after(TWO, changed, node("n1"), second) == ["10.20.0.1:32000"]


def test_without_any_ready_node_members_are_kept() -> None:
    dark = [replace(each, ready=False, ready_since=LONGER) for each in nodes(3)]
    assert after(TWO, service(), *dark) == ["10.20.0.1:31000", "10.20.0.2:31000"]


def test_without_any_node_nothing_is_left() -> None:
    found = granted(virtual_service(), service(), head={ORDERS: TWO})
    assert addresses(found)[KEY] == []
    assert found.missing == (KEY,)


def test_a_new_unit_takes_ready_nodes_only() -> None:
    found = granted(
        virtual_service(), service(), node("n1", ready=False, since=JUST_NOW)
    )
    assert found.missing == (KEY,)


def test_a_dual_stack_node_counts_once() -> None:
    under = settings(tenant(endpoints=["10.20.0.0/16", "2001:db8::/32"]))
    both = node("n1", "2001:db8::1", "10.20.0.1")
    found = granted(virtual_service(), service(), both, under=under)
    assert addresses(found)[KEY] == ["[2001:db8::1]:31000"]
    found = granted(virtual_service(), service(), both)
    assert addresses(found)[KEY] == ["10.20.0.1:31000"]


def test_forbidden_nodes_alone_reject_the_unit() -> None:
    found = refused(virtual_service(), service(), node("n1", "10.99.0.1"))
    assert found.code is Code.ENDPOINT_NOT_ALLOWED
    assert "10.99.0.1" in found.reason


def test_what_was_left_out_is_bounded() -> None:
    evil = [node(f"e{index}", f"10.99.0.{index}") for index in range(100)]
    found = granted(virtual_service(), service(), node("n1"), *evil)
    assert len(found.left_out) == 9
    assert found.left_out[-1] == "and 92 more"


def test_local_policy_takes_nodes_with_a_ready_endpoint() -> None:
    local = service(local_traffic_policy=True)
    on = endpoint_slice(
        endpoint("10.244.0.1", on="n2"), endpoint("10.244.0.2", on="n3", ready=False)
    )
    found = granted(virtual_service(), local, on, *nodes(3), under=VOLATILE)
    assert addresses(found)[KEY] == ["10.20.0.2:31000"]


def test_load_balancers_serve_at_the_services_port() -> None:
    found = granted(virtual_service(), balanced("10.20.9.9", "::ffff:10.20.9.8"))
    assert addresses(found)[KEY] == ["10.20.9.8:5432", "10.20.9.9:5432"]
    found = granted(virtual_service(), balanced("A.elb.example.com"))
    assert addresses(found)[KEY] == ["a.elb.example.com:5432"]
    assert not found.addresses.routes[0].located[0].addresses[0].is_ip


def test_a_load_balancer_without_address_is_missing() -> None:
    found = granted(virtual_service(), balanced())
    assert found.missing == (KEY,)


def test_a_route_needs_one_kind_of_address() -> None:
    found = refused(virtual_service(), balanced("10.20.9.9", "a.elb.example.com"))
    assert found.code is Code.MIXED_ADDRESSES
    spec = {"tcp": [tcp_route(destination(weight=1), destination("lb", weight=1))]}
    source = virtual_service(spec=spec)
    named = balanced("a.elb.example.com", name="lb")
    assert code(source, service(), named, node()) is Code.MIXED_ADDRESSES


def test_routes_may_differ_in_kind() -> None:
    spec = {"tcp": [tcp_route(port=1), tcp_route(destination("lb"), port=2)]}
    source = virtual_service(spec=spec)
    named = balanced("a.elb.example.com", name="lb")
    assert code(source, service(), named, node()) is None


def test_pods_serve_at_their_own_ports() -> None:
    named = service(type="ClusterIP", ports=(service_port(name="pg", node_port=0),))
    found = granted(
        pods_of(),
        named,
        endpoint_slice(endpoint("10.20.7.1"), ports=[("pg", 15432), ("metrics", 9)]),
        endpoint_slice(endpoint("10.20.7.2"), ports=[("pg", 25432)]),
        endpoint_slice(endpoint("10.20.7.3"), ports=[("other", 1)]),
        endpoint_slice(endpoint("10.20.7.4"), ports=[("pg", 0)]),
        endpoint_slice(endpoint("10.20.7.5", ready=False), ports=[("pg", 15432)]),
        under=VOLATILE,
    )
    assert addresses(found)[KEY] == ["10.20.7.1:15432", "10.20.7.2:25432"]


def test_forbidden_pods_are_left_out() -> None:
    some = endpoint_slice(endpoint("10.20.7.1"), endpoint("169.254.169.254"))
    found = granted(pods_of(), service(), some, under=VOLATILE)
    assert addresses(found)[KEY] == ["10.20.7.1:5432"]
    assert "metadata" in found.left_out[0]
    only = endpoint_slice(endpoint("169.254.169.254"))
    rejected = refused(pods_of(), service(), only, under=VOLATILE)
    assert rejected.code is Code.ENDPOINT_NOT_ALLOWED


SUBSET = {"tcp": [tcp_route(destination(subset="v1"))]}
PODS = endpoint_slice(
    endpoint("10.20.7.1", labels={"v": "1", "app": "db"}),
    endpoint("10.20.7.2", labels={"v": "2"}),
)


def subset_of(backend: str = "pod"):
    return virtual_service(annotated={"expose": "tcp", "backend": backend}, spec=SUBSET)


@pytest.mark.parametrize("host", ["db", "db.shop", "db.shop.svc.cluster.local"])
def test_a_subset_selects_pods(host: str) -> None:
    rule = destination_rule(host, {"v1": {"v": "1"}})
    found = granted(subset_of(), service(), PODS, rule, under=VOLATILE)
    assert addresses(found) == {f"{KEY}@v1": ["10.20.7.1:5432"]}


@pytest.mark.parametrize(
    ("backend", "rule", "pods"),
    [
        ("auto", destination_rule("db", {"v1": {"v": "1"}}), PODS),
        ("pod", destination_rule("db", {"v2": {"v": "1"}}), PODS),
        ("pod", destination_rule("db.other", {"v1": {"v": "1"}}), PODS),
        ("pod", destination_rule("*", {"v1": {"v": "1"}}), PODS),
        (
            "pod",
            destination_rule("db.shop", {"v1": {"v": "1"}}, namespace="other"),
            PODS,
        ),
        (
            "pod",
            destination_rule("db", {"v1": {"v": "1"}}),
            endpoint_slice(endpoint("10.20.7.1")),
        ),
    ],
    ids=["auto", "no-subset", "other-host", "wildcard", "foreign-rule", "no-labels"],
)
def test_a_subset_that_selects_nothing_known_is_rejected(
    backend: str, rule: object, pods: object
) -> None:
    objects = (service(), rule, pods, node())
    assert code(subset_of(backend), *objects, under=VOLATILE) is Code.SUBSET_UNSUPPORTED  # type: ignore[arg-type]


@pytest.mark.parametrize("subset", ["V1", "a/b", "x" * 64, 5, ["v1"], "\n"])
def test_subset_names_are_labels(subset: object) -> None:
    spec = {"tcp": [tcp_route(destination(subset=subset))]}
    found = code(virtual_service(spec=spec), service(), node(), under=VOLATILE)
    assert found in (Code.SUBSET_UNSUPPORTED, Code.MALFORMED_OBJECT)


def test_follow_recomputes_what_head_serves() -> None:
    bad = virtual_service(annotated={"expose": "nonsense"})
    (found,) = claims(bad, service(), node("n2"), head={ORDERS: TWO}).follow
    assert addresses(found) == {KEY: ["10.20.0.2:31000"]}
    assert found.failover is TWO.failover


def test_follow_empties_a_destination_whose_service_is_gone() -> None:
    (found,) = claims(node("n1"), head={ORDERS: TWO}).follow
    assert addresses(found) == {KEY: []}


@pytest.mark.parametrize(
    "gone",
    [service(ports=(service_port(9),)), service(ports=(service_port(node_port=0),))],
    ids=["port", "node-port"],
)
def test_follow_empties_a_destination_whose_port_is_gone(gone: Service) -> None:
    (found,) = claims(gone, node("n1"), head={ORDERS: TWO}).follow
    assert addresses(found) == {KEY: []}


def test_follow_keeps_what_it_may_not_replace() -> None:
    served = granted(virtual_service(), balanced("10.20.9.9")).addresses
    evil = balanced("127.0.0.1")
    assert claims(evil, head={ORDERS: served}).follow == (served,)
    mixed = balanced("10.20.9.8", "a.elb.example.com")
    assert claims(mixed, head={ORDERS: served}).follow == (served,)
    forbidden = (service(), node("n1", "10.99.0.1"))
    assert claims(*forbidden, head={ORDERS: TWO}).follow == (TWO,)


def test_follow_is_what_an_unchanged_wish_gets() -> None:
    found = claims(
        virtual_service(), service(), node("n2"), node("n5"), head={ORDERS: TWO}
    )
    assert found.follow == (found.claims[0].outcome.addresses,)  # type: ignore[union-attr]

"""Capacity: what fills a gateway, which limit comes first, and when it is time to act."""

from __future__ import annotations

from datetime import timedelta

import pytest
from prometheus_client import REGISTRY

from reconciler import metrics
from reconciler.capacity import Capacity, Level, Limit, capacities, ceilings, size
from reconciler.ledger_file import Entry
from reconciler.model.units import Owner, PortState
from reconciler.settings import Settings
from tests.planning import START, settings

DAY = timedelta(days=1)


def gateway(**overrides: object) -> dict[str, object]:
    return {
        "name": "public",
        "renderer": "envoy",
        "namespace": "ingress",
        "ports": {"range": "20000-20099"},
        **overrides,
    }


def under(**overrides: object) -> Settings:
    tenants = [
        {"clusters": ["prod-*"], "gateways": ["public"]},
        {"clusters": ["*"], "gateways": ["public"]},
    ]
    return settings(gateways=[gateway(**overrides)], tenants=tenants)


def entries(
    count: int,
    state: PortState = PortState.ACTIVE,
    *,
    first: int = 20000,
    cluster: str = "eu1",
    age: timedelta = timedelta(0),
) -> list[Entry]:
    return [
        Entry(
            gateway="public",
            key=first + index,
            state=state,
            owner=Owner(
                cluster=cluster,
                cluster_id="id",
                namespace="shop",
                name=f"n{index}",
                route="tcp",
            ),
            since=START - age,
        )
        for index in range(count)
    ]


def report(found: list[Entry], what: Settings | None = None) -> Capacity:
    (only,) = capacities(what or under(), found, START)
    return only


def test_each_state_is_counted_once_and_released_ports_come_back_after_the_quarantine() -> (
    None
):
    found = report(
        [
            *entries(10),
            *entries(3, PortState.DRAINING, first=20020),
            *entries(2, PortState.RELEASED, first=20030),
            *entries(5, PortState.RELEASED, first=20040, age=DAY),
            *entries(1, PortState.RESERVED, first=20050),
        ]
    )
    assert (found.live, found.draining, found.quarantined, found.reserved) == (
        13,
        3,
        2,
        1,
    )
    assert found.free == 100 - 16
    assert (found.headroom, found.limit, found.fill_percent) == (84, Limit.RANGE, 16)


def test_what_is_promised_to_another_unit_is_free_for_nobody() -> None:
    (entry,) = entries(1, PortState.RELEASED, age=DAY)
    promised = Entry(
        gateway=entry.gateway,
        key=entry.key,
        state=entry.state,
        owner=entry.owner,
        next="eu2/shop/orders",
        since=entry.since,
    )
    assert report([promised]).free == 99


def test_excluded_ports_and_those_of_proxies_are_no_room() -> None:
    what = under(ports={"range": "19000-19009", "exclude": [19009]})
    assert report([], what).usable == 5  # without 19000-19003


def test_live_ports_outside_of_a_shrunk_range_count_against_limits_not_the_range() -> (
    None
):
    found = report(
        entries(4, first=30000), under(ports={"range": "20000-20099", "max": 5})
    )
    assert (found.live, found.free, found.headroom, found.limit) == (
        4,
        100,
        1,
        Limit.MAX,
    )


@pytest.mark.parametrize(
    ("overrides", "limit", "ports"),
    [
        ({"limits": {"listeners": 50}}, Limit.LISTENERS, 49),
        ({"limits": {"loadBalancerPorts": 50}}, Limit.LOAD_BALANCER, 49),
        (
            {"limits": {"loadBalancerPorts": 50}, "renderer": "istio"},
            Limit.LOAD_BALANCER,
            48,
        ),
        (
            {
                "limits": {"listeners": 64, "loadBalancerPorts": 50},
                "ports": {"range": "20000-20099", "max": 20},
            },
            Limit.MAX,
            20,
        ),
    ],
)
def test_the_smallest_limit_is_the_one(
    overrides: dict[str, object], limit: Limit, ports: int
) -> None:
    what = under(**overrides)
    assert (ceilings(what.gateways[0])[0].limit, size(what.gateways[0])) == (
        limit,
        ports,
    )
    assert report(entries(2), what).limit is limit
    assert report(entries(2), what).headroom == ports - 2


@pytest.mark.parametrize(
    ("live", "level"),
    [
        (0, Level.OK),
        (79, Level.OK),
        (80, Level.WARNING),
        (94, Level.WARNING),
        (95, Level.CRITICAL),
        (99, Level.CRITICAL),
        (100, Level.FULL),
    ],
)
def test_levels_begin_at_80_and_95_percent(live: int, level: Level) -> None:
    assert report(entries(live)).level is level


def test_ports_are_told_by_tenant() -> None:
    found = report(
        [*entries(3), *entries(4, first=20010, cluster="prod-eu")],
    )
    assert found.tenants == (("*", 3), ("prod-*", 4))


def test_the_report_becomes_gauges() -> None:
    metrics.note_capacity([report(entries(81))])
    at = {"gateway": "public"}
    value = REGISTRY.get_sample_value
    assert value("wharfinger_gateway_headroom_ports", at) == 19
    assert value("wharfinger_gateway_fill_ratio", at) == 0.81
    assert value("wharfinger_gateway_ports", {**at, "state": "active"}) == 81
    levels = {
        level: value("wharfinger_gateway_level", {**at, "level": str(level)})
        for level in Level
    }
    assert levels == {
        Level.OK: 0,
        Level.WARNING: 1,
        Level.CRITICAL: 0,
        Level.FULL: 0,
    }

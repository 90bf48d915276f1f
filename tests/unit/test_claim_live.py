"""What a change of a cluster costs: the units that read it, and no other."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.claim import LiveClaims, claim
from reconciler.model.claims import ApiClaim, Wanted
from reconciler.model.clusters import (
    ClusterObjects,
    ClusterView,
    Service,
    Unknown,
    VirtualService,
    Why,
)
from reconciler.model.units import UnitAddresses, UnitId
from reconciler.model.updates import Delta, Object
from tests.builders import (
    NOW,
    balanced,
    destination,
    destination_rule,
    endpoint,
    endpoint_slice,
    node,
    service,
    settings,
    tcp_route,
    tenant,
    view,
    virtual_service,
)

UNDER = settings(tenant(volatileBackends=True))
GRACE = UNDER.guards.grace
POD = {"expose": "tcp", "backend": "pod"}


def source(
    name: str, host: str, annotated: dict[str, str] | None = None, **rest: object
) -> VirtualService:
    spec = {"tcp": [tcp_route(destination(host, **rest))]}
    return virtual_service(name, annotated=annotated, spec=spec)


NODES = source("nodes", "plain")
LOCAL = source("local", "local")
BALANCED = source("balanced", "elb")
PODS = source("pods", "pods", POD)
SUBSET = source("subset", "pods", POD, subset="v1")
UNEXPOSED = virtual_service("unexposed", annotated={})
N1 = node("n1")
PLAIN = service("plain")
SLICE = endpoint_slice(endpoint("10.20.7.1", labels={"a": "b"}), name="pods")
RULE = destination_rule("pods", {"v1": {"a": "b"}})
WORLD = (
    *(NODES, LOCAL, BALANCED, PODS, SUBSET, UNEXPOSED, N1, PLAIN, SLICE, RULE),
    service("local", local_traffic_policy=True),
    balanced("10.20.9.1", name="elb"),
    service("pods"),
)


def live(*objects: Object, head: dict[UnitId, UnitAddresses] | None = None):
    found = LiveClaims(view(*objects), UNDER)
    found.claims(None, head or {}, NOW)
    return found


def unit(name: str) -> UnitId:
    return UnitId(cluster="eu1", namespace="shop", name=name)


def names(units: frozenset[UnitId]) -> list[str]:
    return sorted(each.name for each in units)


def served(*objects: Object) -> dict[UnitId, UnitAddresses]:
    found = LiveClaims(view(*objects), UNDER).claims(None, {}, NOW)
    return {
        each.unit: each.outcome.addresses
        for each in found.claims
        if isinstance(each.outcome, Wanted)
    }


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (NODES, None, ["nodes"]),
        (None, source("more", "plain"), ["more"]),
        (UNEXPOSED, replace(UNEXPOSED, resource_version="9"), ["unexposed"]),
        (PLAIN, replace(PLAIN, local_traffic_policy=True), ["nodes"]),
        (PLAIN, None, ["nodes"]),
        (service("pods"), service("pods", headless=True), ["pods", "subset"]),
        (None, service("nobody"), []),
        (SLICE, None, ["pods", "subset"]),
        (None, endpoint_slice(endpoint("10.20.7.2"), name="plain"), []),
        (None, endpoint_slice(endpoint("10.20.7.2"), name="local"), ["local"]),
        (RULE, None, ["subset"]),
        (None, replace(RULE, host="pods.shop", name="other"), ["subset"]),
        (None, replace(RULE, host="pods.example.com", name="other"), []),
        (None, node("n2"), ["local", "nodes"]),
        (N1, node("n1", ready=False), ["local", "nodes"]),
        (N1, replace(N1, ready_since=NOW), []),
        (PLAIN, PLAIN, []),
    ],
)
def test_a_change_concerns_who_reads_it(
    old: Object | None, new: Object | None, expected: list[str]
) -> None:
    assert names(live(*WORLD).apply([Delta(old=old, new=new)])) == expected


def test_a_service_that_is_not_there_yet_is_waited_for() -> None:
    found = live(source("early", "late"))
    assert names(found.apply([Delta(old=None, new=service("late"))])) == ["early"]


def test_what_head_serves_is_followed_although_the_wish_is_another() -> None:
    head = served(NODES, PLAIN, N1)
    wish = source("nodes", "elb")
    found = live(wish, PLAIN, N1, balanced("10.20.9.1", name="elb"), head=head)
    assert names(found.apply([Delta(old=PLAIN, new=None)])) == ["nodes"]


def test_what_a_unit_no_longer_reads_concerns_it_no_longer() -> None:
    found = live(*WORLD)
    wish = source("nodes", "elb")
    changed = found.apply([Delta(old=NODES, new=wish)])
    found.claims(changed, {}, NOW)
    assert names(found.apply([Delta(old=PLAIN, new=None)])) == []
    assert names(found.apply([Delta(old=None, new=node("n2"))])) == ["local"]


def test_a_slice_holds_its_units_and_the_api() -> None:
    seen = view(*WORLD, api_servers=[("10.1.1.1", 6443)])
    found = LiveClaims(seen, UNDER)
    units = frozenset({unit("pods"), unit("unexposed"), unit("gone")})
    head = served(*WORLD)
    part = found.claims(units, head, NOW)
    assert [each.unit.name for each in part.claims] == ["pods"]
    assert part.unexposed == (unit("unexposed"),)
    assert [each.unit.name for each in part.follow] == ["pods"]
    assert isinstance(part.api, ApiClaim)


def test_a_unit_that_is_gone_is_followed_in_a_slice() -> None:
    head = served(NODES, PLAIN, N1)
    part = live(PLAIN, N1).claims(frozenset({unit("nodes")}), head, NOW)
    assert (part.claims, part.unexposed) == ((), ())
    assert part.follow == (head[unit("nodes")],)


def test_claims_say_whether_anything_at_all_is_listed() -> None:
    found = live(NODES, UNEXPOSED, PLAIN, N1)
    some = frozenset({unit("nodes")})
    found.apply([Delta(old=NODES, new=None)])
    assert not found.claims(some, {}, NOW).empty
    found.apply([Delta(old=UNEXPOSED, new=None)])
    assert found.claims(some, {}, NOW).empty
    assert claim(view(PLAIN, N1), UNDER, {}, NOW).empty


def test_units_of_other_clusters_and_apis_are_left_out() -> None:
    foreign = replace(unit("nodes"), cluster="us1")
    units = frozenset({foreign, UnitId(cluster="eu1")})
    part = live(*WORLD).claims(units, {}, NOW)
    assert (part.claims, part.unexposed, part.follow) == ((), (), ())


def test_the_view_of_claims_has_flags_and_no_objects() -> None:
    seen = view(*WORLD)
    assert isinstance(seen.objects, ClusterObjects)
    proof = replace(seen, objects=replace(seen.objects, one_look_is_proof=True))
    found = LiveClaims(proof, UNDER)
    shown = found.claims(None, {}, NOW).view
    assert shown == ClusterView(
        entry=seen.entry, objects=ClusterObjects(one_look_is_proof=True)
    )
    whole = found.view().objects
    assert isinstance(whole, ClusterObjects)
    assert whole.one_look_is_proof
    assert [each.name for each in whole.services] == ["elb", "local", "plain", "pods"]


def test_an_unready_node_wakes_its_readers_when_its_grace_is_over() -> None:
    found = live(NODES, BALANCED, PLAIN, N1, node("n2", ready=False, since=NOW))
    wake = found.wake(NOW)
    assert wake is not None
    assert wake.at == NOW + GRACE + timedelta.resolution
    assert wake.units == {unit("nodes")}
    assert found.wake(wake.at) is None


def test_time_alone_changes_nothing_when_nobody_reads_nodes() -> None:
    down = node("n1", ready=False, since=NOW)
    assert live(BALANCED, down).wake(NOW) is None
    assert live(NODES, PLAIN, node("n1", ready=False, since=None)).wake(NOW) is None


def test_a_node_that_is_ready_again_wakes_nobody() -> None:
    down = node("n1", ready=False, since=NOW)
    found = live(NODES, PLAIN, down)
    assert found.wake(NOW) is not None
    found.apply([Delta(old=down, new=N1)])
    assert found.wake(NOW) is None


def test_a_node_with_any_clock_is_survived() -> None:
    later = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    wake = live(NODES, PLAIN, node("n1", ready=False, since=later)).wake(NOW)
    assert wake is not None
    assert wake.at == NOW + timedelta(days=1)


def test_a_delta_that_speaks_of_another_object_is_a_bug() -> None:
    found = live(*WORLD)
    with pytest.raises(AssertionError, match="is not as"):
        found.apply([Delta(old=service("plain", type="ClusterIP"), new=None)])


def test_nothing_is_kept_up_to_date_of_an_unknown_cluster() -> None:
    seen = replace(view(), objects=Unknown(why=Why.TIMEOUT, message="too slow"))
    with pytest.raises(AssertionError, match="not known"):
        LiveClaims(seen, UNDER)


def test_without_a_tenants_entry_units_are_told_and_nothing_is_read() -> None:
    found = LiveClaims(view(NODES, PLAIN), settings(tenant(clusters=["prod-*"])))
    assert len(found.claims(None, {}, NOW).claims) == 1
    gone: Service = PLAIN
    assert found.apply([Delta(old=gone, new=None)]) == frozenset()

"""Whatever changes, in any order: live claims are those of the whole view, and nothing is missed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.claim import LiveClaims, claim
from reconciler.model.claims import ClusterClaims, Wanted
from reconciler.model.clusters import ClusterObjects, ClusterView
from reconciler.model.units import UnitAddresses, UnitId
from reconciler.model.updates import Delta, Object
from tests.builders import (
    LONG_AGO,
    NOW,
    balanced,
    destination,
    destination_rule,
    endpoint,
    endpoint_slice,
    node,
    service,
    service_port,
    tcp_route,
    tenant,
    view,
    virtual_service,
)
from tests.builders import settings as settings_of

FAST = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
UNDER = settings_of(tenant(volatileBackends=True), foreignGateways=["theirs"])
GRACE = UNDER.guards.grace
POD = {"expose": "tcp", "backend": "pod"}
V1 = {"version": "v1"}

World = tuple[Object | None, ...]
"""What is in each slot."""


def _exposures(name: str) -> tuple[Object, ...]:
    two = [tcp_route(destination("db"), destination("web", weight=3), port=1)]
    subset = [tcp_route(destination("db", subset="v1"))]
    return (
        virtual_service(name),
        replace(virtual_service(name), resource_version="8"),
        virtual_service(name, spec={"tcp": two}),
        virtual_service(name, spec={"tcp": [tcp_route(destination("web", None))]}),
        virtual_service(name, annotated=POD),
        virtual_service(name, annotated=POD, spec={"tcp": subset}),
        virtual_service(name, annotated={"expose": "udp"}),
        virtual_service(name, annotated={"state": "Ready"}),
        virtual_service(name, annotated={"exposed": "tcp"}),
        virtual_service(name, annotated={"expose": "tcp", "gateway": "theirs"}),
        virtual_service(name, deleting=True),
        virtual_service(name, spec={}),
    )


def _services(name: str) -> tuple[Object, ...]:
    return (
        service(name),
        service(name, ports=(service_port(node_port=31001),)),
        service(name, local_traffic_policy=True),
        service(name, type="ClusterIP"),
        service(name, headless=True),
        balanced("10.20.9.1", name=name),
        balanced("a.elb.example.com", name=name),
        balanced("127.0.0.1", name=name),
    )


def _slices(name: str, number: int) -> tuple[Object, ...]:
    labels = {"version": f"v{number}"}
    return (
        endpoint_slice(endpoint(f"10.20.7.{number}", labels=labels), name=name),
        endpoint_slice(endpoint(f"10.20.8.{number}", labels=V1, on="n2"), name=name),
        endpoint_slice(endpoint(f"10.20.8.{number}", on="n3", ready=False), name=name),
        endpoint_slice(endpoint("169.254.1.1", labels=V1), name=name),
    )


def _nodes(name: str) -> tuple[Object, ...]:
    return (
        node(name),
        node(name, since=NOW),
        node(name, ready=False),
        node(name, ready=False, since=NOW - GRACE / 2),
        node(name, ready=False, since=NOW - GRACE),
        node(name, "127.0.0.1"),
        node(name, "10.20.1.1", "10.20.1.2"),
    )


RULES: tuple[Object, ...] = (
    destination_rule(subsets={"v1": V1}),
    destination_rule(subsets={"v1": {"version": "v2"}}),
    destination_rule("web.shop", {"v1": V1}),
    destination_rule("a.b.c", {"v1": V1}),
)
SLOTS: tuple[tuple[Object, ...], ...] = (
    *map(_exposures, ("orders", "orders", "bills", "carts", "")),  # a liar's two orders
    *map(_services, ("db", "db", "web")),
    *(_slices("db", number) for number in (1, 2)),
    _slices("web", 3),
    *map(_nodes, ("n1", "n2", "n3")),
    *(tuple(replace(rule, name=name) for rule in RULES) for name in ("r1", "r2")),  # type: ignore[type-var,call-arg]
)


def _slot(index: int) -> st.SearchStrategy[Object | None]:
    # Most worlds shall be sound ones: the first of each slot is what works.
    sound = st.just(SLOTS[index][0])
    return sound | st.none() | st.sampled_from(SLOTS[index])


worlds: st.SearchStrategy[World] = st.tuples(*map(_slot, range(len(SLOTS))))
steps = st.lists(
    st.integers(0, len(SLOTS) - 1).flatmap(
        lambda index: st.tuples(st.just(index), _slot(index))
    ),
    min_size=1,
    max_size=6,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """A cluster, what happened to it in order, and the deltas that say so."""

    before: World
    after: World
    deltas: tuple[Delta, ...]


def _course(before: World, changes: list[tuple[int, Object | None]]) -> Course:
    now = list(before)
    deltas = []
    for index, new in changes:
        if now[index] is not None or new is not None:
            deltas.append(Delta(old=now[index], new=new))
        now[index] = new
    return Course(before=before, after=tuple(now), deltas=tuple(deltas))


courses = st.builds(_course, worlds, steps)


def _view(world: World) -> ClusterView:
    return view(*(each for each in world if each is not None))


def _served(world: World) -> Mapping[UnitId, UnitAddresses]:
    """What HEAD has after a pass over another world."""
    found = claim(_view(world), UNDER, {}, NOW)
    return {
        each.unit: each.outcome.addresses
        for each in found.claims
        if isinstance(each.outcome, Wanted)
    }


def _by_unit(found: ClusterClaims) -> dict[UnitId, list[object]]:
    """All that is said of each unit."""
    said: dict[UnitId, list[object]] = {}
    for claimed in (*found.claims, *found.unexposed_sources, *found.follow):
        said.setdefault(claimed.unit, []).append(claimed)
    for unit in found.unexposed:
        said.setdefault(unit, []).append("not exposed")
    for unit in found.elsewhere:
        said.setdefault(unit, []).append("elsewhere")
    return said


@given(course=courses, earlier=worlds)
@FAST
def test_live_claims_are_those_of_the_view(course: Course, earlier: World) -> None:
    head = _served(earlier)
    live = LiveClaims(_view(course.before), UNDER)
    live.apply(course.deltas)
    whole = claim(_view(course.after), UNDER, head, NOW)
    assert replace(live.claims(None, head, NOW), view=whole.view) == whole
    assert claim(live.view(), UNDER, head, NOW) == replace(whole, view=live.view())
    seen, now = live.view().objects, _view(course.after).objects
    assert isinstance(seen, ClusterObjects)
    assert isinstance(now, ClusterObjects)
    for name in ClusterObjects.__slots__[:-1]:
        assert sorted(map(repr, getattr(seen, name))) == sorted(
            map(repr, getattr(now, name))
        )


@given(course=courses, earlier=worlds)
@FAST
def test_what_is_not_named_as_changed_is_as_before(
    course: Course, earlier: World
) -> None:
    head = _served(earlier)
    live = LiveClaims(_view(course.before), UNDER)
    before = _by_unit(live.claims(None, head, NOW))
    changed = live.apply(course.deltas)
    after = _by_unit(claim(_view(course.after), UNDER, head, NOW))
    differing = {
        unit
        for unit in before.keys() | after.keys()
        if before.get(unit) != after.get(unit)
    }
    assert differing <= changed
    kept = {unit: said for unit, said in before.items() if unit not in changed}
    sliced = _by_unit(live.claims(changed, head, NOW))
    assert {**kept, **sliced} == after


@given(courses=st.tuples(courses, steps), earlier=worlds)
@FAST
def test_claims_of_slices_leave_behind_what_finds_the_next_change(
    courses: tuple[Course, list[tuple[int, Object | None]]], earlier: World
) -> None:
    first, later = courses
    head = _served(earlier)
    live = LiveClaims(_view(first.before), UNDER)
    live.claims(None, head, NOW)
    live.claims(live.apply(first.deltas), head, NOW)
    between = _by_unit(claim(_view(first.after), UNDER, head, NOW))
    second = _course(first.after, later)
    changed = live.apply(second.deltas)
    after = _by_unit(claim(_view(second.after), UNDER, head, NOW))
    for unit in between.keys() | after.keys():
        assert unit in changed or between.get(unit) == after.get(unit)


@given(world=worlds, earlier=worlds, seconds=st.integers(0, 200))
@FAST
def test_before_it_wakes_time_changes_nothing(
    world: World, earlier: World, seconds: int
) -> None:
    head = _served(earlier)
    live = LiveClaims(_view(world), UNDER)
    before = _by_unit(live.claims(None, head, NOW))
    wake = live.wake(NOW)
    later = NOW + timedelta(seconds=seconds)
    after = _by_unit(claim(_view(world), UNDER, head, later))
    for unit in before.keys() | after.keys():
        if wake is None or later < wake.at:
            assert before.get(unit) == after.get(unit)
        else:
            assert wake.at > NOW >= LONG_AGO
            assert unit in wake.units or before.get(unit) == after.get(unit)

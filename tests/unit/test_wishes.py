"""The head of a wish file: all of a placement, one spelling, and nothing that can hide in it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from reconciler.claim.annotations import BACKENDS
from reconciler.model.units import (
    Backend,
    Destination,
    Failover,
    PlacedRoute,
    Placement,
    Policy,
    ProxyProtocol,
    RouteWish,
    UnitAddresses,
    UnitId,
    UnitKind,
    Wish,
)
from reconciler.render import render, unsupported
from reconciler.settings import Renderer
from reconciler.wishes import UNKNOWN_BACKEND, digest_of, parse_wish, wish_lines
from tests.rendering import CASES, RENDERERS, settings

# The machine may be busy; what takes long is no fault of the input.
steady = hypothesis_settings(deadline=None, max_examples=60)
labels = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,10}[a-z0-9])?", fullmatch=True)
names = st.lists(labels, min_size=1, max_size=3).map(".".join)
ports = st.lists(st.integers(1, 65535), max_size=5, unique=True)
policies = st.builds(
    Policy,
    failover=st.sampled_from(Failover),
    backend=st.sampled_from(BACKENDS),
    allow_cidrs=st.sampled_from([(), ("10.0.0.0/8",), ("10.0.0.0/8", "fd00:1::/32")]),
    proxy_protocol=st.none() | st.sampled_from(ProxyProtocol),
    idle_timeout_seconds=st.none() | st.integers(0, 720 * 3600),
    max_connections=st.none() | st.integers(1, 1_000_000),
)


@st.composite
def wishes(draw: st.DrawFn) -> Wish:
    """A wish of any kind; on the API every destination is the API servers."""
    kind = draw(st.sampled_from(UnitKind))
    unit = UnitId(cluster=draw(labels))
    if kind is not UnitKind.API:
        unit = replace(unit, namespace=draw(labels), name=draw(names))
    policy = Policy() if kind is UnitKind.API else draw(policies)
    routes = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    made = (_route(draw, each, kind, policy) for each in sorted(routes))
    return Wish(unit=unit, kind=kind, routes=tuple(made), policy=policy)


def _route(draw: st.DrawFn, name: str, kind: UnitKind, policy: Policy) -> RouteWish:
    hosts = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    if kind is UnitKind.API:
        api = Destination(namespace="", service="", port=0, backend=Backend.API_SERVER)
        return RouteWish(
            name=name, destinations=(api,), hosts=draw(st.sampled_from([(), ("a.b",)]))
        )
    known = UNKNOWN_BACKEND if policy.backend == "auto" else Backend(policy.backend)
    destinations = st.builds(
        Destination,
        namespace=labels,
        service=labels,
        port=st.integers(1, 65535),
        backend=st.just(known),
        weight=st.integers(1, 1_000_000),
        subset=st.just("") | labels,
    )
    found = draw(
        st.lists(destinations, min_size=1, max_size=3, unique_by=lambda each: each.key)
    )
    return RouteWish(
        name=name,
        destinations=tuple(found),
        hosts=tuple(sorted(hosts)) if kind is UnitKind.TLS else (),
    )


@st.composite
def placements(draw: st.DrawFn) -> Placement:
    """A placement as the planner makes them: a route is there with ports or with hosts."""
    wish = draw(wishes())
    free = draw(st.permutations(range(20000, 20012)))
    routes = []
    for route in wish.routes:
        active, old = draw(st.integers(0, 2)), draw(st.integers(0, 2))
        if route.hosts:
            active = old = 0
        taken, free = tuple(free[: active + old]), free[active + old :]
        placed = PlacedRoute(wish=route, ports=taken, draining=taken[active:])
        routes += [placed] if placed.ports or route.hosts else []
    bare = Placement(gateway="public", wish=wish, routes=tuple(routes), digest="")
    return replace(bare, digest=digest_of(bare))


def file_of(placement: Placement, renderer: Renderer) -> bytes:
    made = settings(renderer=renderer)
    nowhere = UnitAddresses(
        unit=placement.wish.unit, failover=placement.wish.policy.failover, routes=()
    )
    return render(placement, nowhere, made.gateways[0], made).wish


@pytest.mark.parametrize("renderer", RENDERERS)
@steady
@given(placement=placements())
def test_a_wish_file_says_all_of_its_placement(
    renderer: Renderer, placement: Placement
) -> None:
    assume(placement.routes)
    gateway = settings(renderer=renderer).gateways[0]
    assume(unsupported(placement.wish, gateway) is None)
    data = file_of(placement, renderer)
    parsed = parse_wish(data)
    assert parsed == placement
    assert digest_of(parsed) == placement.digest
    assert file_of(parsed, renderer) == data


@steady
@given(one=placements(), other=placements())
def test_two_placements_never_have_the_same_lines(
    one: Placement, other: Placement
) -> None:
    unit = one.wish.unit  # it stands in the first line
    other = replace(other, wish=replace(other.wish, unit=unit), digest=one.digest)
    assert (wish_lines(one) == wish_lines(other)) == (one == other)


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("kind", [Backend.LOAD_BALANCER, Backend.POD])
def test_the_kind_of_backend_that_auto_found_is_in_no_wish(
    renderer: Renderer, kind: Backend
) -> None:
    placement = CASES["tcp"].placement
    (route,) = placement.wish.routes
    found = tuple(replace(each, backend=kind) for each in route.destinations)
    wish = replace(placement.wish, routes=(replace(route, destinations=found),))
    placed = tuple(replace(each, wish=wish.routes[0]) for each in placement.routes)
    other = replace(placement, wish=wish, routes=placed)
    assert file_of(other, renderer) == file_of(placement, renderer)


GOOD = file_of(CASES["policies"].placement, Renderer.ENVOY).decode()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# tcp on", "# udp on"),
        ("# tcp on gateway public\n", ""),
        ("# route tcp on 20017", "# route tcp on 020017"),
        ("# route tcp on 20017", "# route tcp on 20017 "),
        ("# route tcp on 20017", "# route tcp on  20017"),
        ("# route tcp on 20017", "# route tcp on 20017 not on this gateway"),
        ("# route tcp on 20017", "# route tcp on 20017\n# route tcp on 20018"),
        ("# route tcp on 20017", "# route tcp"),
        ("weight 90", "weight 090"),
        ("weight 90", "weight 90\r"),
        ("shop/blue:5432", "shop/blue:05432"),
        ("shop/blue:5432", "Shop/blue:5432"),
        ("shop/blue:5432", "shop/bl\u00fce:5432"),
        ("#   to shop/blue", "# to shop/blue"),
        ("# policy: failover none; ", "# policy: "),
        ("idle-timeout 600s", "idle-timeout 0600s"),
        ("; idle-timeout 600s", "; idle-timeout 600s;"),
        ("; idle-timeout", "; approved-by ada; idle-timeout"),
        ("idle-timeout 600s\n", "idle-timeout 600s\n# reviewed, all is well\n"),
        ("idle-timeout 600s\n", "idle-timeout 600s\n#\n"),
        ("10.0.0.0/8 ", "10.0.0.1/8 "),
        ("10.0.0.0/8 ", "10.0.0.0/ "),
        ("weight 90", "weight 1000001"),
        ("blue:5432", "blue:65536"),
        ("on 20017", "on 20017 20017"),
        ("on 20017", "on 65536"),
        ("on 20017", "on 0"),
        ("on 20017", "for a.apps.example.com"),
        ("on 20017", "for a.apps.example.com on 20017"),
        ("shop/blue:5432", "the API servers"),
        ("shop/blue:5432", "shop/green:5432"),
    ],
)
def test_a_head_that_is_spelled_otherwise_is_none_of_ours(old: str, new: str) -> None:
    assert parse_wish(GOOD.encode()) is not None
    assert GOOD.count(old) == 1
    assert parse_wish(GOOD.replace(old, new).encode()) is None


def test_no_line_takes_long_to_refuse() -> None:
    for line in (
        b"# route a for " + b"a," * 200_000,
        b"# route a on " + b"1 " * 200_000,
    ):
        body = b"\n".join(GOOD.encode().split(b"\n")[:2])
        assert parse_wish(body + b"\n" + line + b"!\n# policy: x\n") is None

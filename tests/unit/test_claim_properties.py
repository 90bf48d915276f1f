"""Whatever a cluster says: claims never fail, never interfere, and do not depend on order."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.claim import claim
from reconciler.headers import addresses_header, parse_addresses
from reconciler.model.claims import Rejection, Wanted
from reconciler.model.clusters import ClusterObjects
from reconciler.model.units import UnitId
from tests import builders
from tests.builders import (
    NOW,
    balanced,
    destination,
    endpoint,
    endpoint_slice,
    node,
    nodes,
    service,
    tcp_route,
    tls_route,
    view,
    virtual_service,
)

FAST = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
UNDER = builders.settings()

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
words = st.sampled_from(
    [
        *("tcp", "tls", "http", "match", "route", "destination", "host", "port"),
        *("number", "weight", "subset", "sniHosts", "db", "shop", "*", "name"),
    ]
)
anything = st.recursive(
    scalars | words,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(words | st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)
hosts = st.sampled_from(["db", "db.shop", "lb", "nope", "db.example.com", "", "*"])
numbers = st.sampled_from([0, 1, 5432, 65535, 65536, -1, True, "1", None, 1.5])
destinations = (
    st.fixed_dictionaries(
        {
            "destination": st.fixed_dictionaries(
                {"host": hosts}, optional={"port": st.builds(lambda n: {"number": n}, numbers)}
            )
        },
        optional={"weight": numbers},
    )
    | anything
)  # fmt: skip
entries = (
    st.fixed_dictionaries(
        {"route": st.lists(destinations, max_size=3) | anything},
        optional={
            "match": st.lists(
                st.fixed_dictionaries(
                    {}, optional={"port": numbers, "sniHosts": st.lists(hosts)}
                ),
                max_size=2,
            )
            | anything
        },
    )
    | anything
)
specs = st.dictionaries(
    st.sampled_from(["tcp", "tls", "http"]), st.lists(entries, max_size=3) | anything
)
keys = st.sampled_from(
    [
        *("expose", "gateway", "request-port", "failover", "backend", "allow-cidrs"),
        *("proxy-protocol", "idle-timeout", "max-connections", "state", "typo"),
    ]
)
values = st.sampled_from(
    [
        *(
            "tcp",
            "tls",
            "any",
            "public",
            "pod",
            "auto",
            "20017",
            "tcp=20017",
            "v1",
            "5m",
        ),
        *("10.0.0.0/8", "1", "", "::/0"),
    ]
) | st.text(max_size=12)
annotations = st.dictionaries(keys, values, max_size=5).map(
    lambda found: {"expose": "tcp", **found}
)
names = st.sampled_from(["evil", "a", "zz"]) | st.text(max_size=10)
evils = st.builds(
    lambda name, annotated, spec: virtual_service(name, annotated=annotated, spec=spec),
    names.filter(lambda name: name not in ("orders", "web")),
    annotations,
    specs,
)
addresses = st.sampled_from(
    ["10.20.0.9", "127.0.0.1", "::ffff:7f00:1", "a.elb.example.com", "x", ""]
) | st.text(max_size=10)

WORLD = (
    virtual_service(
        spec={
            "tcp": [
                tcp_route(
                    destination(weight=9), destination("green", weight=1), port=1
                ),
                tcp_route(destination("lb"), port=2),
            ]
        }
    ),
    virtual_service(
        "web",
        annotated={"expose": "tls"},
        spec={"tls": [tls_route("a.apps.example.com")]},
    ),
    service(),
    service("green"),
    balanced("10.20.9.9", "10.20.9.8", name="lb"),
    *nodes(12),
    endpoint_slice(endpoint("10.20.7.1"), endpoint("10.20.7.2")),
)
BASE = claim(view(*WORLD), UNDER, {}, NOW)


@given(spec=specs, annotated=annotations)
@FAST
def test_any_spec_and_annotations_are_granted_or_rejected(
    spec: dict[str, object], annotated: dict[str, str]
) -> None:
    source = virtual_service(annotated=annotated, spec=spec)
    (only,) = claim(view(source, *WORLD[2:]), UNDER, {}, NOW).claims
    if isinstance(only.outcome, Rejection):
        assert only.outcome.reason.isascii()
        assert only.outcome.reason.isprintable()
        assert len(only.outcome.reason) < 500
        return
    read = parse_addresses(addresses_header(only.outcome.addresses).encode())
    assert read == only.outcome.addresses


@given(spec=anything, value=anything)
@FAST
def test_any_json_is_survived(spec: object, value: object) -> None:
    source = replace(
        virtual_service(),
        spec=spec if isinstance(spec, dict) else {"tcp": spec, "http": spec},
        annotations={"wharfinger.dev/expose": "tcp", "wharfinger.dev/gateway": value},
    )
    (only,) = claim(view(source), UNDER, {}, NOW).claims
    assert isinstance(only.outcome, Rejection | Wanted)


@given(evil=evils)
@FAST
def test_a_bad_object_never_changes_anothers_claim(evil: object) -> None:
    found = claim(view(evil, *WORLD), UNDER, {}, NOW)  # type: ignore[arg-type]
    rest = tuple(c for c in found.claims if c.unit.name in ("orders", "web"))
    assert rest == BASE.claims


@given(texts=st.lists(addresses, max_size=3))
@FAST
def test_a_strangers_load_balancer_never_changes_anothers_claim(
    texts: list[str],
) -> None:
    evil = virtual_service("evil", spec={"tcp": [tcp_route(destination("elb"))]})
    found = claim(view(evil, balanced(*texts, name="elb"), *WORLD), UNDER, {}, NOW)
    assert tuple(c for c in found.claims if c.unit.name != "evil") == BASE.claims


@given(texts=st.lists(addresses, max_size=3))
@FAST
def test_any_node_address_is_used_left_out_or_rejected(texts: list[str]) -> None:
    (only,) = claim(
        view(virtual_service(), service(), node("n1", *texts)), UNDER, {}, NOW
    ).claims
    if isinstance(only.outcome, Wanted):
        found = only.outcome.addresses.routes[0].located[0].addresses
        assert all(each.host.startswith("10.20.") for each in found)


@given(data=st.data())
@FAST
def test_the_order_of_lists_means_nothing(data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(WORLD))
    found = claim(view(*shuffled), UNDER, {}, NOW)
    assert replace(found, view=BASE.view) == BASE


@given(data=st.data())
@FAST
def test_planning_again_from_head_changes_no_address(data: st.DataObject) -> None:
    head = {
        each.unit: each.outcome.addresses
        for each in BASE.claims
        if isinstance(each.outcome, Wanted)
    }
    assert len(head) == 2
    extra = data.draw(st.lists(st.integers(50, 99), unique=True, max_size=5))
    more = [node(f"n{number}") for number in extra]
    found = claim(view(*WORLD, *more), UNDER, head, NOW)
    assert found.claims == BASE.claims
    assert {each.unit: each for each in found.follow} == head


def test_a_deep_or_wide_value_is_cheap() -> None:
    deep: object = "x"
    for _ in range(20000):
        deep = [deep]
    wide = {"tcp": [tcp_route(destination(f"s{n}")) for n in range(20000)]}
    for spec in ({"tcp": deep}, {"tcp": [{"route": deep}]}, wide):
        (only,) = claim(view(virtual_service(spec=spec)), UNDER, {}, NOW).claims
        assert isinstance(only.outcome, Rejection)
    twice = virtual_service(spec={"tcp": deep, "http": [10**5000]})
    liars = (service(ports=(builders.service_port(10**5000),)), service())
    (only,) = claim(view(twice, twice, *liars), UNDER, {}, NOW).claims
    assert isinstance(only.outcome, Rejection)


def test_units_of_other_clusters_are_not_followed() -> None:
    foreign = UnitId(cluster="us1", namespace="shop", name="orders")
    (first, _) = BASE.claims
    assert isinstance(first.outcome, Wanted)
    moved = replace(first.outcome.addresses, unit=foreign)
    seen = view(*WORLD)
    assert isinstance(seen.objects, ClusterObjects)
    assert claim(seen, UNDER, {foreign: moved}, NOW).follow == ()

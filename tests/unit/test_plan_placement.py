"""Placement over several gateways: stable, whatever comes first, and full at the first limit."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping

import pytest

from reconciler.errors import InvalidSettings
from reconciler.ledger_file import parse_entry
from reconciler.model.claims import Wanted
from reconciler.model.plans import Op, Plan
from reconciler.plan.choice import rendezvous
from reconciler.settings import Settings
from reconciler.settings_file import parse
from reconciler.yamlio import dump
from tests.planning import Bench, claims, settings, wanted, wish

NAMES = tuple(f"n{index:02}" for index in range(24))


def gateway(name: str, ports: str, **rest: object) -> dict[str, object]:
    return {
        "name": name,
        "renderer": "envoy",
        "namespace": "ingress",
        "host": f"{name}.example.com",
        "ports": {"range": ports},
        **rest,
    }


def under(
    placement: str = "first", *gateways: dict[str, object], **rest: object
) -> Settings:
    listed = gateways or (gateway("a", "20000-20009"), gateway("b", "21000-21019"))
    names = [each["name"] for each in listed]
    tenant = {"clusters": ["*"], "gateways": names, "placement": placement, **rest}
    return settings(gateways=list(listed), tenants=[tenant])


def places(bench: Bench) -> dict[str, str]:
    """name -> gateway/port of what is active."""
    found = {}
    for path, data in bench.files.items():
        if path.startswith("ports/"):
            entry = parse_entry(path, data)
            if entry.owner is not None and entry.state == "active":
                found[entry.owner.name] = f"{entry.gateway}/{entry.key}"
    return found


def used(bench: Bench) -> Counter[str]:
    return Counter(each.partition("/")[0] for each in places(bench).values())


def exposed(*names: str, ports: Mapping[str, int] | None = None) -> tuple[Wanted, ...]:
    asked = ports or {}
    return tuple(wanted(wish(name), port=asked.get(name)) for name in names)


def run(bench: Bench, *names: str) -> Plan:
    return bench.run(claims(*(wanted(wish(name)) for name in names)))


def rejected(made: Plan) -> dict[str | None, str]:
    return {row.name: row.reason for row in made.rows if row.op is Op.REJECT}


def test_first_rejects_when_the_first_is_full_and_says_what_to_raise() -> None:
    bench = Bench(settings=under("first"))
    made = run(bench, *NAMES)
    assert used(bench) == {"a": 10}
    assert len(rejected(made)) == 14
    assert all("gateway a has no free port" in each for each in rejected(made).values())


def test_overflow_fills_the_next_gateway_and_moves_nobody() -> None:
    bench = Bench(settings=under("overflow"))
    run(bench, *NAMES[:8])
    before = places(bench)
    assert used(bench) == {"a": 8}
    made = run(bench, *NAMES)
    assert used(bench) == {"a": 10, "b": 14}
    assert before.items() <= places(bench).items()
    assert not rejected(made)
    assert bench.plan(claims(*(wanted(wish(name)) for name in NAMES))).drafts == ()


def test_when_all_are_full_the_message_names_each() -> None:
    small = (gateway("a", "20000-20001"), gateway("b", "21000-21001"))
    bench = Bench(settings=under("overflow", *small))
    (reason,) = rejected(run(bench, *NAMES[:5])).values()
    assert "gateway a has no free port" in reason
    assert "gateway b has no free port" in reason


def test_room_that_comes_back_is_for_new_ones_only() -> None:
    bench = Bench(settings=under("overflow"))
    run(bench, *NAMES)
    before = places(bench)
    left = [name for name in NAMES if before[name].startswith("b/")]
    guards = {"accept_deletions": bench.plan(claims(*exposed(*left))).withheld}
    bench.run(claims(*exposed(*left)), **guards)
    assert places(bench) == {name: before[name] for name in left}


@pytest.mark.parametrize("placement", ["overflow", "spread"])
def test_what_comes_back_gets_its_place_back(placement: str) -> None:
    bench = Bench(settings=under(placement))
    run(bench, *NAMES)
    before = places(bench)
    gone = NAMES[:3]
    run(bench, *NAMES[3:])
    assert not set(gone) & set(places(bench))
    run(bench, *NAMES)
    assert places(bench) == before


@pytest.mark.parametrize("placement", ["overflow", "spread"])
def test_order_of_arrival_does_not_matter(placement: str) -> None:
    results = set()
    small = (gateway("a", "20000-20001"), gateway("b", "21000-21002"))
    for order in itertools.permutations(NAMES[:4]):
        bench = Bench(settings=under(placement, *small))
        run(bench, *order)
        results.add(tuple(sorted(places(bench).items())))
    assert len(results) == 1


def test_spread_uses_all_by_size_and_overflows_when_one_is_full() -> None:
    bench = Bench(settings=under("spread"))
    run(bench, *NAMES)
    assert set(used(bench)) == {"a", "b"}
    assert used(bench)["b"] > used(bench)["a"]
    everyone = [f"m{index:02}" for index in range(30)]
    full = Bench(settings=under("spread"))
    assert not rejected(run(full, *everyone))
    assert used(full) == {"a": 10, "b": 20}


def test_a_new_gateway_takes_only_its_share_of_new_ones() -> None:
    weights = {"a": 100, "b": 100, "c": 200}
    first = {name: rendezvous((name,), weights)[0] for name in map(str, range(2000))}
    more = {**weights, "d": 100}
    moved = {
        name: rendezvous((name,), more)[0]
        for name in first
        if rendezvous((name,), more)[0] != first[name]
    }
    assert set(moved.values()) == {"d"}
    assert 300 < len(moved) < 500
    share = Counter(first.values())
    assert share["c"] > 1.6 * share["a"]


def test_a_gateway_that_is_added_moves_nobody() -> None:
    bench = Bench(settings=under("spread"))
    run(bench, *NAMES)
    before = places(bench)
    more = [
        gateway(name, f"2{index}000-2{index}019") for index, name in enumerate("abc")
    ]
    bench.settings = under("spread", *more)
    assert run(bench, *NAMES).drafts == ()
    assert places(bench) == before


def test_a_port_that_is_asked_for_is_looked_for_on_each_gateway() -> None:
    bench = Bench(settings=under("overflow"))
    bench.run(claims(*exposed("n1", ports={"n1": 21007})))
    assert places(bench) == {"n1": "b/21007"}
    made = bench.run(claims(*exposed("n1", "n2", ports={"n1": 21007, "n2": 21007})))
    assert set(rejected(made)) == {"n2"}


def test_a_named_gateway_is_the_only_one() -> None:
    bench = Bench(
        settings=under("overflow", gateway("a", "20000"), gateway("b", "21000"))
    )
    made = bench.run(
        claims(*(wanted(wish(name), gateway="a") for name in ("n1", "n2")))
    )
    assert used(bench) == {"a": 1}
    assert len(rejected(made)) == 1


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"listeners": 4}, "limits.listeners"),
        ({"loadBalancerPorts": 4}, "limits.loadBalancerPorts"),
    ],
)
def test_a_product_limit_fills_a_gateway_and_is_named(
    limits: dict[str, int], said: str
) -> None:
    bench = Bench(settings=under("first", gateway("a", "20000-20099", limits=limits)))
    made = run(bench, *NAMES[:5])
    assert used(bench) == {"a": 3}  # one is the TLS port's
    assert len(rejected(made)) == 2
    for reason in rejected(made).values():
        assert f"all 3 that {said} leaves are live" in reason
        assert "the platform team can raise" in reason


def test_a_lower_limit_takes_nothing_away() -> None:
    bench = Bench(settings=under("first", gateway("a", "20000-20099")))
    run(bench, *NAMES[:5])
    before = places(bench)
    bench.settings = under(
        "first", gateway("a", "20000-20099", limits={"listeners": 3})
    )
    made = run(bench, *NAMES[:6])
    assert places(bench) == before
    assert list(rejected(made)) == [NAMES[5]]


@pytest.mark.parametrize(
    ("gateways", "fault"),
    [
        ([gateway("a", "20000-20009"), gateway("b", "20000-20009")], False),
        ([gateway("a", "20000-20009", host="x.example.com"), gateway("b", "20005-20019", host="x.example.com")], True),
        ([gateway("a", "20000-20009", host="x.example.com"), gateway("b", "20010-20019", host="x.example.com")], False),
    ],
)  # fmt: skip
def test_one_host_and_port_never_means_two_gateways(
    gateways: list[dict[str, object]], fault: bool
) -> None:
    tenant = {"clusters": ["*"], "gateways": ["a", "b"], "placement": "spread"}
    body = {
        "apiVersion": "wharfinger.dev/v1alpha1",
        "kind": "Settings",
        "domain": "example.com",
        "gateways": gateways,
        "inventories": [{"name": "lab", "directory": {"path": "/clusters"}}],
        "tenants": [tenant],
    }
    if not fault:
        assert parse(dump(body).encode()).tenants[0].placement == "spread"
        return
    with pytest.raises(InvalidSettings, match="one host and ports in common"):
        parse(dump(body).encode())

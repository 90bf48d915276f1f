"""Properties of the planner over random worlds and histories."""

from __future__ import annotations

import random

from hypothesis import given, settings, strategies

from reconciler.codes import Code
from reconciler.ledger_file import parse_entry
from reconciler.model.claims import Rejection, Wanted
from reconciler.model.units import PortState
from tests.planning import Bench, claims, wanted, wish
from tests.planning import settings as wharf

NAMES = [f"s{index}" for index in range(8)]
PORTS = strategies.one_of(strategies.none(), strategies.integers(19998, 20012))


@strategies.composite
def exposures(draw: strategies.DrawFn) -> list[Wanted]:
    names = draw(strategies.lists(strategies.sampled_from(NAMES), unique=True))
    made = []
    for name in names:
        routes = {
            route: (("blue", draw(strategies.integers(0, 3))), ("green", 1))
            for route in draw(
                strategies.sampled_from([("tcp",), ("5432",), ("5432", "5433")])
            )
        }
        port = draw(PORTS)
        request = {next(iter(routes)): port} if port else {}
        made.append(wanted(wish(name, routes=routes), port=request))
    return made


def small() -> Bench:
    gateway = {
        "name": "public",
        "renderer": "envoy",
        "namespace": "ingress",
        "ports": {"range": "20000-20009", "static": "20000-20001"},
    }
    return Bench(
        settings=wharf(
            gateways=[gateway], guards={"deletions": {"percent": 100, "atLeast": 99}}
        )
    )


def check_ledger(bench: Bench) -> None:
    """Every port has one owner, every owner and route at most one active port, and served is owned."""
    active: dict[tuple[object, ...], int] = {}
    live = {}
    for path, data in bench.files.items():
        if path.startswith("ports/"):
            entry = parse_entry(path, data)
            assert entry.owner is not None
            if entry.state is PortState.ACTIVE:
                assert entry.owner.identity not in active
                active[entry.owner.identity] = int(entry.key)
            if entry.live:
                live[int(entry.key)] = entry.owner.name
    for path, data in bench.files.items():
        if path.startswith("manifests/") and not path.endswith(".endpoints.yaml"):
            line = data.split(b"\n")[0].decode()
            for part in line.split(" -> ")[1].split(" wish ")[0].split(", "):
                port = int(part.split(":")[1].split(" ")[0])
                assert f"/{live[port]} " in line


@given(exposures(), strategies.randoms())
@settings(max_examples=60, deadline=None)
def test_shuffled_input_gives_the_same_plan_and_planning_again_plans_nothing(
    made: list[Wanted], shuffle: random.Random
) -> None:
    one, other = small(), small()
    first = one.run(claims(*made))
    shuffled = list(made)
    shuffle.shuffle(shuffled)
    assert other.run(claims(*shuffled)).digest == first.digest
    assert one.files == other.files
    again = one.plan(claims(*made))
    assert again.drafts == ()
    assert {row.op for row in again.rows} <= {"reject"}
    check_ledger(one)


@given(strategies.lists(exposures(), max_size=6), strategies.randoms())
@settings(max_examples=60, deadline=None)
def test_ledger_invariants_hold_over_random_histories(
    worlds: list[list[Wanted]], chance: random.Random
) -> None:
    bench = small()
    for made in worlds:
        unexposed = tuple(
            wish(name).unit
            for name in NAMES
            if name not in {each.wish.unit.name for each in made}
        )
        proven = frozenset((wish(name).unit, "public") for name in NAMES)
        bench.run(claims(*made, unexposed=unexposed), proven=proven)
        check_ledger(bench)
        if chance.random() < 0.4 and bench.commits:
            bench.revert()
        bench.wait(hours=chance.choice([0, 1, 30]))
        seen = bench.plan(claims(*made, unexposed=unexposed), proven=proven)
        bench.apply(seen)
        again = bench.plan(claims(*made, unexposed=unexposed), proven=proven)
        assert again.drafts == ()


@given(exposures(), exposures())
@settings(max_examples=40, deadline=None)
def test_a_bad_unit_never_changes_the_bytes_of_another(
    before: list[Wanted], made: list[Wanted]
) -> None:
    evil = wish("evil").unit
    bad = Rejection(code=Code.INVALID_WEIGHTS, reason="bad")
    with_evil, without = small(), small()
    for bench in (with_evil, without):
        bench.run(claims(*before))
    with_evil.run(claims(*made, (evil, bad)))
    without.run(claims(*made))
    assert with_evil.files == without.files

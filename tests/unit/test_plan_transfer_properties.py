"""Properties of transfers over random histories of people, clusters and passes."""

from __future__ import annotations

from hypothesis import given, settings, strategies

from reconciler.ledger_file import parse_entry
from reconciler.model.claims import Wanted
from reconciler.model.clusters import Unknown
from tests.planning import Bench, claims, wanted, wish
from tests.planning import settings as wharf
from tests.transferring import give, live, unseen

CLUSTERS = ("eu1", "eu2", "eu3")
NAMES = ("a", "b")
ROUTES = (("tcp",), ("5432",), ("5432", "5433"))
TARGETS = [f"{cluster}/shop/{name}" for cluster in CLUSTERS for name in NAMES]
World = tuple[dict[tuple[str, str], Wanted | None], frozenset[str]]


@strategies.composite
def worlds(draw: strategies.DrawFn) -> World:
    """What every unit asks for (or nothing), and which clusters cannot be seen."""
    asks: dict[tuple[str, str], Wanted | None] = {}
    for cluster in CLUSTERS:
        for name in NAMES:
            routes = draw(strategies.sampled_from(ROUTES))
            what = wish(
                name, cluster=cluster, routes={route: (("db", 1),) for route in routes}
            )
            hosts = draw(strategies.sampled_from([("10.0.0.1",), ("10.0.0.1",), ()]))
            port = draw(strategies.sampled_from([None, None, 20003, 20004]))
            there = draw(strategies.integers(0, 3)) > 0
            request = {routes[0]: port} if port else {}
            asks[(cluster, name)] = (
                wanted(what, hosts=hosts, port=request) if there else None
            )
    away = draw(strategies.sets(strategies.sampled_from(CLUSTERS), max_size=1))
    return asks, frozenset(away)


def observed(world: World) -> list[object]:
    asks, away = world
    made: list[object] = []
    for cluster in CLUSTERS:
        if cluster in away:
            made.append(unseen(cluster))
            continue
        mine = [
            each for (at, _), each in asks.items() if at == cluster and each is not None
        ]
        gone = tuple(
            wish(name, cluster=cluster).unit
            for (at, name), each in asks.items()
            if at == cluster and each is None
        )
        made.append(
            claims(*mine, cluster=cluster, cluster_id=f"id-{cluster}", unexposed=gone)
        )
    return made


STEPS = strategies.lists(
    strategies.tuples(
        strategies.sampled_from(["give", "give", "give", "wait", "revert", "cancel"]),
        strategies.integers(0, 9),
        strategies.sampled_from(TARGETS),
    ),
    max_size=4,
)


def act(bench: Bench, step: tuple[str, int, str]) -> None:
    what, number, target = step
    paths = sorted(path for path in bench.files if path.startswith("ports/"))
    match what:
        case "wait":
            bench.wait(hours=number * 5)
        case "revert" if bench.commits and bench.commits[-1].ours:
            bench.revert()
        case "give" | "cancel" if paths:
            port = int(paths[number % len(paths)].split("/")[-1].removesuffix(".yaml"))
            give(bench, port, target if what == "give" else "")
        case _:
            pass


def owners(bench: Bench) -> dict[str, tuple[str, str, str]]:
    """path -> owner's unit, state, next."""
    found = {}
    for path, data in bench.files.items():
        if path.startswith("ports/"):
            entry = parse_entry(path, data)
            assert entry.owner is not None
            found[path] = (str(entry.owner.unit), str(entry.state), entry.next)
    return found


@given(strategies.lists(strategies.tuples(worlds(), STEPS), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_a_port_changes_hands_only_as_next_says_and_in_one_commit(
    story: list[tuple[World, list[tuple[str, int, str]]]],
) -> None:
    gateway = {
        "name": "public",
        "renderer": "envoy",
        "namespace": "ingress",
        "ports": {"range": "20000-20019"},
    }
    guard = {"deletions": {"percent": 100, "atLeast": 99}}
    bench = Bench(settings=wharf(gateways=[gateway], guards=guard))
    reverted = False
    for world, steps in story:
        seen = observed(world)
        made = bench.plan(*seen)  # type: ignore[arg-type]
        for draft in made.drafts:
            before = owners(bench)
            bench.commit(draft.writes, author="w", ours=True, subject=draft.subject)
            if not reverted:
                live(bench)  # at every commit, ledger and manifests agree one to one
            for path, (unit, state, _) in owners(bench).items():
                was = before.get(path)
                if (
                    was is None
                    or was[0] == unit
                    or (was[1] == "released" and not was[2])
                ):
                    continue
                assert (unit, state) == (was[2], "active")
        again = bench.plan(*seen)  # type: ignore[arg-type]
        # A wish that changes ends the hold of a revert, and then the transfer goes on.
        assert again.drafts == () or reverted
        for step in steps:
            reverted |= step[0] == "revert"
            act(bench, step)


@given(worlds(), strategies.integers(0, 9), strategies.sampled_from(TARGETS))
@settings(max_examples=80, deadline=None)
def test_what_a_port_file_says_next_changes_no_unit_but_the_two(
    world: World, number: int, target: str
) -> None:
    bench = Bench()
    seen = observed((world[0], frozenset()))
    bench.run(*seen)  # type: ignore[arg-type]
    paths = sorted(owners(bench))
    if not paths:
        return
    path = paths[number % len(paths)]
    former = owners(bench)[path][0]
    late = observed(world)
    without = bench.plan(*late)  # type: ignore[arg-type]
    usual = {unit for draft in without.drafts for unit in draft.units}
    give(bench, int(path.split("/")[-1].removesuffix(".yaml")), target)
    assert any(isinstance(each.view.objects, Unknown) for each in late) == bool(
        world[1]
    )  # type: ignore[attr-defined]
    made = bench.plan(*late)  # type: ignore[arg-type]
    for draft in made.drafts:
        assert set(draft.units) <= {former, target, *usual}

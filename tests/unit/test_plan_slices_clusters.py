"""Lives of clusters: what a pass over everything makes of them, slices make of them, too."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings, strategies

from reconciler.model.claims import ClusterClaims
from reconciler.model.clusters import ClusterState, ClusterView, Unknown, Why
from reconciler.model.plans import Plan, State
from reconciler.model.units import UnitId
from reconciler.plan import Index, Inputs, plan_on
from reconciler.plan.arrivals import newcomers
from tests.planning import RENDER, Bench, claims, wanted, wish
from tests.planning import settings as wharf
from tests.unit.test_plan_index import Kept, facts, head_of, history_of, only, writes
from tests.unit.test_plan_standing import api

NAMES = ("eu1", "eu2", "us1", "us2", "ap1")
INVENTORIES = [
    {"name": "lab", "directory": {"path": "/lab"}},
    {"name": "hub", "directory": {"path": "/hub"}, "approval": True},
]
GUARDS = {
    "arrivals": {"percent": 0, "atLeast": 2},
    "deletions": {"percent": 100, "atLeast": 99},
}
READ = ("", "", "", Why.UNREACHABLE, Why.NOT_YET, Why.DUPLICATE, Why.DISAGREE)
STATES = (*(ClusterState.READY,) * 4, *ClusterState)
PEOPLE = ("", "", "accept", "gone", "hold", "free")


@strategies.composite
def seen(draw: strategies.DrawFn) -> list[ClusterClaims]:
    """What is seen of some clusters: who they say that they are, and how much could be read."""
    found = []
    for name in draw(strategies.sets(strategies.sampled_from(NAMES), min_size=1)):
        uid = draw(strategies.sampled_from([f"id-{name}", f"id-{name}", "id-eu1", "x"]))
        said = draw(strategies.sampled_from([f"inv-{name}", f"inv-{name}", "y", ""]))
        units = draw(strategies.sets(strategies.sampled_from("abc")))
        why = draw(strategies.sampled_from(READ))
        masters = draw(
            strategies.sets(strategies.sampled_from(["10.0.0.1", "10.0.0.2"]))
        )
        mine = [wanted(wish(each, cluster=name)) for each in sorted(units)]
        made = claims(*mine, cluster=name, cluster_id=uid)
        entry = replace(
            made.view.entry,
            inventory=draw(strategies.sampled_from(["lab", "lab", "lab", "hub"])),
            inventory_id=said,
            state=draw(strategies.sampled_from(STATES)),
            against=draw(strategies.sampled_from([(), (), ("an impostor",)])),
        )
        route = api(*masters, cluster=name) if masters else None
        if why:
            entry = replace(entry, cluster_id="")
            nothing = Unknown(why=Why(why), message="no")
            view = ClusterView(entry=entry, objects=nothing)
            found.append(ClusterClaims(view=view, api=route))
        else:
            view = replace(made.view, entry=entry)
            found.append(replace(made, view=view, api=route))
    return sorted(found, key=lambda each: each.view.entry.name)


def meddle(bench: Bench, what: str, name: str) -> None:
    path, hold = f"clusters/{name}.yaml", f"holds/{name}.yaml"
    data = bench.files.get(path, b"")
    match what:
        case "accept" if not data:
            bench.person({path: f"cluster: {name}\naccept:\n  - id-{name}\n".encode()})
        case "accept" if b"accept" not in data:
            bench.person({path: data + b"accept:\n  - x\n"})
        case "gone" if data and b"deleted" not in data and b"\nid:" in data:
            bench.person({path: data + b"deleted: true\n"})
        case "hold":
            bench.person({hold: b"reason: wait\nby: ada\n"})
        case "free" if hold in bench.files:
            bench.person({hold: None})
        case _:
            pass


def whole_of(kept: Kept, name: str, now: list[ClusterClaims]) -> set[UnitId]:
    """All units of a cluster, as `run` looks at one that must be looked at as a whole."""
    mine = (each for each in now if each.view.entry.name == name)
    claimed = {claim.unit for each in mine for claim in each.claims}
    return {*claimed, *kept.index.units_of(name), UnitId(cluster=name)}


def sliced(
    kept: Kept,
    now: list[ClusterClaims],
    before: list[ClusterClaims],
    concerned: set[UnitId],
) -> Plan:
    """The plan of the clusters that changed, of what commits concern and of what waits."""
    known = {each.view.entry.name: each for each in before}
    fresh = {each.view.entry.name: each for each in now}
    units = {*concerned, *kept.waiting}
    for name in {*known, *fresh}:
        if known.get(name) != fresh.get(name):
            units |= whole_of(kept, name, now)
    for unit in concerned:
        if unit.is_api:  # its file changed
            units |= whole_of(kept, unit.cluster, now)
    index, bench = kept.index, kept.bench
    scope = index.scope(units)
    inputs = Inputs(
        settings=bench.settings,
        head=index.head,
        history=index.history,
        claims=tuple(
            only(each, scope)
            for each in now
            if each.view.entry.name in {unit.cluster for unit in scope}
        ),
        now=bench.now,
        units=scope,
        arriving=newcomers((e.view for e in now), index.records, bench.settings),
    )
    return plan_on(index, inputs, RENDER)


LIFE = strategies.tuples(
    seen(), strategies.sampled_from(PEOPLE), strategies.sampled_from(NAMES)
)


@given(strategies.lists(LIFE, min_size=1, max_size=6))
@settings(max_examples=120, deadline=None)
def test_slices_make_of_clusters_what_whole_passes_make_and_planning_again_plans_nothing(
    story: list[tuple[list[ClusterClaims], str, str]],
) -> None:
    bench = Bench(settings=wharf(inventories=INVENTORIES, guards=GUARDS))
    kept = Kept(bench)
    before: list[ClusterClaims] = []
    for now, people, name in story:
        for turn in range(3):
            concerned = kept.advance()
            assert facts(kept.index) == facts(Index(head_of(bench), history_of(bench)))
            whole = bench.plan(*now)
            if concerned is not None:
                part = sliced(kept, now, before, set(concerned))
                assert writes(part) == writes(whole)
                assert {row for row in part.rows if row.cluster} <= set(whole.rows)
            assert turn < 2 or not whole.drafts
            bench.apply(whole)
            before = now
            waits = {
                each.unit for each in whole.states if each.state is not State.ALLOCATED
            }
            told = {UnitId(cluster=row.cluster) for row in whole.rows}
            kept.waiting = frozenset(
                waits | {u for each in told for u in whole_of(kept, each.cluster, now)}
            )
        meddle(bench, people, name)

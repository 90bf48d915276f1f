"""New clusters: which wait for a person, alone or as a set; whole passes and slices alike."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.codes import Code
from reconciler.errors import Exit
from reconciler.guards import too_many_arrivals
from reconciler.model.claims import ClusterClaims
from reconciler.model.clusters import ClusterEntry, ClusterView, Unknown, Why
from reconciler.model.plans import Op, Plan, State
from reconciler.model.units import UnitId
from reconciler.plan import Index
from reconciler.plan.arrivals import newcomers
from reconciler.settings import ArrivalGuard
from tests.planning import Bench, claims, settings, wanted, wish
from tests.unit.test_plan_index import head_of, history_of
from tests.unit.test_plan_slices import sliced

APPROVED = [{"name": "lab", "directory": {"path": "/c"}, "approval": True}]
ROOM = {
    "name": "public",
    "renderer": "envoy",
    "namespace": "ingress",
    "ports": {"range": "20000-29999"},
}


def new(name: str, *units: str) -> ClusterClaims:
    made = (wanted(wish(each, cluster=name)) for each in units or ("orders",))
    return claims(*made, cluster=name, cluster_id=f"id-{name}")


def many(count: int, first: int = 0) -> list[ClusterClaims]:
    return [new(f"c{each}") for each in range(first, first + count)]


def codes(made: Plan) -> set[tuple[str, str]]:
    return {(row.op.value, row.code.value) for row in made.rows}


def accept(bench: Bench, name: str, uid: str) -> None:
    text = f"cluster: {name}\naccept:\n  - {uid}\n"
    bench.person({f"clusters/{name}.yaml": text.encode()})


@pytest.mark.parametrize(
    ("known", "count", "waits"),
    [
        (0, 10_000, False),
        (1, 20, False),
        (1, 21, True),
        (100, 50, False),
        (100, 51, True),
    ],
)
def test_how_many_may_come_at_once(known: int, count: int, waits: bool) -> None:
    why = too_many_arrivals(ArrivalGuard(), known=known, new=count)
    assert bool(why) is waits


def test_a_new_cluster_waits_for_approval_and_then_comes() -> None:
    bench = Bench(settings=settings(inventories=APPROVED))
    made = bench.run(new("eu1"))
    assert codes(made) == {("skip", str(Code.CLUSTER_UNAPPROVED))}
    assert made.exits == (Exit.DONE,)
    assert "accept-cluster eu1 id-eu1" in made.rows[0].reason
    (state,) = made.states
    assert state.state is State.PENDING
    assert state.message.startswith(str(Code.CLUSTER_UNAPPROVED))
    assert bench.files == {}
    accept(bench, "eu1", "another")
    assert bench.run(new("eu1")).drafts == ()
    accept(bench, "eu1", "id-eu1")
    made = bench.run(new("eu1"))
    assert codes(made) == {("create", str(Code.EXPOSED))}
    assert bench.files["clusters/eu1.yaml"] == (
        b"cluster: eu1\nid: id-eu1\ninventory: lab\n"
    )


def test_a_cluster_that_git_knows_needs_no_approval() -> None:
    bench = Bench()
    bench.run(new("eu1"))
    bench.settings = settings(inventories=APPROVED)
    made = bench.run(new("eu1", "orders", "billing"))
    assert codes(made) == {("create", str(Code.EXPOSED))}


def test_an_accepted_cluster_that_nobody_names_is_no_failure() -> None:
    bench = Bench(settings=settings(inventories=APPROVED))
    accept(bench, "eu1", "id-eu1")
    made = bench.run()
    assert codes(made) == {("skip", str(Code.CLUSTER_UNAPPROVED))}
    assert (made.exits, made.drafts) == ((Exit.DONE,), ())


def test_many_new_clusters_wait_as_a_set_until_a_person_takes_them() -> None:
    bench = Bench(settings=settings(gateways=[ROOM]))
    bench.run(*many(3))
    before = dict(bench.files)
    seen = [*many(3), *many(21, 3)]
    made = bench.run(*seen)
    assert codes(made) == {("withhold", str(Code.ARRIVALS_WITHHELD))}
    assert len(made.rows) == 21
    assert made.exits == (Exit.BLOCKED,)
    assert bench.files == before
    assert f"--accept-arrivals={made.withheld}" in made.rows[0].reason
    more = bench.run(*seen, new("z"), accept_arrivals=made.withheld)
    assert more.drafts == ()
    assert more.withheld != made.withheld
    assert len(bench.run(*seen, accept_arrivals=made.withheld).rows) == 21
    assert bench.run(*seen).rows == ()


def test_those_that_people_accept_one_by_one_are_no_part_of_the_set() -> None:
    bench = Bench(settings=settings(gateways=[ROOM]))
    bench.run(*many(3))
    seen = [*many(3), *many(21, 3)]
    accept(bench, "c5", "id-c5")
    made = bench.run(*seen)
    assert {row.op for row in made.rows} == {Op.CREATE}


def test_the_clusters_that_git_knows_go_on_beside_withheld_ones() -> None:
    bench = Bench(settings=settings(gateways=[ROOM]))
    bench.run(new("eu1"))
    made = bench.run(new("eu1", "orders", "billing"), *many(30))
    assert [row.name for row in made.rows if row.op is Op.CREATE] == ["billing"]


def test_a_slice_sees_how_many_come_beside_its_own() -> None:
    bench = Bench(settings=settings(gateways=[ROOM]))
    bench.run(*many(3))
    seen = [*many(3), *many(21, 3)]
    whole = bench.plan(*seen)
    index = Index(head_of(bench), history_of(bench))
    views = [each.view for each in seen]
    coming = newcomers(views, index.records, bench.settings)
    unit = UnitId(cluster="c7", namespace="shop", name="orders")
    made = sliced(bench, {unit}, new("c7"), arriving=coming)
    assert codes(made) == {("withhold", str(Code.ARRIVALS_WITHHELD))}
    assert made.withheld == whole.withheld
    few = newcomers(views[:10], index.records, bench.settings)
    made = sliced(bench, {unit}, new("c7"), arriving=few)
    assert codes(made) == {("create", str(Code.EXPOSED))}


def test_who_is_about_to_be_listed_counts_and_who_cannot_be_read_does_not() -> None:
    def view(why: Why) -> ClusterView:
        entry = ClusterEntry(name="eu1", inventory="lab")
        return ClusterView(entry=entry, objects=Unknown(why=why, message="no"))

    assert newcomers([view(Why.NOT_YET)], {}, settings()) == {"arrive eu1 "}
    assert newcomers([view(Why.UNREACHABLE)], {}, settings()) == frozenset()
    closed = settings(inventories=APPROVED)
    assert newcomers([view(Why.NOT_YET)], {}, closed) == frozenset()


def test_ten_thousand_new_clusters_allocate_nothing() -> None:
    bench = Bench(settings=settings(gateways=[ROOM]))
    bench.run(*many(3))
    flood = [
        replace(
            ClusterClaims(view=new("x").view),
            view=replace(
                new("x").view,
                entry=ClusterEntry(
                    name=f"c{each}", inventory="lab", cluster_id=f"id-c{each}"
                ),
            ),
        )
        for each in range(3, 10_003)
    ]
    made = bench.run(*many(3), *flood)
    assert len(made.rows) == 10_000
    assert made.drafts == ()

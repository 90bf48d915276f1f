"""Shards: whatever the order, what several processes write together is what one would write."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from reconciler.ledger_file import parse_entry
from reconciler.live.patience import waits
from reconciler.live.tally import unit_of
from reconciler.model.claims import ClusterClaims, Wanted
from reconciler.model.clusters import ClusterState
from reconciler.model.plans import Op, Plan, State
from reconciler.model.units import UnitId
from reconciler.settings import Settings
from tests.planning import Bench, claims, settings, wanted, wish
from tests.unit.test_plan_index import Kept, said_of

A, B = frozenset({"a"}), frozenset({"b"})


def under(**rest: object) -> Settings:
    gateways = [
        {
            "name": name,
            "renderer": "envoy",
            "namespace": "ingress",
            "host": f"{name}.example.com",
            "ports": {"range": ports},
            "proof": "off",
        }
        for name, ports in (("a", "20000-20011"), ("b", "21000-21019"))
    ]
    tenant = {"clusters": ["*"], "gateways": ["a", "b"], **rest}
    return settings(gateways=gateways, tenants=[tenant], release={"drain": "0s"})


def settle(bench: Bench, observed: Sequence[ClusterClaims], order: Sequence[frozenset[str] | None]) -> None:  # fmt: skip
    """Let the processes pass in this order until none has anything to write."""
    quiet = 0
    for _ in range(12):
        for gateways in order:
            made = bench.run(*observed, gateways=gateways)
            quiet = 0 if made.drafts else quiet + 1
        if quiet >= len(order):
            return
    raise AssertionError("it never settled")


def world(dice: random.Random) -> tuple[ClusterClaims, ...]:
    """Exposures of two clusters: some name a gateway, some a port, some nothing."""
    found = []
    for cluster in ("eu1", "eu2"):
        names = dice.sample([f"n{index}" for index in range(9)], dice.randrange(2, 7))
        outcomes = [
            wanted(
                wish(name, cluster=cluster),
                gateway=dice.choice(["", "", "a", "b"]),
                hosts=(f"10.0.0.{dice.randrange(1, 9)}",),
            )
            for name in names
        ]
        found.append(claims(*outcomes, cluster=cluster, cluster_id=f"id-{cluster}"))
    return tuple(found)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("placement", ["first", "overflow", "spread"])
@pytest.mark.parametrize("quota", [None, {"routes": 7, "perNamespace": 5}])
def test_two_shards_write_what_one_process_writes(
    seed: int, placement: str, quota: object
) -> None:
    rest = {"placement": placement} | ({"quota": quota} if quota else {})
    orders: list[list[frozenset[str] | None]] = [[None], [A, B], [B, A], [A, A | B, B]]
    trees = []
    for order in orders:
        dice = random.Random(seed)
        bench = Bench(settings=under(**rest))
        for _ in range(
            3
        ):  # each world takes some exposures away, moves and adds others
            settle(bench, world(dice), order)
        trees.append(bench.files)
    assert trees[0]
    for tree in trees[1:]:
        assert tree == trees[0]


def rows(made: Plan) -> set[tuple[str, str | None]]:
    return {(str(row.op), row.name) for row in made.rows}


def test_a_shard_leaves_the_rest_byte_for_byte() -> None:
    bench = Bench(settings=under())
    both = (
        wanted(wish("x"), gateway="a"),
        wanted(wish("y"), gateway="b"),
    )
    made = bench.run(claims(*both), gateways=B)
    assert rows(made) == {("create", "y")}
    assert {path.split("/")[1] for path in bench.files if "/b/" in path or "/a/" in path} == {"b"}  # fmt: skip
    assert [state.unit.name for state in made.states] == ["y"]
    assert {unit.name for unit in made.others} == {"x"}


def test_the_first_unit_notes_its_cluster_whoever_writes_it() -> None:
    bench = Bench(settings=under())
    bench.run(claims(wanted(wish("y"), gateway="b")), gateways=B)
    assert b"id: id-eu1" in bench.files["clusters/eu1.yaml"]
    swapped = claims(wanted(wish("y"), gateway="b"), cluster_id="other")
    made = bench.plan(swapped, gateways=B)
    assert made.drafts == ()
    assert "recreated" in made.rows[0].reason


def test_clusters_and_apis_belong_to_the_gateway_of_apis() -> None:
    bench = Bench(settings=under())
    assert bench.run(claims(), gateways=B).drafts == ()
    assert bench.run(claims(), gateways=A).drafts != ()


def test_a_move_is_made_by_the_new_home_and_the_old_place_serves_until_then() -> None:
    bench = Bench(settings=under())
    stays = claims(wanted(wish("x"), gateway="a"))
    bench.run(stays, gateways=A)
    before = dict(bench.files)
    moved = wanted(wish("x"), gateway="b", hosts=("10.0.0.1",))
    assert bench.run(claims(moved), gateways=A).drafts == ()
    assert bench.files == before

    bench.run(claims(moved), gateways=B)
    states = {
        entry.gateway: str(entry.state)
        for path, data in bench.files.items()
        if path.startswith("ports/")
        for entry in [parse_entry(path, data)]
    }
    assert states == {"a": "draining", "b": "active"}
    assert {path.split("/")[1] for path in bench.files if path.startswith("manifests/")} == {"a", "b"}  # fmt: skip
    assert bench.run(claims(moved), gateways=A).drafts == ()
    bench.wait(minutes=30)
    bench.run(claims(moved), gateways=B)
    assert {path.split("/")[1] for path in bench.files if path.startswith("manifests/")} == {"b"}  # fmt: skip


def test_while_the_new_home_is_away_the_old_one_follows_addresses() -> None:
    bench = Bench(settings=under())
    bench.run(claims(wanted(wish("x"), gateway="a")), gateways=A)
    moved: Wanted = wanted(wish("x"), gateway="b", hosts=("10.0.0.7",))
    seen = claims(moved, follow=(moved.addresses,))
    made = bench.run(seen, gateways=A)
    assert [draft.subject for draft in made.drafts] == ["Follow the addresses of cluster eu1"]  # fmt: skip
    (path,) = [path for path in bench.files if path.endswith(".endpoints.yaml")]
    assert path.startswith("manifests/a/")
    assert b"10.0.0.7" in bench.files[path]


def test_the_deletion_budget_counts_all_shards() -> None:
    bench = Bench(settings=under())
    names = [f"n{index}" for index in range(8)]
    both = [wanted(wish(name), gateway="ab"[index % 2]) for index, name in enumerate(names)]  # fmt: skip
    settle(bench, [claims(*both)], [A, B])
    made = bench.run(claims(), gateways=A)
    assert [row.op for row in made.rows] == [Op.WITHHOLD] * 4
    other = bench.plan(claims(), gateways=B)
    assert made.withheld != other.withheld
    bench.run(claims(), gateways=A, accept_deletions=made.withheld)
    left = {path for path in bench.files if path.startswith("manifests/")}
    assert left
    assert all(path.startswith("manifests/b/") for path in left)
    assert [row.op for row in bench.plan(claims(), gateways=B).rows] == [Op.WITHHOLD] * 4  # fmt: skip


def test_a_deleted_cluster_is_forgotten_when_the_last_shard_is_done() -> None:
    bench = Bench(settings=under())
    both = claims(wanted(wish("x"), gateway="a"), wanted(wish("y"), gateway="b"))
    settle(bench, [both], [A, B])
    entry = both.view.entry
    gone = ClusterClaims(
        view=type(both.view)(
            entry=type(entry)(
                name=entry.name,
                inventory=entry.inventory,
                cluster_id=entry.cluster_id,
                state=ClusterState.DELETED,
            ),
            objects=both.view.objects,
        )
    )
    bench.run(gone, gateways=A)
    assert b"deleted: true" in bench.files["clusters/eu1.yaml"]
    bench.run(gone, gateways=B)
    bench.run(gone, gateways=A)
    assert "clusters/eu1.yaml" not in bench.files
    assert not [path for path in bench.files if path.startswith("manifests/")]


def test_a_transfer_between_gateways_is_one_commit_of_one_process() -> None:
    bench = Bench(settings=under())
    both = claims(wanted(wish("x"), gateway="a"), wanted(wish("y")))
    settle(bench, [both], [A, B])
    (path,) = [
        path
        for path, data in bench.files.items()
        if path.startswith("ports/a/") and b"name: x" in data
    ]
    bench.person({path: bench.files[path] + b"next: eu1/shop/y\n"})
    assert bench.plan(both, gateways=B).drafts == ()
    bench.run(both, gateways=A)
    entry = parse_entry(path, bench.files[path])
    assert entry.owner is not None
    assert entry.owner.unit == UnitId(cluster="eu1", namespace="shop", name="y")


def keep_up(process: Kept, seen: list[ClusterClaims]) -> Plan:
    """One pass of a process that keeps an index and looks at what changed or waits."""
    concerned = process.advance()
    bench = process.bench
    if concerned is None:
        process.seen = said_of(seen)
        made = bench.plan(*seen, gateways=process.gateways)
    else:
        made = process.slice(seen, concerned)
    bench.apply(made)
    not_yet = (each.unit for each in made.states if each.state is not State.ALLOCATED)
    withheld = (unit_of(row) for row in made.rows if waits(row))
    process.waiting = made.pending.union(not_yet, withheld)
    return made


@pytest.mark.parametrize("seed", range(7))
@pytest.mark.parametrize("placement", ["first", "overflow", "spread"])
def test_shards_that_look_at_changes_alone_miss_nothing(
    seed: int, placement: str
) -> None:
    made = under(placement=placement, quota={"routes": 7, "perNamespace": 5})
    dice, order = random.Random(seed), random.Random(-seed - 1)
    alone, shared = Bench(settings=made), Bench(settings=made)
    processes = [Kept(shared, gateways=A), Kept(shared, gateways=B)]
    for _ in range(4):
        observed = list(world(dice))
        settle(alone, observed, [None])
        for _ in range(8):
            keep_up(order.choice(processes), observed)
        for process in processes * 2:
            keep_up(process, observed)
        assert shared.files == alone.files

"""What a pass over some units alone may not do: what only a pass over everything can judge."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.codes import Code
from reconciler.errors import Unavailable
from reconciler.guards import set_digest
from reconciler.model.claims import ApiClaim, ClusterClaims
from reconciler.model.clusters import ClusterState
from reconciler.model.plans import Op, Plan
from reconciler.model.repository import BlobId, CommitId
from reconciler.model.units import (
    Address,
    Backend,
    Destination,
    Located,
    LocatedRoute,
    UnitAddresses,
    UnitFiles,
    UnitId,
)
from reconciler.model.updates import Changes
from reconciler.plan import Index, Inputs, plan_on
from tests.planning import RENDER, Bench, claims, ops, settings, wanted, wish
from tests.unit.test_plan_index import head_of, history_of, only

API = UnitId(cluster="eu1")
GATEWAYS = [
    {
        "name": name,
        "renderer": "envoy",
        "namespace": "ingress",
        "ports": {"range": f"{first}-{first + 99}"},
    }
    for name, first in (("public", 20000), ("partners", 21000))
]
TENANT = {"clusters": ["*"], "gateways": ["public", "partners"]}


def unit(name: str, cluster: str = "eu1") -> UnitId:
    return UnitId(cluster=cluster, namespace="shop", name=name)


def many(count: int = 20) -> list[str]:
    return [f"u{each}" for each in range(count)]


def sliced(
    bench: Bench, units: set[UnitId], *seen: ClusterClaims, **inputs: object
) -> Plan:
    index = Index(head_of(bench), history_of(bench))
    scope = index.scope(units)
    base = Inputs(
        settings=bench.settings,
        head=index.head,
        history=index.history,
        claims=tuple(only(each, scope) for each in seen),
        now=bench.now,
        units=scope,
    )
    return plan_on(index, replace(base, **inputs), bench.render)  # type: ignore[arg-type]


def withheld_by(made: Plan) -> frozenset[UnitId]:
    return frozenset(
        UnitId(cluster=row.cluster, namespace=row.namespace or "", name=row.name or "")
        for row in made.rows
        if row.op is Op.WITHHOLD
    )


def deleted(seen: ClusterClaims) -> ClusterClaims:
    entry = replace(seen.view.entry, state=ClusterState.DELETED)
    return replace(seen, view=replace(seen.view, entry=entry))


def subjects(made: Plan) -> list[str]:
    return [draft.subject for draft in made.drafts]


def anew(bench: Bench) -> None:
    """A newer version that renders every file otherwise."""

    def unit_files(*given: object) -> UnitFiles:
        made = RENDER.unit(*given)  # type: ignore[arg-type]
        return replace(made, wish=made.wish + b"# a newer version's\n")

    bench.render = replace(RENDER, version=2, unit=unit_files)


def test_the_file_of_a_deleted_cluster_goes_with_its_last_unit_and_not_with_a_slice() -> (
    None
):
    bench = Bench()
    bench.run(claims(*(wanted(wish(name)) for name in many())))
    bench.run(deleted(claims()))
    made = sliced(bench, {unit("u3")}, deleted(claims()))
    assert "Forget cluster eu1" not in subjects(made)
    bench.apply(made)
    assert b"deleted: true" in bench.files["clusters/eu1.yaml"]


def test_the_file_of_a_deleted_cluster_goes_when_the_slice_has_its_last_unit() -> None:
    bench = Bench()
    bench.run(claims(wanted(wish("last"))))
    made = sliced(bench, {unit("last")}, deleted(claims()))
    assert "Forget cluster eu1" in subjects(made)


def test_a_port_that_drains_of_a_withheld_cluster_does_not_carry_its_unit_away() -> (
    None
):
    bench = Bench()
    wishes = [wanted(wish(name), port=20001 + at) for at, name in enumerate(many())]
    other = claims(wanted(wish("o", cluster="us1")), cluster="us1", cluster_id="id-us1")
    bench.run(claims(*wishes), other)
    wishes[3] = wanted(wish("u3"), port=20080)
    bench.run(claims(*wishes), other)
    bench.now += timedelta(seconds=20)
    held = withheld_by(bench.run(deleted(claims()), other))
    assert unit("u3") in held
    made = sliced(bench, {unit("o", "us1")}, deleted(claims()), other, withheld=held)
    assert {(row.op, row.name) for row in made.rows} == {(Op.WITHHOLD, "u3")}
    assert made.drafts == ()


def test_deletions_that_everything_together_withheld_do_not_go_one_by_one() -> None:
    bench = Bench()
    bench.run(claims(*(wanted(wish(name)) for name in many())))
    left = claims(*(wanted(wish(name)) for name in many(8)))
    held = withheld_by(bench.run(left))
    assert len(held) == 12
    for name in many()[8:]:
        made = bench.apply(sliced(bench, {unit(name)}, left, withheld=held))
        assert ops(made) == [("withhold", name, str(Code.DELETIONS_WITHHELD))]
        assert "withheld by the last pass over everything" in made.rows[0].reason
        assert made.withheld
        assert made.drafts == ()


def test_a_slice_deletes_within_the_budget_what_nobody_withheld() -> None:
    bench = Bench()
    bench.run(claims(*(wanted(wish(name)) for name in many())))
    left = claims(*(wanted(wish(name)) for name in many()[1:]))
    assert ops(sliced(bench, {unit("u0")}, left, withheld=frozenset({unit("u9")}))) == [
        ("delete", "u0", str(Code.GONE))
    ]


def test_a_whole_pass_judges_anew_what_an_earlier_one_withheld() -> None:
    bench = Bench()
    bench.run(claims(*(wanted(wish(name)) for name in many())))
    left = claims(*(wanted(wish(name)) for name in many()[1:]))
    made = bench.plan(left, withheld=frozenset({unit("u0")}))
    assert ops(made) == [("delete", "u0", str(Code.GONE))]


def test_a_withheld_deletion_of_a_slice_goes_with_its_digest() -> None:
    bench = Bench()
    bench.run(claims(*(wanted(wish(name)) for name in many())))
    left = claims(*(wanted(wish(name)) for name in many(8)))
    held = withheld_by(bench.run(left))
    shown = sliced(bench, {unit("u9")}, left, withheld=held)
    assert shown.withheld == set_digest(["delete eu1/shop/u9 "])
    made = sliced(
        bench, {unit("u9")}, left, withheld=held, accept_deletions=shown.withheld
    )
    assert ops(made) == [("delete", "u9", str(Code.GONE))]


def test_rewrites_that_everything_together_withheld_do_not_go_one_by_one() -> None:
    bench = Bench()
    seen = claims(*(wanted(wish(name)) for name in many()))
    bench.run(seen)
    anew(bench)
    held = withheld_by(bench.run(seen))
    assert len(held) == 20
    for name in many():
        made = bench.apply(sliced(bench, {unit(name)}, seen, withheld=held))
        assert ops(made) == [("withhold", name, str(Code.REWRITES_WITHHELD))]
        assert made.drafts == ()


def test_a_rewrite_is_withheld_beside_withheld_ones_of_its_gateway_alone() -> None:
    bench = Bench(settings=settings(gateways=GATEWAYS, tenants=[TENANT]))
    ours = [wanted(wish(name)) for name in many()]
    others = [wanted(wish(f"p{at}"), gateway="partners") for at in range(20)]
    seen = claims(*ours, *others)
    bench.run(seen)
    anew(bench)
    held = frozenset({unit("u1")})
    beside = sliced(bench, {unit("u0")}, seen, withheld=held)
    assert ops(beside) == [("withhold", "u0", str(Code.REWRITES_WITHHELD))]
    elsewhere = sliced(bench, {unit("p0")}, seen, withheld=held)
    assert ops(elsewhere) == [("update", "p0", str(Code.RERENDERED))]


def test_a_single_rewrite_passes_in_a_slice_where_nothing_is_withheld() -> None:
    bench = Bench()
    seen = claims(*(wanted(wish(name)) for name in many()))
    bench.run(seen)
    anew(bench)
    made = sliced(bench, {unit("u0")}, seen)
    assert ops(made) == [("update", "u0", str(Code.RERENDERED))]


def test_a_changed_wish_passes_where_its_rewrite_was_withheld() -> None:
    bench = Bench()
    seen = claims(*(wanted(wish(name)) for name in many()))
    bench.run(seen)
    anew(bench)
    held = withheld_by(bench.run(seen))
    other = wanted(wish("u0", routes={"tcp": (("other", 1),)}))
    made = sliced(bench, {unit("u0")}, claims(other), withheld=held)
    assert ops(made) == [("update", "u0", str(Code.WISH_CHANGED))]


def with_api(seen: ClusterClaims) -> ClusterClaims:
    kubernetes = Destination(
        namespace="default",
        service="kubernetes",
        port=6443,
        backend=Backend.NODE_PORT,
        weight=1,
    )
    address = Address(host="10.0.0.1", port=6443)
    located = Located(destination=kubernetes, addresses=(address,))
    addresses = UnitAddresses(
        unit=API,
        failover="none",
        routes=(LocatedRoute(name="api", located=(located,)),),
    )
    claim = ApiClaim(unit=API, addresses=addresses, certificate_names=None)
    return replace(seen, api=claim)


@pytest.mark.parametrize("is_known", [False, True])
def test_the_api_of_a_deleted_cluster_stays_while_its_exposures_are_withheld(
    is_known: bool,
) -> None:
    """Also where nobody told this slice what the last pass withheld."""
    bench = Bench(settings=settings(apis={"mode": "port"}))
    bench.run(with_api(claims(*(wanted(wish(name)) for name in many()))))
    held = withheld_by(bench.run(deleted(claims())))
    assert API in held
    bench.person({"holds/eu1/shop/u3.yaml": b"reason: wait\nby: ada\n"})
    made = sliced(
        bench,
        {unit("u3")},
        deleted(claims()),
        withheld=held if is_known else frozenset(),
    )
    assert ("withhold", None, str(Code.DELETIONS_WITHHELD)) in ops(made)
    assert made.drafts == ()


def test_the_api_of_a_deleted_cluster_goes_with_its_last_exposures() -> None:
    bench = Bench(settings=settings(apis={"mode": "port"}))
    bench.run(with_api(claims(wanted(wish("last")))))
    made = sliced(bench, {unit("last")}, deleted(claims()))
    assert {row.op for row in made.rows} == {Op.DELETE}
    bench.apply(made)
    assert not [path for path in bench.files if path.startswith("manifests/")]


def test_an_index_that_could_not_read_a_commit_never_says_that_it_is_there() -> None:
    """Half of a commit must not be planned on as its whole, nor be taken twice."""
    bench = Bench()
    bench.run(claims(wanted(wish("a"), port=20001)))
    bench.run(claims(wanted(wish("a"), port=20002)))
    index = Index(head_of(bench), history_of(bench))
    before, known = head_of(bench), len(bench.commits)
    path = "ports/public/20001.yaml"
    bench.person({path: bench.files[path] + b"# seen\n"})
    bench.run(
        claims(wanted(wish("x", cluster="eu2")), cluster="eu2", cluster_id="id-eu2")
    )
    now = head_of(bench)
    changes = Changes(
        base=before.commit,
        tip=now.commit,
        files={
            each: file
            for each, file in now.files.items()
            if before.files.get(each) != file
        },
        commits=tuple(reversed(bench.commits[known:])),
    )
    failures = [Unavailable("the remote does not answer")]

    def read(blob: BlobId) -> bytes:
        if failures:
            raise failures.pop()
        return bench.blobs[blob]

    index.history = replace(index.history, read=read)
    with pytest.raises(Unavailable):
        index.advance(changes)
    assert index.commit == CommitId(str(known))
    assert index.advance(changes) is None
    assert index.commit == CommitId(str(known))

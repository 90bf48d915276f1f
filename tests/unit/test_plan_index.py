"""An index that goes on with commits says what a new one says, and a slice plans what a whole does."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from hypothesis import given, settings, strategies

from reconciler.model.claims import Claim, ClusterClaims
from reconciler.model.plans import Plan, State
from reconciler.model.repository import CommitId, File, Head, History
from reconciler.model.units import UnitId
from reconciler.model.updates import Changes
from reconciler.plan import Index, Inputs, plan_on
from tests.planning import RENDER, Bench, claims, wanted, wish
from tests.planning import settings as wharf
from tests.transferring import give
from tests.unit.test_plan_transfer_properties import STEPS, World, act, observed, worlds

GATEWAY = {
    "name": "public",
    "renderer": "envoy",
    "namespace": "ingress",
    "ports": {"range": "20000-20019"},
}
GUARD = {"deletions": {"percent": 100, "atLeast": 99}}
TENANT = {
    "clusters": ["*"],
    "gateways": ["public"],
    "quota": {"routes": 6, "perNamespace": 3},
}
PEOPLE = strategies.sampled_from(
    ["", "", "delete", "header", "ledger", "copy", "hold", "free"]
)
STORY = strategies.lists(
    strategies.tuples(worlds(), STEPS, PEOPLE), min_size=1, max_size=6
)


def head_of(bench: Bench) -> Head:
    files = {
        path: File(blob=_blob(data), data=data) for path, data in bench.files.items()
    }
    return Head(commit=CommitId(str(len(bench.commits))), files=files)


def history_of(bench: Bench) -> History:
    commits = tuple(reversed(bench.commits))
    return History(commits=commits, read=bench.blobs.__getitem__)


def _blob(data: bytes) -> object:
    return hashlib.sha1(data).hexdigest()


@dataclass(slots=True)
class Kept:
    """An index that is kept over commits, and what units it has to look at."""

    bench: Bench
    gateways: frozenset[str] | None = None
    index: Index = field(init=False)
    known: int = 0
    waiting: frozenset[UnitId] = frozenset()
    seen: Mapping[UnitId, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.index = Index(head_of(self.bench), history_of(self.bench))

    def advance(self) -> frozenset[UnitId] | None:
        """Take the commits since the last time; `None` when it had to start anew."""
        new = self.bench.commits[self.known :]
        now = head_of(self.bench)
        before = self.index.files
        paths = {path for path in {*before, *now.files}}
        changes = Changes(
            base=CommitId(str(self.known)),
            tip=now.commit,
            files={
                path: now.files.get(path)
                for path in paths
                if now.files.get(path) != before.get(path)
            },
            commits=tuple(reversed(new)),
        )
        self.known = len(self.bench.commits)
        found = self.index.advance(changes)
        if found is None:
            self.index = Index(now, history_of(self.bench))
        return found

    def slice(self, seen: list[ClusterClaims], concerned: frozenset[UnitId]) -> Plan:
        """The plan of what changed in clusters, on the branch, or waits."""
        fresh = said_of(seen)
        moved = {
            unit
            for unit in {*fresh, *self.seen}
            if fresh.get(unit) != self.seen.get(unit)
        }
        units = self.index.scope(moved | concerned | self.waiting)
        inputs = Inputs(
            settings=self.bench.settings,
            head=self.index.head,
            history=self.index.history,
            claims=tuple(
                only(each, units)
                for each in seen
                if each.view.entry.name in {unit.cluster for unit in units}
            ),
            now=self.bench.now,
            units=units,
            gateways=self.gateways,
        )
        made = plan_on(self.index, inputs, RENDER)
        self.seen = fresh
        return made


def said_of(seen: list[ClusterClaims]) -> dict[UnitId, object]:
    found: dict[UnitId, object] = {}
    for each in seen:
        known = not hasattr(each.view.objects, "why")
        found[UnitId(cluster=each.view.entry.name)] = known
        for claim in each.claims:
            found[claim.unit] = claim
        for unit in each.unexposed:
            found[unit] = "unexposed"
    return found


def only(claims: ClusterClaims, units: frozenset[UnitId]) -> ClusterClaims:
    kept: tuple[Claim, ...] = tuple(e for e in claims.claims if e.unit in units)
    return replace(
        claims,
        claims=kept,
        unexposed=tuple(e for e in claims.unexposed if e in units),
        follow=tuple(e for e in claims.follow if e.unit in units),
    )


def facts(index: Index) -> list[object]:
    """All that an index says, without what counts nothing."""
    ledger, heads = index.ledger, index.heads
    lived: list[object] = [
        ledger.entries,
        list(ledger.contradictions()),
        ledger.owned,
        ledger.nexts,
        ledger.draining,
        heads.heads,
        heads.broken,
        index.records,
        index.renderer,
        index.history.commits,
        index.commit,
    ]
    for each in (ledger.live, ledger.routes, heads.wishes, heads.exposures):
        lived.append({key: count for key, count in Counter(each).items() if count})
    for some in (ledger.former, ledger.ports, ledger.live_ports, ledger.units):
        lived.append({key: each for key, each in some.items() if each})
    for more in (ledger.named, heads.units, heads.gateways):
        lived.append({key: each for key, each in more.items() if each})
    return [*lived, dict(index.files), {k: v for k, v in index.touched.items() if v}]


def meddle(bench: Bench, what: str) -> None:
    """What a person may do besides `next:` and reverts."""
    wishes = sorted(p for p in bench.files if "/vs-" in p and "endpoints" not in p)
    ports = sorted(path for path in bench.files if path.startswith("ports/"))
    match what:
        case "delete" if wishes:
            bench.person({wishes[0]: None})
        case "header" if wishes:
            bench.person({wishes[-1]: b"# nobody's\n"})
        case "ledger" if ports:
            bench.person({ports[0]: None})
        case "copy" if ports:
            number = ports[0].split("/")[-1].removesuffix(".yaml").encode()
            data = bench.files[ports[0]].replace(b"port: " + number, b"port: 20019")
            bench.person({"ports/public/20019.yaml": data})
        case "hold":
            bench.person({"holds/eu1/shop.yaml": b"reason: wait\nby: ada\n"})
        case "free" if "holds/eu1/shop.yaml" in bench.files:
            bench.person({"holds/eu1/shop.yaml": None})
        case _:
            pass


def writes(made: Plan) -> dict[str, bytes | None]:
    return {w.path: w.data for draft in made.drafts for w in draft.writes}


@given(STORY)
@settings(max_examples=80, deadline=None)
def test_going_on_with_commits_is_reading_everything_anew_and_slices_miss_nothing(
    story: list[tuple[World, list[tuple[str, int, str]], str]],
) -> None:
    made = wharf(gateways=[GATEWAY], guards=GUARD, tenants=[TENANT])
    bench = Bench(settings=made)
    kept = Kept(bench)
    for world, steps, people in story:
        seen: list[ClusterClaims] = observed(world)  # type: ignore[assignment]
        for _ in range(3):  # until nothing is left to do
            concerned = kept.advance()
            assert facts(kept.index) == facts(Index(head_of(bench), history_of(bench)))
            whole = bench.plan(*seen)
            if concerned is None:
                kept.seen = said_of(seen)
                sliced = whole
            else:
                sliced = kept.slice(seen, concerned)
            assert writes(sliced) == writes(whole)
            rows = set(whole.rows)
            assert {row for row in sliced.rows if row.cluster} <= rows
            bench.apply(whole)
            kept.waiting = frozenset(
                each.unit for each in whole.states if each.state is not State.ALLOCATED
            )
        for step in steps:
            act(bench, step)
        meddle(bench, people)


def test_a_transfer_that_is_taken_back_in_two_commits_counts_when_the_second_arrives() -> (
    None
):
    """The port's file is as people want it first; its meaning changes with another file."""
    made = wharf(gateways=[GATEWAY], guards=GUARD)
    bench = Bench(settings=made)
    kept = Kept(bench)
    old = wanted(wish("a", cluster="eu1"))
    new = wanted(wish("a", cluster="eu2"))
    seen = [
        claims(old, cluster="eu1", cluster_id="id-eu1"),
        claims(cluster="eu2", cluster_id="id-eu2"),
    ]
    bench.run(*seen)
    (path,) = [path for path in bench.files if path.startswith("ports/")]
    before = dict(bench.files)
    give(bench, int(path.split("/")[-1].removesuffix(".yaml")), "eu2/shop/a")
    seen[1] = claims(new, cluster="eu2", cluster_id="id-eu2")
    bench.run(*seen)
    assert b"eu2" in bench.files[path]
    bench.person({path: before[path]}, "Back, the port")
    kept.advance()
    manifests = {
        name: before.get(name)
        for name in {*bench.files, *before}
        if name.startswith("manifests/") and bench.files.get(name) != before.get(name)
    }
    bench.person(manifests, "Back, the manifests")
    assert kept.advance() is not None
    assert facts(kept.index) == facts(Index(head_of(bench), history_of(bench)))
    assert kept.index.ledger.at(path).owner.cluster == "eu1"  # type: ignore[union-attr]

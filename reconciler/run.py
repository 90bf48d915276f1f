"""Composes one pass: observe -> claim -> plan -> render -> commit.

This is the one place that reads the clock, waits, and retries. A push that lost the race is
planned again against the new HEAD, ports included, without observing again but for clusters of
which another reconciler said something; a branch that people share is never forced or rebased.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

from reconciler.claim import claim
from reconciler.codes import Code
from reconciler.errors import Blocked, Conflict, ReconcileError, Usage
from reconciler.freshness import clusters_of_others
from reconciler.heads import served_addresses
from reconciler.ledger import touches
from reconciler.log import log
from reconciler.model.clusters import Snapshot
from reconciler.model.pins import Pins
from reconciler.model.plans import NO_PLAN
from reconciler.model.proofs import Stage
from reconciler.model.repository import Head, History
from reconciler.model.units import UnitId
from reconciler.passes import (
    OWN_EYES,
    Eyes,
    Memory,
    PassOptions,
    PassResult,
    exits_of,
)
from reconciler.plan import Inputs, Rendering, plan
from reconciler.plan.pins import HeadPins
from reconciler.prove import prove
from reconciler.render import (
    RENDERER_VERSION,
    gateway_files,
    render,
    render_addresses,
    unsupported,
)
from reconciler.repo import Repository
from reconciler.reviewing import (
    Requests,
    following,
    look,
    told,
)
from reconciler.rewind import Sight, began, lost_applied, rewound
from reconciler.settings import Settings, under_review
from reconciler.settings_file import parse
from reconciler.targets import proof_targets
from reconciler.undisturbed import undisturbed

__all__ = [
    "NO_PLAN",
    "RENDERING",
    "SETTINGS_FILE",
    "Memory",
    "PassOptions",
    "PassResult",
    "exits_of",
    "one_pass",
    "settings_at",
]

SETTINGS_FILE = "wharfinger.yaml"
ATTEMPTS = 10

RENDERING = Rendering(
    version=RENDERER_VERSION,
    unit=render,
    addresses=render_addresses,
    gateway_files=gateway_files,
    unsupported=unsupported,
)


def settings_at(head: Head) -> Settings:
    """The settings at HEAD. Raises InvalidSettings, or Usage when there are none."""
    file = head.files.get(SETTINGS_FILE)
    if file is None:
        raise Usage(
            f"the ingress repository has no {SETTINGS_FILE}",
            hint="start one with `wharfinger init`, or name its folder with --path",
        )
    return parse(file.data, SETTINGS_FILE)


async def one_pass(
    repository: Repository,
    options: PassOptions,
    memory: Memory,
    eyes: Eyes = OWN_EYES,
) -> PassResult:
    """One pass from observing to a pushed commit. Raises only before there is a plan."""
    repository.fetch()
    head = repository.head()
    frozen = rewound(repository, head.commit, _seen_before(options, memory))
    if frozen is not None:
        return _frozen(head, frozen)
    settings = settings_at(head)
    work = _Pass(repository, options, memory, eyes)
    await work.observe(head, settings)
    planned = await work.plan(head, settings)
    rounds = settings.guards.confirmations - 1
    while rounds > 0 and _must_look_again(planned, options):
        grace = settings.guards.grace.total_seconds()
        log.info("waiting for another look", seconds=grace)
        await asyncio.sleep(grace)
        await work.look_again(planned, settings)
        planned = await work.plan(repository.head(), settings)
        rounds -= 1
    frozen = rewound(repository, repository.head().commit, began(head.commit))
    if frozen is None and (planned.plan.drafts or planned.plan.proposals):
        frozen = await lost_applied(repository, repository.head(), settings, eyes.look)
    if frozen is not None:
        return _frozen(repository.head(), frozen)
    result = work.review(await work.settle(planned))
    work.remember(result)
    return result


def _seen_before(options: PassOptions, memory: Memory) -> tuple[Sight, ...]:
    """What this process, or whoever started it, has seen of the branch."""
    return (
        Sight(commit=options.last_seen, how="--last-seen names"),
        Sight(commit=memory.pushed or "", how="this process pushed"),
    )


def _frozen(head: Head, failure: Blocked) -> PassResult:
    empty = replace(NO_PLAN, base=head.commit)
    return PassResult(
        plan=empty, settings=None, head=head, history=None, failure=failure
    )


def _must_look_again(result: PassResult, options: PassOptions) -> bool:
    if not options.commit or not options.wait or result.failure is not None:
        return False
    return any(row.code is Code.ABSENCE_UNCONFIRMED for row in result.plan.rows)


class _Pass:
    """One pass against one snapshot: plans and pushes until HEAD agrees or a limit is hit."""

    def __init__(
        self,
        repository: Repository,
        options: PassOptions,
        memory: Memory,
        eyes: Eyes,
    ) -> None:
        self._repository = repository
        self._options = options
        self._memory = memory
        self._eyes = eyes
        self._snapshot = Snapshot(clusters=())
        self._seen_at = eyes.now()
        self._known: frozenset[str] | None = None  # clusters of the first HEAD
        self._requests: Requests | None = None

    async def observe(self, head: Head, settings: Settings) -> None:
        """See all clusters of the pass; own eyes see them after HEAD was fetched."""
        if self._eyes is OWN_EYES:
            self._memory.followed = head.commit
        pins = self._pins(head, settings)
        self._snapshot = await self._eyes.observe(settings, self._options.only, pins)
        self._seen_at = self._eyes.now()

    def remember(self, result: PassResult) -> None:
        """Keep what the next pass of this process needs to know."""
        if result.commit is not None:
            self._memory.pushed = result.commit
        if result.settings is not None:
            self._note_missing(result, result.settings)

    def _note_missing(self, result: PassResult, settings: Settings) -> None:
        known, grace = result.known, settings.guards.grace
        self._memory.looks.note(
            result.plan.unconfirmed,
            lambda unit: unit.cluster in known,
            self._seen_at,
            grace,
        )

    async def settle(self, planned: PassResult) -> PassResult:
        """Push what was planned; on a lost race plan again on the new HEAD."""
        result = planned
        for attempt in range(ATTEMPTS):
            if not self._options.commit or not result.plan.drafts:
                return result
            try:
                return self._push(result)
            except Blocked as exc:
                if self._requests is None or not result.plan.drafts:
                    return replace(result, failure=exc)
                return _followed(result)
            except Conflict:
                log.info("lost the race for the branch", attempt=attempt + 1)
                await asyncio.sleep(random.uniform(0.02, 0.1) * 2 ** min(attempt, 5))
                self._repository.fetch()
                head = self._repository.head()
                seen = began(result.plan.base)
                frozen = rewound(self._repository, head.commit, seen)
                if frozen is not None:
                    return _frozen(head, frozen)
                result = await self.plan(head, settings_at(head))
            except ReconcileError as exc:
                return replace(result, failure=exc)
        lost = Conflict(
            f"{Code.PUSH_CONFLICT}: the branch moved {ATTEMPTS} times while this pass planned",
            hint="nothing was lost; the next pass tries again",
        )
        return replace(result, failure=lost)

    async def look_again(self, result: PassResult, settings: Settings) -> None:
        """Observe the clusters whose objects are missing once more."""
        self._note_missing(result, settings)
        again = frozenset(unit.cluster for unit in result.plan.unconfirmed)
        pins = self._pins(self._repository.head(), settings)
        self._take(await self._eyes.observe(settings, again, pins))
        self._seen_at = self._eyes.now()
        self._repository.fetch()

    def _pins(self, head: Head, settings: Settings) -> Pins:
        """What Git has pinned of clusters."""
        keys = settings.signing.keys
        return HeadPins(head, lambda: self._repository.history(keys))

    def _take(self, fresh: Snapshot) -> None:
        views = {view.entry.name: view for view in self._snapshot.clusters}
        views.update({view.entry.name: view for view in fresh.clusters})
        self._snapshot = replace(
            self._snapshot, clusters=tuple(views[name] for name in sorted(views))
        )

    async def _catch_up(self, head: Head, settings: Settings) -> None:
        """Look again at clusters of which another reconciler knew more than we saw."""
        seen, self._memory.followed = self._memory.followed, head.commit
        if seen is None or seen == head.commit:
            return
        commits = self._repository.history(settings.signing.keys).commits
        behind = clusters_of_others(commits, seen, self._options.gateways)
        if self._options.only is not None:
            behind &= self._options.only
        if behind:
            log.info("another process was here", clusters=len(behind))
            try:
                pins = self._pins(head, settings)
                self._take(await self._eyes.afresh(settings, behind, pins))
            except ReconcileError:
                self._memory.followed = seen
                raise

    async def plan(self, head: Head, settings: Settings) -> PassResult:
        """Claim and plan the snapshot against a HEAD and, under review, open requests."""
        _refuse_shard(self._options, settings)
        await self._catch_up(head, settings)
        if not under_review(settings):
            return await self._plan(head, settings)
        self._requests = look(self._repository, settings, self._scope(head))
        result = await self._plan(head, settings)
        if self._requests.study(result.plan, head):
            result = await self._plan(head, settings)
        return result

    def review(self, result: PassResult) -> PassResult:
        """Do what the proposals need, on the branch as it is now."""
        if self._requests is None or result.failure is not None or result.head is None:
            return result
        if not self._options.commit:
            return replace(result, reviewed=self._requests.looked())
        at = (result.commit or result.plan.base, self._eyes.now())
        reviewed = self._requests.carry_out(result.plan, result.head, at)
        made = replace(result.plan, states=told(result.plan.states, reviewed))
        return replace(result, plan=made, reviewed=reviewed)

    async def _plan(self, head: Head, settings: Settings) -> PassResult:
        now = self._eyes.now()
        requests = self._requests
        history = self._repository.history(settings.signing.keys)
        served = served_addresses(head)
        with undisturbed():
            claims = tuple(
                claim(view, settings, served.get(view.entry.name, {}), now)
                for view in self._snapshot.clusters
            )
        inputs = Inputs(
            settings=settings,
            head=head,
            history=history,
            claims=claims,
            now=now,
            failures=self._snapshot.failures,
            looks=self._memory.looks.current(settings.guards.grace),
            proven=await self._proven(head, settings, history),
            released=self._options.released,
            only=self._scope(head),
            gateways=self._options.gateways,
            assume_confirmed=not self._options.commit,
            accept_deletions=self._options.accept_deletions,
            accept_rewrites=self._options.accept_rewrites,
            accept_arrivals=self._options.accept_arrivals,
            reserved=requests.reserved(head) if requests is not None else (),
            declined=requests.declined if requests is not None else (),
        )
        with undisturbed():
            made = plan(inputs, RENDERING)
        return PassResult(
            plan=made,
            settings=settings,
            head=head,
            history=history,
            claims=claims,
        )

    def _scope(self, head: Head) -> frozenset[str] | None:
        """Clusters to plan. One that came to the branch after we observed did not vanish."""
        only = self._options.only
        recorded = frozenset(
            path.removeprefix("clusters/").removesuffix(".yaml")
            for path in head.files
            if path.startswith("clusters/")
        )
        if self._known is None:
            self._known = recorded
        seen = frozenset(view.entry.name for view in self._snapshot.clusters)
        if recorded <= self._known | seen:
            return only
        ours = self._known | seen
        return ours if only is None else ours & only

    async def _proven(
        self, head: Head, settings: Settings, history: History
    ) -> frozenset[tuple[UnitId, str]]:
        """Units that serve, asked only while something drains."""
        draining = {
            path
            for path, file in head.files.items()
            if path.startswith(("ports/", "hosts/"))
            and b"\nstate: draining\n" in file.data
        }
        if not draining:
            return frozenset()
        targets = proof_targets(head, settings, touches(history))
        content_at, look = self._repository.content_at, self._eyes.look
        proofs = await prove(targets, settings, content_at, self._memory.seen, look)
        return frozenset(
            (proof.unit, proof.gateway)
            for proof in proofs
            if proof.stage is Stage.SERVING
        )

    @undisturbed()
    def _push(self, result: PassResult) -> PassResult:
        made = result.plan
        commit = self._repository.push(
            made.drafts, made.base, made.digest, self._eyes.now()
        )
        log.info("commit pushed", commit=commit, changes=len(made.drafts))
        self._memory.followed = commit
        return replace(
            result,
            commit=commit if commit != made.base else None,
            head=self._repository.head(),
            history=self._repository.history(),
        )


def _refuse_shard(options: PassOptions, settings: Settings) -> None:
    """Raises Usage where a shard names no gateway, or could not propose without its sisters."""
    if options.gateways is None:
        return
    known = {each.name for each in settings.gateways}
    unknown = sorted(options.gateways - known)
    if unknown:
        raise Usage(
            f"--gateway {unknown[0]}: there is no such gateway, expected some of "
            f"{', '.join(sorted(known))}"
        )
    if under_review(settings):
        raise Usage(
            "--gateway does not go with review.mode: pull-request",
            where=SETTINGS_FILE,
            hint="a request is about a namespace whatever its gateways are: let one process "
            "propose, and others wait with --lease",
        )


def _followed(result: PassResult) -> PassResult:
    """The branch takes no pushes of ours: what is nobody's decision is proposed, too."""
    more = following(result.plan.drafts)
    proposals = (*result.plan.proposals, *more)
    return replace(result, plan=replace(result.plan, drafts=(), proposals=proposals))

"""Composes review: what Git and the forge say of requests -> what a pass does about them (I/O).

The forge may be down while Git works: then open requests are known from their branches alone,
what is nobody's decision still reaches the branch, and the requests wait for the next pass.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from reconciler.declines import Closed
from reconciler.errors import (
    Blocked,
    Conflict,
    ReconcileError,
    Unauthorised,
    Unavailable,
    Usage,
)
from reconciler.log import log
from reconciler.model.plans import (
    Op,
    Plan,
    Proposal,
    ProposalKind,
    State,
    UnitState,
)
from reconciler.model.repository import CommitDraft, CommitId, FileWrite, Head
from reconciler.model.reviews import (
    Declined,
    Offered,
    Outcome,
    Request,
    RequestState,
    Reservation,
    Step,
)
from reconciler.model.units import UnitId
from reconciler.plan.proposals import pairs_of, reservations
from reconciler.repo import Repository
from reconciler.review import connect
from reconciler.review.body import closed_body
from reconciler.review.decide import Action, Branch, decide
from reconciler.review.forge import Forge
from reconciler.review.once import each_once, moved
from reconciler.review.unseen import Unseen, unseen_by
from reconciler.review.work import Desk, Work
from reconciler.settings import Settings

FOLLOWED = "followed.addresses"
_SOME = (Step.OPENED, Step.REBUILT, Step.WAITING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed:
    """What a pass did about its requests, and what went wrong with single ones."""

    outcomes: tuple[Outcome, ...] = ()
    failures: tuple[ReconcileError, ...] = ()
    notes: tuple[str, ...] = ()


NOT_REVIEWED = Reviewed()


def prefix(branch: str, path: str) -> str:
    """The prefix of request branches; repositories with several of ours keep them apart."""
    if branch in ("main", "master") and path in ("", "."):
        return "wharfinger/"
    mark = hashlib.sha256(f"{branch}\n{path}".encode()).hexdigest()[:8]
    return f"wharfinger-{mark}/"


@dataclass(slots=True)
class Requests:
    """The requests of one repository during one pass; made by `look`."""

    repository: Repository
    settings: Settings
    prefix: str
    forge: Forge | None
    tips: Mapping[str, CommitId] = field(default_factory=dict)
    open: Mapping[str, Request] = field(default_factory=dict)
    doubles: tuple[Request, ...] = ()
    declined: tuple[Declined, ...] = ()
    failure: ReconcileError | None = None
    scope: frozenset[str] | None = None
    refused: set[str] = field(default_factory=set)  # groups without units
    _seen: dict[tuple[str, str], Offered] = field(default_factory=dict)

    def reserved(self, head: Head) -> tuple[Reservation, ...]:
        """Ports and hosts that open requests take, those of the oldest request first."""
        seen = self.forge is not None and self.failure is None
        found: list[Reservation] = []
        for name in sorted(self.tips, key=self._age):
            if seen and name not in self.open:
                continue
            offered = self._offered(name, head)
            group = name.removeprefix(self.prefix)
            found += reservations(offered.files, group)
        return tuple(found)

    def _age(self, name: str) -> tuple[int, str]:
        request = self.open.get(name)
        return (request.number if request is not None else 1 << 60, name)

    def _offered(self, name: str, head: Head) -> Offered:
        at = (name, head.commit)
        if at not in self._seen:
            branches = self.repository.branches()
            self._seen[at] = branches.offered(name, self.tips[name], head.commit)
        return self._seen[at]

    def branches(self, head: Head, unseen: Unseen) -> dict[str, Branch]:
        """All request branches by group, as they stand against HEAD."""
        found = {}
        for name in sorted({*self.tips, *self.open}):
            group = name.removeprefix(self.prefix)
            offered = self._offered(name, head) if name in self.tips else None
            files = offered.files if offered is not None else {}
            before = offered.before if offered is not None else {}
            pairs = pairs_of(files, before.get)
            clusters = {pair.unit.cluster for pair in pairs} | _named(group)
            found[group] = Branch(
                group=group,
                offered=offered,
                pairs=pairs,
                request=self.open.get(name),
                decided=not any(unseen.unit(pair.unit) for pair in pairs)
                and not any(map(unseen.cluster, clusters))
                and (bool(clusters) or unseen.scope is None),
                whole=not any(map(unseen.cluster, clusters)),
                spent=offered is not None and _is_spent(files, head),
            )
        return found

    def study(self, plan: Plan, head: Head) -> bool:
        """Read what people declined of the groups that this plan would propose anew.

        True when the plan must be made again because of it. One look a pass is enough.
        """
        if self.forge is None or self.failure is not None or self.declined:
            return False
        branches = self.branches(head, Unseen())
        actions = decide(plan.proposals, branches, self.settings.review.max_open)
        found: list[Declined] = []
        closed = Closed(
            repository=self.repository, forge=self.forge, prefix=self.prefix
        )
        try:
            for action in actions:
                if action.step in _SOME and action.proposal is not None:
                    found += closed.declined(action.proposal, action.branch)
                    if closed.refused(action.proposal):
                        self.refused.add(action.group)
        except (Unavailable, Unauthorised, Blocked) as exc:
            self.failure = exc
        self.declined = tuple(found)
        return bool(found)

    def looked(self) -> Reviewed:
        """For a plan that only shows: what the forge would not tell."""
        if self.failure is None:
            return NOT_REVIEWED
        note = f"declined and closed requests are not known: {self.failure}"
        return Reviewed(notes=(note,))

    def carry_out(
        self, plan: Plan, head: Head, at: tuple[CommitId, datetime]
    ) -> Reviewed:
        """Do what the plan's proposals need; one request's failure does not stop others.

        `at` is the commit that was planned on, with our own push, and the time: what others
        merged since is for the next plan, and for the forge to find a conflict with.
        """
        base, now = at
        if self.forge is None or self.failure is not None:
            failed = (self.failure,) if self.failure is not None else ()
            return Reviewed(failures=failed)
        desk = Desk(
            forge=self.forge,
            branches=self.repository.branches(),
            review=self.settings.review,
            work=Work(
                prefix=self.prefix,
                head=base,
                stamp=(plan.digest, now),
                quarantine=self.settings.release.quarantine,
                engine=_engine(self.settings),
                held=tuple(row for row in plan.rows if row.op is Op.HOLD),
            ),
        )
        try:
            branches = self._with_leftovers(plan, head)
        except (Unavailable, Unauthorised, Blocked) as exc:
            return Reviewed(failures=(exc,))
        wanted = [each for each in plan.proposals if each.group not in self.refused]
        actions = decide(wanted, branches, self.settings.review.max_open)
        done = _all_done(desk, actions)
        try:
            return self._each_once(done)
        except (Unavailable, Unauthorised, Blocked) as exc:
            return replace(done, failures=(*done.failures, exc))

    def _each_once(self, done: Reviewed) -> Reviewed:
        """Close what is open beside an older request of its branch.

        Two passes at once may both open one, and not every forge refuses the second. Whoever
        opened the younger one sees the older one here, and closes its own alone.
        """
        stuck = any(not isinstance(e, Blocked | Conflict) for e in done.failures)
        if self.forge is None or stuck:
            return done
        first, doubles = self.open, self.doubles
        mine = {e.number for e in done.outcomes if e.step is Step.OPENED}
        if mine:
            first, others = each_once(self.forge.open_requests(self.prefix))
            doubles += tuple(each for each in others if each.number in mine)
        kept: dict[int, Request] = {}
        for each in dict.fromkeys(doubles):
            older = first.get(each.branch)
            if older is not None and older.number != each.number:
                reason = f"{older.url} is about the same branch"
                self.forge.close(each, closed_body(reason))
                kept[each.number] = older
        return replace(done, outcomes=tuple(moved(e, kept) for e in done.outcomes))

    def _with_leftovers(self, plan: Plan, head: Head) -> dict[str, Branch]:
        """All branches; those without a request are told from what people declined.

        A pass that ended between two steps leaves them, and what people closed may be reopened.
        """
        found = self.branches(head, unseen_by(plan, self.scope))
        for group in found.keys() - {each.group for each in plan.proposals}:
            branch = found[group]
            mine = branch.offered is not None and branch.offered.ours
            if branch.request is None and branch.decided and mine and not branch.spent:
                found[group] = replace(branch, left=self._is_left(branch))
        return found

    def _is_left(self, branch: Branch) -> bool:
        if branch.offered is None or self.forge is None:
            return False
        tip = branch.offered.tip
        closed = self.forge.closed_requests(self.prefix + branch.group)
        return not any(
            each.head == tip
            and each.state is RequestState.CLOSED
            and not each.ours_closed
            for each in closed
        )


def _all_done(desk: Desk, actions: Iterable[Action]) -> Reviewed:
    """All steps, until one shows that the next ones would not work either."""
    outcomes: list[Outcome] = []
    failures: list[ReconcileError] = []
    for action in actions:
        try:
            outcomes.append(_done(desk, action))
        except (Blocked, Conflict) as exc:
            failures.append(exc)
        except (Unavailable, Unauthorised, Usage) as exc:
            failures.append(exc)
            break
    return Reviewed(outcomes=tuple(outcomes), failures=tuple(failures))


def _done(desk: Desk, action: Action) -> Outcome:
    outcome = desk.do(action)
    if outcome.step is not Step.KEPT:
        log.info("request", group=action.group, step=str(outcome.step), url=outcome.url)
    return outcome


def look(
    repository: Repository, settings: Settings, scope: frozenset[str] | None
) -> Requests:
    """Bring request branches and ask the forge which requests are open.

    `scope` are the clusters that the pass is about, `None` for all. A forge that cannot be asked
    is noted in `failure`, and so are branches that cannot be brought: what is nobody's decision
    reaches the branch all the same, and nothing is proposed.
    """
    remote = repository.remote
    start = prefix(remote.branch, remote.path)
    found = Requests(repository=repository, settings=settings, prefix=start, forge=None)
    found.scope = scope
    try:
        found.tips = repository.branches().bring(start)
        address = (repository.url, repository.password)
        found.forge = connect(settings.review.forge, address, remote.branch, os.environ)
        requests = found.forge.open_requests(start)
        found.open, found.doubles = each_once(requests)
    except ReconcileError as exc:
        found.failure = exc
    return found


def _named(group: str) -> set[str]:
    """The cluster that a group is named after."""
    cluster, slash, _ = group.partition("/")
    return {cluster} if slash else set()


def _is_spent(files: Mapping[str, bytes | None], head: Head) -> bool:
    """Whether HEAD has all that a branch brings."""
    for path, data in files.items():
        present = head.files.get(path)
        if (present.data if present is not None else None) != data:
            return False
    return True


def _engine(settings: Settings) -> str:
    """Who applies a merge, for people."""
    proofs = [each.proof for each in settings.gateways]
    kinds = {
        name
        for proof in proofs
        if proof is not None and proof != "off"
        for name, named in (
            ("Argo CD applies", proof.argocd),
            ("Flux applies", proof.flux),
            ("envoy-sync applies", proof.envoy_sync),
        )
        if named
    }
    return kinds.pop() if len(kinds) == 1 else "Argo CD or Flux apply"


def following(drafts: Sequence[CommitDraft]) -> tuple[Proposal, ...]:
    """What the branch refuses although it is nobody's decision, as requests by cluster."""
    by_cluster: dict[str, dict[str, FileWrite]] = {}
    for draft in drafts:
        cluster = draft.units[0].split("/")[0]
        files = by_cluster.setdefault(cluster, {})
        files.update({each.path: each for each in draft.writes})
    return tuple(
        Proposal(
            group=f"{cluster}/{FOLLOWED}",
            kind=ProposalKind.FOLLOW,
            draft=CommitDraft(
                subject=f"Follow cluster {cluster}",
                body="",
                units=(cluster,),
                writes=tuple(files[path] for path in sorted(files)),
            ),
            pairs=(),
            rows=(),
        )
        for cluster, files in sorted(by_cluster.items())
    )


def told(states: Iterable[UnitState], reviewed: Reviewed) -> tuple[UnitState, ...]:
    """States that say where each waiting wish is reviewed."""
    where: dict[UnitId, str] = {}
    for outcome in reviewed.outcomes:
        for unit in outcome.units:
            where[unit] = _waits(outcome)
    return tuple(
        replace(each, message=where[each.unit])
        if each.state is State.PENDING and where.get(each.unit)
        else each
        for each in states
    )


def _waits(outcome: Outcome) -> str:
    match outcome.step:
        case Step.OPENED | Step.REBUILT | Step.KEPT:
            return f"proposed in {outcome.url}, waits for review"
        case Step.EDITED:
            return f"people edited {outcome.url}; it is theirs to merge or close"
        case Step.WAITING:
            return "waits to be proposed: as many requests are open as settings allow"
        case _:
            return ""

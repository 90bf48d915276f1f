"""A pass over some units: planned on an index that is kept, pushed without a fetch (does I/O).

The push decides by compare-and-swap whether the branch is where we know it to be. When it is
elsewhere the index goes on with what came, and the units are planned again together with those
that the new commits concern. Whatever the index cannot follow is a matter of a whole pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.errors import Conflict, ReconcileError
from reconciler.freshness import clusters_of_others
from reconciler.live.agenda import Key
from reconciler.live.patience import hold_ends
from reconciler.log import log
from reconciler.model.claims import ClusterClaims
from reconciler.model.clusters import InventoryFailure
from reconciler.model.proofs import ProofTarget, Stage
from reconciler.model.repository import BlobId, CommitId, File, Head
from reconciler.model.units import UnitId
from reconciler.passes import Memory, PassOptions, PassResult
from reconciler.plan import Index, Inputs, plan_on
from reconciler.plan.ledger_index import At
from reconciler.prove import prove
from reconciler.prove.views import Look, listing
from reconciler.repo import Repository
from reconciler.report import Subject, subject_of
from reconciler.rewind import lost_applied
from reconciler.run import RENDERING
from reconciler.settings import Settings
from reconciler.targets import targets_at

_NO_COMMIT = CommitId("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What one slice is about: its whole scope, what it claims, what could not be read.

    `named` are the units of the scope that are in it because of themselves, `withheld` any units
    of which earlier passes withheld something, `arriving` all new clusters where there is one.
    """

    units: frozenset[UnitId]
    named: frozenset[UnitId]
    claims: tuple[ClusterClaims, ...]
    failures: tuple[InventoryFailure, ...]
    now: datetime
    withheld: frozenset[UnitId] = frozenset()
    arriving: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sliced:
    """What became of a slice. `subject` is what it leaves to prove and to tell.

    `lost` is what commits of others concern which came first: ask again with that.
    `whole` says that only a whole pass can tell.
    """

    result: PassResult | None = None
    subject: Subject | None = None
    lost: frozenset[Key] = frozenset()
    whole: bool = False


class Slices:
    """Plans units on the branch as it is known. For one thread at a time."""

    def __init__(
        self,
        repository: Repository,
        options: PassOptions,
        memory: Memory,
        look: Look = listing,
    ) -> None:
        self._repository = repository
        self._look = look
        self._options = options
        self._memory = memory
        self._settings: Settings | None = None
        self._index: Index | None = None
        self.of_others: set[str] = set()  # clusters of which another reconciler wrote
        self.ends: tuple[tuple[str, datetime], ...] = ()  # of holds in files

    @property
    def index(self) -> Index | None:
        """What is known of the branch; `None` until a whole pass has read it."""
        return self._index

    def start(self, result: PassResult) -> None:
        """Know the branch as a whole pass left it; a failed one makes everything doubtful."""
        self._index, self.of_others = None, set()
        known = result.failure is None and result.settings is not None
        if known and result.head is not None and result.history is not None:
            self._settings = result.settings
            self._index = Index(result.head, result.history)
            self.ends = tuple(hold_ends(result.head.files))
            self._memory.looks.removed(self._index.has)

    def follow(self) -> frozenset[Key] | None:
        """Fetch, and go on with what came: the units and clusters that it concerns.

        `None` when everything has to be read anew, as after whatever this raises.
        """
        self._repository.fetch()
        return self._advance(ours=False)

    async def make(self, asked: Asked) -> Sliced:
        """Plan and push. Raises nothing of what a pass may meet: the result says it."""
        index, settings = self._index, self._settings
        if index is None or settings is None:
            return Sliced(whole=True)
        try:
            result = await self._planned(index, settings, asked)
            if not result.plan.drafts:
                return self._done(result, asked)
            frozen = await lost_applied(
                self._repository, _touched(result), settings, self._look
            )
            if frozen is not None:
                return Sliced(whole=True)
            return self._pushed(result, asked)
        except Conflict:
            log.info("lost the race for the branch", attempt=1)
            lost = self.follow()
            return Sliced(whole=True) if lost is None else Sliced(lost=lost)

    async def _planned(
        self, index: Index, settings: Settings, asked: Asked
    ) -> PassResult:
        options = self._options
        inputs = Inputs(
            settings=settings,
            head=index.head,
            history=index.history,
            claims=asked.claims,
            now=asked.now,
            failures=asked.failures,
            looks=self._memory.looks.current(settings.guards.grace),
            proven=await self._proven(index, settings, asked),
            released=options.released,
            only=options.only,
            units=asked.units,
            gateways=options.gateways,
            withheld=asked.withheld,
            accept_deletions=options.accept_deletions,
            accept_rewrites=options.accept_rewrites,
            accept_arrivals=options.accept_arrivals,
            arriving=asked.arriving,
        )
        return PassResult(
            plan=plan_on(index, inputs, RENDERING),
            settings=settings,
            head=index.head,
            history=index.history,
            claims=asked.claims,
        )

    async def _proven(
        self, index: Index, settings: Settings, asked: Asked
    ) -> frozenset[tuple[UnitId, str]]:
        """Units that serve, asked only of what this slice may release: others wait anyway."""
        drain = settings.release.drain
        entries = (index.ledger.entries[at] for at in index.ledger.draining)
        over = (each.owner for each in entries if asked.now - each.since >= drain)
        units = frozenset(each.unit for each in over if each is not None) & asked.named
        if not units:
            return frozenset()
        proofs = await prove(
            _targets(index, settings, units),
            settings,
            self._repository.content_at,
            self._memory.seen,
            self._look,
        )
        return frozenset(
            (proof.unit, proof.gateway)
            for proof in proofs
            if proof.stage is Stage.SERVING
        )

    def _pushed(self, result: PassResult, asked: Asked) -> Sliced:
        made = result.plan
        try:
            commit = self._repository.push(
                made.drafts, made.base, made.digest, asked.now
            )
        except Conflict:
            raise
        except ReconcileError as exc:
            return Sliced(result=replace(result, failure=exc))
        log.info("commit pushed", commit=commit, changes=len(made.drafts))
        self._memory.pushed = self._memory.followed = commit
        result = replace(result, commit=commit if commit != made.base else None)
        try:
            self._advance(ours=True)
        except ReconcileError as exc:
            log.warning("what was pushed could not be read", error=str(exc))
        return self._done(result, asked)

    def _done(self, result: PassResult, asked: Asked) -> Sliced:
        index, settings = self._index, self._settings
        if settings is not None:
            known, grace = result.known, settings.guards.grace
            self._memory.looks.note(
                result.plan.unconfirmed,
                lambda unit: unit in asked.units and unit.cluster in known,
                asked.now,
                grace,
            )
        if index is None or settings is None:
            return Sliced(result=result)
        self._memory.looks.removed(index.has)
        targets = _targets(index, settings, asked.units)
        subject = subject_of(result, settings, index.files, targets)
        return Sliced(result=result, subject=subject)

    def _advance(self, *, ours: bool) -> frozenset[Key] | None:
        """Go on with the branch as it is known in the clone now; `ours` is what we pushed."""
        index = self._index
        if index is None:
            return None
        self._index = (
            None  # an index that is read half knows the tip but not what is there
        )
        changes = self._repository.since(index.commit)
        if changes is None:
            return None
        if changes.tip == index.commit:
            self._index = index
            return frozenset()
        concerned = index.advance(changes)
        if concerned is None:
            return None
        if any(path.startswith("holds/") for path in changes.files):
            self.ends = tuple(hold_ends(index.files))
        self._index = index
        if not ours:
            self.of_others |= clusters_of_others(
                changes.commits, _NO_COMMIT, self._options.gateways
            )
        return concerned | _clusters(changes.files)


def _clusters(paths: Iterable[str]) -> frozenset[str]:
    """Clusters of which also units are concerned that HEAD does not have yet.

    Those are held by a file, or wait until people accept their cluster.
    """
    folders = (path.split("/") for path in paths)
    return frozenset(
        parts[1].removesuffix(".yaml")
        for parts in folders
        if parts[0] in ("clusters", "holds") and len(parts) > 1
    )


def _targets(
    index: Index, settings: Settings, units: Iterable[UnitId]
) -> tuple[ProofTarget, ...]:
    """What is to be proven of some units."""
    paths: set[str] = set()
    routes: dict[At, str] = {}
    for unit in units:
        paths.update(head.path for head in index.heads.heads.get(unit, ()))
        for entry in index.ledger.owned.get(unit, ()):
            if entry.owner is not None:
                routes[(entry.gateway, entry.key)] = entry.owner.route
    return targets_at(index.head, settings, index.touched, sorted(paths), routes)


def _touched(result: PassResult) -> Head:
    """HEAD as far as a plan writes it: whose folders an engine is asked about."""
    nothing = File(blob=BlobId(""), data=b"")
    paths = (write.path for draft in result.plan.drafts for write in draft.writes)
    return Head(commit=result.plan.base, files=dict.fromkeys(paths, nothing))

"""Makes the passes of `run`: over everything, or over some units (composes stages, waits)."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.codes import Code
from reconciler.errors import Conflict
from reconciler.ledger import touches
from reconciler.live.agenda import Key
from reconciler.live.claiming import Claims
from reconciler.live.lookout import Lookout
from reconciler.live.means import Means, Orders
from reconciler.live.room import Room
from reconciler.live.slices import Asked, Sliced, Slices
from reconciler.log import log
from reconciler.model.claims import ClusterClaims
from reconciler.model.clusters import ClusterView, Unknown, Why
from reconciler.model.pins import Pins
from reconciler.model.repository import CommitId
from reconciler.model.units import UnitId
from reconciler.passes import NO_PLAN, Memory, PassResult
from reconciler.plan import Index
from reconciler.plan.arrivals import newcomers
from reconciler.plan.pins import HeadPins, KnownPins
from reconciler.report import Subject, subject_of
from reconciler.run import ATTEMPTS, one_pass, settings_at
from reconciler.settings import Settings
from reconciler.targets import proof_targets

PATIENCE = (
    5.0  # seconds that a slice waits for lists of clusters that others knew better
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A pass that was made: of `units`, or of everything (`None`), and what it leaves to prove.

    `now` is the time that it was planned at, or a little before; `late` are clusters that have
    to be passed again because they did not answer in time.
    """

    result: PassResult
    now: datetime
    late: frozenset[Key] = frozenset()
    units: frozenset[UnitId] | None = None
    subject: Subject | None = None


class Passing:
    """Makes one pass at a time, in the thread for passes."""

    def __init__(
        self, means: Means, orders: Orders, memory: Memory, lookout: Lookout
    ) -> None:
        self._means = means
        self._options = orders.options
        self._memory = memory
        self._lookout = lookout
        self._slices = Slices(means.repository, orders.options, memory, means.look)
        self._room = Room()
        self._lost: set[Key] = (
            set()
        )  # what a lost race concerned, until a pass was made

    @property
    def ends(self) -> tuple[tuple[str, datetime], ...]:
        """When holds in files end, with their cluster (or `all`)."""
        return self._slices.ends

    @property
    def index(self) -> Index | None:
        """What is known of the branch; `None` while only a whole pass can tell. Between jobs."""
        return self._slices.index

    async def begin(self) -> Settings:
        """Fetch for the first time: the settings at HEAD, and what to know before clusters are seen.

        Raises ReconcileError.
        """

        async def job() -> tuple[Settings, Pins]:
            repository = self._means.repository
            repository.fetch()
            head = repository.head()
            self._memory.followed = head.commit  # what is watched is newer than that
            settings = settings_at(head)
            keys = settings.signing.keys
            return settings, HeadPins(head, lambda: repository.history(keys)).ready()

        settings, pins = await self._means.passes.do(job)
        self._lookout.pinned(pins)
        return settings

    def _pin(self) -> None:
        """Tell what watches what Git knows of clusters now. Between jobs."""
        if self._slices.index is not None:
            self._lookout.pinned(KnownPins(self._slices.index.records))

    async def whole(self) -> Made:
        """A pass over everything. Raises what `one_pass` raises."""
        eyes = replace(self._lookout.eyes(), look=self._means.look)

        async def job() -> Made:
            now = self._means.now()
            made = await one_pass(
                self._means.repository, self._options, self._memory, eyes
            )
            self._slices.start(made)
            if made.failure is None:
                self._lost.clear()
            self._room.note(made.settings, self._slices.index, self._means.now())
            return Made(result=made, now=now, subject=_subject(made))

        whole = await self._means.passes.do(job)
        self._pin()
        return whole

    async def slice(
        self,
        keys: Iterable[Key],
        claims: Claims,
        withheld: frozenset[UnitId] = frozenset(),
    ) -> Made | None:
        """A pass over what these keys name; `None` when only a whole one can tell.

        `withheld` are units of which earlier passes withheld something.
        """
        wanted = set(keys)
        began = self._means.now()
        for attempt in range(ATTEMPTS):
            index = self._slices.index
            if index is None:
                return None
            late = await self._catch_up(index, claims)
            units = self._units(wanted | self._lost, claims)
            asked = self._asked(index, units, claims, late)
            sliced = await self._make(replace(asked, withheld=withheld))
            if sliced.whole:
                return None
            if sliced.result is not None:
                if sliced.result.failure is None:
                    self._lost.clear()
                return Made(
                    result=sliced.result,
                    now=asked.now,
                    late=late,
                    units=asked.units,
                    subject=sliced.subject,
                )
            self._lost |= sliced.lost
            await asyncio.sleep(
                (0.02 + 0.08 * self._means.chance()) * 2 ** min(attempt, 5)
            )
        return Made(result=_lost(), now=began, units=frozenset())

    def get_ready(self, claims: Claims) -> bool:
        """Use a moment of rest so that a cluster's next change is cheap; false: all are ready."""
        index, cluster = self._slices.index, claims.fresh()
        if index is None or cluster is None:
            return False
        served = index.addresses(index.units_of(cluster))
        claims.begin(cluster, served, self._means.now())
        return True

    async def follow(self, known: CommitId) -> tuple[CommitId, frozenset[Key] | None]:
        """Fetch: where the branch is, and what is new there concerns.

        `None` when everything has to be read anew; `known` is the tip that no index knows.
        """

        async def job() -> tuple[CommitId, frozenset[Key] | None]:
            repository, slices = self._means.repository, self._slices
            index = slices.index
            if index is not None:
                concerned = slices.follow()
                if concerned is not None:
                    return index.commit, concerned
                return repository.head().commit, None
            repository.fetch()
            tip = repository.head().commit
            return tip, frozenset() if tip == known else None

        followed = await self._means.passes.do(job)
        self._pin()
        return followed

    async def _catch_up(self, index: Index, claims: Claims) -> frozenset[str]:
        """Look again at clusters of which another reconciler knew more than we saw.

        Those that did not answer in time, and are unknown until they do.
        """
        behind = self._slices.of_others
        if self._options.only is not None:
            behind &= self._options.only
        if behind:
            log.info("another process was here", clusters=len(behind))
        looks = {
            asyncio.create_task(self._lookout.look_again(each)): each for each in behind
        }
        waiting = await _ended(looks)
        late = frozenset(looks[each] for each in waiting)
        for cluster in behind:
            claims.forget(cluster)
        self._slices.of_others = set(late)
        if not late:
            self._memory.followed = index.commit
        return late

    async def _make(self, asked: Asked) -> Sliced:
        async def job() -> Sliced:
            made = await self._slices.make(asked)
            if made.result is not None and made.result.commit is not None:
                settings, index = made.result.settings, self._slices.index
                self._room.note(settings, index, self._means.now())
            return made

        sliced = await self._means.passes.do(job)
        self._pin()
        return sliced

    def _units(self, keys: Iterable[Key], claims: Claims) -> frozenset[UnitId]:
        found: set[UnitId] = set()
        for key in keys:
            if isinstance(key, UnitId):
                found.add(key)
                continue
            found |= claims.units_of(key)
            if self._slices.index is not None:
                found |= self._slices.index.units_of(key)
                found.add(UnitId(cluster=key))
        return frozenset(found)

    def _asked(
        self,
        index: Index,
        units: frozenset[UnitId],
        claims: Claims,
        late: frozenset[str],
    ) -> Asked:
        only = self._options.only
        scope = frozenset(
            each for each in index.scope(units) if only is None or each.cluster in only
        )
        now = self._means.now()
        claimed = _claimed(index, scope, claims, now)
        settings, snapshot = claims.settings, self._lookout.snapshot()
        is_new = any(each.cluster not in index.records for each in scope)
        coming = (snapshot.clusters, index.records, settings)
        return Asked(
            units=scope,
            named=scope & units,
            claims=tuple(
                _unanswered(each) if each.view.entry.name in late else each
                for each in claimed
            ),
            failures=snapshot.failures,
            now=now,
            arriving=newcomers(*coming) if is_new else None,
        )


def _claimed(
    index: Index, scope: frozenset[UnitId], claims: Claims, now: datetime
) -> Iterator[ClusterClaims]:
    """What the units of a scope claim, by cluster; nothing of one that no inventory names."""
    units: dict[str, set[UnitId]] = {}
    for unit in scope:
        units.setdefault(unit.cluster, set()).add(unit)
    for cluster in sorted(units):
        mine = frozenset(units[cluster])
        served = index.addresses(claims.needed(cluster, mine, index.units_of(cluster)))
        found = claims.of(cluster, mine, served, now)
        if found is not None:
            yield found


async def _ended(
    looks: Collection[asyncio.Task[datetime | None]],
) -> Collection[asyncio.Task[datetime | None]]:
    """Wait for looks a moment: those that have not ended, and are given up. Raises what they raised."""
    if not looks:
        return ()
    try:
        done, waiting = await asyncio.wait(looks, timeout=PATIENCE)
    finally:
        for each in looks:
            each.cancel()
    for each in done:
        each.result()
    return waiting


def _unanswered(claims: ClusterClaims) -> ClusterClaims:
    """A cluster that did not answer in time: nothing may follow from what was seen before."""
    entry = claims.view.entry
    message = f"{entry.name}: no list within {PATIENCE:g} s"
    nothing = Unknown(why=Why.TIMEOUT, message=message)
    return ClusterClaims(view=ClusterView(entry=entry, objects=nothing))


def _subject(made: PassResult) -> Subject | None:
    settings: Settings | None = made.settings
    if settings is None or made.head is None or made.history is None:
        return None
    if made.failure is not None:
        return None
    targets = proof_targets(made.head, settings, touches(made.history))
    return subject_of(made, settings, made.head.files, targets)


def _lost() -> PassResult:
    lost = Conflict(
        f"{Code.PUSH_CONFLICT}: the branch moved {ATTEMPTS} times while this pass planned",
        hint="nothing was lost; the next pass tries again",
    )
    return replace(
        PassResult(plan=NO_PLAN, settings=None, head=None, history=None), failure=lost
    )

"""The loop of `wharfinger run`: waits for what is due and does it (reads the clock, waits).

    an update of a cluster -> a quiet window of its own -> a pass -> a push
    a commit on the branch -> a pass
    a missing object       -> another list of its cluster, the grace later -> a pass
    a push                 -> Argo CD or Flux are asked to sync
                           -> proofs, soon and repeatedly -> write-back
    an hour                -> a pass that looks at everything

Passes run in a thread, one after another; meanwhile the watches go on and windows fill. Proofs
have a thread of their own, so that nobody waits for somebody else's connection.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from reconciler import metrics
from reconciler.errors import Exit, ReconcileError, worst
from reconciler.live.agenda import Agenda, Key
from reconciler.live.lead import Alone, Lead, Tips
from reconciler.live.looking import SecondLooks
from reconciler.live.lookout import Lookout, Watching
from reconciler.live.patience import changes_by_itself
from reconciler.live.proving import Proofs, serves
from reconciler.live.room import Room
from reconciler.live.syncing import Syncing
from reconciler.live.windows import Pace, Window
from reconciler.live.worker import Works
from reconciler.log import log
from reconciler.looks import Looks
from reconciler.model.repository import CommitId
from reconciler.model.updates import Update
from reconciler.passes import Memory, PassOptions, PassResult
from reconciler.prove.views import Look, listing
from reconciler.repo import Repository
from reconciler.report import Report
from reconciler.run import one_pass, settings_at
from reconciler.settings import Settings

LAST_WORDS = 10.0  # seconds that a running pass gets to finish its push
UNKNOWN_PACE = Pace(quiet=2.0, longest=15.0)  # until the settings have been read


def _nothing(report: Report, settings: Settings | None) -> None:
    """Nobody wants to be told."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What a person asks of `run`. `passes` 0 means until stopped; `interval` is seconds."""

    options: PassOptions
    write_back: str = "auto"
    interval: float = 15.0
    passes: int = 0
    tell: Callable[[Report, Settings | None], None] = _nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a loop works with; `repository` and `proving` are used by one thread each."""

    repository: Repository
    proving: Repository
    watch: Callable[[Settings], Watching]
    passes: Works
    proofs: Works
    lead: Lead = field(default_factory=Alone)
    look: Look = listing
    now: Callable[[], datetime] = _now
    chance: Callable[[], float] = random.random


class Loop:
    """Makes passes until it is told to stop. For one event loop."""

    def __init__(self, means: Means, orders: Orders) -> None:
        self._means = means
        self._orders = orders
        self._memory = memory = Memory(looks=Looks(watched=True))
        self._lookout = Lookout(means.watch, self._note, means.now)
        self._looks = SecondLooks(self._lookout, memory.looks, self._looked)
        self._proofs = Proofs(means.proving, means.proofs, memory, orders.write_back)
        self._syncing = Syncing(memory, means.look)
        self._room = Room()
        self._tips = Tips()
        self._agenda = Agenda(pace=UNKNOWN_PACE, interval=orders.interval)
        self._tip = CommitId("")
        self._last: PassResult | None = None
        self._code = Exit.DONE
        self._done = 0
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """End soon: what is being pushed gets its answer first."""
        self._stop.set()
        self._wake.set()

    async def run(self) -> Exit:
        """Passes until stopped (then 0) or until so many were made (then the last one's code)."""
        self._means.lead.start(self._led)
        try:
            while not self._stop.is_set() and not self._enough():
                await self._unless_stopped(self._turn())
            if not self._stop.is_set() and self._last is not None:
                self._proofs.start(self._last, self._proven)
                await self._unless_stopped(self._finish())
        finally:
            await self._close()
            await self._means.lead.close()
        return Exit.DONE if self._stop.is_set() else self._code

    def _enough(self) -> bool:
        return 0 < self._orders.passes <= self._done

    async def _unless_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it; when told to stop meanwhile, wait for its end no longer than `LAST_WORDS`."""
        task = asyncio.create_task(work)
        stopped = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                await asyncio.wait((task,), timeout=LAST_WORDS)
            if task.done():
                task.result()
            else:
                log.warning("a pass did not end in time", seconds=LAST_WORDS)
        finally:
            task.cancel()
            stopped.cancel()
            await asyncio.wait((task, stopped))

    async def _finish(self) -> None:
        await self._syncing.finish()
        await self._proofs.finish()

    async def _close(self) -> None:
        await self._looks.close()
        await self._syncing.close()
        await self._proofs.close()
        await self._lookout.close()
        self._means.passes.close()
        self._means.proofs.close()

    async def _turn(self) -> None:
        """Wait for the next thing that is due, and do it."""
        settings = self._lookout.settings
        if settings is None:
            await self._begin()
            return
        self._lookout.check()
        if not self._means.lead.held:
            await self._stand_by()
            return
        self._looks.start(settings.guards.grace, self._means.now())
        now, agenda = self._time(), self._agenda
        due = agenda.due(now)
        if due.prove and self._last is not None:
            agenda.prove_at = None
            self._proofs.start(self._last, self._proven)
        if due.passes:
            await self._pass(whole=due.whole)
        elif due.fetch:
            await self._fetch()
        else:
            await self._rest(settings)

    def _led(self) -> None:
        """This process leads from now on, or does not any more."""
        metrics.LEADS.set(1 if self._means.lead.held else 0)
        self._agenda.everything(self._time())
        self._wake.set()

    async def _stand_by(self) -> None:
        """Another process works: keep the clone and the watches fresh, and wait."""
        now = self._time()
        if self._agenda.fetch_at <= now:
            await self._fetch()
        else:
            await self._sleep(self._agenda.fetch_at - now)

    async def _rest(self, settings: Settings) -> None:
        """Wait until something is due or something happens."""
        now = self._time()
        until = [self._agenda.next_at() - now]
        look = self._looks.next_at(settings.guards.grace, self._means.now())
        if look is not None:
            until.append((look - self._means.now()).total_seconds())
        await self._sleep(min(until))

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    def _time(self) -> float:
        return asyncio.get_running_loop().time()

    def _note(self, update: Update) -> None:
        """Something of a cluster changed: its window opens, or stays open."""
        metrics.UPDATES.inc()
        self._agenda.windows.note(update.cluster, self._time())
        self._wake.set()

    def _looked(self, cluster: str, listed: bool) -> None:
        """A cluster was listed anew because something is missing: its pass is due."""
        if listed:
            metrics.SECOND_LOOKS.inc()
            self._agenda.everything(self._time())
        self._wake.set()

    async def _begin(self) -> None:
        """Read the settings, and watch what they name before the first pass."""

        async def job() -> Settings:
            self._means.repository.fetch()
            head = self._means.repository.head()
            self._memory.followed = head.commit  # what is watched is newer than that
            return settings_at(head)

        try:
            settings = await self._means.passes.do(job)
        except ReconcileError as exc:
            self._failed(exc, {})
            await self._sleep(self._agenda.rest_until - self._time())
            return
        await self._follow(settings)

    async def _follow(self, settings: Settings) -> None:
        """Watch what the settings name; what begins anew is looked at as a whole."""
        watch = settings.watch
        pace = Pace(
            quiet=watch.quiet.total_seconds(), longest=watch.longest.total_seconds()
        )
        self._agenda.pace = self._agenda.windows.pace = pace
        if await self._lookout.follow(settings):
            self._agenda.everything(self._time())

    async def _fetch(self) -> None:
        """See whether the branch moved."""

        async def job() -> CommitId:
            self._means.repository.fetch()
            return self._means.repository.head().commit

        try:
            tip = await self._means.passes.do(job)
        except ReconcileError as exc:
            log.warning("the branch could not be fetched", error=str(exc))
        else:
            if tip != self._tip:
                self._agenda.moved(self._time())
            if not self._means.lead.held:
                settled = self._tips.note(self._time(), tip)
                self._memory.followed = settled or self._memory.followed
        self._agenda.fetched(self._time())

    async def _pass(self, *, whole: bool) -> None:
        """One pass over what is known now. What changes meanwhile opens new windows."""
        windows = self._agenda.windows
        oldest = windows.oldest()
        age = 0.0 if oldest is None else self._time() - oldest
        metrics.note_windows(len(windows), age)
        taken = windows.take_all()
        self._looks.seen()
        eyes = self._lookout.eyes()

        async def job() -> PassResult:
            made = await one_pass(
                self._means.repository, self._orders.options, self._memory, eyes
            )
            self._room.note(made, self._means.now())
            return made

        try:
            result = await self._means.passes.do(job)
        except ReconcileError as exc:
            self._failed(exc, taken)
        else:
            await self._passed(result, taken)
        self._done += 1

    def _failed(self, exc: ReconcileError, taken: Mapping[Key, Window]) -> None:
        self._code = exc.exit
        metrics.note_pass(None, exc.exit, pushed=False)
        log.error("pass failed", error=str(exc), exit=int(exc.exit))
        self._agenda.failed(
            self._time(), taken, whole=True, chance=self._means.chance()
        )

    async def _passed(self, result: PassResult, taken: Mapping[Key, Window]) -> None:
        self._code = worst(result.exits)
        metrics.KINDS.labels(kind="whole").inc()
        metrics.note_pass(result.plan, self._code, pushed=result.commit is not None)
        metrics.note_requests(result.reviewed.outcomes)
        log.info(
            "pass done",
            exit=int(self._code),
            rows=len(result.plan.rows),
            commit=result.commit,
        )
        now = self._time()
        if result.failure is not None or result.settings is None:
            log.error("pass failed", error=str(result.failure), exit=int(self._code))
            chance = self._means.chance()
            self._agenda.failed(now, taken, whole=True, chance=chance)
            return
        self._last = result
        if result.head is not None:
            self._tip = result.head.commit
        if result.commit is not None:
            self._syncing.start(result)
            metrics.note_pushed(_ages(result, taken, now))
        again = changes_by_itself(result, self._means.now(), self._patience())
        self._agenda.passed(
            now, pushed=result.commit is not None, again=self._seconds(again)
        )
        await self._follow(result.settings)

    def _patience(self) -> timedelta:
        return timedelta(seconds=self._orders.interval)

    def _seconds(self, at: datetime | None) -> float | None:
        """A time of day on the loop's clock."""
        if at is None:
            return None
        return self._time() + (at - self._means.now()).total_seconds()

    def _proven(self, report: Report | None) -> None:
        """A proof ended."""
        settings = self._lookout.settings
        if report is not None:
            self._orders.tell(report, settings)
        everything = report is None or serves(report)
        if not self._proofs.pending:
            self._agenda.proven(self._time(), everything=everything)
        self._wake.set()


def _ages(result: PassResult, taken: Mapping[Key, Window], now: float) -> list[float]:
    """Seconds since the first update of those windows of which something was pushed."""
    units = {unit for draft in result.plan.drafts for unit in draft.units}
    clusters = {unit.partition("/")[0] for unit in units}
    return [
        now - window.first
        for key, window in taken.items()
        if str(key) in units or key in clusters
    ]

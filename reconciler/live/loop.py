"""The loop of `wharfinger run`: waits for what is due and does it (reads the clock, waits).

    an update of a cluster -> a quiet window of its own -> a pass over its units -> a push
    a commit on the branch -> a pass over the units that it concerns
    a missing object       -> another list of its cluster, the grace later -> a pass
    a push                 -> Argo CD or Flux are asked to sync
                           -> proofs, soon and repeatedly -> write-back
    an hour                -> a pass that looks at everything

Passes run in a thread, one after another; meanwhile the watches go on and windows fill. Proofs
have a thread of their own, so that nobody waits for somebody else's connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from datetime import datetime
from typing import Any

from reconciler import metrics
from reconciler.errors import Exit, ReconcileError, worst
from reconciler.live.agenda import Agenda, Key
from reconciler.live.claiming import Claims
from reconciler.live.lead import Tips
from reconciler.live.looking import SecondLooks
from reconciler.live.lookout import Lookout
from reconciler.live.means import Means, Orders
from reconciler.live.noting import Notes, Taken
from reconciler.live.passing import Made, Passing
from reconciler.live.patience import is_unannounced
from reconciler.live.proving import Proofs
from reconciler.live.syncing import Syncing
from reconciler.live.windows import Pace
from reconciler.log import log
from reconciler.looks import Looks
from reconciler.model.repository import CommitId
from reconciler.model.updates import Update
from reconciler.passes import Memory, PassResult
from reconciler.report import Report
from reconciler.settings import Settings, under_review

LAST_WORDS = 10.0  # seconds that a running pass gets to finish its push
UNKNOWN_PACE = Pace(quiet=2.0, longest=15.0)  # until the settings have been read


class Loop:
    """Makes passes until it is told to stop. For one event loop."""

    def __init__(self, means: Means, orders: Orders) -> None:
        self._means = means
        self._orders = orders
        self._memory = memory = Memory(looks=Looks(watched=True))
        self._lookout = Lookout(means.watch, self._note, means.now)
        self._looks = SecondLooks(self._lookout, memory.looks, self._looked)
        self._passing = Passing(means, orders, memory, self._lookout)
        self._proofs = Proofs(means, memory, orders.write_back, self._proven)
        self._syncing = Syncing(memory, means.look)
        self._agenda = Agenda(pace=UNKNOWN_PACE, interval=orders.interval)
        self._notes = Notes()
        self._tips = Tips()
        self._claims: Claims | None = None
        self._tip = CommitId("")
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
            if not self._stop.is_set():
                await self._unless_stopped(self._last_proof())
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

    async def _last_proof(self) -> None:
        await self._syncing.finish()
        await self._proofs.finish()
        self._proofs.start(everything=True)
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
        settings, claims = self._lookout.settings, self._claims
        if settings is None or claims is None:
            await self._begin()
            return
        self._lookout.check()
        self._means.lead.check()
        if not self._means.lead.held:
            await self._stand_by()
            return
        self._looks.start(settings.guards, self._means.now())
        busy = self._proofs.busy
        due = self._agenda.due(self._time())
        if (due.prove or due.all) and not busy:
            self._prove(everything=due.all)
        elif due.whole or (due.passes and self._is_whole(settings)):
            await self._whole()
        elif due.late:
            await self._fetch()
        elif due.passes:
            await self._slice(claims)
        elif due.fetch:
            await self._fetch()
        elif not self._passing.get_ready(claims):
            await self._rest(settings, busy=busy)

    def _is_whole(self, settings: Settings) -> bool:
        return self._passing.index is None or under_review(settings)

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

    async def _rest(self, settings: Settings, *, busy: bool) -> None:
        """Wait until something is due or something happens; the end of a proof is such a thing."""
        now = self._time()
        until = [self._agenda.next_at(proofs=not busy) - now]
        look = self._looks.next_at(settings.guards, self._means.now())
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

    # What comes in

    def _note(self, update: Update) -> None:
        """Something of a cluster changed: windows open, or stay open."""
        metrics.UPDATES.inc()
        keys: Iterable[Key] = (update.cluster,)
        if self._claims is not None:
            keys = self._claims.note(update)
        now = self._time()
        for key in keys:
            self._agenda.windows.note(key, now)
        self._wake.set()

    def _looked(self, cluster: str, listed: bool) -> None:
        """A cluster was listed anew because something is missing: its pass is due."""
        if listed:
            metrics.SECOND_LOOKS.inc()
            if self._claims is not None:
                self._claims.forget(cluster)
            self._agenda.alarms.note(cluster, self._time())
        self._wake.set()

    async def _begin(self) -> None:
        """Read the settings, and watch what they name before the first pass."""
        try:
            settings = await self._passing.begin()
        except ReconcileError as exc:
            self._failed(exc, {}, whole=True)
            self._done += 1
            await self._sleep(self._agenda.rest_until - self._time())
            return
        await self._follow(settings)

    async def _follow(self, settings: Settings) -> None:
        """Watch what the settings name; what begins anew is looked at as a whole."""
        watch = settings.watch
        pace = Pace(
            quiet=watch.quiet.total_seconds(), longest=watch.longest.total_seconds()
        )
        self._agenda.keep(pace)
        if self._claims is None or self._claims.settings != settings:
            self._claims = Claims(settings, self._lookout)
        if await self._lookout.follow(settings):
            self._agenda.everything(self._time())

    async def _fetch(self) -> None:
        """See whether the branch moved, and what that concerns."""
        now = self._time()
        try:
            tip, concerned = await self._passing.follow(self._tip)
        except ReconcileError as exc:
            log.warning("the branch could not be fetched", error=str(exc))
            if self._passing.index is None:
                self._tip = CommitId("")  # what came is not known: read it all anew
        else:
            self._notes.fetched()
            self._came(concerned, now)
            if not self._means.lead.held:
                settled = self._tips.note(now, tip)
                self._memory.followed = settled or self._memory.followed
        self._agenda.fetched(self._time())

    def _came(self, concerned: frozenset[Key] | None, now: float) -> None:
        if concerned is None:
            self._agenda.everything(now)
        self._ring(concerned or (), now)
        if concerned is None or concerned:
            self._agenda.moved(now)

    # Passes

    async def _whole(self) -> None:
        """A pass over all that is known now. What changes meanwhile opens new windows."""
        agenda = self._agenda
        if agenda.hourly:
            await self._fetch()  # what that concerns was not missed by anybody
        self._notes.waiting(agenda.windows, self._time())
        hourly, taken = agenda.hourly, agenda.windows.take_all()
        named = {*taken, *agenda.alarms.take_all(), *self._notes.tally.waiting}
        named |= self._lookout.untold_clusters()
        self._looks.seen()
        try:
            made = await self._passing.whole()
        except ReconcileError as exc:
            self._failed(exc, taken, whole=True)
        else:
            if hourly:
                self._notes.missed(made.result.plan, named)
            await self._passed(made, taken)
        self._done += 1

    async def _slice(self, claims: Claims) -> None:
        """A pass over the units of the windows that are ready."""
        agenda, now = self._agenda, self._time()
        self._notes.waiting(agenda.windows, self._time())
        taken, rung = agenda.windows.take(now), agenda.alarms.take(now)
        self._looks.seen()
        try:
            withheld = frozenset(self._notes.tally.withheld)
            made = await self._passing.slice({*taken, *rung}, claims, withheld)
        except ReconcileError as exc:
            self._failed(exc, taken, whole=False)
            self._ring(rung, agenda.rest_until)
        else:
            if made is None:
                agenda.windows.give_back(taken)
                agenda.everything(now)
                return
            if made.result.failure is not None:
                self._ring(rung, now)
            await self._passed(made, taken)
        self._done += 1

    def _ring(self, keys: Iterable[Key], at: float) -> None:
        for key in keys:
            self._agenda.alarms.note(key, at)

    def _failed(self, exc: ReconcileError, taken: Taken, *, whole: bool) -> None:
        self._code = exc.exit
        metrics.note_pass(exc.exit, pushed=False)
        log.error("pass failed", error=str(exc), exit=int(exc.exit))
        self._agenda.windows.give_back(taken)
        self._agenda.failed(self._time(), whole=whole, chance=self._means.chance())

    async def _passed(self, made: Made, taken: Taken) -> None:
        result, is_whole = made.result, made.units is None
        failure = result.failure
        if failure is not None:
            self._failed(failure, taken, whole=is_whole)
            return
        self._code = worst(result.exits)
        pushed = result.commit is not None
        now = self._time()
        self._agenda.passed(now, pushed=pushed)
        if pushed:
            self._syncing.start(result)
        self._notes.passed(made, taken, now, self._code)
        self._notes.waiting(self._agenda.windows, now)
        if made.subject is not None:
            self._proofs.know(made.subject, made.units)
            self._agenda.prove_soon(now)
        if is_whole:
            await self._know(result, now)
        elif self._passing.index is None:
            self._agenda.everything(now)
        self._set_alarms(made, now)

    def _set_alarms(self, made: Made, now: float) -> None:
        """Look again by itself at what time alone may change: every alarm rings only once."""
        alarms, later = self._agenda.alarms, now + self._orders.interval
        index, claims = self._passing.index, self._claims
        waiting = (*self._notes.tally.keys(), *made.result.plan.pending, *made.late)
        self._ring(waiting, later)
        for at in index.ledger.draining | index.ledger.nexts if index else ():
            owner = index.ledger.entries[at].owner if index else None
            if owner is not None:
                alarms.note(owner.unit, later)
        # Whatever came about while the pass ran is over now, but the pass did not see it.
        for cluster, end in self._passing.ends:
            if end > made.now and cluster == "all":
                self._agenda.everything(max(now, self._seconds(end)))
            elif end > made.now:
                alarms.note(cluster, max(now, self._seconds(end)))
        seen = {each.view.entry.name for each in made.result.claims}
        for key, when in claims.alarms(seen, made.now) if claims else ():
            alarms.note(key, max(now, self._seconds(when)))

    async def _know(self, result: PassResult, now: float) -> None:
        """Everything was looked at: go on from there, under the settings of then."""
        again = now + self._orders.interval if is_unannounced(result) else None
        self._agenda.passed_whole(now, again)
        if result.head is not None:
            self._tip = result.head.commit
            if result.commit is not None and result.commit != self._tip:
                self._agenda.everything(now)  # somebody else's commit came upon ours
        if result.settings is not None:
            await self._follow(result.settings)

    def _seconds(self, at: datetime) -> float:
        """A time of day on the loop's clock."""
        return self._time() + (at - self._means.now()).total_seconds()

    # Proofs

    def news(self) -> None:
        """The platform cluster says something new. For the loop's own thread."""
        before = self._agenda.prove_at
        self._agenda.news(self._time())
        if self._agenda.prove_at != before:
            self._wake.set()

    def _prove(self, *, everything: bool) -> None:
        if everything or self._proofs.moving:
            self._proofs.start(everything=everything)
        else:
            self._agenda.proven(self._time(), moving=False)

    def _proven(self, report: Report | None, everything: bool, seconds: float) -> None:
        """A proof ended."""
        if report is not None:
            self._orders.tell(report, self._lookout.settings)
        now = self._time()
        if everything:
            self._agenda.proven_all(now, seconds)
        moving = bool(self._proofs.moving)
        self._agenda.proven(now, moving=moving)
        self._syncing.proven(self._lookout.settings if moving else None)
        self._wake.set()

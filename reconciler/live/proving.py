"""Proofs and write-back of `run`: in a thread of their own, beside the passes (does I/O)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import replace

from reconciler.errors import ReconcileError
from reconciler.live.means import Means
from reconciler.log import log
from reconciler.model.proofs import ProofTarget, Stage
from reconciler.model.units import UnitId
from reconciler.passes import Memory
from reconciler.report import Report, Subject, Told, prove_subject

MOVING = frozenset({Stage.WAITING, Stage.APPLIED, Stage.FAILING})


class Proofs:
    """What is to be proven and told, unit by unit; one proof after another.

    `ended` gets every report (`None`: it could not be made), whether it was of everything, and
    how many seconds it took.
    """

    def __init__(
        self,
        means: Means,
        memory: Memory,
        mode: str,
        ended: Callable[[Report | None, bool, float], None],
    ) -> None:
        self._repository = means.proving
        self._works = means.proofs
        self._look = means.look
        self._memory = memory
        self._mode = mode
        self._ended = ended
        self._subject: Subject | None = None
        self._targets: dict[UnitId, list[ProofTarget]] = {}
        self._told: dict[UnitId, list[Told]] = {}
        self._absent: set[UnitId] = set()
        self.moving: set[UnitId] = set()
        self._fresh: set[UnitId] = set()  # known since the proof that runs began
        self._task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether a proof runs. Raises what ended an earlier one unexpectedly."""
        if self._task is not None and self._task.done():
            self._task.result()
            self._task = None
        return self._task is not None

    def know(self, subject: Subject, units: Collection[UnitId] | None) -> None:
        """What a pass left to prove of these units; `None` means that it was all."""
        if units is None:
            self._targets, self._told, self._absent = {}, {}, set()
        for unit in units or ():
            self._targets.pop(unit, None)
            self._told.pop(unit, None)
        self._absent.difference_update(units or ())
        self._absent.update(subject.absent)
        for target in subject.targets:
            self._targets.setdefault(target.unit, []).append(target)
        for told in subject.told:
            self._told.setdefault(told.source.unit, []).append(told)
        fresh = {*self._targets, *self._told} if units is None else set(units)
        self.moving.update(fresh)
        self._fresh.update(fresh)
        self._subject = replace(subject, targets=(), told=(), absent=())

    def start(self, *, everything: bool) -> None:
        """Prove what is on its way, or everything. Not while a proof runs."""
        units = None if everything else frozenset(self.moving)
        subject = self._of(units)
        if subject is None:
            return
        self._fresh.clear()
        self._task = asyncio.create_task(self._prove(subject, units), name="prove")

    async def finish(self) -> None:
        """Wait for the proof that runs."""
        if self._task is not None:
            await self._task

    async def close(self) -> None:
        """Give up the proof that runs: the next process proves again."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def _of(self, units: Iterable[UnitId] | None) -> Subject | None:
        if self._subject is None:
            return None
        if units is None:
            targets = [each for mine in self._targets.values() for each in mine]
            told = [each for mine in self._told.values() for each in mine]
            absent = set(self._absent)
        else:
            chosen = sorted(units)
            targets = [e for unit in chosen for e in self._targets.get(unit, ())]
            told = [e for unit in chosen for e in self._told.get(unit, ())]
            absent = self._absent.intersection(chosen)
        return replace(
            self._subject,
            targets=tuple(targets),
            told=tuple(told),
            absent=tuple(sorted(absent)),
        )

    async def _prove(self, subject: Subject, units: frozenset[UnitId] | None) -> None:
        loop = asyncio.get_running_loop()

        async def job() -> Report:
            return await prove_subject(
                self._repository, subject, self._memory, self._mode, self._look
            )

        began, report = loop.time(), None
        try:
            report = await self._works.do(job)
        except ReconcileError as exc:
            log.error("proof failed", error=str(exc), exit=int(exc.exit))
        if report is not None:
            self._settle(subject, report, units)
        self._ended(report, units is None, loop.time() - began)

    def _settle(
        self, subject: Subject, report: Report, units: frozenset[UnitId] | None
    ) -> None:
        """What serves, or cannot be seen, moves no more; unless a pass said more meanwhile."""
        moving = {each.unit for each in report.proofs if each.stage in MOVING}
        proven = set(self.moving) if units is None else set(units)
        proven.update(each.unit for each in subject.targets)
        self.moving.difference_update(proven - self._fresh - moving)
        self.moving.update(moving)
        self._remember(report)

    def _remember(self, report: Report) -> None:
        """What we wrote ourselves is known at once: the next word need not wait for a pass."""
        written = {each.unit: each.now for each in report.outcomes if each.now}
        for unit in written.keys() - self._fresh:
            now = written[unit]
            self._told[unit] = [
                replace(told, source=now) if told.source.uid == now.uid else told
                for told in self._told.get(unit, ())
            ]

"""Proofs and write-back of `run`: in a thread of their own, beside the passes (does I/O)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from reconciler.errors import ReconcileError
from reconciler.live.worker import Works
from reconciler.log import log
from reconciler.model.proofs import Stage
from reconciler.passes import Memory, PassResult
from reconciler.repo import Repository
from reconciler.report import Report, prove_and_write_back


class Proofs:
    """Proves the result of the last pass, one proof after another."""

    def __init__(
        self, repository: Repository, works: Works, memory: Memory, mode: str
    ) -> None:
        self._repository = repository
        self._works = works
        self._memory = memory
        self._mode = mode
        self._task: asyncio.Task[None] | None = None
        self._next: PassResult | None = None

    @property
    def pending(self) -> bool:
        """Whether there is a newer result than the one that is being proven."""
        return self._next is not None

    def start(self, result: PassResult, ended: Callable[[Report | None], None]) -> None:
        """Prove a result, after the one that is being proven.

        `ended` gets the report of each, `None` when there is none. Raises what ended an
        earlier proof unexpectedly.
        """
        self._next = result
        if self._task is not None and self._task.done():
            self._task.result()
            self._task = None
        if self._task is None:
            self._task = asyncio.create_task(self._prove(ended), name="prove")

    async def finish(self) -> None:
        """Wait for the proofs that were started."""
        if self._task is not None:
            await self._task

    async def close(self) -> None:
        """Give up the proof that runs: the next process proves again."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _prove(self, ended: Callable[[Report | None], None]) -> None:
        while (result := self._next) is not None:
            self._next = None
            ended(await self._report(result))

    async def _report(self, result: PassResult) -> Report | None:
        async def job() -> Report:
            return await prove_and_write_back(
                self._repository, result, self._memory, self._mode
            )

        try:
            return await self._works.do(job)
        except ReconcileError as exc:
            log.error("proof failed", error=str(exc), exit=int(exc.exit))
            return None


def serves(report: Report) -> bool:
    """Whether nothing of a report is on its way any more."""
    moving = (Stage.WAITING, Stage.APPLIED, Stage.FAILING)
    return not any(proof.stage in moving for proof in report.proofs)

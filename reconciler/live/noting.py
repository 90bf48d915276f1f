"""What passes of `run` tell metrics and the log (does I/O)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconciler import metrics
from reconciler.errors import Exit
from reconciler.live.agenda import Key
from reconciler.live.passing import Made
from reconciler.live.tally import Tally, unit_of
from reconciler.live.windows import Window, Windows
from reconciler.log import log
from reconciler.model.plans import Op, Plan, Row

Taken = Mapping[Key, Window]
TOLD = 20  # lines of one pass


class Notes:
    """Tells what happened; `tally` is what stands of all passes together."""

    def __init__(self) -> None:
        self.tally = Tally()

    def waiting(self, windows: Windows[Key], now: float) -> None:
        """How many changes wait before a pass, and how long the oldest has."""
        oldest = windows.oldest()
        metrics.note_windows(len(windows), 0.0 if oldest is None else now - oldest)

    def fetched(self) -> None:
        """The branch was fetched."""
        metrics.note_fetch()

    def passed(self, made: Made, taken: Taken, now: float, code: Exit) -> None:
        """A pass ended well."""
        result, kind = made.result, "whole" if made.units is None else "slice"
        pushed = result.commit is not None
        if made.units is None:
            fresh = self.tally.whole(result.plan)
            self.fetched()
        else:
            fresh = self.tally.slice(result.plan, made.units)
        metrics.KINDS.labels(kind=kind).inc()
        metrics.note_pass(code, pushed=pushed)
        metrics.note_rows(self.tally.ops, self.tally.held)
        metrics.note_requests(result.reviewed.outcomes)
        if pushed:
            metrics.note_pushed(_ages(result.plan, taken, now))
        _say(fresh)
        log.info(
            "pass done",
            exit=int(code),
            kind=kind,
            rows=len(result.plan.rows),
            commit=result.commit,
        )

    def missed(self, plan: Plan, named: set[Key]) -> None:
        """What slices should have done before an hourly pass: nobody had named these units."""
        units = {unit for draft in plan.drafts for unit in draft.units}
        known = {str(key) for key in named}
        missed = sorted(
            unit
            for unit in units
            if unit not in known and unit.partition("/")[0] not in known
        )
        if missed:
            metrics.MISSED.inc(len(missed))
            log.error("slices missed changes", units=len(missed), first=missed[0])


def _say(rows: Sequence[Row]) -> None:
    """Why routes are not as they are wished, once: `wharfinger plan` says it again."""
    for row in rows[:TOLD]:
        tell = log.info if row.op is Op.HOLD else log.warning
        where = str(unit_of(row)) or "the ingress repository"
        tell(
            "not as wished", where=where, op=str(row.op), code=row.code, why=row.reason
        )
    if len(rows) > TOLD:
        log.warning(
            "more is not as wished; see `wharfinger plan`", rows=len(rows) - TOLD
        )


def _ages(plan: Plan, taken: Taken, now: float) -> list[float]:
    """Seconds since the first update of those windows of which something was pushed."""
    units = {unit for draft in plan.drafts for unit in draft.units}
    clusters = {unit.partition("/")[0] for unit in units}
    return [
        now - window.first
        for key, window in taken.items()
        if str(key) in units or key in clusters
    ]

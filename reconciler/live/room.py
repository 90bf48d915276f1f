"""Tells metrics and the log how full gateways are, after passes of `run` (does I/O)."""

from __future__ import annotations

from datetime import datetime, timedelta

from reconciler import metrics
from reconciler.capacity import Level, capacities
from reconciler.log import log
from reconciler.plan import Index
from reconciler.settings import Settings

SELDOM = timedelta(minutes=1)  # it goes through the whole ledger


class Room:
    """Looks at the ledger no more often than worth it; a gateway is logged as its level changes."""

    def __init__(self) -> None:
        self._noted: datetime | None = None
        self._levels: dict[str, Level] = {}

    def note(
        self, settings: Settings | None, index: Index | None, now: datetime
    ) -> None:
        """Set the gauges from what Git says after a pass; says nothing where that is not known."""
        if settings is None or index is None:
            return
        if self._noted is not None and now - self._noted < SELDOM:
            return
        self._noted = now
        found = capacities(settings, index.ledger.entries.values(), now)
        metrics.note_capacity(found)
        for each in found:
            before = self._levels.get(each.gateway, Level.OK)
            self._levels[each.gateway] = each.level
            if each.level not in (before, Level.OK):
                log.warning(
                    "gateway fills up",
                    gateway=each.gateway,
                    level=str(each.level),
                    full=f"{each.fill_percent}%",
                    room=each.headroom,
                    limit=str(each.limit),
                )

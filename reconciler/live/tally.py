"""What passes said last of every unit: rows for metrics, and who waits for time (decides alone)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from reconciler.codes import Code
from reconciler.live.agenda import Key
from reconciler.live.patience import OF_CLUSTERS, waits
from reconciler.model.plans import WRITES, Op, Plan, Row
from reconciler.model.units import UnitId

_TOO_MUCH = frozenset({Code.DELETIONS_WITHHELD, Code.REWRITES_WITHHELD})
NOBODY = UnitId(cluster="")


class Tally:
    """The rows that stand: a slice replaces those of its units, a whole pass all.

    `ops` counts them, `held` those of holds by code; `waiting` are units that time may change,
    `withheld` those whose deletion or rewrite is too much at once.
    """

    def __init__(self) -> None:
        self._rows: dict[UnitId, tuple[Row, ...]] = {}
        self.ops: Counter[Op] = Counter()
        self.held: Counter[Code] = Counter()
        self.waiting: set[UnitId] = set()
        self.withheld: set[UnitId] = set()

    def keys(self) -> Iterator[Key]:
        """Who is worth another look: units, or a cluster as a whole where a row names no unit.

        What is withheld only a pass over everything judges anew.
        """
        for unit in self.waiting - self.withheld - {NOBODY}:
            codes = {row.code for row in self._rows[unit]}
            whole = unit.is_api and not OF_CLUSTERS.isdisjoint(codes)
            yield unit.cluster if whole else unit

    def whole(self, plan: Plan) -> tuple[Row, ...]:
        """A pass looked at everything; returns the rows that did not stand before."""
        before = frozenset(row for rows in self._rows.values() for row in rows)
        self._rows.clear()
        self.ops.clear()
        self.held.clear()
        self.waiting.clear()
        self.withheld.clear()
        return self._put(plan.rows, before)

    def slice(self, plan: Plan, units: Iterable[UnitId]) -> tuple[Row, ...]:
        """A pass looked at these units; returns the rows that did not stand before."""
        before: set[Row] = set()
        for unit in (*units, NOBODY):
            rows = self._rows.pop(unit, ())
            before.update(rows)
            self._count(rows, -1)
            self.waiting.discard(unit)
            self.withheld.discard(unit)
        return self._put(plan.rows, before)

    def _put(self, rows: Iterable[Row], before: Collection[Row]) -> tuple[Row, ...]:
        """Keep what stands; what is written is done with, and stands in Git."""
        standing = [row for row in rows if row.op not in WRITES]
        found: dict[UnitId, list[Row]] = {}
        for row in standing:
            found.setdefault(unit_of(row), []).append(row)
            if waits(row):
                self.waiting.add(unit_of(row))
            if row.op is Op.WITHHOLD and row.code in _TOO_MUCH:
                self.withheld.add(unit_of(row))
        for unit, mine in found.items():
            self._count(self._rows.get(unit, ()), -1)
            self._rows[unit] = tuple(mine)
            self._count(mine, 1)
        return tuple(row for row in standing if row not in before)

    def _count(self, rows: Iterable[Row], sign: int) -> None:
        for row in rows:
            self.ops[row.op] += sign
            if row.op is Op.HOLD:
                self.held[row.code] += sign


def unit_of(row: Row) -> UnitId:
    """The unit that a row speaks of; one of a whole cluster speaks of its API."""
    name = row.name or ""
    return UnitId(cluster=row.cluster, namespace=row.namespace or "", name=name)

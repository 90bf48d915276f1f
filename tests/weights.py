"""The contract of weights and failover as a table, for every data plane (pure).

Over 1,000 connections: weights split as written, an unreachable destination fails its share
(`none`) or healthy ones take it over (`any`), and weight 0 gets nothing, whatever happens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.model.units import Failover

CONNECTIONS = 1000
FAILED = "failed"
BOTH = frozenset({"blue", "green"})
TOLERANCE = 50  # more than five standard deviations of 1,000 draws at 90/10


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table: what is written, what is up."""

    failover: Failover
    blue: int
    green: int
    up: frozenset[str]

    @property
    def weights(self) -> Mapping[str, int]:
        return {"blue": self.blue, "green": self.green}

    @property
    def port_offset(self) -> int:
        """Rows of the same unit have the same: 0 to 3."""
        return 2 * (self.failover is Failover.ANY) + (self.blue == 0)

    def __str__(self) -> str:
        up = "+".join(sorted(self.up)) or "none"
        return f"{self.failover}-{self.blue}-{self.green}-{up}-up"

    def expected(self) -> dict[str, int]:
        """How many connections end where."""
        shares = dict(self.weights)
        if self.failover is Failover.ANY:
            alive = {name: shares[name] for name in self.up if shares[name]}
            shares = alive or shares
        total = sum(shares.values())
        counts: Counter[str] = Counter()
        for name, weight in shares.items():
            where = name if name in self.up else FAILED
            counts[where] += CONNECTIONS * weight // total
        return {name: count for name, count in counts.items() if count}

    def fault(self, counted: Mapping[str, int], tolerance: int = TOLERANCE) -> str:
        """What is wrong with what was counted; nothing when it is as expected."""
        expected = self.expected()
        wrong = [
            name
            for name in (*BOTH, FAILED)
            if abs(counted.get(name, 0) - expected.get(name, 0))
            > (tolerance if 0 < expected.get(name, 0) < CONNECTIONS else 0)
        ]
        return f"{self}: {dict(counted)}, expected {expected}" if wrong else ""


def rows(up: frozenset[str]) -> tuple[Row, ...]:
    """The four rows of one state of the destinations."""
    return tuple(
        Row(failover=failover, blue=blue, green=green, up=up)
        for failover in Failover
        for blue, green in ((90, 10), (0, 100))
    )

"""How long news of something that goes back and forth wait; pure. Times are seconds.

Only what returns to where it just was counts: a rollout that changes something ten times is no
flapping. The first few returns are told at once, then ever later, and after a rest at once again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from reconciler.observe.watching.pace import Pace

MOST = 4096
"""What is remembered at once: who makes ever new things is not remembered for it."""


@dataclass(slots=True)
class _Record:
    """What something was before its last change, how often it went back, and when it moved."""

    before: int
    returns: int
    at: float


class Damping:
    """Remembers what moved lately: at most `MOST` things, those that moved last."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._found: OrderedDict[Hashable, _Record] = OrderedDict()

    def __len__(self) -> int:
        return len(self._found)

    def delay(self, key: Hashable, change: tuple[int, int], now: float) -> float:
        """Seconds that news of a change must wait; `change` are fingerprints, old and new."""
        self._sweep(now)
        old, new = change
        record = self._found.get(key)
        if record is None:
            if len(self._found) >= MOST:
                self._found.popitem(last=False)
            self._found[key] = _Record(before=old, returns=0, at=now)
            return 0.0
        self._found.move_to_end(key)
        returned = record.before == new
        record.returns += returned
        record.before, record.at = old, now
        over = record.returns - self._pace.flap_free
        if over < 0 or not returned:
            return 0.0 if over < 0 else self._pace.flap_first
        return float(
            min(self._pace.flap_first * 2 ** min(over, 16), self._pace.flap_longest)
        )

    def _sweep(self, now: float) -> None:
        """Forget what rested; what moved last is at the end."""
        while self._found:
            if now - next(iter(self._found.values())).at <= self._pace.flap_memory:
                return
            self._found.popitem(last=False)

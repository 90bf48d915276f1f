"""What `run` does next and when; pure. Times are seconds of one clock that never goes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.live.windows import Pace, Window, Windows
from reconciler.model.units import UnitId

Key = UnitId | str
"""A unit, or a cluster as a whole."""

HOUR = 3600.0
LONGEST_BACKOFF = 60.0
PROOF_STEPS = (1.0, 2.0, 4.0, 8.0, 15.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What is due: a fetch, a pass (`None`: none) with what it takes, and a proof."""

    fetch: bool = False
    passes: bool = False
    whole: bool = False
    prove: bool = False


@dataclass(slots=True, kw_only=True)
class Agenda:
    """When what is due.

    `interval` is between fetches and between proofs of what is quiet. `whole_at` is the latest
    time of the next pass that looks at everything. `rest_until` is when the next pass may push:
    after a push a quiet window, after a failure the time to back off.
    """

    pace: Pace
    interval: float
    windows: Windows[Key] = field(init=False)
    fetch_at: float = 0.0
    whole_at: float = 0.0
    prove_at: float | None = None
    rest_until: float = 0.0
    failures: int = 0
    proofs: int = 0

    def __post_init__(self) -> None:
        self.windows = Windows(self.pace)

    def due(self, now: float) -> Due:
        """What is due now. A pass fetches by itself."""
        passes = self._pass_at() <= now
        return Due(
            fetch=self.fetch_at <= now and not passes,
            passes=passes,
            whole=passes and self.whole_at <= now,
            prove=self.prove_at is not None and self.prove_at <= now,
        )

    def next_at(self) -> float:
        """When the next thing is due."""
        times = [self.fetch_at, self._pass_at()]
        if self.prove_at is not None:
            times.append(self.prove_at)
        return min(times)

    def _pass_at(self) -> float:
        ready = self.windows.next_at()
        wanted = self.whole_at if ready is None else min(self.whole_at, ready)
        return max(wanted, self.rest_until)

    def fetched(self, now: float) -> None:
        """The branch was fetched, or could not be: try again an interval later."""
        self.fetch_at = now + self.interval

    def everything(self, now: float) -> None:
        """A pass has to look at everything, as soon as one may."""
        self.whole_at = min(self.whole_at, now)

    def moved(self, now: float) -> None:
        """The branch moved: what failed may go well now."""
        self.everything(now)
        if self.failures:
            self.rest_until = now

    def passed(self, now: float, *, pushed: bool, again: float | None) -> None:
        """A pass ended well; `again` is when time alone may change something (`None`: never)."""
        self.failures = 0
        self.rest_until = now + self.pace.quiet if pushed else now
        self.fetch_at = now + self.interval
        self.whole_at = now + HOUR if again is None else min(now + HOUR, again)
        if pushed or self.prove_at is None:
            self.proofs = 0
            self.prove_at = now

    def failed(
        self, now: float, taken: Mapping[Key, Window], *, whole: bool, chance: float
    ) -> None:
        """A pass failed: what it took waits on; `chance` (0 to 1) spreads who tries again."""
        self.failures += 1
        longest = min(LONGEST_BACKOFF, self.interval * 2 ** min(self.failures - 1, 10))
        self.rest_until = now + longest * (0.5 + 0.5 * chance)
        self.fetch_at = now + self.interval
        self.windows.give_back(taken)
        if whole:
            self.whole_at = now

    def proven(self, now: float, *, everything: bool) -> None:
        """A proof ended; soon again while something is on its way, ever later."""
        if everything:
            self.proofs = len(PROOF_STEPS)
        step = PROOF_STEPS[min(self.proofs, len(PROOF_STEPS) - 1)]
        late = self.proofs >= len(PROOF_STEPS)
        self.proofs += 1
        self.prove_at = now + (self.interval if late else min(step, self.interval))

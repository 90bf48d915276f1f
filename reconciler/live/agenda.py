"""What `run` does next and when; pure. Times are seconds of one clock that never goes back."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from reconciler.live.windows import Pace, Windows
from reconciler.model.units import UnitId

Key = UnitId | str
"""A unit, or a cluster as a whole."""

HOUR = 3600.0
LONGEST_BACKOFF = 60.0
PROOF_STEPS = (1.0, 2.0, 4.0, 8.0, 15.0)
NEWS = 0.25  # seconds from news of the platform to a proof, times the proofs that were in vain


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What is due. `whole` is a pass over everything, `passes` any; `all` proves everything.

    `late` says that the branch was not fetched for longer than an interval: before more passes.
    """

    fetch: bool = False
    late: bool = False
    passes: bool = False
    whole: bool = False
    prove: bool = False
    all: bool = False


@dataclass(slots=True, kw_only=True)
class Agenda:
    """When what is due.

    `interval` is between fetches and between proofs of everything. `alarms` are what has to be
    looked at by itself at a time. `whole_at` is the latest time of the next pass that looks at
    everything; it is `hourly` when nothing but the hour asks for it. `rest_until` is when the
    next pass may push: after a push a quiet window, after a failure the time to back off.
    """

    pace: Pace
    interval: float
    windows: Windows[Key] = field(init=False)
    alarms: Windows[Key] = field(init=False)
    fetch_at: float = 0.0
    whole_at: float = 0.0
    hourly: bool = False
    prove_at: float | None = None
    all_at: float = math.inf
    rest_until: float = 0.0
    failures: int = 0
    proofs: int = 0

    def __post_init__(self) -> None:
        self.windows = Windows(self.pace)
        self.alarms = Windows(Pace(quiet=0.0, longest=0.0))

    def keep(self, pace: Pace) -> None:
        """Keep another pace from now on."""
        self.pace = self.windows.pace = pace

    def due(self, now: float) -> Due:
        """What is due now. A whole pass fetches by itself."""
        passes = self._pass_at() <= now
        whole = passes and self.whole_at <= now
        return Due(
            fetch=self.fetch_at <= now and not whole,
            late=self.fetch_at + self.interval <= now and not whole,
            passes=passes,
            whole=whole,
            prove=self.prove_at is not None and self.prove_at <= now,
            all=self.all_at <= now,
        )

    def next_at(self, *, proofs: bool) -> float:
        """When the next thing is due; without `proofs` while one runs."""
        until = [self.fetch_at, self._pass_at()]
        if proofs:
            until.append(self.all_at)
            until.append(self.all_at if self.prove_at is None else self.prove_at)
        return min(until)

    def _pass_at(self) -> float:
        ready = (self.windows.next_at(), self.alarms.next_at())
        wanted = min((self.whole_at, *(each for each in ready if each is not None)))
        return max(wanted, self.rest_until)

    def fetched(self, now: float) -> None:
        """The branch was fetched, or could not be: try again an interval later."""
        self.fetch_at = now + self.interval

    def everything(self, now: float) -> None:
        """A pass has to look at everything, as soon as one may."""
        self.whole_at, self.hourly = min(self.whole_at, now), False

    def moved(self, now: float) -> None:
        """The branch moved: what failed may go well now."""
        if self.failures:
            self.rest_until = now

    def passed(self, now: float, *, pushed: bool) -> None:
        """A pass ended well."""
        self.failures = 0
        self.rest_until = now + self.pace.quiet if pushed else now

    def passed_whole(self, now: float, again: float | None) -> None:
        """It was a whole one; `again` is when another one is worth it (`None`: in an hour)."""
        self.hourly = again is None or again > now + HOUR
        self.whole_at = now + HOUR if again is None else min(now + HOUR, again)
        self.fetch_at = now + self.interval
        self.all_at = min(self.all_at, now + self.interval)

    def failed(self, now: float, *, whole: bool, chance: float) -> None:
        """A pass failed; `chance` (0 to 1) spreads who tries again."""
        self.failures += 1
        longest = min(LONGEST_BACKOFF, self.interval * 2 ** min(self.failures - 1, 10))
        self.rest_until = now + longest * (0.5 + 0.5 * chance)
        self.fetch_at = max(self.fetch_at, now + self.interval)
        if whole:
            self.everything(now)

    def prove_soon(self, now: float) -> None:
        """Something is on its way: prove it, soon and repeatedly."""
        self.proofs = 0
        self.prove_at = now

    def news(self, now: float) -> None:
        """The platform says something new: what is on its way may have arrived.

        The more often it had not, the longer the next news rest.
        """
        if self.prove_at is not None:
            self.prove_at = min(self.prove_at, now + NEWS * (1 + self.proofs))

    def proven(self, now: float, *, moving: bool) -> None:
        """A proof ended; again while something is on its way, ever later."""
        if not moving:
            self.prove_at = None
            return
        step = PROOF_STEPS[min(self.proofs, len(PROOF_STEPS) - 1)]
        self.proofs += 1
        self.prove_at = now + min(step, max(self.interval, PROOF_STEPS[0]))

    def proven_all(self, now: float, seconds: float) -> None:
        """Everything was proven, which took so long: most of the time is left for others."""
        self.all_at = now + max(self.interval, 20 * seconds)

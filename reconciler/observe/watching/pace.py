"""How often and how long a watcher does what; constants and their arithmetic; pure.

Chance comes in as a number of the caller's, so that a thousand clusters that lost their servers
at one moment do not ask again at one moment.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """All times of a watcher, in seconds.

    A cluster whose watches do not hold for `deadline` is unknown until they do again. A watch
    holds when it has been open for `steady`, after nonsense or half a line once something came.
    Between two lists of one collection are `relist` seconds, whatever its server says. `doubt` is when a cluster that had gone away is
    listed once more: a server that was restored from a backup lets old watches go on, and they
    see nothing. What a hub says within `gather` of a change is read together with it.
    """

    watch: tuple[float, float] = (240.0, 480.0)
    silence: float = 150.0
    deadline: float = 120.0
    steady: float = 10.0
    relist: float = 30.0
    backoff: float = 0.5
    backoff_longest: float = 60.0
    doubt: tuple[float, float] = (600.0, 3600.0)
    tend: float = 600.0
    folders: float = 2.0
    inventory: float = 5.0
    foundation: float = 15.0
    inventory_anew: float = 300.0
    gather: float = 0.3
    settle: float = 45.0
    flap_free: int = 3
    flap_first: float = 4.0
    flap_longest: float = 300.0
    flap_memory: float = 600.0


class Backoff:
    """Ever longer times between tries, with full jitter."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._tries = 0

    def next(self, chance: float) -> float:
        """Seconds until the next try; `chance` is from 0 to 1."""
        longest: float = self._pace.backoff * 2 ** min(self._tries, 16)
        self._tries += 1
        return chance * min(longest, self._pace.backoff_longest)

    def reset(self) -> None:
        """It went well."""
        self._tries = 0

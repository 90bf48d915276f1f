"""Whether this process is the one that works; pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from reconciler.model.repository import CommitId

SETTLED = (
    60.0  # seconds after which a watch has surely told what a commit was made from
)


class Lead(Protocol):
    """Asked before passes and proofs. Who leads no more ends what runs: the push decides."""

    held: bool

    def start(self, changed: Callable[[], None]) -> None:
        """Begin; `changed` is called in the same event loop whenever `held` changes."""

    def check(self) -> None:
        """Raise what ended it: who asks no more must not go on as if it led."""

    async def close(self) -> None:
        """Let another process begin at once."""


class Alone:
    """Nobody else is expected: this process always works."""

    held = True

    def start(self, changed: Callable[[], None]) -> None:
        """Nothing changes."""

    def check(self) -> None:
        """Nothing can end."""

    async def close(self) -> None:
        """There is nothing to give back."""


class Tips:
    """The tips that who stands by has seen, and which of them is old enough to be known.

    Whoever begins to lead looks again at the clusters of commits after that one, not at all that
    changed while somebody else led.
    """

    def __init__(self) -> None:
        self._seen: deque[tuple[float, CommitId]] = deque()

    def note(self, now: float, tip: CommitId) -> CommitId | None:
        """Note what was fetched; the newest tip that is settled."""
        if not self._seen or self._seen[-1][1] != tip:
            self._seen.append((now, tip))
        while len(self._seen) > 1 and self._seen[1][0] <= now - SETTLED:
            self._seen.popleft()
        at, oldest = self._seen[0]
        return oldest if at <= now - SETTLED else None

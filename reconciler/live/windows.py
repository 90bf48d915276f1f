"""When a change is ready: after a quiet window of its own, and never later than `longest`; pure.

Every key (a unit, or a cluster as a whole) has its own window, so that what never rests is late
for itself alone. What is ready together is taken together: one pass, one push.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds: how long a change has to rest, and how long it may wait for that."""

    quiet: float
    longest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One key's changes that nobody has looked at: when the first and the last came."""

    first: float
    last: float

    def ready(self, pace: Pace) -> float:
        """The time at which it has rested or waited enough."""
        return min(self.last + pace.quiet, self.first + pace.longest)


class Windows(Generic[K]):
    """The open windows. Times are seconds of one clock that never goes back."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self._open: dict[K, Window] = {}
        # One valid entry a key: that with the number in `_valid`. A change only makes a window
        # ready later, so the entry may name a time that is too early: it is put back with the
        # right one when it comes up.
        self._heap: list[tuple[float, int, K]] = []
        self._valid: dict[K, int] = {}
        self._entries = 0

    def __len__(self) -> int:
        return len(self._open)

    def note(self, key: K, now: float) -> None:
        """A change of `key` came now."""
        before = self._open.get(key)
        if before is None:
            self._insert(key, Window(first=now, last=now))
        elif now < before.first:  # an appointment was made for later
            self._insert(key, replace(before, first=now))
        else:
            self._open[key] = replace(before, last=max(before.last, now))

    def next_at(self) -> float | None:
        """When the first of them is ready; `None` while nothing waits."""
        self._settle()
        return self._heap[0][0] if self._heap else None

    def take(self, now: float) -> Mapping[K, Window]:
        """All windows that are ready; they are closed."""
        taken: dict[K, Window] = {}
        while (at := self.next_at()) is not None and at <= now:
            _, _, key = heapq.heappop(self._heap)
            taken[key] = self._close(key)
        return taken

    def take_all(self) -> Mapping[K, Window]:
        """All open windows, ready or not: for whoever looks at everything."""
        taken = self._open
        self._open, self._valid, self._heap = {}, {}, []
        return taken

    def give_back(self, taken: Mapping[K, Window]) -> None:
        """Open windows again whose pass failed, with the age that they had."""
        for key, window in taken.items():
            since = self._open.pop(key, window)
            merged = Window(
                first=min(window.first, since.first), last=max(window.last, since.last)
            )
            self._insert(key, merged)

    def drop(self, keys: Iterable[K]) -> None:
        """Forget windows of keys that another pass has taken care of."""
        for key in keys:
            if key in self._open:
                self._close(key)

    def oldest(self) -> float | None:
        """When the change came that waits longest; `None` while nothing waits."""
        return min((each.first for each in self._open.values()), default=None)

    def _insert(self, key: K, window: Window) -> None:
        self._open[key] = window
        self._push(key, window)

    def _close(self, key: K) -> Window:
        del self._valid[key]
        return self._open.pop(key)

    def _push(self, key: K, window: Window) -> None:
        self._entries += 1
        self._valid[key] = self._entries
        heapq.heappush(self._heap, (window.ready(self.pace), self._entries, key))

    def _settle(self) -> None:
        """Bring an entry to the top that names the time at which its window is ready."""
        while self._heap:
            at, number, key = self._heap[0]
            valid = self._valid.get(key) == number
            if valid and self._open[key].ready(self.pace) == at:
                return
            heapq.heappop(self._heap)
            if valid:
                self._push(key, self._open[key])

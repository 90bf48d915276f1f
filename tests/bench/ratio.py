"""What a benchmark says: our figure beside a peer's of the same run, and what was to be reached."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata

from tests.bench import tools


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """One row. `ours` and `theirs` are in `unit`; `goal` is what `ours / theirs` should be.

    With `more` a higher ratio is better (rates), else a lower one (seconds, bytes).
    """

    what: str
    peer: str
    ours: float
    theirs: float
    unit: str
    goal: float
    more: bool = False

    @property
    def ratio(self) -> float:
        """Ours to theirs."""
        return self.ours / self.theirs

    @property
    def met(self) -> bool:
        """Whether the goal is reached."""
        return self.ratio >= self.goal if self.more else self.ratio <= self.goal

    def cells(self) -> tuple[str, ...]:
        """The row as text."""
        sign = ">=" if self.more else "<="
        return (
            self.what,
            f"{self.ours:.3g} {self.unit}",
            f"{self.theirs:.3g} {self.unit}",
            self.peer,
            f"{self.ratio:.2f}",
            f"{sign} {self.goal:.2f}",
            "yes" if self.met else "no",
        )


TITLES = ("what", "ours", "peer's", "peer", "ratio", "goal", "met")


def table(rows: Sequence[Ratio]) -> str:
    """The rows as a Markdown table."""
    lines = [TITLES, tuple("---" for _ in TITLES), *(each.cells() for each in rows)]
    return "\n".join(f"| {' | '.join(each)} |" for each in lines)


def machine() -> str:
    """Where this was measured, with which versions and under which load."""
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    return (
        f"{platform.platform()}, {os.cpu_count()} cores, {tools.memory_gib():.0f} GiB, "
        f"Python {platform.python_version()}, {tools.git_version()}, "
        f"pygit2 {metadata.version('pygit2')}; load average {load}"
    )

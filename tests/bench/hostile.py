"""What a hostile API server costs the others: `python -m tests.bench.hostile`.

20 healthy clusters are observed alone and beside each behaviour in turn, in one process. The
others' pass is this process's CPU time until their last view is ready: it does not depend on what
else the machine does. Passes without and with it
take turns, rows are medians; memory is the most over a pass without the hostile one.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.ratio import Ratio, machine
from tests.hostile.evils import evils
from tests.hostile.observing import Seen, passes
from tests.hostile.serving import HEALTHY, uid

DEAREST = (
    *("endless-full", "tiny-chunks", "tiny-values", "large-wishes", "large-specs"),
    "informational-flood",
)
COLUMNS = "{:22}{:>12}{:>12}{:>8}{:>9}{:>10}{:>10}  {}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One behaviour: the others' pass without and with it, in seconds of CPU, and the most else."""

    name: str
    before: float
    after: float
    mebibytes: float
    requests: int
    whole: float
    why: str


def costs(names: Sequence[str], times: int, routes: int) -> Iterator[Cost]:
    """Each behaviour as it is measured: passes without and with it in turn."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = [each for name in names for each in times * ("", name)]
        found = passes(Path(folder), wanted, routes)
        for name in names:
            yield cost(name, [next(found) for _ in range(2 * times)])


def cost(name: str, seen: list[Seen]) -> Cost:
    """What these passes say of a behaviour."""
    hostile = [each for each in seen if each.behaviours]
    return Cost(
        name=name,
        before=statistics.median(each.cpu for each in seen if not each.behaviours),
        after=statistics.median(each.cpu for each in hostile),
        mebibytes=max(each.mebibytes for each in hostile),
        requests=max(each.requests[name] for each in hostile),
        whole=statistics.median(each.whole for each in hostile),
        why=hostile[0].unknown.get(name, ("known", ""))[0],
    )


def rows(times: int = 3, routes: int = 200) -> list[Ratio]:
    """The dearest behaviours, each to the pass without it."""
    return [
        Ratio(
            what=f"pass of 20 clusters with {routes} routes beside a hostile one: {each.name}",
            peer="the same pass without it, CPU",
            ours=each.after * 1000,
            theirs=each.before * 1000,
            unit="ms",
            goal=1.1,
        )
        for each in costs(DEAREST, times, routes)
    ]


def line(each: Cost) -> str:
    """One row of the table."""
    return COLUMNS.format(
        each.name,
        f"{each.before * 1000:.0f}",
        f"{each.after * 1000:.0f}",
        f"{each.after / each.before:.2f}",
        f"{each.mebibytes:.0f}",
        f"{each.requests}",
        f"{each.whole:.1f}",
        each.why,
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("behaviours", nargs="*", help="all of them without")
    parser.add_argument("--routes", type=int, default=200, help="in each cluster")
    parser.add_argument("--times", type=int, default=3, help="passes for a row")
    given = parser.parse_args()
    names = given.behaviours or list(evils(1, uid(HEALTHY[0])))
    print(f"{machine()}; 20 healthy clusters with {given.routes} routes each")
    titles = ("behaviour", "before/ms", "after/ms", "ratio", "RSS/MiB", "requests", "whole/s", "it is")  # fmt: skip
    print(COLUMNS.format(*titles))
    for each in costs(names, given.times, given.routes):
        print(line(each), flush=True)


if __name__ == "__main__":
    main()

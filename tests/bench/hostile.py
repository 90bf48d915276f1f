"""What a hostile API server costs the others: `python -m tests.bench.hostile`.

20 healthy clusters are observed alone and beside each behaviour in turn, in one process. The
others' pass is this process's CPU time until their last view is ready: it does not depend on what
else the machine does. Passes without and with it
take turns, rows are medians; memory is the most over a pass without the hostile one.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
from pathlib import Path

from tests.hostile.evils import evils
from tests.hostile.observing import Seen, passes
from tests.hostile.serving import HEALTHY, uid

COLUMNS = "{:22}{:>12}{:>12}{:>8}{:>9}{:>10}{:>10}  {}"


def row(name: str, seen: list[Seen]) -> str:
    """One behaviour: passes without and with it in turn."""
    before = statistics.median(each.cpu for each in seen if not each.behaviours)
    seen = [each for each in seen if each.behaviours]
    after = statistics.median(each.cpu for each in seen)
    return COLUMNS.format(
        name,
        f"{before * 1000:.0f}",
        f"{after * 1000:.0f}",
        f"{after / before:.2f}",
        f"{max(each.mebibytes for each in seen):.0f}",
        f"{max(each.requests[name] for each in seen)}",
        f"{statistics.median(each.whole for each in seen):.1f}",
        seen[0].unknown.get(name, ("known", ""))[0],
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("behaviours", nargs="*", help="all of them without")
    parser.add_argument("--routes", type=int, default=200, help="in each cluster")
    parser.add_argument("--times", type=int, default=3, help="passes for a row")
    given = parser.parse_args()
    names = given.behaviours or list(evils(1, uid(HEALTHY[0])))
    print(
        f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores, load"
        f" {os.getloadavg()[0]:.1f}; 20 healthy clusters with {given.routes} routes each"
    )
    titles = ("behaviour", "before/ms", "after/ms", "ratio", "RSS/MiB", "requests", "whole/s", "it is")  # fmt: skip
    print(COLUMNS.format(*titles))
    with tempfile.TemporaryDirectory() as folder:
        wanted = [each for name in names for each in given.times * ("", name)]
        found = passes(Path(folder), wanted, given.routes)
        for name in names:
            seen = [next(found) for _ in range(2 * given.times)]
            print(row(name, seen), flush=True)


if __name__ == "__main__":
    main()

"""`python -m tests.simulation [CLUSTERS EXPOSURES MINUTES [SEED]]`: a whole hour, and what was wrong."""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from reconciler.log import configure
from tests.simulation import verdicts
from tests.simulation.churn import Churn, Size
from tests.simulation.clock import simulate

HOUR = Size(clusters=500, exposures=20, minutes=60)


def main(arguments: list[str]) -> int:
    """Play it, print the figures; 1 when something was wrong."""
    configure(quiet=True)
    size = HOUR
    if arguments:
        clusters, exposures, minutes, *seed = map(int, arguments)
        size = Size(
            clusters=clusters,
            exposures=exposures,
            minutes=minutes,
            seed=seed[0] if seed else HOUR.seed,
        )
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="wharfinger-hour-") as root:
        hour = simulate(Churn(Path(root), size).play)
        print(f"{size}: {time.monotonic() - began:.0f} s of real time")
        wrong = [line for judge in verdicts.ALL for line in judge(hour)]
        pushes, slowest = verdicts.pushes(hour), max(verdicts.waits(hour))
    kinds = Counter(event.kind for event in hour.events)
    print(f"events {dict(kinds)}, pushes {len(pushes)}, lists {hour.fleet.lists}")
    print(f"passes {dict(hour.passes)}, slowest change {slowest:.1f} s")
    print(f"waiting for people {dict(verdicts.waiting(hour))}")
    for gauge in hour.gauges:
        print(gauge)
    print("\n".join(wrong) or "nothing was wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`make bench`: every ratio to a peer in one table, each measured side by side in this run.

    python -m tests.bench.ratios --exposures 10000        (some ten minutes)
    python -m tests.bench.ratios --exposures 100000       (an hour; the sizes of docs/benchmarks.md)

Parts can be named: `octo first event nodeports firstbyte hostile`. What a part says while it
measures goes to stderr, the table to stdout.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from tests.bench import event, firstbyte, firstpass, hostile, nodeports, octo
from tests.bench.ratio import Ratio, machine, table

SIZES = (1_000, 10_000, 100_000)
Part = Callable[[Path, int], list[Ratio]]


def _event(_: Path, exposures: int) -> list[Ratio]:
    return event.rows(tuple(size for size in SIZES if size <= exposures))


def _first_byte(_: Path, exposures: int) -> list[Ratio]:
    routes = (1, 500) if exposures >= SIZES[-1] else (1,)
    return firstbyte.rows(tuple(firstbyte.measured(routes)))


PARTS: dict[str, Part] = {
    "octo": lambda folder, count: octo.measure(folder, count, seed=1, runs=3),
    "first": firstpass.measure,
    "event": _event,
    "nodeports": lambda _, __: nodeports.rows(),
    "firstbyte": _first_byte,
    "hostile": lambda _, __: hostile.rows(),
}


def part(name: str, exposures: int) -> list[Ratio]:
    """The rows of one part, in a folder of its own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stdout(sys.stderr),
    ):
        return PARTS[name](Path(folder), exposures)


def measured(names: list[str], exposures: int) -> Iterator[Ratio]:
    """All rows of these parts, each from a new process: a child's peak memory is at least its
    parent's when it was started."""
    for name in names:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            yield from pool.submit(part, name, exposures).result()


def main() -> None:
    """Print the table, a row as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--exposures", type=int, default=10_000)
    asked = parser.parse_args()
    unknown = set(asked.parts) - set(PARTS)
    if unknown:
        parser.error(
            f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}"
        )
    print(f"{machine()}\n\n{table([])}", flush=True)
    for row in measured(asked.parts or list(PARTS), asked.exposures):
        print(table([row]).splitlines()[-1], flush=True)


if __name__ == "__main__":
    main()

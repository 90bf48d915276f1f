"""The first pass of very many exposures, beside `git fast-import` of the same bytes and `git push`.

    python -m tests.bench.firstpass --exposures 100000

Ours is the whole command, from reading the folders of a cold process to the pushed branch. The
peer gets our very commits as a stream that `git fast-export` made of them, into a fresh bare
repository, and pushes that to another one on the same disk.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

from tests.bench.__main__ import COMMAND, set_up
from tests.bench.children import Took, took
from tests.bench.ratio import Ratio, machine, table
from tests.bench.tools import compile_all, environment
from tests.bench.worlds import PER_CLUSTER

GOAL = 4.0


def ours(folder: Path, exposures: int) -> tuple[Took, Path]:
    """The pass, and the repository that it filled."""
    remote = set_up(folder, exposures, -(-exposures // PER_CLUSTER))
    compile_all()
    argv = [str(COMMAND), "reconcile", "--repo", str(remote), "--write-back", "off"]
    return took(argv, environment(folder / "cache")), remote


def theirs(folder: Path, remote: Path) -> tuple[Took, Took]:
    """The import of the same commits, and the push of them."""
    stream, local, target = folder / "stream", folder / "local.git", folder / "new.git"
    with stream.open("wb") as out:
        export = ["git", f"--git-dir={remote}", "fast-export", "main"]
        subprocess.run(export, check=True, stdout=out)
    for each in (local, target):
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", each], check=True)
    git = ["git", f"--git-dir={local}"]
    imported = took([*git, "fast-import", "--quiet"], stdin=stream)
    pushed = took([*git, "push", "-q", str(target), "main"])
    return imported, pushed


def measure(folder: Path, exposures: int) -> list[Ratio]:
    """The rows of one size."""
    mine, remote = ours(folder, exposures)
    print(f"first pass, {exposures} exposures: {mine}", flush=True)
    imported, pushed = theirs(folder, remote)
    print(f"fast-import: {imported}; push: {pushed}", flush=True)
    return [
        Ratio(
            what=f"first pass, {exposures} exposures{kind}",
            peer="git fast-import + push",
            ours=ours_,
            theirs=peers,
            unit="s",
            goal=GOAL,
        )
        for kind, ours_, peers in (
            ("", mine.seconds, imported.seconds + pushed.seconds),
            (
                ": processors",
                mine.processor,
                imported.processor + pushed.processor,
            ),
        )
    ]


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exposures", type=int, default=100_000)
    given = parser.parse_args()
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as name:
        print(table(measure(Path(name), given.exposures)))


if __name__ == "__main__":
    main()

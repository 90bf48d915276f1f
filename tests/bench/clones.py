"""What the clone of a large ingress repository costs, beside what git alone needs for the same.

    python -m tests.bench.clones --commits 100000 --files 100000

Prints a line for each step of two processes on one cache: seconds, peak memory of the process and
of its children so far, and the ratio to git where git has such a step.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from reconciler.model.repository import CommitDraft, FileWrite
from reconciler.repo import Credentials, Remote, Repository
from tests.bench.bigrepo import Size, generate

LOG = "log --first-parent --root --raw -z --no-abbrev --no-renames --full-diff"
_COLD = ("fetch", "again", "head", "history")
_WARM = ("again", "head", "history", "push", "again", "head", "history")


def steps(remote: Path, cache: Path) -> Mapping[str, Callable[[], object]]:
    """What a pass does with its repository, by name."""
    here = Remote(url=f"file://{remote}", credentials=Credentials())
    repository = Repository.open(here, cache, 1)

    def push() -> object:
        now = datetime.now(UTC)
        write = FileWrite(
            path="manifests/g0/c0001/shop/vs-new.yaml", data=str(now).encode()
        )
        draft = CommitDraft(subject="Add one", body="", units=(), writes=(write,))
        return repository.push([draft], repository.head().commit, "", now)

    return {
        "fetch": repository.fetch,
        "again": repository.fetch,
        "head": repository.head,
        "history": repository.history,
        "push": push,
    }


def run(
    remote: Path, cache: Path, names: list[str], floors: Mapping[str, float]
) -> None:
    """Take the steps one after another and print a line for each."""
    known = steps(remote, cache)
    for name in names:
        started = time.monotonic()
        known[name]()
        seconds = time.monotonic() - started
        peaks = [
            resource.getrusage(who).ru_maxrss // 1024
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        ]
        floor = floors.get(name)
        ratio = f"{seconds / floor:.1f}" if floor else "-"
        print(f"{name:>10}{seconds:>10.2f}{peaks[0]:>8}{peaks[1]:>10}{ratio:>8}")


def timed(*argv: str) -> float:
    """Seconds of a git command."""
    started = time.monotonic()
    subprocess.run(["git", *argv], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - started


def bench(size: Size) -> None:
    """Generate the repository, measure git alone, then two processes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        remote, cache, alone = folder / "r.git", folder / "cache", folder / "alone.git"
        generate(remote, size)
        cloned = timed("clone", "-q", "--bare", f"file://{remote}", str(alone))
        logged = timed("-C", str(alone), *LOG.split(), "main")
        print(f"{size.commits} commits, {size.files} files")
        print(f"git alone: clone {cloned:.1f} s, log {logged:.1f} s")
        print(f"{'step':>10}{'s':>10}{'MiB':>8}{'children':>10}{'to git':>8}")
        for names in (_COLD, _WARM):
            sys.stdout.flush()
            argv = [sys.executable, "-m", "tests.bench.clones", "--steps"]
            argv += [",".join(names), "--remote", str(remote), "--cache", str(cache)]
            argv += ["--floors", f"{cloned},{logged}"]
            subprocess.run(argv, check=True, env=dict(os.environ))
            print()


def main() -> None:
    """Measure, or (for ourselves) take the named steps in a process of their own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commits", type=int, default=10_000)
    parser.add_argument("--files", type=int, default=10_000)
    for hidden in ("--steps", "--remote", "--cache", "--floors"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if not given.steps:
        bench(Size(commits=given.commits, files=given.files))
        return
    cloned, logged = map(float, given.floors.split(","))
    floors = {"fetch": cloned, "history": logged}
    run(Path(given.remote), Path(given.cache), given.steps.split(","), floors)


if __name__ == "__main__":
    main()

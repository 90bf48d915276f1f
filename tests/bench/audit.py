"""Answers from a long history beside plain `git log`: `python -m tests.bench.audit`.

Generates a repository (see `bigrepo`), lets the command fetch and index it once, and prints wall
seconds and peak memory of each question, cold processes all, beside git on the remote itself.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.__main__ import COMMAND, git, measure
from tests.bench.bigrepo import START, STEP, Size, Unit, generate


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commits", type=int, default=100_000)
    parser.add_argument("--files", type=int, default=100_000)
    given = parser.parse_args()
    size = Size(commits=given.commits, files=given.files)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.monotonic()
        generate(folder / "ingress.git", size)
        print(
            f"{platform.platform()}, Python {platform.python_version()}, "
            f"{os.cpu_count()} cores, {git(folder, '--version')}\n"
            f"{size.commits} commits, {size.files} files, generated in "
            f"{time.monotonic() - started:.0f} s"
        )
        print(f"{'question':32}{'seconds':>10}{'MiB':>8}{'git log/s':>11}")
        for title, args, path in questions(size):
            print(row(folder, (title, args, path)))


def questions(size: Size) -> list[tuple[str, list[str], str]]:
    """(title, arguments, path for `git log`); the first one pays for fetch and index."""
    unit = Unit(size.units // 4)
    port = f"{unit.gateway}/{unit.port}"
    path = f"ports/{port}.yaml"
    at = datetime.fromtimestamp(START + size.commits * STEP // 2, UTC).isoformat()
    return [
        ("first question of a new cache", ["history", port], path),
        ("history of a port", ["history", port], path),
        ("who had a port", ["who-had", port, "--at", at], path),
        ("history of a unit", ["history", str(unit)], f"{unit.stem}.yaml"),
        ("history of a gateway, 100 rows", ["history", "gateway/g0"], "manifests/g0"),
        (
            "history of a gateway, all rows",
            ["history", "gateway/g0", "--limit", "0"],
            "manifests/g0",
        ),
    ]


def row(folder: Path, question: tuple[str, list[str], str]) -> str:
    """Measure one question, and plain `git log` of its path in the remote."""
    title, args, path = question
    remote = folder / "ingress.git"
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    argv = [str(COMMAND), *args, "--repo", str(remote)]
    ours = measure(argv, environment)
    started = time.monotonic()
    git(remote, "log", "--first-parent", "--format=%H", "main", "--", path)
    alone = time.monotonic() - started
    return f"{title:32}{ours.seconds:>10.1f}{ours.mebibytes:>8.0f}{alone:>11.1f}"


if __name__ == "__main__":
    main()

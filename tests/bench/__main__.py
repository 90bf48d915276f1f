"""`make bench`: passes over directories of many exposures, beside the floor that git sets.

Prints a table: wall seconds, peak memory and commits of the first and of the second pass, and the
ratio to committing and pushing the same files with git alone.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.bench.worlds import PER_CLUSTER, settings, write_clusters

COMMAND = Path(sys.executable).with_name("wharfinger")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One command: wall seconds and peak memory in MiB."""

    seconds: float
    mebibytes: float


def measure(argv: list[str], environment: dict[str, str]) -> Figures:
    """Run a command in a child of its own, so that its peak memory is its own."""
    started = time.monotonic()
    child = subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise SystemExit(f"{argv[1]} ended with {child.returncode}")
    return Figures(seconds=time.monotonic() - started, mebibytes=usage.ru_maxrss / 1024)


def git(folder: Path, *args: str) -> str:
    """Run git as a person of its own."""
    who = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    done = subprocess.run(
        ["git", *who, *args], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def floor(folder: Path, remote: Path) -> float:
    """Seconds that git alone needs to commit and push the same files."""
    work, target = folder / "floor", folder / "floor.git"
    git(folder, "clone", "-q", str(remote), str(work))
    shutil.rmtree(work / ".git")
    git(folder, "init", "-q", "--bare", "-b", "main", str(target))
    started = time.monotonic()
    git(work, "init", "-q", "-b", "main")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "all")
    git(work, "push", "-q", str(target), "main")
    return time.monotonic() - started


def set_up(folder: Path, exposures: int, clusters: int) -> Path:
    """The directory of clusters, and the bare repository with the settings alone."""
    write_clusters(folder / "clusters", exposures, clusters)
    remote, work = folder / "ingress.git", folder / "work"
    git(folder, "init", "-q", "--bare", "-b", "main", str(remote))
    git(folder, "clone", "-q", str(remote), str(work))
    (work / "wharfinger.yaml").write_text(settings(folder / "clusters", exposures))
    git(work, "checkout", "-q", "-B", "main")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "settings")
    git(work, "push", "-q", "origin", "main")
    return remote


def row(exposures: int, clusters: int) -> list[str]:
    """Measure one size."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        remote = set_up(folder, exposures, clusters)
        environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
        argv = [str(COMMAND), "reconcile", "--repo", str(remote), "--write-back", "off"]
        first = measure(argv, environment)
        tip = git(remote, "rev-parse", "main")
        second = measure(argv, environment)
        if git(remote, "rev-parse", "main") != tip:
            raise SystemExit("the second pass made a commit")
        base = floor(folder, remote)
        commits = git(remote, "rev-list", "--count", "main")
    return [
        f"{exposures}",
        f"{clusters}",
        f"{first.seconds:.1f}",
        f"{first.mebibytes:.0f}",
        f"{second.seconds:.1f}",
        f"{second.mebibytes:.0f}",
        f"{base:.1f}",
        f"{first.seconds / base:.1f}",
        commits,
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--sizes", default="1000,10000", help="exposures, comma separated"
    )
    sizes = [int(each) for each in parser.parse_args().sizes.split(",")]
    print(
        f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores,"
        f" own peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB"
    )
    titles = [
        "exposures",
        "clusters",
        "first/s",
        "MiB",
        "second/s",
        "MiB",
        "git/s",
        "first:git",
        "commits",
    ]
    print("".join(title.rjust(11) for title in titles))
    for size in sizes:
        print(
            "".join(each.rjust(11) for each in row(size, max(1, size // PER_CLUSTER)))
        )


if __name__ == "__main__":
    main()

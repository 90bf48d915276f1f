"""A no-op pass on a repository that has served for long, beside what git alone needs to read it.

    python -m tests.bench.lasting --exposures 33000 --commits 100000

Makes a real first pass over a directory of clusters (three files an exposure), puts so many
commits of ours on top that move addresses there and back (true digests, so they are attributed)
until the tree is that of the first pass again, and measures every step in a process of its own.
Every command must end with 0, and no pass on the long history may make a commit.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.model.repository import CommitDraft
from reconciler.render import RENDERER_VERSION
from reconciler.repo.trailers import RENDERER, compose, diff_digest
from tests.bench.__main__ import COMMAND, Figures, git, measure, set_up
from tests.bench.bigrepo import BOT, START, blob_id
from tests.bench.clones import LOG
from tests.bench.worlds import PER_CLUSTER

STEP = 60  # seconds between two commits


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """The addresses file of one unit: what HEAD has, and what it has while it is away."""

    path: str
    home: str
    away: bytes

    def change(self, leaves: bool) -> tuple[str, bytes]:
        """One commit: message, and the command of `git fast-import` for the file."""
        there = blob_id(self.away)
        ids = (self.home, there) if leaves else (there, self.home)
        cluster = self.path.split("/")[2]
        subject = f"Follow the addresses of cluster {cluster}"
        draft = CommitDraft(subject=subject, body="", units=(), writes=())
        digest = diff_digest([(self.path.encode(), *ids)])
        text = compose(draft, digest, [(RENDERER, str(RENDERER_VERSION))]).text
        if not leaves:
            return text, f"M 100644 {self.home} {self.path}\n".encode()
        head = f"M 100644 inline {self.path}\ndata {len(self.away)}\n"
        return text, head.encode() + self.away + b"\n"


def addresses(remote: Path) -> list[Moved]:
    """All addresses files of the tip, each with another node's address to move to."""
    listed = git(remote, "ls-tree", "-r", "main", "manifests").split("\n")
    rows = [line.split("\t") for line in listed if line.endswith(".endpoints.yaml")]
    found = [(path, about.split(" ")[2]) for about, path in rows]
    asked = "".join(f"{name}\n" for _, name in found).encode()
    argv = ["git", f"--git-dir={remote}", "cat-file", "--batch=%(objectsize)"]
    output = subprocess.run(argv, input=asked, check=True, capture_output=True).stdout
    moved, at = [], 0
    for path, home in found:
        start = output.index(b"\n", at) + 1
        end = start + int(output[at:start])
        away = output[start:end].replace(b"10.", b"10.1")
        moved.append(Moved(path=path, home=home, away=away))
        at = end + 1
    return moved


def moves(units: list[Moved], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """So many commits (an even number) of random units, at whose end all are at home again."""
    chance = random.Random(seed)
    away: dict[str, Moved] = {}
    for left in range(count, 0, -1):
        last = left == len(away)
        unit = next(reversed(away.values())) if last else chance.choice(units)
        leaves = away.pop(unit.path, None) is None
        if leaves:
            away[unit.path] = unit
        yield unit.change(leaves)


def grow(remote: Path, commits: int, seed: int) -> None:
    """Put the commits on the branch; those that it has are made again with older dates."""
    argv = ["git", f"--git-dir={remote}", "fast-import", "--quiet", "--done", "--force"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as child:
        if child.stdin is None:
            raise AssertionError("opened with a pipe")
        child.stdin.write(b"feature done\n")
        for index, (author, text, files) in enumerate(_history(remote, commits, seed)):
            when, data = START + index * STEP, text.encode()
            child.stdin.write(b"commit refs/heads/main\nmark :%d\n" % (index + 1))
            who = f"author {author} {when} +0000\ncommitter {author} {when} +0000\n"
            child.stdin.write(who.encode() + b"data %d\n%s\n" % (len(data), data))
            child.stdin.write((b"from :%d\n" % index if index else b"") + files)
        child.stdin.write(b"done\n")
        child.stdin.close()
    if child.returncode != 0:
        raise SystemExit(f"git fast-import ended with {child.returncode}")


def _history(remote: Path, commits: int, seed: int) -> Iterator[tuple[str, str, bytes]]:
    """(author, message, commands) of the commits that are there, then of the new ones."""
    shown = git(remote, "log", "--reverse", "-z", "--format=%T%n%an <%ae>%n%B", "main")
    for each in shown.rstrip("\0").split("\0"):
        tree, author, text = each.split("\n", 2)
        yield author, text.rstrip("\n") + "\n", f'M 040000 {tree} ""\n'.encode()
    for text, files in moves(addresses(remote), commits, seed):
        yield BOT, text, files


def passes(folder: Path, cache: str) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment of one pass."""
    argv = ["reconcile", "--repo", str(folder / "ingress.git"), "--write-back", "off"]
    return argv, {**os.environ, "XDG_CACHE_HOME": str(folder / cache)}


def floors(folder: Path) -> dict[str, Figures]:
    """What git alone needs: a clone, and all that is said of its history and its tip."""
    remote, alone = folder / "ingress.git", folder / "alone.git"
    there = ["git", "-C", str(alone)]
    commands = {
        "git clone --bare": ["git", "clone", "-q", "--bare", f"file://{remote}"],
        "git log --raw": [*there, *LOG.split(), "--format=%H", "main"],
        "git ls-tree -r": [*there, "ls-tree", "-r", "main"],
    }
    commands["git clone --bare"].append(str(alone))
    return {name: measure(argv, dict(os.environ)) for name, argv in commands.items()}


def bench(folder: Path, exposures: int, commits: int, seed: int) -> None:
    """All steps of one size, a line each."""
    remote = set_up(folder, exposures, max(1, exposures // PER_CLUSTER))
    argv, environment = passes(folder, "before")
    whole = [str(COMMAND), *argv]
    line("first pass, all written", measure(whole, environment))
    line("no-op pass, short history", quiet(remote, whole, environment))
    grown(remote, commits, seed)
    lasting(folder)


def grown(remote: Path, commits: int, seed: int) -> None:
    """Make the history long, and say how long."""
    tree = git(remote, "rev-parse", "main^{tree}")
    started = time.monotonic()
    grow(remote, commits, seed)
    if git(remote, "rev-parse", "main^{tree}") != tree:
        raise SystemExit("the addresses did not come back")
    files = git(remote, "ls-tree", "-r", "--name-only", "main").count("\n") + 1
    print(
        f"  {git(remote, 'rev-list', '--count', 'main')} commits and {files} files now, "
        f"grown in {time.monotonic() - started:.0f} s"
    )


def lasting(folder: Path) -> None:
    """What the long history costs: git alone, a new cache, then cold processes on that cache."""
    remote = folder / "ingress.git"
    alone = floors(folder)
    for name, figures in alone.items():
        line(name, figures)
    total = sum(each.seconds for each in alone.values())
    warm = total - alone["git clone --bare"].seconds
    argv, environment = passes(folder, "cache")
    whole = [str(COMMAND), *argv]
    for name, floor in (
        ("pass on a new cache: git's three", total),
        ("no-op pass: git's last two", warm),
        ("no-op pass again", warm),
    ):
        line(name, quiet(remote, whole, environment), floor)
    split(argv, environment)


def quiet(remote: Path, argv: list[str], environment: Mapping[str, str]) -> Figures:
    """Measure a pass that must not move the branch."""
    tip = git(remote, "rev-parse", "main")
    figures = measure(argv, dict(environment))
    if git(remote, "rev-parse", "main") != tip:
        raise SystemExit("a pass made a commit")
    return figures


def split(argv: list[str], environment: Mapping[str, str]) -> None:
    """Print what one more such pass spends its time on."""
    whole = [sys.executable, "-m", "tests.bench.split", *argv]
    started = time.monotonic()
    done = subprocess.run(
        whole,
        env=dict(environment),
        check=True,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    seconds = time.monotonic() - started
    print(f"  one more no-op pass, {seconds:.1f} s, by stage:")
    stages: dict[str, float] = json.loads(done.stderr.splitlines()[-1])
    stages["the rest"] = seconds - sum(stages.values())
    for name, each in stages.items():
        print(f"{name:>34}{each:>10.2f}{each / seconds:>16.0%}")


def line(name: str, figures: Figures, floor: float = 0.0) -> None:
    """One row; the ratio is to the floor where there is one."""
    ratio = f"{figures.seconds / floor:.1f}" if floor else "-"
    row = f"{name:34}{figures.seconds:>10.1f}{figures.mebibytes:>8.0f}{ratio:>8}"
    print(row, flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exposures", type=int, default=300)
    parser.add_argument("--commits", type=int, default=1000, help="an even number")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if given.commits % 2:
        parser.error("--commits must be even: every move has its way back")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(
            f"{platform.platform()}, Python {platform.python_version()}, "
            f"{os.cpu_count()} cores, {git(folder, '--version')}, load "
            f"{os.getloadavg()[0]:.1f} at the start"
        )
        print(f"{'step: floor':34}{'seconds':>10}{'MiB':>8}{'ratio':>8}")
        bench(folder, given.exposures, given.commits, given.seed)
    print(f"load {os.getloadavg()[0]:.1f} at the end; every command ended with 0")


if __name__ == "__main__":
    main()

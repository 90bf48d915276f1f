"""What one changed exposure costs from its files to the pushed commit, beside git's own commands.

    python -m tests.bench.onechange --sizes 1000,10000,100000 --changes 15

For each size a repository is generated and copied, so that both sides push to remotes of the same
content on the same disk. The peer is a careful person at a shell: the index is warm, objects are
written by `hash-object`, and then follow `update-index`, `write-tree`, `commit-tree`, `push`. Ours is
`Repository.push` and `Repository.since`, in one process that has read everything once. They take
turns; printed are medians in milliseconds.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TypeVar

from reconciler.model.repository import CommitDraft, FileWrite
from reconciler.repo import Credentials, Remote, Repository
from tests.bench.bigrepo import Files, Size, Unit, generate

T = TypeVar("T")
ROLES = ("AUTHOR", "COMMITTER")
COMMITS = 40  # that the generated repository consists of


class Shell:
    """A person with a bare clone and a warm index."""

    def __init__(self, remote: Path, folder: Path) -> None:
        self._remote, self._folder = remote, folder / "shell.git"
        who = {"NAME": "bench", "EMAIL": "bench@localhost"}
        self._env = {
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            **{f"GIT_{role}_{key}": who[key] for role in ROLES for key in who},
        }
        self._git("clone", "-q", "--bare", f"file://{remote}", str(self._folder))
        self._at = self._git("rev-parse", "main")
        self._git("read-tree", "main")

    def change(self, files: Files) -> None:
        """One commit with these files, pushed."""
        paths = list(files)
        for index, path in enumerate(paths):
            (self._folder / f"file{index}").write_bytes(files[path] or b"")
        names = "".join(f"{self._folder}/file{at}\n" for at in range(len(paths)))
        made = self._git("hash-object", "-w", "--no-filters", "--stdin-paths", on=names)
        entries = zip(made.split(), paths, strict=True)
        lines = "".join(f"100644 {blob}\t{path}\n" for blob, path in entries)
        self._git("update-index", "--add", "--index-info", on=lines)
        tree = self._git("write-tree")
        commit = self._git("commit-tree", tree, "-p", self._at, "-m", "Update one")
        self._git("push", "-q", str(self._remote), f"{commit}:refs/heads/main")
        self._at = commit

    def _git(self, *args: str, on: str = "") -> str:
        done = subprocess.run(
            ["git", *args],
            env={**self._env, "GIT_DIR": str(self._folder)},
            input=on,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()


class Ours:
    """A process that knows the branch."""

    def __init__(self, remote: Path, folder: Path) -> None:
        here = Remote(url=str(remote), credentials=Credentials())
        self._repository = Repository.open(here, folder / "cache", 1)
        self._repository.fetch()
        self._repository.history()
        self._at = self._repository.head().commit
        self.spent: dict[str, list[float]] = {"push": [], "since": []}

    def change(self, files: Files) -> None:
        """One commit with these files, pushed, and what it changed."""
        writes = tuple(FileWrite(path=path, data=files[path]) for path in files)
        draft = CommitDraft(subject="Update one", body="", units=(), writes=writes)
        made = self.timed(
            "push",
            lambda: self._repository.push(
                [draft], self._at, "sha256:plan", datetime.now(UTC)
            ),
        )
        found = self.timed("since", lambda: self._repository.since(self._at))
        if found is None or set(found.files) != set(files):
            raise SystemExit("what was pushed is not what changed")
        self._at = made

    def timed(self, name: str, step: Callable[[], T]) -> T:
        """Take a step, and note how long it took."""
        started = time.perf_counter()
        found = step()
        self.spent[name].append(time.perf_counter() - started)
        return found


def measure(exposures: int, changes: int, seed: int) -> list[str]:
    """One size: a row of the table."""
    some = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        one, other = folder / "one.git", folder / "other.git"
        generate(one, Size(commits=COMMITS, files=3 * exposures, seed=seed))
        shutil.copytree(one, other)
        shell, ours = Shell(one, folder), Ours(other, folder)
        took: dict[str, list[float]] = {"shell": [], "ours": []}
        for turn in range(1, changes + 1):
            unit = Unit(some.randrange(exposures))
            files: Files = {
                f"{unit.stem}.yaml": unit.wish(COMMITS + turn),
                f"{unit.stem}.endpoints.yaml": unit.addresses(COMMITS + turn),
                f"ports/{unit.gateway}/{unit.port}.yaml": unit.ledger(f"turn{turn}"),
            }
            for who, step in (("shell", shell.change), ("ours", ours.change)):
                started = time.perf_counter()
                step(files)
                took[who].append(time.perf_counter() - started)
    figures = (took["shell"], took["ours"], ours.spent["push"], ours.spent["since"])
    middle = [1000 * median(each) for each in figures]
    return [
        str(exposures),
        *(f"{each:.1f}" for each in middle),
        f"{middle[1] / middle[0]:.2f}",
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="1000,10000,100000", help="exposures")
    parser.add_argument("--changes", type=int, default=15)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}; medians of {given.changes} in milliseconds")
    titles = ["exposures", "git", "ours", "push", "since", "ours:git"]
    print("".join(title.rjust(11) for title in titles))
    for size in map(int, given.sizes.split(",")):
        row = measure(size, given.changes, given.seed)
        print("".join(each.rjust(11) for each in row), flush=True)


if __name__ == "__main__":
    main()

"""A pass with nothing to do, in a cold process, beside octoDNS planning as many records.

    python -m tests.bench.octo --exposures 100000

The same number of objects on both sides: exposures in folders of a hundred, one YAML file with a
List a folder, and A records in zones of a hundred, one YAML file a zone, planned from the YAML
provider to the YAML provider with nothing to change. octoDNS comes from PyPI into an environment
of its own. Each side runs as often as `--runs` says and the best run counts. Memory is the peak
of the process, and of it what grows with the objects: less the peak with one object.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from reconciler import yamlio
from tests.bench.__main__ import COMMAND, git
from tests.bench.children import Took, took
from tests.bench.ratio import Ratio, machine, table
from tests.bench.worlds import PER_CLUSTER, settings, write_lists

GOAL = 0.1
OCTODNS = "octodns==1.22.0"


class Peer:
    """octoDNS in an environment of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        venv = folder / "venv"
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "-q", OCTODNS]
        subprocess.run([*pip, "--disable-pip-version-check"], check=True)
        python = str(venv / "bin" / "python")
        # Its modules as bytecode, as ours are: the first run is no measure of planning.
        subprocess.run([python, "-m", "compileall", "-q", venv / "lib"], check=False)
        self._sync = str(venv / "bin" / "octodns-sync")

    def planned(self, records: int, seed: int, runs: int) -> Took:
        """The best of its plans of this many records."""
        root = self._folder / f"zones-{records}"
        some = random.Random(seed)
        zones = []
        for index in range(-(-records // PER_CLUSTER)):
            zone = f"c{index:04}.example.com."
            count = min(PER_CLUSTER, records - index * PER_CLUSTER)
            body = {f"s{number:06}": _record(some) for number in range(count)}
            for side in ("source", "target"):
                (root / side).mkdir(parents=True, exist_ok=True)
                (root / side / f"{zone}yaml").write_text(yamlio.dump(body))
            zones.append(zone)
        config = root / "config.yaml"
        config.write_text(yamlio.dump(_config(root, zones)))
        argv = [self._sync, f"--config-file={config}", "--quiet"]
        return best(lambda: took(argv, {"PATH": os.environ["PATH"]}), runs)


def _record(some: random.Random) -> dict[str, object]:
    address = ".".join(str(some.randrange(1, 255)) for _ in range(3))
    return {"type": "A", "value": f"10.{address}"}


def _config(root: Path, zones: list[str]) -> dict[str, object]:
    provider = "octodns.provider.yaml.YamlProvider"
    return {
        "providers": {
            side: {"class": provider, "directory": str(root / side)}
            for side in ("source", "target")
        },
        "zones": {
            zone: {"sources": ["source"], "targets": ["target"]} for zone in zones
        },
    }


def best(run: Callable[[], Took], runs: int) -> Took:
    """Of several runs the one that took the processors least."""
    return min((run() for _ in range(runs)), key=lambda each: each.processor)


class Ours:
    """An ingress repository that has everything, and a note of the pass that found it so."""

    def __init__(self, folder: Path, exposures: int, seed: int) -> None:
        root = folder / f"ours-{exposures}"
        clusters = root / "clusters"
        write_lists(clusters, exposures, -(-exposures // PER_CLUSTER), seed)
        remote, work = root / "ingress.git", root / "work"
        git(root, "init", "-q", "--bare", "-b", "main", str(remote))
        git(root, "clone", "-q", str(remote), str(work))
        (work / "wharfinger.yaml").write_text(settings(clusters, exposures))
        git(work, "checkout", "-q", "-B", "main")
        git(work, "add", "-A")
        git(work, "commit", "-q", "-m", "settings")
        git(work, "push", "-q", "origin", "main")
        self._environment = {
            "PATH": os.environ["PATH"],
            "XDG_CACHE_HOME": str(root / "cache"),
        }
        self._cache = root / "cache"
        self._argv = [str(COMMAND), "reconcile", "--repo", str(remote)]
        self._argv += ["--write-back", "off", "-o", "json"]

    def made(self) -> Took:
        """A pass, whatever it finds."""
        return took(self._argv, self._environment)

    def noted(self, runs: int) -> Took:
        """The best of its passes from the note."""
        if not list(self._cache.rglob("wharfinger-note-*")):
            raise SystemExit("the pass before left no note")
        return best(self.made, runs)


def measure(folder: Path, exposures: int, seed: int, runs: int) -> list[Ratio]:
    """All rows of one size."""
    peer = Peer(folder)
    theirs, one = peer.planned(exposures, seed, runs), peer.planned(1, seed, 1)
    print(f"octoDNS, {exposures} records: {theirs}; one record: {one}", flush=True)
    ours = Ours(folder, exposures, seed)
    print(f"first pass, {exposures} exposures: {ours.made()}", flush=True)
    whole = ours.made()
    print(f"whole pass without a note: {whole}", flush=True)
    noted = ours.noted(runs)
    small = Ours(folder, 1, seed)
    small.made()
    small.made()
    least = small.noted(1)
    print(f"pass from the note: {noted}; one exposure: {least}", flush=True)

    def each(big: Took, little: Took) -> float:
        return max(big.mebibytes - little.mebibytes, 0.001) * (1 << 20) / exposures

    what = f"no-op pass, cold, {exposures} exposures"
    size = (1 << 20) / exposures
    mine, others = noted.mebibytes * size, theirs.mebibytes * size
    more, most = each(noted, least), each(theirs, one)
    return [
        _row(what, noted.seconds, theirs.seconds),
        _row(f"{what}: processors", noted.processor, theirs.processor),
        _row(f"{what}: peak by object", mine, others, "B"),
        _row(f"{what}: growth by object", more, most, "B"),
        _row("the same, whole: processors", whole.processor, theirs.processor),
    ]


def _row(what: str, ours: float, theirs: float, unit: str = "s") -> Ratio:
    goal = GOAL if unit == "s" else 1.0
    return Ratio(
        what=what,
        peer=f"{OCTODNS}, plan",
        ours=ours,
        theirs=theirs,
        unit=unit,
        goal=goal,
    )


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exposures", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as name:
        print(table(measure(Path(name), given.exposures, given.seed, given.runs)))


if __name__ == "__main__":
    main()

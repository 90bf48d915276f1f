"""What this machine has, for the line above a table of figures (reads files, runs git)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def memory_gib() -> float:
    """The machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)


def git_version() -> str:
    """As `git --version` says it."""
    done = subprocess.run(
        ["git", "--version"], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def environment(cache: Path) -> dict[str, str]:
    """What a measured command of ours sees: caches of its own, and nothing of the caller's."""
    return {"PATH": os.environ["PATH"], "XDG_CACHE_HOME": str(cache)}


def compile_all() -> None:
    """Bytecode of all that our commands load, as installers leave it: it is not measured."""
    modules = "reconciler.cli.reconcile, reconciler.cli.whole, reconciler.cli.run"
    argv = [sys.executable, "-c", f"import {modules}"]
    subprocess.run(argv, check=True, env={"PATH": os.environ["PATH"]})

"""What this machine has, for the line above a table of figures (reads files, runs git)."""

from __future__ import annotations

import os
import subprocess


def memory_gib() -> float:
    """The machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)


def git_version() -> str:
    """As `git --version` says it."""
    done = subprocess.run(
        ["git", "--version"], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()

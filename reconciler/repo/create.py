"""Makes a new bare repository (does I/O)."""

from __future__ import annotations

from pathlib import Path

import pygit2


def create_bare(folder: Path, branch: str) -> None:
    """Make a new bare repository with this branch as its default."""
    pygit2.init_repository(str(folder), bare=True, initial_head=branch)

"""Fixtures of the tests on real Git."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.ci_jobs import ACTION
from tests.integration.remotes import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty remote repository and a folder for clones beside it."""
    return Place(tmp_path)


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the action's first step makes, made once by that step's own script."""
    folder = tmp_path_factory.mktemp("action") / "wharfinger"
    argv = [sys.executable, "-I", str(ACTION / "install.py"), str(folder)]
    subprocess.run(argv, check=True, timeout=240, cwd=folder.parent)
    return folder

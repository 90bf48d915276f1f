"""Fixtures of the tests on real Git."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.remotes import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty remote repository and a folder for clones beside it."""
    return Place(tmp_path)

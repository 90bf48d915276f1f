"""Plugins of all tests, and what every test must leave as it was."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

pytest_plugins = ("tests.stack.plugin", "tests.stack.engines")

PYTESTS_OWN = "PYTEST_CURRENT_TEST"


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key != PYTESTS_OWN}


@pytest.fixture(autouse=True)
def environment_is_left_alone() -> Iterator[None]:
    """Else another test of the same worker fails, and its reader looks in the wrong place."""
    before = _environment()
    yield
    left = _environment()
    changed = {key for key in before | left if before.get(key) != left.get(key)}
    for key in changed:
        os.environ.pop(key, None)
        if key in before:
            os.environ[key] = before[key]
    assert not changed, f"left in the environment: {sorted(changed)}"

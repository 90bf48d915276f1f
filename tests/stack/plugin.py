"""The pytest plugin of the marker `stack`: never silently skipped (reads the cache).

Where the stack is not built, or the run is not root's, such tests are deselected and the
summary says why. With ``WHARFINGER_STACK=require`` or ``CI`` they fail instead.
"""

from __future__ import annotations

import os
from functools import cache

import pytest

from tests.stack import pins

MARKER = "stack"
SHOWN = 4


def required() -> bool:
    """Must the tests of the stack run?"""
    asked = os.environ.get("WHARFINGER_STACK") == "require"
    return asked or bool(os.environ.get("CI"))


@cache
def obstacle() -> str:
    """Why the tests of the stack cannot run here, and what to do; or nothing."""
    lacking = [
        i.name if isinstance(i, pins.Binary) else i.target for i in pins.missing()
    ]
    if lacking:
        more = f" and {len(lacking) - SHOWN} more" if len(lacking) > SHOWN else ""
        return f"not built: {', '.join(lacking[:SHOWN])}{more}: run `make stack`"
    if packages := pins.missing_packages():
        return f"missing: apt-get install -y {' '.join(packages)}"
    try:
        pins.envoy()
    except pins.NotBuilt as error:
        return str(error)
    if os.geteuid() != 0:
        return "network namespaces and addresses need root: run `sudo make test`"
    return ""


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Deselect what cannot run, unless it must."""
    marked = [item for item in items if item.get_closest_marker(MARKER)]
    if not marked or required() or not obstacle():
        return
    config.hook.pytest_deselected(items=marked)
    items[:] = [item for item in items if not item.get_closest_marker(MARKER)]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail what must run and cannot."""
    if item.get_closest_marker(MARKER) and (reason := obstacle()):
        pytest.fail(f"the real control planes cannot be used: {reason}", pytrace=False)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say why tests did not run; also with parallel workers, which cannot say it."""
    if not required() and (reason := obstacle()):
        terminalreporter.write_line(f"tests marked `stack` did not run: {reason}")

"""Runs the command and says what its time went to, as JSON in the last line of stderr.

    python -m tests.bench.split reconcile --repo URL --write-back off

The functions that `run.py` composes are wrapped; a stage that calls another one does not count
the time of that.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

SPENT: dict[str, float] = {}
_OPEN: list[float] = []


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Count the seconds inside under this name, without those of stages within."""
    started = time.perf_counter()
    _OPEN.append(0.0)
    try:
        yield
    finally:
        seconds = time.perf_counter() - started
        SPENT[name] = SPENT.get(name, 0.0) + seconds - _OPEN.pop()
        if _OPEN:
            _OPEN[-1] += seconds


def timed(name: str, wrapped: Callable[..., Any]) -> Callable[..., Any]:
    """The function, counted."""

    @wraps(wrapped)
    def call(*args: Any, **kwargs: Any) -> Any:
        with stage(name):
            return wrapped(*args, **kwargs)

    return call


def awaited(
    name: str, wrapped: Callable[..., Awaitable[Any]]
) -> Callable[..., Awaitable[Any]]:
    """The coroutine function, counted."""

    @wraps(wrapped)
    async def call(*args: Any, **kwargs: Any) -> Any:
        with stage(name):
            return await wrapped(*args, **kwargs)

    return call


def main() -> None:
    """Wrap the stages and run the command."""
    with stage("imports"):
        from reconciler import passes, run
        from reconciler import plan as planning
        from reconciler.cli import main as command
        from reconciler.cli import whole
        from reconciler.plan import index
        from reconciler.repo import Repository

    for owner, attribute, name, wrap in (
        (Repository, "fetch", "fetch", timed),
        (Repository, "head", "head", timed),
        (Repository, "history", "history", timed),
        (Repository, "push", "push", timed),
        (passes, "observe", "observe", awaited),
        (run, "served_addresses", "addresses of HEAD", timed),
        (run, "claim", "claim", timed),
        (run, "plan", "plan: the rest", timed),
        (planning, "Index", "plan: index of HEAD", timed),
        (index, "touches", "plan: index of history", timed),
        (planning, "plan_units", "plan: units", timed),
        (planning, "finish", "plan: drafts and rows", timed),
        (whole, "prove_and_write_back", "report", awaited),
        (whole, "finish", "output", timed),
    ):
        setattr(owner, attribute, wrap(name, getattr(owner, attribute)))
    try:
        command()
    finally:
        print(json.dumps(SPENT), file=sys.stderr)


if __name__ == "__main__":
    main()

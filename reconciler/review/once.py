"""One open request a branch, although two passes at once may open two; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from reconciler.model.reviews import Outcome, Request, Step


def each_once(
    requests: Iterable[Request],
) -> tuple[dict[str, Request], tuple[Request, ...]]:
    """The oldest request of each branch, and all the others."""
    oldest: dict[str, Request] = {}
    others: list[Request] = []
    for each in sorted(requests, key=lambda each: each.number):
        if oldest.setdefault(each.branch, each) is not each:
            others.append(each)
    return oldest, tuple(others)


def moved(outcome: Outcome, kept: Mapping[int, Request]) -> Outcome:
    """An outcome that names the request which stays; `kept` has it by the closed one's number."""
    older = kept.get(outcome.number)
    if older is None:
        return outcome
    return replace(outcome, step=Step.KEPT, number=older.number, url=older.url)

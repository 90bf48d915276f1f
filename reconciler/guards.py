"""What keeps a mistake from becoming an outage: budgets for deletions and rewrites; pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

from reconciler.ledger import transfer_of
from reconciler.model.repository import CommitFact, History
from reconciler.names import file_prefix, unit_stem
from reconciler.settings import ArrivalGuard, DeletionGuard

WINDOW = timedelta(hours=24)


def set_digest(items: Iterable[str]) -> str:
    """Names a withheld set, so that a person accepts exactly what was shown; 16 hex digits."""
    text = json.dumps(sorted(set(items)))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def deleted_recently(
    history: History, now: datetime, serves: Callable[[str], bool]
) -> Mapping[str, int]:
    """How many exposures we deleted per cluster in the last 24 hours.

    `serves` says whether HEAD has a stem (`cluster/namespace/vs-name`) on any gateway: a unit
    that moved or came back is no deletion, nor is one whose port a person gave to another unit.
    """
    gone: dict[str, set[str]] = {}
    for commit in history.commits:
        if not commit.ours or now - commit.time >= WINDOW:
            continue
        stems = {
            stem
            for change in commit.changes
            if change.new is None
            if (stem := _deleted_stem(change.path)) and not serves(stem)
        }
        for stem in stems - _handed_over(commit, history) if stems else ():
            gone.setdefault(stem.split("/")[0], set()).add(stem)
    return {cluster: len(stems) for cluster, stems in gone.items()}


def _handed_over(commit: CommitFact, history: History) -> set[str]:
    """The units that gave a port or host to another one in this commit."""
    handed = (
        transfer_of(change, history)
        for change in commit.changes
        if change.path.startswith(("ports/", "hosts/"))
    )
    return {unit_stem(each[0].owner.unit) for each in handed if each and each[0].owner}


def _deleted_stem(path: str) -> str | None:
    parts = path.split("/")
    if len(parts) != 5 or parts[0] != "manifests":
        return None
    if not parts[4].startswith(file_prefix(parts[3])) or parts[4].endswith(
        ".endpoints.yaml"
    ):
        return None
    return "/".join(parts[2:]).removesuffix(".yaml")


def over_budget(guard: DeletionGuard, *, there: int, before: int, now: int) -> str:
    """Why deleting `now` exposures of a cluster needs a person; empty when it does not.

    `there` is how many HEAD has, `before` how many were deleted in the last 24 hours.
    """
    if now == 0:
        return ""
    total = there + before
    allowed = max(guard.at_least, total * guard.percent // 100)
    if before + now > allowed:
        return f"{before + now} of {total} exposures in 24 hours, {allowed} are allowed without a person"
    if now == there and total > guard.at_least:
        return f"it would remove every exposure of the cluster ({there})"
    return ""


def too_many_rewrites(percent: int, *, files: int, rewrites: int) -> str:
    """Why rewriting wish files although no wish changed needs a person; empty when not."""
    if rewrites == 0 or rewrites * 100 <= percent * files:
        return ""
    return (
        f"{rewrites} of {files} wish files would change although no wish did, "
        f"{percent}% are allowed without a person"
    )


def too_many_arrivals(guard: ArrivalGuard, *, known: int, new: int) -> str:
    """Why so many new clusters need a person; empty when they do not.

    `known` are the clusters that Git knows: where it knows none, the first ones come freely.
    """
    allowed = max(guard.at_least, known * guard.percent // 100)
    if known == 0 or new <= allowed:
        return ""
    return (
        f"{new} new clusters at once beside {known} that Git knows, "
        f"{allowed} are allowed without a person"
    )

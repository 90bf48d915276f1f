"""What an hour must not have in its history, and what it must; each returns what is wrong."""

from __future__ import annotations

import io
import itertools
import math
import subprocess
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from reconciler import yamlio
from reconciler.errors import Exit
from reconciler.model.units import UnitId
from tests.integration.remotes import git
from tests.simulation.churn import NOISY, Event, Hour
from tests.simulation.clock import START
from tests.simulation.fleet import NAMESPACE, Sky

QUIET, LONGEST, GRACE = 2.0, 15.0, 60.0
BETWEEN = 30.0  # lists of one cluster are so far apart
LISTS = 3  # for each object that went: its second look, and others that nothing came of
PACKS = 32  # when there are more than thirty, git makes one of them
OBJECTS_A_COMMIT = 60  # its facts and what they changed
SLACK = 1.0  # times of commits are whole seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One commit: seconds since the start, who, and (status, path, blob) of what it changed."""

    id: str
    at: float
    ours: bool
    changes: tuple[tuple[str, str, str], ...]


def commits(hour: Hour) -> list[Commit]:
    """The branch from its beginning."""
    shape = ("--format=%x00%H %cI %an", "--raw", "--no-abbrev", "--no-renames")
    args = ("log", "--reverse", "--first-parent", *shape, "main")
    return [
        _commit(each)
        for each in git(hour.place.bare, *args).split("\0")
        if each.strip()
    ]


def _commit(block: str) -> Commit:
    head, *lines = block.strip().splitlines()
    commit, time, author = head.split(" ", 2)
    changes = []
    for line in lines:
        if line.startswith(":"):
            words, path = line[1:].split("\t", 1)
            _, _, _, new, status = words.split(" ")
            changes.append((status, path, new))
    at = (datetime.fromisoformat(time) - START).total_seconds()
    ours = author == "wharfinger"
    return Commit(id=commit, at=at, ours=ours, changes=tuple(changes))


def wrong_deletions(hour: Hour) -> Iterator[str]:
    """Files of units that we removed although the object was there, or nobody could know."""
    for commit in commits(hour):
        for status, path, _ in commit.changes:
            unit = _unit(path)
            if not commit.ours or status != "D" or unit is None:
                continue
            if hour.fleet.lives[unit].there(commit.at):
                yield f"{unit} was removed at {commit.at:g} s and was there"


def touched_in_the_dark(hour: Hour) -> Iterator[str]:
    """Files that we changed while their cluster could not be seen, or lied."""
    for commit in commits(hour):
        for status, path, _ in commit.changes:
            unit = _unit(path)
            if not commit.ours or unit is None:
                continue
            skies = {hour.fleet.sky(unit.cluster, commit.at + d) for d in (0.0, 0.999)}
            is_late = status != "D" and skies == {Sky.EMPTY}
            if Sky.CLEAR in skies or (is_late and _told(hour, unit, commit.at)):
                continue
            yield f"{path} was changed at {commit.at:g} s, when it was {skies}"


def _told(hour: Hour, unit: UnitId, at: float) -> bool:
    """Whether a change is that of a moment ago, when its cluster still told the truth."""
    turns = [time for time, there in hour.fleet.lives[unit].turns if there]
    last = max((time for time in turns if time <= at), default=-math.inf)
    is_new = at - last <= QUIET + LONGEST + SLACK
    return is_new and hour.fleet.sky(unit.cluster, last) is Sky.CLEAR


def pushes(hour: Hour) -> list[float]:
    """When we pushed: all commits of one push have one time."""
    return sorted({commit.at for commit in commits(hour) if commit.ours})


def crowded_pushes(hour: Hour) -> Iterator[str]:
    """Pushes that are less than a quiet window apart."""
    for before, after in itertools.pairwise(pushes(hour)):
        if after - before < QUIET:
            yield f"pushes at {before:g} and {after:g} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """How long a change that nothing overtook waited for its commit (`None`: for ever)."""

    event: Event
    seconds: float | None


def late(hour: Hour) -> Iterator[str]:
    """Changes that were not committed in time although their cluster could be seen."""
    for wait in _waits(hour):
        if wait.seconds is None:
            yield f"{wait.event} was not committed in time"


def waits(hour: Hour) -> list[float]:
    """Seconds from changes to their commits; the second look at what is gone not counted."""
    return [
        wait.seconds
        for wait in _waits(hour)
        if wait.seconds is not None and wait.event.kind != "delete"
    ]


def _waits(hour: Hour) -> Iterator[Wait]:
    flapping = {
        name
        for index, name in enumerate(hour.fleet.clusters)
        if hour.size.is_flapping(index)
    }
    by_wish: dict[str, list[float]] = defaultdict(list)
    for commit in commits(hour):
        for _, path, _ in commit.changes:
            if commit.ours:
                by_wish[path].append(commit.at)
    events: dict[str, list[Event]] = defaultdict(list)
    for event in hour.events:
        if event.cluster not in flapping:
            events[event.wish].append(event)
    for wish, mine in events.items():
        for event, after in itertools.zip_longest(mine, mine[1:]):
            yield from _waited(event, after, by_wish[wish])


def _waited(event: Event, after: Event | None, times: list[float]) -> Iterator[Wait]:
    """The noisy one is late for itself: what it said in between is never committed."""
    if event.kind == "revert" or (event.cluster, event.name) == NOISY:
        return
    window = QUIET + LONGEST + SLACK
    look = GRACE + BETWEEN + window if event.kind == "delete" else 0.0
    latest = event.at + window + look
    if after is not None and after.at <= latest:
        return
    found = [at - event.at for at in times if event.at - SLACK <= at <= latest]
    yield Wait(event=event, seconds=min(found, default=None))


def owners_that_changed(hour: Hour) -> Iterator[str]:
    """Ports that came from one owner to another, or two active ports of one route."""
    owners: dict[str, tuple[str, str]] = {}
    history = [
        (commit, status, path, blob)
        for commit in commits(hour)
        for status, path, blob in commit.changes
        if path.startswith("ports/")
    ]
    bodies = _blobs(hour, {blob for _, status, _, blob in history if status != "D"})
    for commit, status, path, blob in history:
        if status == "D":
            owners.pop(path, None)
            continue
        state, owner = bodies[blob]
        before = owners.get(path)
        if before is not None and before[1] != owner:
            yield f"{path} went from {before[1]} to {owner} in {commit.id}"
        owners[path] = (state, owner)
        if state == "active":
            others = [p for p, v in owners.items() if v == (state, owner) and p != path]
            yield from (f"{owner} has {path} and {other}" for other in others)


def _blobs(hour: Hour, ids: set[str]) -> dict[str, tuple[str, str]]:
    names = sorted(ids)
    argv = ["git", "-C", str(hour.place.bare), "cat-file", "--batch"]
    asked = "".join(f"{name}\n" for name in names).encode()
    done = subprocess.run(argv, input=asked, capture_output=True, check=True)
    said, found = io.BytesIO(done.stdout), {}
    for name in names:
        size = int(said.readline().split()[2])
        body = yamlio.load(said.read(size + 1))
        assert isinstance(body, dict)
        found[name] = (str(body["state"]), str(body["owner"]))
    return found


def _unit(path: str) -> UnitId | None:
    parts = path.split("/")
    if parts[0] != "manifests" or len(parts) != 5:
        return None
    name = parts[4].removeprefix("vs-").split(".")[0]
    return UnitId(cluster=parts[2], namespace=NAMESPACE, name=name)


def not_flat(hour: Hour) -> Iterator[str]:
    """What grew although nothing did but the history: a few objects for every commit."""
    early, end = hour.gauges[0], hour.gauges[-1]
    if (early.threads, early.descriptors) != (end.threads, end.descriptors):
        yield f"threads or descriptors: {early} became {end}"
    if max(each.packs for each in hour.gauges) > PACKS:
        yield f"packs: {hour.gauges}"
    allowed = OBJECTS_A_COMMIT * (end.commits - early.commits) + early.objects // 20
    if end.objects - early.objects > allowed:
        yield f"objects: {early} became {end}"


def needless_lists(hour: Hour) -> Iterator[str]:
    """Lists of clusters of which nothing went: while nothing is missing, nothing is listed."""
    deletions = sum(event.kind == "delete" for event in hour.events)
    if hour.fleet.lists > LISTS * deletions:
        yield f"{hour.fleet.lists} lists for {deletions} deletions"


def waiting(hour: Hour) -> Counter[str]:
    """How many routes wait for people in the end, by why."""
    rows = hour.after.plan.rows if hour.after is not None else ()
    return Counter(f"{row.op} {row.code}" for row in rows)


def unfinished(hour: Hour) -> Iterator[str]:
    """How it ended, and what a new process would still do afterwards."""
    if hour.ended is not Exit.DONE:
        yield f"it ended with {hour.ended}"
    if hour.after is None or hour.after.plan.drafts:
        yield f"there is something left to do: {hour.after and hour.after.plan.rows}"


ALL: tuple[Callable[[Hour], Iterator[str]], ...] = (
    wrong_deletions,
    touched_in_the_dark,
    crowded_pushes,
    late,
    owners_that_changed,
    not_flat,
    needless_lists,
    unfinished,
)

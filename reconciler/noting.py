"""Decides whether a pass may leave a note, and writes it: only where nothing waits for anything.

What a note cannot know is what time alone changes, or what is asked of others than files: with
any of that, or any doubt, there is none, and the next pass looks at everything.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from reconciler import settled
from reconciler.codes import Code
from reconciler.model.clusters import ClusterView, Unknown
from reconciler.model.plans import Op, State
from reconciler.model.repository import Head
from reconciler.note import Note
from reconciler.passes import PassOptions, PassResult
from reconciler.repo import Repository
from reconciler.report import Report
from reconciler.reviewing import NOT_REVIEWED
from reconciler.settings import Proof, Settings, under_review

# What is waited for may come to be by time: others' quarantine ends, a flapping object rests.
_BY_TIME = frozenset(
    {
        Code.PORT_TAKEN,
        Code.HOST_TAKEN,
        Code.GATEWAY_FULL,
        Code.QUOTA_EXCEEDED,
        Code.TRANSFER_REFUSED,
        Code.FLAPPING,
    }
)
_HELD = frozenset({Code.HELD_BY_COMMIT, Code.HELD_BY_FILE})
_ALLOWED = {
    Op.REJECT: frozenset(each for each in Code if each < Code.NO_ADDRESS) - _BY_TIME,
    Op.HOLD: _HELD,
}


def leave_note(
    repository: Repository,
    result: tuple[PassResult, Report],
    told: tuple[str, ...],
    asked: tuple[PassOptions, settled.Asked],
) -> None:
    """Write the note of this pass, or take an older one away."""
    note = _note(repository, result, told, asked)
    if note is None:
        settled.forget(repository)
    else:
        settled.keep(repository, note)


def _note(
    repository: Repository,
    result: tuple[PassResult, Report],
    told: tuple[str, ...],
    asked: tuple[PassOptions, settled.Asked],
) -> Note | None:
    (made, report), (options, said) = result, asked
    settings, head = made.settings, made.head
    if settings is None or head is None or options != _plain(options, head):
        return None
    if not _is_quiet(made, report) or not _is_own(settings):
        return None
    if _waits(made, head, settings, said.now) or not _is_written(report, said.mode):
        return None
    ground = settled.ground(repository)
    views = [claims.view for claims in made.claims]
    if ground.head != made.plan.base or not ground.program:
        return None
    return Note(
        ground=ground,
        at=said.now,
        roots=_roots(settings, views),
        written=said.mode if report.changes else "",
        told=told,
        digest=made.plan.digest,
        rows=made.plan.rows,
    )


def _plain(options: PassOptions, head: Head) -> PassOptions:
    """The options of a pass of everything without anything accepted, as a note can answer it."""
    seen = options.last_seen if options.last_seen == head.commit else ""
    return PassOptions(last_seen=seen, wait=options.wait)


def _is_quiet(made: PassResult, report: Report) -> bool:
    """Nothing was done, nothing waits for a person or another look, nothing was unknown."""
    plan = made.plan
    if made.failures or made.commit is not None or made.reviewed != NOT_REVIEWED:
        return False
    if plan.drafts or plan.proposals or plan.exits or plan.withheld or plan.unconfirmed:
        return False
    if report.asked or any(each.problem for each in report.outcomes):
        return False
    return all(row.code in _ALLOWED.get(row.op, ()) for row in plan.rows)


def _is_own(settings: Settings) -> bool:
    """Everything that is looked at is files: no API server, no forge, no platform."""
    return (
        not under_review(settings)
        and all(each.directory is not None for each in settings.inventories)
        and not any(isinstance(each.proof, Proof) for each in settings.gateways)
    )


def _is_written(report: Report, mode: str) -> bool:
    """Whether write-back left the files as they were read."""
    return not report.changes or (mode != "on" and not report.outcomes)


def _waits(made: PassResult, head: Head, settings: Settings, now: datetime) -> bool:
    """Whether the clock alone may change what a pass does within the time of a note."""
    for path, file in head.files.items():
        if path.startswith("holds/") and b"until" in file.data:
            return True
        ledger = path.startswith(("ports/", "hosts/"))
        if ledger and b"\nstate: draining\n" in file.data:
            return True
    pending = any(each.state is State.PENDING for each in made.plan.states)
    if pending and any(b"\nstate: released\n" in each for each in _ledger(head)):
        return True
    views = [claims.view for claims in made.claims]
    return not all(_is_steady(view, settings.guards.grace, now) for view in views)


def _ledger(head: Head) -> list[bytes]:
    return [
        file.data
        for path, file in head.files.items()
        if path.startswith(("ports/", "hosts/"))
    ]


def _is_steady(view: ClusterView, grace: timedelta, now: datetime) -> bool:
    """Whether the cluster is known, and no node of it is unready for a moment only."""
    if isinstance(view.objects, Unknown) or not view.fingerprint:
        return False
    since = (node.ready_since for node in view.objects.nodes if not node.ready)
    return all(each is None or now - each > grace for each in since)


def _roots(
    settings: Settings, views: list[ClusterView]
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    found = []
    for each in settings.inventories:
        if each.directory is not None:
            mine = [view for view in views if view.entry.inventory == each.name]
            prints = tuple(sorted(view.fingerprint for view in mine))
            found.append((str(each.directory.path), prints))
    return tuple(found)

"""One row for each commit and unit: what happened, who asked, who looked at it; pure.

Who asked for a change that we made is whoever may write the object: its cluster and namespace. A
Kubernetes object names no user, and no text of a tenant reaches a commit. For a change that a
person made it is the author. Reviewers and pull request are what the message claims.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from reconciler.audit.events import Event, Teller, What
from reconciler.audit.forges import Words, generations, read_message
from reconciler.audit.subjects import (
    GatewaySubject,
    LedgerSubject,
    Subject,
    UnitSubject,
    ledger_path,
)
from reconciler.headers import parse_wish_header
from reconciler.ledger import Touch, touches
from reconciler.model.repository import CommitId, History
from reconciler.model.trails import Landed, Trail
from reconciler.printable import one_line

BOT = "wharfinger"
GITHUB = "GitHub"  # its own committer, whoever pressed the button
Brought = Mapping[CommitId, Sequence[Landed]]
"""What each merge brought, by the merge's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """How a commit came about. `generation` is by unit; `via` are commits that a merge brought."""

    who: str
    ours: bool
    merged_by: str
    reviewers: tuple[str, ...]
    pull_request: str
    url: str
    generations: Mapping[str, int]
    via: tuple[CommitId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow:
    """What one commit did to one unit (`unit` may be empty). `time` is when it landed."""

    time: datetime
    unit: str
    events: tuple[Event, ...]
    account: Account
    requester: str
    generation: int | None
    commit: CommitId
    subject: str

    @property
    def text(self) -> str:
        return "; ".join(dict.fromkeys(event.text for event in self.events))


def account(landed: Landed, brought: Sequence[Landed]) -> Account:
    """Who made, merged and reviewed a commit."""
    words = read_message(landed.message)
    parts = [read_message(each.message) for each in brought]
    ours = landed.commit.ours
    planned = words.planned or any(part.planned for part in parts)
    author = one_line(landed.commit.author, 80)
    if ours and planned:
        # A squash is authored by who opened the request and committed by who merged it.
        merger = author if brought else one_line(landed.committer, 80)
        who, merged_by = BOT, merger if merger not in (BOT, GITHUB) else ""
    elif brought:
        names = dict.fromkeys(one_line(each.commit.author, 80) for each in brought)
        who, merged_by = ", ".join(list(names)[:3]), author
    else:
        who, merged_by = author, ""
        committer = one_line(landed.committer, 80)
        merged_by = committer if words.pull_request and committer != author else ""
    if who == BOT and not ours:
        who = f"{BOT} (not attributed)"
    return Account(
        who=who,
        ours=ours,
        merged_by=merged_by,
        reviewers=_reviewers([words, *parts]),
        pull_request=words.pull_request,
        url=words.url,
        generations=_generations(landed, brought),
        via=tuple(each.commit.id for each in brought),
    )


def _reviewers(words: Iterable[Words]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for each in words for name in each.reviewers))


def _generations(landed: Landed, brought: Sequence[Landed]) -> dict[str, int]:
    """From attributed messages alone: a forged one tells nothing. The newest one wins."""
    found: dict[str, int] = {}
    for each in reversed([landed, *brought]):
        if each.commit.ours:
            found.update(generations(each.message))
    return found


def history_rows(
    trail: Trail, subject: Subject, brought: Callable[[CommitId], Sequence[Landed]]
) -> Iterable[HistoryRow]:
    """Rows of a subject, newest first; made one by one, so that a limit saves the work.

    `brought` is asked for merges only.
    """
    history = History(
        commits=tuple(each.commit for each in trail.commits), read=trail.read
    )
    teller = Teller(by_path=touches(history), read=trail.read)
    for landed in trail.commits:
        by_unit: dict[str, list[Event]] = {}
        for event in _events(landed, teller):
            if _concerns(event, subject):
                by_unit.setdefault(_heading(event, subject), []).append(event)
        if by_unit:
            merged = brought(landed.commit.id) if landed.parents > 1 else ()
            how = account(landed, merged)
            yield from (
                _row(landed, unit, events, how) for unit, events in by_unit.items()
            )


def _events(landed: Landed, teller: Teller) -> Iterable[Event]:
    for change in landed.commit.changes:
        yield from teller.tell(Touch(commit=landed.commit, change=change))
    for unit in landed.commit.released:
        yield Event(
            what=What.HOLD_ENDED,
            text="hold ended by `wharfinger release`",
            path="",
            unit=one_line(unit, 400),
        )


def _row(
    landed: Landed, unit: str, events: Sequence[Event], how: Account
) -> HistoryRow:
    cluster, _, rest = unit.partition("/")
    namespace = rest.partition("/")[0]
    asked = f"{cluster}/{namespace}" if namespace else cluster
    return HistoryRow(
        time=landed.landed,
        unit=unit,
        events=tuple(events),
        account=how,
        requester=asked if how.who == BOT else how.who,
        generation=how.generations.get(unit),
        commit=landed.commit.id,
        subject=landed.commit.subject,
    )


def _heading(event: Event, subject: Subject) -> str:
    return str(subject.unit) if isinstance(subject, UnitSubject) else event.unit


def _concerns(event: Event, subject: Subject) -> bool:
    match subject:
        case LedgerSubject():
            return event.path in subject.paths
        case UnitSubject():
            if event.path.startswith("holds/"):
                return event.path in subject.holds
            return event.unit == str(subject.unit)
        case GatewaySubject():
            root, _, rest = event.path.partition("/")
            return root != "holds" and rest.startswith(f"{subject.gateway}/")


def owned_paths(trail: Trail, subject: UnitSubject) -> tuple[str, ...]:
    """The ledger files that changed together with a unit's wish and that the wish names."""
    found: dict[str, None] = {}
    for landed in trail.commits:
        changed = {change.path: change for change in landed.commit.changes}
        for path in subject.wishes:
            change = changed.get(path)
            blobs = (change.old, change.new) if change is not None else ()
            headers = (parse_wish_header(trail.read(blob)) for blob in blobs if blob)
            named = (
                ledger_path(path.split("/")[1], key)
                for header in headers
                if header is not None
                for served in header.served
                for key in (served.port, served.host)
            )
            found.update(dict.fromkeys(each for each in named if each in changed))
    return tuple(found)

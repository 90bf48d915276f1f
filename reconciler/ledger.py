"""The ledger of ports and SNI hosts: one file each, and what they count for; pure.

A file that a foreign commit removed or changed counts as its last attributed content: only our
own release frees a port. What counts for a path, by who touched it last:

    attributed content | HEAD by a foreign commit      | counts
    -------------------+-------------------------------+------------------------------------
    any                | (none: HEAD is ours)          | HEAD
    active, draining   | anything                      | attributed; another live owner in
                       |                               | HEAD is a contradiction
    released or none   | active, draining, reserved    | HEAD
    released           | removed, released, unreadable | attributed
    none               | unreadable                    | a contradiction: never allocated

Two things of people count all the same: `next` where nothing else differs, and taking back a
transfer of ours as a whole, when the new owner's manifest does not serve the port any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from reconciler.headers import parse_wish_header
from reconciler.ledger_file import (
    EPOCH,
    Entry,
    Key,
    Malformed,
    parse_entry,
)
from reconciler.model.repository import BlobId, CommitFact, File, FileChange, History
from reconciler.model.units import Owner, PortState
from reconciler.names import wish_path


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """A ledger file that cannot be believed; `owner` is whom it names, where it names one."""

    path: str
    owner: Owner | None
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """All entries that count, by (gateway, key), and what contradicts itself."""

    entries: Mapping[tuple[str, Key], Entry]
    contradictions: tuple[Contradiction, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Touch:
    """One commit that changed one path."""

    commit: CommitFact
    change: FileChange


def touches(history: History) -> dict[str, list[Touch]]:
    """Every path's changes, newest first."""
    found: dict[str, list[Touch]] = {}
    for commit in history.commits:
        for change in commit.changes:
            found.setdefault(change.path, []).append(
                Touch(commit=commit, change=change)
            )
    return found


def read_ledger(
    files: Mapping[str, File], history: History, by_path: Mapping[str, Sequence[Touch]]
) -> Ledger:
    """What every ledger file counts for; `by_path` is `touches(history)`."""
    paths = {path for path in files if is_ledger(path)}
    paths.update(path for path in by_path if is_ledger(path))
    entries: dict[tuple[str, Key], Entry] = {}
    contradictions: list[Contradiction] = []
    for path in sorted(paths):
        entry, fault = counts(path, files, by_path.get(path, ()), history)
        if entry is not None:
            entries[(entry.gateway, entry.key)] = entry
        if fault is not None:
            contradictions.append(fault)
    contradictions.extend(twice(entries.values()))
    return Ledger(entries=entries, contradictions=tuple(contradictions))


def is_ledger(path: str) -> bool:
    """Whether a path is one of a ledger file."""
    return path.startswith(("ports/", "hosts/"))


def counts(
    path: str, files: Mapping[str, File], touched: Sequence[Touch], history: History
) -> tuple[Entry | None, Contradiction | None]:
    """What one ledger file counts for, and what contradicts itself about it."""
    file = files.get(path)
    now = _parsed(path, file.data if file and file.mode == 0o100644 else None)
    if file is None and not touched:
        return None, None
    if touched and touched[0].commit.ours and touched[0].change.new is not None:
        if isinstance(now, Entry):
            return replace(now, since=touched[0].commit.time), None
        return None, _fault(path, now, "is not in the ledger's form")
    ours = _last_attributed(path, touched, history)
    said = _next_alone(ours, now) or _taken_back(path, files, touched, history)
    if said is not None:
        return said, None
    if ours is not None and ours.live:
        return ours, _rival(path, ours, now)
    if isinstance(now, Entry) and (now.live or now.state is PortState.RESERVED):
        since = touched[0].commit.time if touched else EPOCH
        return replace(now, since=since), None
    if ours is not None:
        return ours, None
    if file is None:
        return None, None
    if isinstance(now, Entry):
        return replace(now, since=touched[0].commit.time if touched else EPOCH), None
    return None, _fault(path, now, "cannot be read as a ledger file")


def _parsed(path: str, data: bytes | None) -> Entry | str | None:
    if data is None:
        return None
    try:
        return parse_entry(path, data)
    except Malformed as exc:
        return str(exc)


def _last_attributed(
    path: str, touched: Sequence[Touch], history: History
) -> Entry | None:
    for touch in touched:
        if touch.commit.ours:
            if touch.change.new is None:
                return None
            parsed = _parsed(path, _blob(history, touch.change.new))
            return (
                replace(parsed, since=touch.commit.time)
                if isinstance(parsed, Entry)
                else None
            )
    return None


def _but_next(entry: Entry) -> Entry:
    return replace(entry, next="", since=EPOCH)


def transfer_of(change: FileChange, history: History) -> tuple[Entry, Entry] | None:
    """What a change of a ledger file handed over: the entry before and after, both live."""
    if change.old is None or change.new is None:
        return None
    before = _parsed(change.path, _blob(history, change.old))
    after = _parsed(change.path, _blob(history, change.new))
    if not isinstance(before, Entry) or not isinstance(after, Entry):
        return None
    if before.owner is None or after.owner is None or not before.live or not after.live:
        return None
    return (before, after) if before.owner.unit != after.owner.unit else None


def _next_alone(ours: Entry | None, now: Entry | str | None) -> Entry | None:
    """What counts where people changed `next` and nothing else."""
    if ours is None or not isinstance(now, Entry) or _but_next(ours) != _but_next(now):
        return None
    return replace(ours, next=now.next)


def _taken_back(
    path: str, files: Mapping[str, File], touched: Sequence[Touch], history: History
) -> Entry | None:
    """What counts where people took back our last transfer, manifests included."""
    last = next((touch for touch in touched if touch.commit.ours), None)
    handed = transfer_of(last.change, history) if last is not None else None
    file = files.get(path)
    now = _parsed(path, file.data) if file and file.mode == 0o100644 else None
    if handed is None or not isinstance(now, Entry):
        return None
    before, after = handed
    if _but_next(before) != _but_next(now) or _is_served(files, after):
        return None
    return replace(now, since=touched[0].commit.time)


def _is_served(files: Mapping[str, File], entry: Entry) -> bool:
    """Whether the owner's manifest serves the port or host; an unreadable one may."""
    if entry.owner is None:
        return False
    file = files.get(wish_path(entry.gateway, entry.owner.unit))
    header = parse_wish_header(file.data) if file is not None else None
    if file is None or header is None:
        return file is not None
    return any(entry.key in (each.port, each.host) for each in header.served)


def _blob(history: History, blob: BlobId) -> bytes:
    return history.read(blob)


def _rival(path: str, ours: Entry, now: Entry | str | None) -> Contradiction | None:
    if (
        not isinstance(now, Entry)
        or not now.live
        or now.owner is None
        or ours.owner is None
    ):
        return None
    if now.owner.identity == ours.owner.identity:
        return None
    return Contradiction(
        path=path,
        owner=now.owner,
        message=f"{path} names another owner than the one that the port was given to",
    )


def _fault(path: str, now: Entry | str | None, what: str) -> Contradiction:
    detail = now if isinstance(now, str) else "it is no regular file"
    return Contradiction(path=path, owner=None, message=f"{path} {what}: {detail}")


def twice(entries: Iterable[Entry]) -> list[Contradiction]:
    """One owner with two active ports on a gateway: nobody can say which one is meant."""
    seen: dict[tuple[str, tuple[str, str, str, str]], Entry] = {}
    faults = []
    for entry in entries:
        if entry.state is not PortState.ACTIVE or entry.owner is None:
            continue
        if isinstance(entry.key, str):
            continue  # a route may have several SNI hosts
        at = (entry.gateway, entry.owner.identity)
        other = seen.setdefault(at, entry)
        if other is not entry:
            faults.append(
                Contradiction(
                    path=entry.path,
                    owner=entry.owner,
                    message=f"{other.path} and {entry.path} have one owner, both active",
                )
            )
    return faults

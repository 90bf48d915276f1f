"""Who holds a unit: `git revert` and other people's commits, and files in `holds/`; pure.

Holds compare wishes, never bytes. For one wish file and the content that we want there:

    HEAD has the wish that we want                    -> not held
    walk the commits that changed the file, newest first:
      one of ours                                     -> go on below: what we wrote last stands
      a person's, and before it stood what we want    -> HELD by that commit
      a person's, otherwise                           -> look further back
    a person's on another side of a merge since then,
      and before it stood what we want                -> HELD by that commit
    otherwise                                         -> not held

So a hold ends by itself when the wish changes, when HEAD has it again, or when we write.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from reconciler import yamlio
from reconciler.codes import Code
from reconciler.headers import first_line, parse_wish_header
from reconciler.ledger import Touch
from reconciler.model.repository import CommitFact, CommitId, File, FileChange, ReadBlob
from reconciler.model.units import UnitId


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Why a unit's wish stays as it is in HEAD. `addresses_frozen` freezes the addresses too."""

    code: Code
    message: str
    addresses_frozen: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldFile:
    """One file of `holds/`, as far as it can be read; a broken one holds all the same."""

    path: str
    reason: str
    by: str
    until: datetime | None
    addresses_frozen: bool


def _nothing(since: CommitId | None) -> tuple[Touch, ...]:
    return ()


def derived_hold(
    wanted: bytes | None,
    current: File | None,
    touched: Sequence[Touch],
    read: ReadBlob,
    aside: Callable[[CommitId | None], Sequence[Touch]] = _nothing,
) -> Hold | None:
    """The hold that history says of one wish file; `wanted` is `None` where it should be gone.

    `aside` tells what people did on other sides of merges since a commit of ours.
    """
    matcher = _Matcher(wanted, touched, read)
    if matcher.is_current(current):
        return None
    since = None
    for touch in touched:
        if touch.commit.ours:
            since = touch.commit.id
            break
        if matcher.moved_away(touch.change):
            return _held_by(touch.commit)
    for touch in aside(since):
        if matcher.moved_away(touch.change):
            return _held_by(touch.commit)
    return None


def _held_by(commit: CommitFact) -> Hold:
    subject = commit.subject[:80]
    return Hold(
        code=Code.HELD_BY_COMMIT,
        message=f"held by {commit.author[:60]} in {commit.id[:10]} ({subject})",
    )


class _Matcher:
    """Compares contents of one wish file with the one that we want there."""

    def __init__(
        self, wanted: bytes | None, touched: Sequence[Touch], read: ReadBlob
    ) -> None:
        self._wanted = wanted
        self._read = read
        self._attributed = {touch.change.new for touch in touched if touch.commit.ours}

    def is_current(self, file: File | None) -> bool:
        if file is None or self._wanted is None:
            return file is None and self._wanted is None
        if file.data == self._wanted:
            return True
        if file.blob in self._attributed:
            return first_line(file.data) == first_line(self._wanted)
        return meaning(file.data) == meaning(self._wanted)

    def moved_away(self, change: FileChange) -> bool:
        """Whether what we want stood there before a change, and something else after it."""
        old, new = change.old, change.new
        if old is None or self._wanted is None:
            return old is None and self._wanted is None
        data = self._read(old)
        stood = _digest(data) == _digest(self._wanted)  # whatever version rendered it
        if not stood and meaning(data) != meaning(self._wanted):
            return False
        return new is None or meaning(data) != meaning(self._read(new))


def _digest(data: bytes) -> str | None:
    header = parse_wish_header(data)
    return header.digest if header else None


def meaning(data: bytes) -> str:
    """A digest of what a wish file says, whatever its comments and spelling."""
    try:
        documents = [each.data for each in yamlio.load_all(data)]
    except yamlio.Unreadable:
        return hashlib.sha256(data).hexdigest()
    content = json.dumps([first_line(data), documents], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def hold_paths(unit: UnitId) -> tuple[str, ...]:
    """The files that hold a unit, the narrowest first."""
    wide = (f"holds/{unit.cluster}.yaml", "holds/all.yaml")
    if unit.is_api:
        return wide
    folder = f"holds/{unit.cluster}/{unit.namespace}"
    return (f"{folder}/{unit.name}.yaml", f"{folder}.yaml", *wide)


def explicit_hold(
    unit: UnitId, files: Mapping[str, File], now: datetime
) -> Hold | None:
    """The hold that a file in `holds/` says, whatever else happens."""
    for path in hold_paths(unit):
        file = files.get(path)
        if file is None:
            continue
        parsed = parse_hold(path, file.data)
        if parsed.until is not None and parsed.until <= now:
            continue
        who = f" by {parsed.by}" if parsed.by else ""
        until = f" until {parsed.until:%Y-%m-%d %H:%M} UTC" if parsed.until else ""
        return Hold(
            code=Code.HELD_BY_FILE,
            message=f"held{who} in {path}{until}: {parsed.reason}",
            addresses_frozen=parsed.addresses_frozen,
        )
    return None


def parse_hold(path: str, data: bytes) -> HoldFile:
    """A hold file. What cannot be read holds for ever: a typo must not open a route."""
    try:
        body = yamlio.load(data)
    except yamlio.Unreadable as exc:
        body = {"reason": f"the file cannot be read ({exc})"}
    fields = body if isinstance(body, dict) else {}
    return HoldFile(
        path=path,
        reason=str(fields.get("reason") or "no reason given")[:200],
        by=str(fields.get("by") or "")[:80],
        until=_until(fields.get("until")),
        addresses_frozen=fields.get("addresses") == "frozen",
    )


def _until(value: object) -> datetime | None:
    """A date counts to its end, as people mean it; no zone means UTC."""
    if not isinstance(value, str):
        return None
    try:
        day = date.fromisoformat(value)
    except ValueError:
        pass
    else:
        return datetime.combine(day, time(), tzinfo=UTC) + timedelta(days=1)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

"""Who had a port or an SNI host at a moment, by what counted and by what the file said; pure.

The ledger's table (see `ledger.py`) is asked as of that moment: a foreign removal frees nothing,
so the file may have been gone while the port still counted as somebody's. Both are told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

from reconciler.audit.subjects import Key
from reconciler.errors import Usage
from reconciler.ledger import Contradiction, read_ledger, touches
from reconciler.ledger_file import Entry, Malformed, parse_entry
from reconciler.model.repository import File, FileChange, History
from reconciler.model.trails import Landed, Trail
from reconciler.model.units import Owner, PortState


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """Who had one ledger key at one moment.

    `entry` is what counted (`None`: nobody), `since` the commit from which on this owner had it
    (for a released one: the release), `until` the next commit after the moment that changed
    that. `file` is what the file itself said: an entry, or words about why not.
    """

    gateway: str
    key: Key
    entry: Entry | None
    since: Landed | None
    until: Landed | None
    file: Entry | str
    contradictions: tuple[Contradiction, ...]

    @property
    def owner(self) -> Owner | None:
        """The owner, while the port was in use; `None` in quarantine."""
        return self.entry.owner if self.entry is not None and self.entry.live else None

    @property
    def file_agrees(self) -> bool:
        """Whether the file said what counted."""
        if self.entry is None:
            return self.file == ABSENT
        return isinstance(self.file, Entry) and _same(self.entry, self.file)


FOREVER = datetime.max.replace(tzinfo=UTC)
ABSENT = "there was no file"
UNREADABLE = "the file could not be read"


def parse_moment(text: str) -> datetime:
    """A date (its end, UTC) or a date and time with a zone. Raises Usage."""
    try:
        day = date.fromisoformat(text) if len(text) == 10 else None
        moment = datetime.fromisoformat(text) if day is None else None
    except ValueError:
        raise _no_moment(text) from None
    try:
        if day is not None:
            end = datetime.combine(day, time(), tzinfo=UTC) + timedelta(days=1)
            return end - timedelta(microseconds=1)
        if moment is None or moment.tzinfo is None:
            raise _no_moment(text)
        return moment.astimezone(UTC)
    except OverflowError:
        raise _no_moment(text) from None


def _no_moment(text: str) -> Usage:
    return Usage(
        f"--at {text[:60]!r} is no date and no time with a zone",
        hint="write 2026-11-20 (to its end, UTC) or 2026-11-20T18:00:00Z",
    )


def who_had(path: str, trail: Trail, moment: datetime) -> Holding:
    """Who had the port or host of one ledger file at a moment; `trail` is that file's."""
    folder, gateway, name = path.removesuffix(".yaml").split("/", 2)
    key: Key = int(name) if folder == "ports" else name
    commits = [each for each in trail.commits if _change(each, path) is not None]
    start = next(
        (index for index, each in enumerate(commits) if each.landed <= moment),
        len(commits),
    )
    then = _Then(path=path, commits=tuple(commits), trail=trail)
    entry, faults = then.counted(start)
    return Holding(
        gateway=gateway,
        key=key,
        entry=entry,
        since=then.since(start, entry),
        until=then.until(start, entry),
        file=then.file(start),
        contradictions=faults,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Then:
    """One file's commits, newest first; `index` leaves out those that came later."""

    path: str
    commits: tuple[Landed, ...]
    trail: Trail

    def counted(self, index: int) -> tuple[Entry | None, tuple[Contradiction, ...]]:
        facts = tuple(
            replace(each.commit, time=each.landed) for each in self.commits[index:]
        )
        history = History(commits=facts, read=self.trail.read)
        found = self._file(index)
        files = {self.path: found} if found is not None else {}
        ledger = read_ledger(files, history, touches(history))
        return next(iter(ledger.entries.values()), None), ledger.contradictions

    def file(self, index: int) -> Entry | str:
        found = self._file(index)
        if found is None:
            return ABSENT
        try:
            return parse_entry(self.path, found.data)
        except Malformed as exc:
            return f"{UNREADABLE}: {exc}"

    def since(self, index: int, entry: Entry | None) -> Landed | None:
        if entry is None:
            return None
        first = index
        for older in range(index + 1, len(self.commits)):
            before, _ = self.counted(older)
            if before is None or not _same(before, entry):
                break
            first = older
        return self.commits[first]

    def until(self, index: int, entry: Entry | None) -> Landed | None:
        for newer in range(index - 1, -1, -1):
            after, _ = self.counted(newer)
            if not (after is entry or (after and entry and _same(after, entry))):
                return self.commits[newer]
        return None

    def _file(self, index: int) -> File | None:
        if index >= len(self.commits):
            return None
        change = _change(self.commits[index], self.path)
        if change is None or change.new is None:
            return None
        return File(blob=change.new, data=self.trail.read(change.new))


def _change(landed: Landed, path: str) -> FileChange | None:
    return next((each for each in landed.commit.changes if each.path == path), None)


def _same(one: Entry, other: Entry) -> bool:
    """The same owner in the same way: in use, in quarantine or reserved."""
    owners = [each.owner.identity if each.owner else None for each in (one, other)]
    kinds = [PortState.ACTIVE if each.live else each.state for each in (one, other)]
    return owners[0] == owners[1] and kinds[0] == kinds[1]


def quarantined_until(holding: Holding, quarantine: timedelta) -> datetime | None:
    """Until when nobody else could have a released port; `None` for one in use or free."""
    if holding.entry is None or holding.entry.state is not PortState.RELEASED:
        return None
    return holding.entry.since + quarantine


def ever_held(trail: Trail, paths: Sequence[str]) -> tuple[str, ...]:
    """Those of the paths that any commit touched."""
    touched = {change.path for each in trail.commits for change in each.commit.changes}
    return tuple(path for path in paths if path in touched)

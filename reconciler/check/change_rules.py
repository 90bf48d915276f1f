"""How ledger files and cluster records may change from one commit to another; pure.

What a ledger file may become, by what it is in the base:

    live of A     -> live of A, any route    a move, a drain, or an only route's new name
    live of A     -> live of B               B is A's `next`, or takes back that very transfer
    live of A     -> released by A           by a commit of ours only
    live of A     -> anything else           only together with all that served it: a revert
    released by A -> live of A               the same owner may have it back at once
    released by A -> live of B               when the quarantine can be over
    released by A -> anything else           no
    reserved      -> anything without owner  people's
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property

from reconciler.check.findings import Finding, finding
from reconciler.check.ledger_rules import LEDGER, line_of, read_entry
from reconciler.check.manifest_rules import UnitAt, read_units
from reconciler.check.subject import Review, Subject
from reconciler.codes import Code
from reconciler.ledger import read_ledger
from reconciler.ledger_file import EPOCH, Entry, Key, Malformed, parse_entry
from reconciler.model.repository import BlobId, File
from reconciler.model.units import Owner, PortState
from reconciler.names import cluster_path
from reconciler.plan.records import ClusterRecord, parse_record

_OWNER_LINE = b"owner:"


def ledger_changes(subject: Subject, review: Review) -> Iterator[Finding]:
    """Findings of every ledger file that the change touches."""
    changes = _LedgerChanges(subject, review)
    before = review.change.before
    for path in sorted({*before, *subject.files}):
        old, new = before.get(path), subject.files.get(path)
        if path.startswith(LEDGER) and (old is None or new is None or old != new):
            yield from changes.judge(path, old, new)


class _LedgerChanges:
    """Judges one ledger file at a time against the base and its history."""

    def __init__(self, subject: Subject, review: Review) -> None:
        self._subject = subject
        self._review = review
        self._after = subject.files

    @cached_property
    def _served(self) -> tuple[set[tuple[str, Key]], set[tuple[str, Key]]]:
        """(gateway, port or host) that manifests serve in the base and in the change."""
        before = read_units(self._review.change.before).values()
        after = read_units(self._after).values()
        return _keys(before), _keys(after)

    @cached_property
    def _entries(self) -> Mapping[tuple[str, Key], Entry]:
        """The base's ledger as a pass reads it, with the time of each entry."""
        review = self._review
        ledger = read_ledger(review.change.before, review.history, dict(review.touched))
        return ledger.entries

    def judge(self, path: str, old: File | None, new: File | None) -> Iterator[Finding]:
        before, after = read_entry(path, old), read_entry(path, new)
        if before is None or before.owner is None or (new and after is None):
            return  # nothing was given away, or it cannot be read and that is said already
        if before.live:
            yield from self._from_live(before, after, new)
        elif before.state is PortState.RELEASED:
            yield from self._from_tombstone(before, after, new)
        elif after is not None and after.owner not in (None, before.owner):
            yield self._owner_changed(before, after, new)

    def _from_live(
        self, before: Entry, after: Entry | None, new: File | None
    ) -> Iterator[Finding]:
        if after is not None and after.live:
            if not self._same(before.owner, after.owner):
                yield from self._handed(before, after, new)
        elif after is not None and self._is_release(before, after, new):
            return
        elif not self._goes_with_its_unit(before):
            became = f"becomes {after.state}" if after is not None else "is removed"
            what = f"{became} although it is live and {self._why_not(before)}"
            yield finding(Code.LIVE_TAKEN_AWAY, before.path, what)
        elif after is not None and not self._is_earlier(before.path, new):
            yield from self._by_hand(before, after, new)

    def _by_hand(
        self, before: Entry, after: Entry, new: File | None
    ) -> Iterator[Finding]:
        """A state that the branch never had, written together with the unit's removal."""
        if after.owner is not None and not self._same(before.owner, after.owner):
            yield self._owner_changed(before, after, new)
        elif after.state is PortState.RELEASED:
            what = "is released, but not by a commit of ours, so it stays taken"
            at = line_of(new, b"state:") if new is not None else (1, 1)
            yield finding(Code.LIVE_TAKEN_AWAY, before.path, what, at)

    def _is_release(self, before: Entry, after: Entry, new: File | None) -> bool:
        """Our own release: an attributed commit wrote this very tombstone here."""
        if after.state is not PortState.RELEASED or new is None:
            return False
        written = (before.path, new.blob) in self._subject.written
        return written and self._same(before.owner, after.owner)

    def _goes_with_its_unit(self, before: Entry) -> bool:
        """Whether the change takes back all that served it; then it is a revert."""
        was, still = self._served
        at = (before.gateway, before.key)
        return at in was and at not in still

    def _why_not(self, before: Entry) -> str:
        still = (before.gateway, before.key) in self._served[1]
        return "still served" if still else "no manifest goes with it"

    def _is_earlier(self, path: str, new: File | None) -> bool:
        """Whether the file is as the branch once had it."""
        blob = new.blob if new is not None else None
        touched = self._review.touched.get(path, ())
        return any(blob in (each.change.old, each.change.new) for each in touched)

    def _handed(
        self, before: Entry, after: Entry, new: File | None
    ) -> Iterator[Finding]:
        if after.owner is None or before.next == str(after.owner.unit):
            return
        if self._takes_back_transfer(before, after):
            return
        reused = self._reused(before, after)
        if reused:
            yield finding(Code.REUSED_SINCE, before.path, reused, _at(new))
        else:
            yield self._owner_changed(before, after, new)

    def _takes_back_transfer(self, before: Entry, after: Entry) -> bool:
        """Whether the last commit of ours handed it from `after` to `before`."""
        for touch in self._review.touched.get(before.path, ()):
            if not touch.commit.ours:
                continue
            old = self._parsed(before.path, touch.change.old)
            new = self._parsed(before.path, touch.change.new)
            if old is None or new is None or not old.live:
                return False
            bare = [replace(each, next="", since=EPOCH) for each in (old, after)]
            return bare[0] == bare[1] and self._same(new.owner, before.owner)
        return False

    def _reused(self, before: Entry, after: Entry) -> str:
        """Words for a revert that comes too late, empty for anything else."""
        for touch in self._review.touched.get(before.path, ()):
            old = self._parsed(before.path, touch.change.old)
            new = self._parsed(before.path, touch.change.new)
            if new is None or old is None or not self._same(new.owner, before.owner):
                continue
            if not self._same(old.owner, after.owner) or after.owner is None:
                continue
            return (
                f"goes back to {after.owner.unit}, but {before.key} was released and "
                f"given to {_unit(before.owner)} in {touch.commit.id[:10]}"
            )
        return ""

    def _from_tombstone(
        self, before: Entry, after: Entry | None, new: File | None
    ) -> Iterator[Finding]:
        if after is None:
            what = "is a tombstone and is removed: its quarantine would be forgotten"
            yield finding(Code.TOMBSTONE_CHANGED, before.path, what)
        elif self._same(before.owner, after.owner):
            return
        elif not after.live:
            what = f"is a tombstone of {_unit(before.owner)} and would be another's"
            yield finding(Code.TOMBSTONE_CHANGED, before.path, what, _at(new))
        else:
            yield from self._quarantine(before, new)

    def _quarantine(self, before: Entry, new: File | None) -> Iterator[Finding]:
        entry = self._entries.get((before.gateway, before.key), before)
        settings = self._review.settings
        if settings is None:
            return
        end = entry.since + settings.release.quarantine
        if end > self._review.now:
            what = f"is given away before its quarantine is over ({end:%Y-%m-%d %H:%M} UTC)"
            yield finding(Code.QUARANTINED, before.path, what, _at(new))

    def _owner_changed(self, before: Entry, after: Entry, new: File | None) -> Finding:
        what = f"goes from {_unit(before.owner)} to {_unit(after.owner)} without a tombstone between"
        return finding(Code.OWNER_CHANGED, before.path, what, _at(new))

    def _same(self, one: Owner | None, other: Owner | None) -> bool:
        """The same unit, under the same cluster id or its accepted successor."""
        if one is None or other is None or one.unit != other.unit:
            return False
        if one.cluster_id == other.cluster_id:
            return True
        path = cluster_path(one.cluster)
        base = _record(one.cluster, self._review.change.before.get(path))
        head = _record(one.cluster, self._after.get(path))
        if base is None or head is None:
            return False
        known = {base.cluster_id, *base.previous_ids, *base.accept}
        lineage = {head.cluster_id, *head.previous_ids}
        return {one.cluster_id, other.cluster_id} <= known & lineage

    def _parsed(self, path: str, blob: BlobId | None) -> Entry | None:
        if blob is None:
            return None
        try:
            return parse_entry(path, self._review.history.read(blob))
        except Malformed:
            return None


def _keys(units: Iterable[UnitAt]) -> set[tuple[str, Key]]:
    """Every port and every host: a host of a port route is no name in `hosts/`."""
    found: set[tuple[str, Key]] = set()
    for unit in units:
        for each in unit.header.served:
            found |= {(unit.gateway, each.port), (unit.gateway, each.host)}
    return found


def _at(file: File | None) -> tuple[int, int]:
    return line_of(file, _OWNER_LINE) if file is not None else (1, 1)


def _unit(owner: Owner | None) -> str:
    return str(owner.unit) if owner is not None else "nobody"


def _record(cluster: str, file: File | None) -> ClusterRecord | None:
    return parse_record(cluster, file.data) if file is not None else None


def record_changes(subject: Subject, review: Review) -> Iterator[Finding]:
    """Cluster records: people may change `accept`, a pass the rest."""
    for path, old in review.change.before.items():
        folder, _, name = path.partition("/")
        new = subject.files.get(path)
        if folder != "clusters" or (new is not None and new.blob == old.blob):
            continue
        cluster = name.removesuffix(".yaml")
        before, after = _record(cluster, old), _record(cluster, new)
        if before is None:
            continue
        if after is None:
            yield from _gone(path, new, before)
            continue
        written = (path, new.blob) in subject.written if new is not None else False
        if after.cluster_id != before.cluster_id and not _succeeds(before, after):
            what = f"gets another id, {after.cluster_id[:80]!r}, that nobody accepted"
            at = line_of(new, b"id:") if new is not None else (1, 1)
            hint = "accept it in a change of its own first: `wharfinger accept-cluster`"
            yield finding(Code.RECORD_CHANGED, path, what, at, hint)
        elif not (written or _is_peoples(before, after)):
            what = f"changes in {_field(before, after)}, and no commit of ours did that"
            yield finding(Code.RECORD_CHANGED, path, what)


def _is_peoples(before: ClusterRecord, after: ClusterRecord) -> bool:
    """Whether all that changes is people's: whom they accept, and that the cluster is gone."""
    gone = before.deleted or after.deleted
    return replace(after, accept=()) == replace(before, accept=(), deleted=gone)


def _gone(path: str, new: File | None, before: ClusterRecord) -> Iterator[Finding]:
    """A record goes with the last unit of a deleted cluster; the ledger's rules watch that."""
    if new is None:
        return
    what = f"is no record of cluster {before.cluster} any more"
    yield finding(Code.RECORD_CHANGED, path, what)


def _succeeds(before: ClusterRecord, after: ClusterRecord) -> bool:
    return before.deleted or after.cluster_id in (*before.accept, *before.previous_ids)


def _field(before: ClusterRecord, after: ClusterRecord) -> str:
    """The first field that differs, as the file spells it."""
    fields = (
        ("id", before.cluster_id, after.cluster_id),
        ("inventory", before.inventory, after.inventory),
        ("inventoryId", before.inventory_id, after.inventory_id),
        ("uid", before.uid, after.uid),
        ("previousIds", before.previous_ids, after.previous_ids),
        ("api", before.api, after.api),
        ("caBundle", before.ca_bundle, after.ca_bundle),
        ("trust", before.trust, after.trust),
    )
    return next((name for name, old, new in fields if old != new), "deleted")

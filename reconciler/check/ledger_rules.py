"""The ledger: canonical files, known owners, and agreement with manifests one to one; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from reconciler.check.findings import Finding, finding
from reconciler.check.manifest_rules import UnitAt
from reconciler.check.subject import Subject
from reconciler.codes import Code
from reconciler.headers import Served
from reconciler.ledger_file import Entry, Key, Malformed, format_entry, parse_entry
from reconciler.model.changes import REGULAR
from reconciler.model.repository import File
from reconciler.model.units import PortState
from reconciler.names import cluster_path
from reconciler.plan.records import parse_record

LEDGER = ("ports/", "hosts/")
_UNIT = re.compile(
    r"[a-z0-9-]{1,63}(?:/(?:[a-z0-9-]{1,63}|cf\.domain|cf\.tcp)/[a-z0-9.-]{1,253})?\Z"
)

Owners = Mapping[tuple[str, Key], Entry]


def read_entry(path: str, file: File | None) -> Entry | None:
    """The entry of a ledger file; `None` where there is none that can be read."""
    if file is None or file.mode != REGULAR:
        return None
    try:
        return parse_entry(path, file.data)
    except Malformed:
        return None


def ledger_entries(subject: Subject) -> tuple[list[Entry], list[Finding]]:
    """All entries that can be read, and what is wrong with each by itself."""
    entries, findings = [], []
    for path, file in subject.files.items():
        if not path.startswith(LEDGER) or file.mode != REGULAR:
            continue
        try:
            entry = parse_entry(path, file.data)
        except Malformed as exc:
            findings.append(finding(Code.LEDGER_MALFORMED, path, str(exc)))
            continue
        entries.append(entry)
        findings += _entry(entry, file, subject)
    return entries, findings


def _entry(entry: Entry, file: File, subject: Subject) -> Iterator[Finding]:
    path = entry.path
    settings = subject.settings
    if settings is not None and settings.gateway(entry.gateway) is None:
        what = f"there is no gateway {entry.gateway}"
        yield finding(Code.UNKNOWN_GATEWAY, path, what)
    if format_entry(entry) != file.data:
        at = (_differs(file.data, format_entry(entry)), 1)
        yield finding(Code.LEDGER_NOT_CANONICAL, path, "is not in canonical form", at)
    if entry.next and _UNIT.match(entry.next) is None:
        what = "next is no unit: cluster/namespace/name"
        yield finding(Code.LEDGER_MALFORMED, path, what, line_of(file, b"next:"))
    if entry.live and entry.owner is not None:
        yield from _cluster(entry, file, subject.files)


def _cluster(entry: Entry, file: File, files: Mapping[str, File]) -> Iterator[Finding]:
    owner = entry.owner
    if owner is None:
        return
    path = cluster_path(owner.cluster)
    record = parse_record(owner.cluster, files[path].data) if path in files else None
    at = line_of(file, b"  clusterId:")
    if record is None:
        what = f"its owner's cluster {owner.cluster} has no readable {path}"
        yield finding(Code.OWNER_UNKNOWN, entry.path, what, at)
    elif owner.cluster_id not in (record.cluster_id, *record.previous_ids):
        what = f"its owner's clusterId is none that {path} knows"
        yield finding(Code.OWNER_UNKNOWN, entry.path, what, at)


def line_of(file: File, start: bytes) -> tuple[int, int]:
    """Position of the first line that starts so, of the first line when there is none."""
    lines = file.data.split(b"\n")
    found = (number for number, line in enumerate(lines, 1) if line.startswith(start))
    return next(found, 1), 1


def _differs(one: bytes, other: bytes) -> int:
    lines, others = one.split(b"\n"), other.split(b"\n")
    pairs = zip(lines, others, strict=False)
    first = (number for number, pair in enumerate(pairs, 1) if pair[0] != pair[1])
    return next(first, min(len(lines), len(others)))


def agree(
    subject: Subject, entries: Sequence[Entry], units: Iterable[UnitAt]
) -> Iterator[Finding]:
    """Who serves what he does not own, who owns and does not serve, who owns twice."""
    owners = {(each.gateway, each.key): each for each in entries if each.live}
    served: set[tuple[str, Key]] = set()
    for unit in units:
        for each in unit.header.served:
            key = _key(subject, unit, each)
            served.add((unit.gateway, key))
            yield from _served(unit, each, key, owners)
    for entry in owners.values():
        if (entry.gateway, entry.key) not in served:
            what = "is live, but no manifest serves it"
            yield finding(Code.OWNED_NOT_SERVED, entry.path, what)
    yield from _twice(owners.values())


def _key(subject: Subject, unit: UnitAt, served: Served) -> Key:
    settings = subject.settings
    gateway = settings.gateway(unit.gateway) if settings is not None else None
    by_sni = gateway is not None and served.port == gateway.tls_port
    return served.host if by_sni else served.port


def _served(
    unit: UnitAt, served: Served, key: Key, owners: Owners
) -> Iterator[Finding]:
    entry = owners.get((unit.gateway, key))
    if entry is None or entry.owner is None or entry.owner.unit != unit.header.unit:
        what = f"serves {key}, which the ledger does not give to it"
        yield finding(Code.SERVED_NOT_OWNED, unit.path, what)
    elif served.draining and entry.state is not PortState.DRAINING:
        # The other way round is a revert of a move: the port that comes back still drains.
        what = f"serves {key} as draining, {entry.path} says {entry.state}"
        yield finding(Code.SERVED_NOT_OWNED, unit.path, what)
    elif unit.placement is not None:
        name, owner = _route(unit, key), entry.owner
        # An only route inherits a port that drains, whatever the route was called.
        inherits = served.draining and len(unit.placement.wish.routes) == 1
        if name != owner.route and not inherits:
            what = f"serves {key} for route {name}, {entry.path} gives it to route {owner.route}"
            yield finding(Code.SERVED_NOT_OWNED, unit.path, what)


def _route(unit: UnitAt, key: Key) -> str:
    routes = unit.placement.routes if unit.placement is not None else ()
    for route in routes:
        if key in route.ports or key in route.wish.hosts:
            return route.wish.name
    return ""


def _twice(entries: Iterable[Entry]) -> Iterator[Finding]:
    """A route has one active port on a gateway; SNI hosts it may have several."""
    active: dict[tuple[str, object], Entry] = {}
    for entry in entries:
        if entry.owner is None or entry.state is not PortState.ACTIVE:
            continue
        if isinstance(entry.key, str):
            continue
        other = active.setdefault((entry.gateway, entry.owner.identity), entry)
        if other is not entry:
            what = f"has the owner of {other.path}, both active"
            yield finding(Code.OWNER_TWICE, entry.path, what)

"""Whose wishes people moved away from what we last wrote, from Git alone; pure.

Whether that is a hold depends on what the owner wants now, which only a pass knows: it is one as
long as the owner wants what we wrote last.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reconciler.headers import parse_wish_header
from reconciler.holds import derived_hold
from reconciler.ledger import Touch, touches
from reconciler.model.repository import BlobId, CommitFact, Head, History
from reconciler.model.units import UnitId


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """A unit on a gateway, and the newest commit of people that undid our last word on it."""

    unit: UnitId
    gateway: str
    by: CommitFact
    said: str


def undone(head: Head, history: History) -> tuple[Undone, ...]:
    """All units whose wish at HEAD is not what we last wrote, by unit and gateway."""
    found = list(_all(head, history))
    return tuple(sorted(found, key=lambda each: (each.unit, each.gateway)))


def _all(head: Head, history: History) -> Iterator[Undone]:
    for path, touched in touches(history).items():
        if not _is_wish(path) or touched[0].commit.ours:
            continue
        ours = next((each for each in touched if each.commit.ours), None)
        if ours is None:
            continue
        unit = _unit(ours, history)
        last = ours.change.new
        wanted = history.read(last) if last is not None else None
        hold = derived_hold(wanted, head.files.get(path), touched, history.read)
        if unit is not None and hold is not None:
            gateway = path.split("/")[1]
            by = touched[0].commit
            yield Undone(unit=unit, gateway=gateway, by=by, said=hold.message)


def _is_wish(path: str) -> bool:
    return path.startswith("manifests/") and not path.endswith(".endpoints.yaml")


def _unit(touch: Touch, history: History) -> UnitId | None:
    for blob in (touch.change.new, touch.change.old):
        unit = _named(blob, history)
        if unit is not None:
            return unit
    return None


def _named(blob: BlobId | None, history: History) -> UnitId | None:
    header = parse_wish_header(history.read(blob)) if blob is not None else None
    return header.unit if header is not None else None

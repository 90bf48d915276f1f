"""What one change of one file means, in words that people use; pure.

file            | by us                                   | by anybody else
----------------+-----------------------------------------+---------------------------------
a wish          | exposed, changed, moved, drained,       | reverted to what stood before,
                | removed, rendered anew                  | removed, restored, edited by hand
ports/, hosts/  | allocated, draining, released, kept for | the same words, "by hand"; a
                | another unit, transferred               | removal frees nothing
holds/          | hold added, changed, removed            | the same
addresses       | followed                                | edited by hand
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from reconciler.headers import WishHeader, parse_wish_header
from reconciler.holds import hold_paths, meaning, parse_hold
from reconciler.ledger import Touch
from reconciler.ledger_file import Entry, Malformed, parse_entry
from reconciler.model.repository import BlobId, FileChange, ReadBlob
from reconciler.model.units import Owner, PortState, UnitId
from reconciler.names import file_prefix
from reconciler.printable import one_line


class What(StrEnum):
    """What happened, for machines."""

    EXPOSED = "exposed"
    CHANGED = "changed"
    MOVED = "moved"
    DRAINED = "drained"
    REMOVED = "removed"
    RERENDERED = "rendered"
    REVERTED = "reverted"
    RESTORED = "restored"
    EDITED = "edited"
    ALLOCATED = "allocated"
    DRAINING = "draining"
    RELEASED = "released"
    RESERVED = "reserved"
    ANNOUNCED = "transfer-announced"
    TRANSFERRED = "transferred"
    HOLD_ADDED = "hold-added"
    HOLD_CHANGED = "hold-changed"
    HOLD_REMOVED = "hold-removed"
    HOLD_ENDED = "hold-ended"
    ADDRESSES = "addresses"
    CLUSTER = "cluster"
    GATEWAY = "gateway"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One change. `unit` is the string form of the unit it is about, empty for none."""

    what: What
    text: str
    path: str
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Teller:
    """Tells what a change means; `by_path` are all touches of the paths asked for."""

    by_path: Mapping[str, Sequence[Touch]]
    read: ReadBlob

    def tell(self, touch: Touch) -> tuple[Event, ...]:
        """The events of one change, none for a file that nobody asks about."""
        path = touch.change.path
        if path.startswith(("ports/", "hosts/")):
            return self._ledger(touch)
        if path.startswith("holds/"):
            return (self._hold(touch.change),)
        if path.startswith("clusters/"):
            name = path.removeprefix("clusters/").removesuffix(".yaml")
            text = _turn(touch.change, f"what is known of cluster {name}")
            return (Event(what=What.CLUSTER, text=text, path=path, unit=name),)
        if not path.startswith("manifests/"):
            return ()
        if path.count("/") == 2:
            text = _turn(touch.change, f"the gateway's own {path.split('/')[2]}")
            return (Event(what=What.GATEWAY, text=one_line(text, 200), path=path),)
        if path.endswith(".endpoints.yaml"):
            return (self._addresses(touch),)
        return self._wish(touch)

    def _data(self, blob: BlobId | None) -> bytes | None:
        return None if blob is None else self.read(blob)

    def _ledger(self, touch: Touch) -> tuple[Event, ...]:
        path = touch.change.path
        before = _entry(path, self._data(touch.change.old))
        after = _entry(path, self._data(touch.change.new))
        hand = "" if touch.commit.ours else ", by hand"
        key = path.split("/")[-1].removesuffix(".yaml")
        what = f"port {key}" if path.startswith("ports/") else f"host {key}"
        found = [
            Event(what=kind, text=f"{what} {text}{hand}", path=path, unit=unit)
            for kind, text, unit in _ledger_words(before, after, touch)
        ]
        return tuple(found)

    def _hold(self, change: FileChange) -> Event:
        name = change.path.removeprefix("holds/").removesuffix(".yaml")
        if change.new is None:
            return Event(
                what=What.HOLD_REMOVED,
                text=f"hold of {name} removed",
                path=change.path,
                unit=name,
            )
        hold = parse_hold(change.path, self.read(change.new))
        by = f" by {one_line(hold.by)}" if hold.by else ""
        kind = What.HOLD_ADDED if change.old is None else What.HOLD_CHANGED
        verb = "added" if change.old is None else "changed"
        reason = one_line(hold.reason)
        text = f"hold of {name} {verb}{by}: {reason}"
        return Event(what=kind, text=text, path=change.path, unit=name)

    def _addresses(self, touch: Touch) -> Event:
        path = touch.change.path
        unit = unit_of(path)
        text = "addresses followed" if touch.commit.ours else "addresses edited by hand"
        return Event(what=What.ADDRESSES, text=text, path=path, unit=unit)

    def _wish(self, touch: Touch) -> tuple[Event, ...]:
        path = touch.change.path
        before = _Wish.of(self._data(touch.change.old))
        after = _Wish.of(self._data(touch.change.new))
        header = after.header or before.header
        unit = str(header.unit) if header is not None else unit_of(path)
        if touch.commit.ours:
            what, text = _own_words(before, after)
        else:
            what, text = self._foreign_words(touch, before, after)
        return (Event(what=what, text=text, path=path, unit=unit),)

    def _foreign_words(
        self, touch: Touch, before: _Wish, after: _Wish
    ) -> tuple[What, str]:
        earlier = list(self.by_path.get(touch.change.path, ()))
        earlier = earlier[earlier.index(touch) + 1 :] if touch in earlier else []
        last = next((each for each in earlier if each.commit.ours), None)
        if after.data is None:
            undone = earlier[0] if earlier else None
            if undone is not None and undone.change.old is None:
                return (
                    What.REVERTED,
                    f"exposure reverted (undoes {undone.commit.id[:10]})",
                )
            return What.REMOVED, "wish file removed by hand"
        stands = f"{after.served}, wish {after.digest}"
        if last is not None and last.change.new == touch.change.new:
            return (
                What.RESTORED,
                f"what we wrote in {last.commit.id[:10]} stands again: {stands}",
            )
        former = next(
            (each for each in earlier if each.change.old == touch.change.new), None
        )
        if before.data is None:
            how = f" (undoes {former.commit.id[:10]})" if former else " by hand"
            return What.RESTORED, f"restored{how}: {stands}"
        if former is not None:
            return (
                What.REVERTED,
                f"reverted to {stands} (undoes {former.commit.id[:10]})",
            )
        if meaning(before.data) == meaning(after.data):
            return What.EDITED, "comment or spelling edited by hand"
        return What.EDITED, f"wish edited by hand, was wish {before.digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    data: bytes | None
    header: WishHeader | None

    @staticmethod
    def of(data: bytes | None) -> _Wish:
        return _Wish(data=data, header=parse_wish_header(data) if data else None)

    @property
    def digest(self) -> str:
        return self.header.digest if self.header else "without a header"

    @property
    def served(self) -> str:
        each = self.header.served if self.header else ()
        return ", ".join(map(str, each)) or "nowhere"

    @property
    def active(self) -> tuple[tuple[str, int], ...]:
        each = self.header.served if self.header else ()
        return tuple((one.host, one.port) for one in each if not one.draining)


def _own_words(before: _Wish, after: _Wish) -> tuple[What, str]:
    if after.data is None:
        return What.REMOVED, f"removed from {before.served}"
    if before.data is None:
        return What.EXPOSED, f"exposed at {after.served}, wish {after.digest}"
    if {port for _, port in before.active} != {port for _, port in after.active}:
        return What.MOVED, f"moved to {after.served}"
    if before.digest != after.digest:
        return What.CHANGED, f"wish changed from {before.digest} to {after.digest}"
    if before.served != after.served:
        return What.DRAINED, f"served at {after.served}, the drained port is gone"
    return What.RERENDERED, "rendered anew, no wish changed"


_Words = tuple[What, str, str]


def _ledger_words(
    before: Entry | str | None, after: Entry | str | None, touch: Touch
) -> list[_Words]:
    was = before if isinstance(before, Entry) else None
    if after is None:
        owner = _name(was.owner) if was else ""
        if was is not None and was.live and not touch.commit.ours:
            return [(What.EDITED, "file removed, which frees nothing", owner)]
        return [(What.EDITED, "file removed", owner)]
    if isinstance(after, str):
        owner = _name(was.owner) if was else ""
        return [(What.EDITED, f"file cannot be read: {one_line(after, 120)}", owner)]
    return _entry_words(was, after)


def _entry_words(was: Entry | None, now: Entry) -> list[_Words]:
    owner = _name(now.owner)
    found: list[_Words] = []
    route = f", route {one_line(now.owner.route, 80)}" if now.owner else ""
    same = was is not None and _identity(was.owner) == _identity(now.owner)
    if now.live and was is not None and was.live and not same:
        text = f"transferred from {_name(was.owner)} to {owner}"
        found += [
            (What.TRANSFERRED, text, owner),
            (What.TRANSFERRED, text, _name(was.owner)),
        ]
    elif now.live and (was is None or not was.live):
        again = " again" if same else ""
        state = " as draining" if now.state is PortState.DRAINING else ""
        found.append(
            (What.ALLOCATED, f"allocated{again}{state} to {owner}{route}", owner)
        )
    elif was is None or was.state is not now.state:
        found.append(_state_words(now, owner))
    if now.next and (was is None or was.next != now.next):
        found.append((What.ANNOUNCED, f"is to go to {one_line(now.next, 200)}", owner))
    elif was is not None and was.next and not now.next and same and now.live:
        found.append((What.ANNOUNCED, "is no longer to go to another unit", owner))
    return found or [(What.EDITED, "file written anew, nothing changed hands", owner)]


def _state_words(now: Entry, owner: str) -> _Words:
    match now.state:
        case PortState.ACTIVE:
            return What.ALLOCATED, "active again", owner
        case PortState.DRAINING:
            return What.DRAINING, "draining", owner
        case PortState.RELEASED:
            return What.RELEASED, f"released, was of {owner}", owner
        case PortState.RESERVED:
            return What.RESERVED, f"reserved{f' for {owner}' if owner else ''}", owner


def _entry(path: str, data: bytes | None) -> Entry | str | None:
    if data is None:
        return None
    try:
        return parse_entry(path, data)
    except Malformed as exc:
        return str(exc)


def _identity(owner: Owner | None) -> tuple[str, str, str, str] | None:
    return owner.identity if owner is not None else None


def _name(owner: Owner | None) -> str:
    return one_line(str(owner.unit), 400) if owner is not None else ""


def unit_of(path: str) -> str:
    """A unit's string form by its file's path; the path itself where that does not tell."""
    stem = path.removesuffix(".yaml").removesuffix(".endpoints")
    parts = stem.split("/")[2:]
    if len(parts) == 2 and parts[1] == "api":
        return parts[0]
    prefix = file_prefix(parts[1]) if len(parts) == 3 else ""
    if prefix and parts[2].startswith(prefix):
        name = parts[2].removeprefix(prefix)
        if not name.startswith("-"):
            return f"{parts[0]}/{parts[1]}/{name}"
    return one_line(path, 400)


def _turn(change: FileChange, what: str) -> str:
    if change.old is None:
        return f"{what} written"
    return f"{what} removed" if change.new is None else f"{what} changed"


def holds_unit(event: Event, unit: UnitId) -> bool:
    """Whether an event of a hold file is about a unit."""
    return event.path in hold_paths(unit)

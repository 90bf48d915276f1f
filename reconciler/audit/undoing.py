"""The surgical revert: one commit undone for its units' wishes alone; pure.

    the commit                 | goes back                          | ports and SNI hosts
    ---------------------------+------------------------------------+---------------------------
    created a unit             | wish and addresses are removed     | their files go, see below
    changed a wish             | the wish before; addresses where   | those of the former wish
                               | the destinations differ            | must be the unit's still
    removed a unit             | wish and addresses before          | released ones are taken back
    any, and changed since     | refused                            |
    any, and a port or host is | refused: says who has it since     |
    somebody else's now        |                                    |

Ledger files go back with the wish, as in a `git revert`, so that `check` finds both to agree. That
frees nothing: only our own release does, and what we wrote last goes on to count (`ledger.py`).
Only a released port that comes back beside another active one of its route comes back draining,
as its file counts by itself and one route has one active port.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from reconciler.audit.events import unit_of
from reconciler.audit.holders import FOREVER, Holding, who_had
from reconciler.audit.subjects import Key, ledger_path
from reconciler.errors import Blocked
from reconciler.headers import (
    Served,
    WishHeader,
    parse_addresses,
    parse_wish_header,
)
from reconciler.holds import meaning
from reconciler.ledger_file import Entry, Malformed, format_entry, parse_entry
from reconciler.model.repository import (
    BlobId,
    CommitFact,
    File,
    FileChange,
    FileWrite,
    ReadBlob,
)
from reconciler.model.trails import Trail
from reconciler.model.units import PortState


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """One unit of a commit, undone. `writes` are empty when HEAD is so already."""

    unit: str
    text: str
    writes: tuple[FileWrite, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a revert stands on: HEAD's files, and the trail of `needed` paths up to HEAD."""

    files: Mapping[str, File]
    trail: Trail

    @property
    def read(self) -> ReadBlob:
        return self.trail.read

    def newest(self, path: str) -> CommitFact | None:
        """The newest commit that changed a path."""
        touched = (
            each.commit
            for each in self.trail.commits
            if any(change.path == path for change in each.commit.changes)
        )
        return next(touched, None)


def needed(commit: CommitFact, read: ReadBlob) -> tuple[str, ...]:
    """The paths whose history decides whether a commit may be undone."""
    found: dict[str, None] = {}
    for changes in wish_changes(commit, read).values():
        for change in changes:
            found[change.path] = None
            header = _header(change.old, read)
            gateway = change.path.split("/")[1]
            for served in header.served if header is not None else ():
                found[ledger_path(gateway, served.host)] = None
                found[ledger_path(gateway, served.port)] = None
    return tuple(found)


def wish_changes(commit: CommitFact, read: ReadBlob) -> dict[str, list[FileChange]]:
    """The changes of wishes in a commit by unit; rendering anew changes none."""
    found: dict[str, list[FileChange]] = {}
    for change in commit.changes:
        if _is_wish(change.path) and _changes_wish(change, commit, read):
            found.setdefault(_unit(change, read), []).append(change)
    return found


def undo(commit: CommitFact, unit: str, ground: Ground) -> Undone:
    """Undo a commit for one of its units. Raises Blocked where that is not safe."""
    changes = wish_changes(commit, ground.read).get(unit, [])
    writes: dict[str, bytes | None] = {}
    words = []
    for change in changes:
        before = _data(change.old, ground.read)
        if _has(change.old, change.path, ground):
            continue
        if not _stands(change.new, change.path, ground):
            newest = ground.newest(change.path)
            by = f" in {newest.id[:10]} by {newest.author}" if newest else ""
            raise Blocked(
                f"its wish changed again since{by}",
                where=unit,
                hint=f"`wharfinger revert {unit}` undoes the last change",
            )
        writes[change.path] = before
        writes.update(_addresses(change, commit, ground))
        kept = _taken_back(change.path, before, unit, ground) if before else {}
        gateway = change.path.split("/")[1]
        writes.update({path: None for path in _owned(unit, gateway, ground)} | kept)
        words.append(_words(change, ground.read))
    return Undone(
        unit=unit,
        text="; ".join(words) or "stands as it was before already",
        writes=tuple(
            FileWrite(path=path, data=data)
            for path, data in sorted(writes.items())
            if (ground.files[path].data if path in ground.files else None) != data
        ),
    )


def _is_wish(path: str) -> bool:
    return (
        path.startswith("manifests/")
        and path.count("/") > 2
        and path.endswith(".yaml")
        and not path.endswith(".endpoints.yaml")
    )


def _data(blob: BlobId | None, read: ReadBlob) -> bytes | None:
    return None if blob is None else read(blob)


def _unit(change: FileChange, read: ReadBlob) -> str:
    for blob in (change.new, change.old):
        data = _data(blob, read)
        header = parse_wish_header(data) if data is not None else None
        if header is not None:
            return str(header.unit)
    return unit_of(change.path)


def _changes_wish(change: FileChange, commit: CommitFact, read: ReadBlob) -> bool:
    before, after = _data(change.old, read), _data(change.new, read)
    if before is None or after is None:
        return before is not after
    one, other = parse_wish_header(before), parse_wish_header(after)
    if one is None or other is None or one.digest != other.digest:
        return True
    if commit.ours:
        return False
    return meaning(before) != meaning(after)


def _has(blob: BlobId | None, path: str, ground: Ground) -> bool:
    """Whether HEAD says what a blob says."""
    file = ground.files.get(path)
    if blob is None or file is None:
        return blob is None and file is None
    return file.blob == blob or meaning(ground.read(blob)) == meaning(file.data)


def _stands(blob: BlobId | None, path: str, ground: Ground) -> bool:
    """Whether HEAD has the wish of a blob, also when we rendered it anew since."""
    if _has(blob, path, ground):
        return True
    file, newest = ground.files.get(path), ground.newest(path)
    if blob is None or file is None or newest is None or not newest.ours:
        return False
    return not _digest_differs(ground.read(blob), file.data)


def _digest_differs(one: bytes, other: bytes) -> bool:
    headers = parse_wish_header(one), parse_wish_header(other)
    digests = [each.digest if each is not None else None for each in headers]
    return None in digests or digests[0] != digests[1]


def _addresses(
    change: FileChange, commit: CommitFact, ground: Ground
) -> dict[str, bytes | None]:
    """The addresses file beside a wish that goes back."""
    path = f"{change.path.removesuffix('.yaml')}.endpoints.yaml"
    if change.old is None:
        return {path: None}
    own = next((each for each in commit.changes if each.path == path), None)
    former = _data(own.old, ground.read) if own is not None else None
    present = ground.files.get(path)
    if former is None:
        return {}
    if present is not None and _destinations(former) == _destinations(present.data):
        return {}  # the same places: what is known of them now is newer
    return {path: former}


def _destinations(data: bytes) -> object:
    parsed = parse_addresses(data)
    if parsed is None:
        return data
    return parsed.failover, [
        (route.name, [located.destination for located in route.located])
        for route in parsed.routes
    ]


def _taken_back(
    path: str, wish: bytes, unit: str, ground: Ground
) -> dict[str, bytes | None]:
    """Ledger files that a former wish needs again. Raises Blocked for somebody else's."""
    gateway = path.split("/")[1]
    header = parse_wish_header(wish)
    if header is None:
        raise Blocked(
            "nobody can say which ports its former file served: its first line is not ours",
            where=f"{unit} in {path}",
            hint="use git revert, and look at ports/ yourself",
        )
    found: dict[str, bytes | None] = {}
    for served in header.served:
        holding = _holding(gateway, served, ground)
        entry = holding.entry
        if entry is None or entry.owner is None or str(entry.owner.unit) != unit:
            raise _taken(holding, unit)
        if entry.state is PortState.RESERVED:
            raise _taken(holding, unit)
        state = _state(entry, served, ground)
        found[entry.path] = format_entry(replace(entry, state=state))
    return found


def _owned(unit: str, gateway: str, ground: Ground) -> list[str]:
    """The live ledger files of a unit on a gateway at HEAD."""
    return [
        entry.path
        for entry in _entries(gateway, unit.rpartition("/")[2], ground)
        if entry.live and entry.owner is not None and str(entry.owner.unit) == unit
    ]


def _entries(gateway: str, naming: str, ground: Ground) -> Iterator[Entry]:
    """Ledger files of a gateway at HEAD that have a name in them and can be read."""
    roots = (f"ports/{gateway}/", f"hosts/{gateway}/")
    for path, file in ground.files.items():
        if path.startswith(roots) and naming.encode() in file.data:
            with suppress(Malformed):
                yield parse_entry(path, file.data)


def _holding(gateway: str, served: Served, ground: Ground) -> Holding:
    """An SNI host where the ledger ever had it, else the port."""
    keys: tuple[Key, ...] = (served.host, served.port)
    for key in keys:
        holding = who_had(ledger_path(gateway, key), ground.trail, FOREVER)
        if holding.entry is not None:
            return holding
    return holding


def _taken(holding: Holding, unit: str) -> Blocked:
    kind = "port" if isinstance(holding.key, int) else "host"
    what = f"{kind} {holding.key} of gateway {holding.gateway}"
    entry, since = holding.entry, holding.since
    if entry is None or since is None:
        return Blocked(f"{what} is nobody's in the ledger", where=unit)
    when = f"since {since.landed:%Y-%m-%d %H:%M}Z by commit {since.commit.id[:10]}"
    owner = entry.owner.unit if entry.owner is not None else "nobody"
    words = {
        PortState.RELEASED: f"was given to {owner} and is released {when}",
        PortState.RESERVED: f"is reserved by people {when}",
    }
    return Blocked(
        f"{what} {words.get(entry.state, f'belongs to {owner} {when}')}",
        where=unit,
        hint="a port that has another owner is not taken away; expose the workload again, "
        "it gets a port of its own",
    )


def _state(entry: Entry, served: Served, ground: Ground) -> PortState:
    """Active, but draining beside another active port of the same route."""
    if served.draining:
        return PortState.DRAINING
    if isinstance(entry.key, str) or _is_ours_and_live(entry.path, ground):
        return PortState.ACTIVE
    name = entry.owner.name if entry.owner is not None else ""
    is_rival = any(
        other.state is PortState.ACTIVE
        and isinstance(other.key, int)
        and other.key != entry.key
        and other.owner is not None
        and entry.owner is not None
        and other.owner.identity == entry.owner.identity
        for other in _entries(entry.gateway, name, ground)
    )
    return PortState.DRAINING if is_rival else PortState.ACTIVE


def _is_ours_and_live(path: str, ground: Ground) -> bool:
    """Whether what we wrote last is live: it counts, whatever a person writes."""
    for landed in ground.trail.commits:
        change = next((c for c in landed.commit.changes if c.path == path), None)
        if change is None or not landed.commit.ours:
            continue
        data = _data(change.new, ground.read)
        try:
            return data is not None and parse_entry(path, data).live
        except Malformed:
            return False
    return False


def _words(change: FileChange, read: ReadBlob) -> str:
    before = _header(change.old, read)
    after = _header(change.new, read)
    if change.old is None:
        return f"no longer served at {_at(after)}; its ports stay its own"
    if change.new is None:
        return f"served again at {_at(before)}, wish {_digest(before)}"
    return f"from wish {_digest(after)} back to {_digest(before)} at {_at(before)}"


def _header(blob: BlobId | None, read: ReadBlob) -> WishHeader | None:
    data = _data(blob, read)
    return parse_wish_header(data) if data is not None else None


def _digest(header: WishHeader | None) -> str:
    return header.digest if header is not None else "without a header"


def _at(header: WishHeader | None) -> str:
    served: Sequence[Served] = header.served if header is not None else ()
    return ", ".join(map(str, served)) or "an unknown address"

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

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from reconciler import yamlio
from reconciler.headers import parse_wish_header
from reconciler.model.repository import BlobId, CommitFact, File, FileChange, History
from reconciler.model.units import Owner, PortState
from reconciler.names import is_dns_name, wish_path

Key = int | str
LIVE = frozenset({PortState.ACTIVE, PortState.DRAINING})
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_CANONICAL = re.compile(
    rb"gateway: ([^\n]+)\n(?:port|host): ([^\n]{1,253})\nstate: (\w+)\nowner:\n  cluster: ([^\n]+)\n"
    rb"  clusterId: ([^\n]+)\n  namespace: ([^\n]+)\n  name: ([^\n]+)\n  route: ([^\n]+)\n\Z"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One ledger file: a port (int) or an SNI host (str) of a gateway.

    `since` is when its present content came to the branch; `next` names the unit that takes
    the port over. A `reserved` entry may have no owner.
    """

    gateway: str
    key: Key
    state: PortState
    owner: Owner | None
    next: str = ""
    since: datetime = EPOCH

    @property
    def path(self) -> str:
        folder = "ports" if isinstance(self.key, int) else "hosts"
        return f"{folder}/{self.gateway}/{self.key}.yaml"

    @property
    def live(self) -> bool:
        return self.state in LIVE


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


class Malformed(ValueError):
    """A ledger file that is not in the form of the contract."""


def format_entry(entry: Entry) -> bytes:
    """The canonical bytes of a ledger file."""
    body: dict[str, object] = {
        "gateway": entry.gateway,
        "port" if isinstance(entry.key, int) else "host": entry.key,
        "state": entry.state.value,
    }
    if entry.owner is not None:
        body["owner"] = {
            "cluster": entry.owner.cluster,
            "clusterId": entry.owner.cluster_id,
            "namespace": entry.owner.namespace,
            "name": entry.owner.name,
            "route": entry.owner.route,
        }
    if entry.next:
        body["next"] = entry.next
    return yamlio.dump(body).encode()


def parse_entry(path: str, data: bytes) -> Entry:
    """The entry of a ledger file at `path`. Raises Malformed, never guesses."""
    folder, gateway, key = _split(path)
    try:
        body = _fast(data) or yamlio.load(data)
    except yamlio.Unreadable as exc:
        raise Malformed(f"not readable: {exc}") from exc
    if not isinstance(body, dict):
        raise Malformed("expected a mapping")
    name = "port" if folder == "ports" else "host"
    unknown = set(body) - {"gateway", name, "state", "owner", "next"}
    if unknown:
        raise Malformed(f"unknown key {sorted(unknown)[0]!r}"[:120])
    if body.get("gateway") != gateway or body.get(name) != key:
        raise Malformed(f"gateway and {name} do not agree with the file's path")
    return Entry(
        gateway=gateway,
        key=key,
        state=_state(body.get("state")),
        owner=_owner(body.get("owner"), body.get("state")),
        next=_next(body.get("next")),
    )


def _fast(data: bytes) -> dict[str, object] | None:
    """Our own canonical bytes without a YAML parser; `None` for anything else."""
    match = _CANONICAL.match(data)
    if match is None or b"\\" in data or not data.isascii():
        return None
    text = [group.decode("ascii") for group in match.groups()]
    values = [
        part[1:-1] if part.startswith('"') and part.endswith('"') else part
        for part in text
    ]
    if any('"' in value or "#" in value or ": " in value for value in values):
        return None
    gateway, key, state, cluster, cluster_id, namespace, name, route = values
    is_port = data.startswith(b"gateway: " + match[1] + b"\nport: ")
    return {
        "gateway": gateway,
        **(
            {"port": int(key) if key.isdecimal() else key} if is_port else {"host": key}
        ),
        "state": state,
        "owner": {
            "cluster": cluster,
            "clusterId": cluster_id,
            "namespace": namespace,
            "name": name,
            "route": route,
        },
    }


def _split(path: str) -> tuple[str, str, Key]:
    parts = path.split("/")
    if len(parts) != 3 or not parts[2].endswith(".yaml"):
        raise Malformed(
            "a ledger file is ports/<gateway>/<port>.yaml or hosts/<gateway>/<host>.yaml"
        )
    folder, gateway, name = parts[0], parts[1], parts[2].removesuffix(".yaml")
    if folder == "hosts":
        if not is_dns_name(name):
            raise Malformed("the file's name is no DNS name in lower case")
        return folder, gateway, name
    if not name.isdecimal() or str(int(name)) != name or not 0 < int(name) < 65536:
        raise Malformed("the file's name is no port in canonical decimal")
    return folder, gateway, int(name)


def _state(value: object) -> PortState:
    if not isinstance(value, str) or value not in list(PortState):
        raise Malformed("state must be active, draining, released or reserved")
    return PortState(value)


def _owner(value: object, state: object) -> Owner | None:
    if value is None and state == PortState.RESERVED:
        return None
    keys = ("cluster", "clusterId", "namespace", "name", "route")
    if not isinstance(value, dict) or set(value) != set(keys):
        raise Malformed(f"owner must have exactly {', '.join(keys)}")
    if not all(isinstance(value[key], str) for key in keys):
        raise Malformed("owner's values must be text")
    cluster, cluster_id, namespace, name, route = (str(value[key]) for key in keys)
    return Owner(
        cluster=cluster,
        cluster_id=cluster_id,
        namespace=namespace,
        name=name,
        route=route,
    )


def _next(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Malformed("next must be a unit: cluster/namespace/name")
    return value


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
    files: Mapping[str, File], history: History, by_path: Mapping[str, list[Touch]]
) -> Ledger:
    """What every ledger file counts for; `by_path` is `touches(history)`."""
    paths = {path for path in files if _is_ledger(path)}
    paths.update(path for path in by_path if _is_ledger(path))
    entries: dict[tuple[str, Key], Entry] = {}
    contradictions: list[Contradiction] = []
    for path in sorted(paths):
        entry, fault = _counts(path, files, by_path.get(path, []), history)
        if entry is not None:
            entries[(entry.gateway, entry.key)] = entry
        if fault is not None:
            contradictions.append(fault)
    contradictions.extend(_twice(entries))
    return Ledger(entries=entries, contradictions=tuple(contradictions))


def _is_ledger(path: str) -> bool:
    return path.startswith(("ports/", "hosts/"))


def _counts(
    path: str, files: Mapping[str, File], touched: list[Touch], history: History
) -> tuple[Entry | None, Contradiction | None]:
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


def _last_attributed(path: str, touched: list[Touch], history: History) -> Entry | None:
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
    path: str, files: Mapping[str, File], touched: list[Touch], history: History
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


def _twice(entries: Mapping[tuple[str, Key], Entry]) -> list[Contradiction]:
    """One owner with two active ports on a gateway: nobody can say which one is meant."""
    seen: dict[tuple[str, tuple[str, str, str, str]], Entry] = {}
    faults = []
    for entry in entries.values():
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

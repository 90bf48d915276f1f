"""One file of the ledger: its value, its canonical bytes, and how strictly it is read; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from reconciler import yamlio
from reconciler.model.units import Owner, PortState
from reconciler.names import host_in_file, host_of_file, is_wildcard

Key = int | str
LIVE = frozenset({PortState.ACTIVE, PortState.DRAINING})
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_VALUE = (
    rb'("[ !#-\[\]-~]*"|[a-z][a-z0-9.-]*)'  # a JSON string without escapes, or plain
)
_CANONICAL = re.compile(
    rb"gateway: ([a-z0-9-]+)\n(port|host): ([a-z0-9.-]{1,253})\nstate: ([a-z]+)\n"
    rb"owner: \{cluster: %b, clusterId: %b, namespace: %b, name: %b, route: %b\}\n\Z"
    % ((_VALUE,) * 5)
)
_PLAIN = re.compile(r"[a-z][a-z0-9.-]*\Z")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


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
        if isinstance(self.key, int):
            return f"ports/{self.gateway}/{self.key}.yaml"
        return f"hosts/{self.gateway}/{host_in_file(self.key)}.yaml"

    @property
    def live(self) -> bool:
        return self.state in LIVE


class Malformed(ValueError):
    """A ledger file that is not in the form of the contract."""


def format_entry(entry: Entry) -> bytes:
    """The canonical bytes of a ledger file.

    State and owner are two lines side by side, so that git itself sees a conflict when a release
    is reverted whose port another owner has by now.
    """
    key = "port" if isinstance(entry.key, int) else "host"
    lines = [
        f"gateway: {entry.gateway}",
        f"{key}: {_host(entry.key) if isinstance(entry.key, str) else entry.key}",
        f"state: {entry.state}",
    ]
    if entry.owner is not None:
        lines.append(f"owner: {_owner_line(entry.owner)}")
    body = "".join(f"{line}\n" for line in lines)
    return (body + (yamlio.dump({"next": entry.next}) if entry.next else "")).encode()


def _host(host: str) -> str:
    """As it always was, but for `*.`, which YAML would take for the name of something else."""
    return host if not is_wildcard(host) else f'"{host}"'


def _owner_line(owner: Owner) -> str:
    values = {
        "cluster": owner.cluster,
        "clusterId": owner.cluster_id,
        "namespace": owner.namespace,
        "name": owner.name,
        "route": owner.route,
    }
    return "{" + ", ".join(f"{k}: {_value(v)}" for k, v in values.items()) + "}"


def _value(text: str) -> str:
    """Text that every YAML reader takes for text."""
    plain = _PLAIN.match(text) is not None and text not in _WORDS
    return text if plain else f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    """As YAML escapes it; JSON's surrogate pairs are none of YAML."""
    if " " <= character <= "~" and character not in '"\\':
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


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
    if match is None:
        return None
    gateway, kind, key, state, *owner = (
        each.decode("ascii") for each in match.groups()
    )
    value: int | str = key
    if kind == "port":
        value = int(key) if key.isdecimal() else key
    if _WORDS.intersection(owner):
        return None
    names = ("cluster", "clusterId", "namespace", "name", "route")
    texts = [each.removeprefix('"').removesuffix('"') for each in owner]
    return {
        "gateway": gateway,
        kind: value,
        "state": state,
        "owner": dict(zip(names, texts, strict=True)),
    }


def _split(path: str) -> tuple[str, str, Key]:
    parts = path.split("/")
    if len(parts) != 3 or not parts[2].endswith(".yaml"):
        raise Malformed(
            "a ledger file is ports/<gateway>/<port>.yaml or hosts/<gateway>/<host>.yaml"
        )
    folder, gateway, name = parts[0], parts[1], parts[2].removesuffix(".yaml")
    if folder == "hosts":
        host = host_of_file(name)
        if host is None:
            raise Malformed("the file's name is no DNS name in lower case")
        return folder, gateway, host
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

"""What a change of manifests means, by object and key rather than by line; pure.

@ manifests/public/eu1/shop/vs-orders.yaml
- # eu1 shop/orders -> tcp.example.com:20017 wish 3f9a6c2e
+ # eu1 shop/orders -> tcp.example.com:20017 wish 77aa01bc
~ TCPRoute w-eu1-shop-orders: spec.rules.0.backendRefs.0.weight: 90 -> 50
+ Backend w-eu1-shop-orders-green
~ ports/public/20017.yaml: reserved -> active for eu1 shop/orders route tcp
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from reconciler import yamlio
from reconciler.printable import one_line

Files = Mapping[str, bytes | None]
_LONGEST = 200
_MOST = 4_000  # lines; more than any forge's body can hold
_MISSING = object()
_LEDGER = ("ports", "hosts")
_OWNER = ("cluster", "clusterId", "namespace", "name", "route")
_IN_PATH = ("gateway", "port", "host")


def semantic_diff(after: Files, before: Files) -> tuple[str, ...]:
    """Lines of a diff over all files, each starting with `+`, `-`, `~` or `@` (a path).

    Wishes come first, then addresses, then the ledger, then what else there is. Every file
    whose bytes changed has a line, unless there are more lines than anybody would read.
    """
    changed = [path for path in after if after[path] != before.get(path)]
    lines: list[str] = []
    for index, path in enumerate(sorted(changed, key=_place)):
        if len(lines) >= _MOST:
            lines.append(f"@ and {len(changed) - index} more files")
            break
        lines += _file(path, after[path], before.get(path))
    return tuple(one_line(line, _LONGEST) for line in lines)


def _place(path: str) -> tuple[int, str]:
    folder = path.partition("/")[0]
    if folder == "manifests":
        return (1 if path.endswith(".endpoints.yaml") else 0, path)
    return (2 if folder in _LEDGER else 3, path)


def _file(path: str, new: bytes | None, old: bytes | None) -> list[str]:
    if path.partition("/")[0] in _LEDGER:
        return _ledger(path, new, old)
    told = list(_changed_lines(_head(old), _head(new)))
    was, now = _objects(old), _objects(new)
    for name in _in_order(was, now):
        told += _object(name, was.get(name), now.get(name))
    return [f"@ {path}", *(told or [f"{_sign(new, old)} bytes, but no meaning"])]


def _in_order(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [*old, *(name for name in new if name not in old)]


def _sign(new: object, old: object) -> str:
    return "+" if old is None else "-" if new is None else "~"


def _ledger(path: str, new: bytes | None, old: bytes | None) -> list[str]:
    """One line for a ledger file: what it said and says of its port or host."""
    was, now = _entry(old), _entry(new)
    state, _, owner = was.partition(" ")
    if was == now or not was or not now:
        told = now or was
    elif owner == now.partition(" ")[2]:
        told = f"{state} -> {now}"
    else:
        told = f"{was} -> {now}"
    return [f"{_sign(new, old)} {path}: {told or 'nothing'}"]


def _entry(data: bytes | None) -> str:
    flat: dict[str, Any] = {}
    for document in _objects(data).values():
        flat.update(_flat(document))
    if "state" not in flat:
        return "; ".join(f"{key} {value}" for key, value in flat.items())
    owner = {key: flat.pop(f"owner.{key}", None) for key in _OWNER}
    told = str(flat.pop("state"))
    if owner["cluster"] is not None:
        told += f" for {owner['cluster']}"
    if owner["name"] is not None:
        told += f" {owner['namespace']}/{owner['name']} route {owner['route']}"
    more = [f"{k} {v}" for k, v in flat.items() if k not in _IN_PATH]
    return "; ".join([told, *more])


def _head(data: bytes | None) -> list[str]:
    """The comment lines at the start of a file: what it says of itself."""
    lines = []
    for line in (data or b"").decode("utf-8", "replace").split("\n"):
        if not line.startswith("# "):
            break
        lines.append(line)
    return lines


def _changed_lines(old: list[str], new: list[str]) -> Iterator[str]:
    yield from (f"- {line}" for line in old if line not in new)
    yield from (f"+ {line}" for line in new if line not in old)


def _objects(data: bytes | None) -> dict[str, Any]:
    """Objects of a file by what they are called; what cannot be read is one text."""
    if data is None:
        return {}
    try:
        documents = [each.data for each in yamlio.load_all(data)]
    except yamlio.Unreadable:
        return {"unreadable text": data.decode("utf-8", "replace")}
    found: dict[str, Any] = {}
    for name, each in (part for document in documents for part in _parts(document)):
        unique, count = name, 1
        while unique in found:
            count += 1
            unique = f"{name} ({count})"
        found[unique] = each
    return found


def _parts(document: Any) -> Iterator[tuple[str, Any]]:
    """Named objects of a document: itself, or those in the lists of an Envoy file."""
    if not isinstance(document, Mapping):
        yield ("document", document)
        return
    metadata = document.get("metadata")
    if isinstance(metadata, Mapping) and "name" in metadata:
        yield (f"{document.get('kind')} {metadata['name']}", document)
        return
    rest = {}
    for key, value in document.items():
        items = value if isinstance(value, list) else [None]
        if not items or not all(_called(each) for each in items):
            rest[key] = value
            continue
        for each in items:
            yield (f"{str(key).removesuffix('s')} {_called(each)}", each)
    if rest:
        yield ("document", rest)


def _called(item: Any) -> str:
    if not isinstance(item, Mapping):
        return ""
    return str(item.get("name") or item.get("cluster") or "")


def _object(name: str, old: Any, new: Any) -> Iterator[str]:
    if old is None:
        yield f"+ {name}"
    elif new is None:
        yield f"- {name}"
    else:
        at = "" if name == "document" else f"{name}: "
        for sign, line in _leaves(_flat(old), _flat(new)):
            yield f"{sign} {at}{line}"


def _leaves(
    old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    for key in _in_order(old, new):
        was, now = old.get(key, _MISSING), new.get(key, _MISSING)
        if was is _MISSING:
            yield "+", f"{key}: {now}"
        elif now is _MISSING:
            yield "-", f"{key}: {was}"
        elif was != now or type(was) is not type(now):
            yield "~", f"{key}: {was} -> {now}"


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Leaves by dotted key; empty containers are leaves."""
    if isinstance(value, Mapping) and value:
        items = [(str(key), each) for key, each in value.items()]
    elif isinstance(value, list) and value:
        items = [(str(index), each) for index, each in enumerate(value)]
    else:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, each in items:
        flat.update(_flat(each, f"{prefix}.{key}" if prefix else key))
    return flat

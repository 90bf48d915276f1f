"""What a change of manifests means, by object and key rather than by line; pure.

- # eu1 shop/orders -> tcp.example.com:20017 wish 3f9a6c2e
+ # eu1 shop/orders -> tcp.example.com:20017 wish 77aa01bc
~ TCPRoute w-eu1-shop-orders: spec.rules.0.backendRefs.0.weight: 90 -> 50
+ Backend w-eu1-shop-orders-green
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from reconciler import yamlio
from reconciler.printable import one_line

Files = Mapping[str, bytes | None]
_LONGEST = 200
_MISSING = object()


def semantic_diff(after: Files, before: Files) -> tuple[str, ...]:
    """Lines of a diff over all files, each starting with `+`, `-`, `~` or `@` (a path)."""
    lines: list[str] = []
    for path in sorted(after):
        told = tuple(_file(path, after[path], before.get(path)))
        if told:
            lines += [f"@ {path}", *told]
    return tuple(one_line(line, _LONGEST) for line in lines)


def _file(path: str, new: bytes | None, old: bytes | None) -> Iterator[str]:
    yield from _changed_lines(_head(old), _head(new))
    if path.startswith("manifests/"):
        was, now = _objects(old), _objects(new)
        for name in sorted(was.keys() | now.keys()):
            yield from _object(name, was.get(name), now.get(name))
        return
    was, now = _flat_file(old), _flat_file(new)
    yield from (f"{each}" for each in _leaves("", was, now))


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
    """Documents of a file by kind and name; what cannot be read is one document of text."""
    if data is None:
        return {}
    try:
        documents = [each.data for each in yamlio.load_all(data)]
    except yamlio.Unreadable:
        return {"unreadable text": data.decode("utf-8", "replace")}
    return {_name(each, index): each for index, each in enumerate(documents)}


def _name(document: Any, index: int) -> str:
    if isinstance(document, Mapping):
        metadata = document.get("metadata")
        if isinstance(metadata, Mapping) and "name" in metadata:
            return f"{document.get('kind')} {metadata['name']}"
    return f"document {index + 1}"


def _object(name: str, old: Any, new: Any) -> Iterator[str]:
    if old is None:
        yield f"+ {name}"
    elif new is None:
        yield f"- {name}"
    else:
        for line in _leaves("", _flat(old), _flat(new)):
            yield f"~ {name}: {line[2:]}"


def _leaves(
    prefix: str, old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[str]:
    for key in sorted(old.keys() | new.keys()):
        was, now = old.get(key, _MISSING), new.get(key, _MISSING)
        if was is _MISSING:
            yield f"+ {prefix}{key}: {now}"
        elif now is _MISSING:
            yield f"- {prefix}{key}: {was}"
        elif was != now:
            yield f"~ {prefix}{key}: {was} -> {now}"


def _flat_file(data: bytes | None) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for document in _objects(data).values():
        flat.update(_flat(document))
    return flat


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

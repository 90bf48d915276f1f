"""Faults of a settings file in plain words, each at the line and column of its value; pure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.printable import one_line, printable
from reconciler.yamlio import Document

Path = tuple[str | int, ...]
Error = Mapping[str, Any]

_LONGEST = 60  # characters of a value or a key that are repeated
_FEW = 8  # keys that are listed when none is near
_MESSAGES = {
    "string_type": "expected text",
    "int_type": "expected a whole number",
    "bool_type": "expected true or false",
    "dict_type": "expected a mapping",
    "model_type": "expected a mapping",
    "tuple_type": "expected a list",
    "string_too_short": "expected text that is not empty",
    "greater_than_equal": "expected at least {ge}",
    "less_than_equal": "expected at most {le}",
    "too_short": "expected at least {min_length} in the list",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault: line and column from 1, the path of the value, what is wrong with it."""

    at: tuple[int, int]
    path: Path
    what: str

    def line(self, file: str) -> str:
        """`file:line:column path: what, what was expected`."""
        return f"{file}:{self.at[0]}:{self.at[1]} {shown(self.path)}: {self.what}"

    def order(self) -> tuple[object, ...]:
        """As a person reads the file."""
        return (*self.at, shown(self.path), self.what)


def describe(error: Error, document: Document, schema: Mapping[str, Any]) -> Fault:
    """A fault from an error of pydantic; `schema` is the JSON Schema of the file."""
    path = _path(error["loc"], document)
    unknown = error["type"] == "extra_forbidden"
    at = document.position((*path, "?") if unknown else path)
    keys = keys_at(schema, path[:-1]) if unknown else ()
    return Fault(at=at, path=path, what=_what(error, path, keys))


def telling(errors: Sequence[Error]) -> list[Error]:
    """Without errors that only follow from others: a list that lost its faulty items, ..."""

    def follows(error: Error) -> bool:
        loc = error["loc"] if error["type"] == "too_short" else error["loc"][:-1]
        return any(
            other is not error and other["loc"][: len(loc)] == loc for other in errors
        )

    echoes = ("too_short", "literal_error")
    return [each for each in errors if each["type"] not in echoes or not follows(each)]


def keys_at(schema: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    """The keys that a mapping at `path` may have, sorted."""
    parts = [schema]
    for step in path:
        parts = [
            found
            for part in parts
            for each in _alternatives(part, schema)
            for found in _below(each, step)
        ]
    return tuple(
        sorted(
            key
            for part in parts
            for each in _alternatives(part, schema)
            for key in each.get("properties", {})
        )
    )


def _alternatives(
    part: Mapping[str, Any], schema: Mapping[str, Any]
) -> list[Mapping[str, Any]]:
    if "$ref" in part:
        name = str(part["$ref"]).rpartition("/")[2]
        return _alternatives(schema["$defs"][name], schema)
    if "anyOf" in part:
        return [each for one in part["anyOf"] for each in _alternatives(one, schema)]
    return [part]


def _below(part: Mapping[str, Any], step: str | int) -> list[Mapping[str, Any]]:
    found = (
        part.get("items")
        if isinstance(step, int)
        else part.get("properties", {}).get(step)
    )
    return [found] if isinstance(found, Mapping) else []


def _path(loc: Sequence[str | int], document: Document) -> Path:
    """The location in the file: pydantic adds names of alternatives, which no file has."""
    path: Path = ()
    for index, part in enumerate(loc):
        last = index == len(loc) - 1
        if (*path, part) in document.positions or (
            last and isinstance(part, str) and _is_key(part)
        ):
            path = (*path, part)
    return path


def _is_key(part: str) -> bool:
    return part.isidentifier() and not part.startswith("literal")


def shown(path: Path) -> str:
    """`gateways[0].ports.max`; `(the file)` for all of it."""
    text = ""
    for part in path:
        safe = one_line(str(part), _LONGEST)
        text += f"[{part}]" if isinstance(part, int) else f".{safe}" if text else safe
    return text or "(the file)"


def _what(error: Error, path: Path, keys: Sequence[str]) -> str:
    kind = str(error["type"])
    if kind == "extra_forbidden":
        return f"unknown key{_hint(str(path[-1]), keys)}"
    if kind == "missing":
        return "is required"
    found = _found(error.get("input"))
    if kind == "value_error":
        return f"{printable(str(error['msg']).removeprefix('Value error, '))}{found}"
    if kind in ("enum", "literal_error"):
        return f"expected {error['ctx']['expected']}{found}"
    message = _MESSAGES.get(kind) or str(error["msg"])
    return f"{message.format(**error.get('ctx', {}))}{found}"


def _hint(key: str, keys: Sequence[str]) -> str:
    near = difflib.get_close_matches(key, keys, n=1) or [
        each for each in keys if each.lower() == key.lower().replace("_", "")
    ]
    if near:
        return f", did you mean {near[0]}?"
    if 0 < len(keys) <= _FEW:
        return f", expected one of {', '.join(keys)}"
    return ", `wharfinger schema` lists the keys"


def _found(value: object) -> str:
    """` (found 'x')`; of a collection only what it is, people see the rest at its line."""
    match value:
        case Mapping():
            return "" if value else " (found an empty mapping)"
        case list():
            return "" if value else " (found an empty list)"
        case None:
            return " (found nothing)"
        case bool():
            return f" (found {str(value).lower()})"
        case str():
            return f" (found {one_line(repr(value), _LONGEST)})"
    return f" (found {one_line(str(value), _LONGEST)})"

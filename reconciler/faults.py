"""Faults of a settings file in plain words, each at the line and column of its value; pure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.yamlio import Document

_MESSAGES = {
    "missing": "is required",
    "string_type": "expected text",
    "int_type": "expected a whole number",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "dict_type": "expected a mapping",
    "model_type": "expected a mapping",
    "tuple_type": "expected a list",
    "list_type": "expected a list",
}


def describe(
    error: Mapping[str, Any], document: Document, file: str, keys: Sequence[str]
) -> str:
    """`file:line:column path: what, what was expected` of one fault.

    `keys` are the keys that the schema knows, for "did you mean".
    """
    path = _path(error["loc"], document)
    kind = str(error["type"])
    at = (*path, "?") if kind == "extra_forbidden" else path
    line, column = document.position(at)
    return f"{file}:{line}:{column} {_shown(path)}: {_what(error, kind, path, keys)}"


def _path(loc: Sequence[str | int], document: Document) -> tuple[str | int, ...]:
    """The location in the file: pydantic adds names of alternatives, which no file has."""
    path: tuple[str | int, ...] = ()
    for index, part in enumerate(loc):
        last = index == len(loc) - 1
        if (*path, part) in document.positions or (
            last and isinstance(part, str) and _is_key(part)
        ):
            path = (*path, part)
    return path


def _is_key(part: str) -> bool:
    return part.isidentifier() and not part.startswith("literal")


def _shown(path: tuple[str | int, ...]) -> str:
    text = ""
    for part in path:
        safe = repr(str(part)[:60])[1:-1]
        text += f"[{part}]" if isinstance(part, int) else f".{safe}" if text else safe
    return text or "(the file)"


def _what(
    error: Mapping[str, Any],
    kind: str,
    path: tuple[str | int, ...],
    keys: Sequence[str],
) -> str:
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(str(path[-1]), keys, n=1)
        hint = f", did you mean {near[0]}?" if near else ""
        return f"unknown key{hint or ', it is not in the schema'}"
    if kind == "missing":
        return "is required"
    value = _value(error.get("input"))
    if kind == "value_error":
        said = str(error["msg"]).removeprefix("Value error, ")
        return f"{said} (found {value})"
    if kind in ("enum", "literal_error"):
        return f"{value} is not possible, expected {error['ctx']['expected']}"
    message = _MESSAGES.get(kind) or str(error["msg"])
    return f"{message} (found {value})"


def _value(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

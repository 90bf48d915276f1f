"""Reads JSON of strangers, strictly; pure.

The standard parser takes NaN and duplicate keys, turns `1e999` into infinity and lets lone
surrogates through, which no later step can write again. Here each of these is an error, and so
is a value that is nested deeper than any Kubernetes object.
"""

from __future__ import annotations

import json
import math
import re

MAX_DEPTH = 64
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class InvalidJson(ValueError):
    """Text that is no strict JSON; the message has a place but never the text itself."""


def loads(data: bytes, *, max_depth: int = MAX_DEPTH) -> object:
    """The value of one JSON text in UTF-8. Raises InvalidJson."""
    try:
        value: object = json.loads(
            data.decode("utf-8-sig"),
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_int,
        )
    except UnicodeDecodeError as exc:
        line = data[: exc.start].count(b"\n") + 1
        raise InvalidJson(f"line {line}: not UTF-8") from None
    except json.JSONDecodeError as exc:
        where = f"line {exc.lineno}, column {exc.colno}"
        raise InvalidJson(f"{where}: {exc.msg}") from None
    except RecursionError:
        raise InvalidJson(f"nested more than {max_depth} deep") from None
    _check_depth(value, max_depth)
    if _SURROGATE.search(data):
        _check_text(value)
    return value


def values(data: bytes) -> int:
    """At most so many values a JSON text has, but for one: what it could cost to parse it."""
    return data.count(b",") + data.count(b"[") + data.count(b"{")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        # Not which: a server may have put our own token there.
        raise InvalidJson("a key is there twice in one object")
    return found


def _constant(word: str) -> object:
    raise InvalidJson(f"{word} is no JSON value")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise InvalidJson("a number is out of range")
    return value


def _int(text: str) -> int:
    if len(text) > 40:
        raise InvalidJson("a number is out of range")
    return int(text)


def _check_depth(value: object, max_depth: int) -> None:
    """Level by level: no recursion that a deep value could exhaust."""
    level: list[object] = [value]
    for _ in range(max_depth + 1):
        level = [
            child
            for parent in level
            if isinstance(parent, (dict, list))
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return
    raise InvalidJson(f"nested more than {max_depth} deep")


def _check_text(value: object) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InvalidJson("a text has half of a surrogate pair in it") from None

"""Lines of a watch -> what happened; pure. Whatever is not as it must be is Garbled."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler import jsonio
from reconciler.observe.watching.store import Row

# Opaque: only that it can be sent back.
_VERSION = re.compile(r"[!-~]{1,256}\Z")


class Garbled(ValueError):
    """A line that no API server would send; our own words only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """An object is there."""

    row: Row
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """An object is gone."""

    row: Row
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bookmark:
    """Nothing happened up to this version."""

    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The server ends the watch; `code` as an HTTP status."""

    code: int


Event = Put | Dropped | Bookmark | Failure


def event(line: bytes, convert: Callable[[Mapping[str, Any]], Row]) -> Event:
    """What a line says. Raises Garbled, also when the object's identity is broken."""
    try:
        value = jsonio.loads(line)
    except jsonio.InvalidJson as exc:
        raise Garbled(f"a line is no valid JSON ({exc})") from None
    body = value.get("object") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(body, dict):
        raise Garbled("a line is no event of an object")
    match value.get("type"):
        case "ERROR":
            code = body.get("code")
            return Failure(code=code if type(code) is int else 0)
        case "BOOKMARK":
            return Bookmark(version=version_of(body))
        case "ADDED" | "MODIFIED":
            return Put(row=_row(body, convert), version=version_of(body))
        case "DELETED":
            return Dropped(row=_row(body, convert), version=version_of(body))
    raise Garbled("an event of an unknown type")


def version_of(body: Mapping[str, Any]) -> str:
    """The resourceVersion of an object or a list. Raises Garbled."""
    metadata = body.get("metadata")
    version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
    if not isinstance(version, str) or not _VERSION.match(version):
        raise Garbled("an event without a resourceVersion")
    return version


def _row(body: Mapping[str, Any], convert: Callable[[Mapping[str, Any]], Row]) -> Row:
    try:
        return convert(body)
    except ValueError as exc:
        raise Garbled(str(exc)) from None

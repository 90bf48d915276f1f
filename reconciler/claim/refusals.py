"""How a fault in one object becomes a rejection of that object alone; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from reconciler.codes import Code
from reconciler.model.claims import Rejection

SHOWN = 80  # characters of a tenant's text in a message, after escaping


class Refused(Exception):
    """A wish cannot be granted. Never leaves `reconciler.claim`."""

    def __init__(self, code: Code, where: str, what: str) -> None:
        reason = f"{where}: {what}" if where else what
        super().__init__(reason)
        self.rejection = Rejection(code=code, reason=reason)


def quoted(value: object) -> str:
    """A stranger's value for a message: printable ASCII in quotes, at most 80 characters."""
    text = value if isinstance(value, str) else _described(value)
    escaped = text[:SHOWN].encode("unicode_escape").decode("ascii").replace('"', '\\"')
    shown = len(text) <= SHOWN and len(escaped) <= SHOWN - 2
    cut = escaped if shown else escaped[: SHOWN - 5] + "..."
    return f'"{cut}"'


def did_you_mean(word: str, known: Iterable[str], prefix: str = "") -> str:
    """`; did you mean X?` for the nearest known word (told with its prefix), else nothing."""
    near = get_close_matches(word[:SHOWN], sorted(known), n=1)
    return f"; did you mean {prefix}{near[0]}?" if near else ""


def items(value: object, where: str) -> list[object]:
    """An untrusted value that must be a list; absent counts as empty."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise Refused(Code.MALFORMED_OBJECT, where, "expected a list")
    return value


def fields(value: object, where: str) -> Mapping[object, object]:
    """An untrusted value that must be an object."""
    if not isinstance(value, dict):
        raise Refused(Code.MALFORMED_OBJECT, where, "expected an object")
    return value


def text(value: object, where: str) -> str:
    """An untrusted value that must be a string."""
    if not isinstance(value, str):
        raise Refused(Code.MALFORMED_OBJECT, where, "expected a string")
    return value


def is_whole(value: object, low: int, high: int) -> bool:
    """An integer in a range; neither true nor 1.0 is one."""
    return (
        isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    )


def _described(value: object) -> str:
    """Containers may be huge or deep, so only scalars are shown."""
    scalar = value is None or isinstance(value, (bool, float))
    if scalar or (isinstance(value, int) and value.bit_length() < 256):
        return str(value)
    return f"<{type(value).__name__}>"

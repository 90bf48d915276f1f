"""How a decoder says that a wish cannot be granted; pure."""

from __future__ import annotations

from reconciler.codes import Code


class Refused(Exception):
    """A wish that is rejected: the code, and words that say what, where and what to do."""

    def __init__(self, code: Code, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def shown(value: object) -> str:
    """Hostile text for a message: quoted, ASCII, no control characters, at most 80."""
    text = value if isinstance(value, str) else repr(value)
    return repr(text[:80].encode("ascii", "backslashreplace").decode()).replace(
        "\\\\", "\\"
    )

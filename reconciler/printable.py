"""Makes text of strangers harmless in a terminal, a log or a comment; pure."""

from __future__ import annotations

import re

_USERINFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^/\s@'\"]+@")


def printable(text: str) -> str:
    r"""Text with control characters made visible (`\x1b`); line breaks stay.

    Also what reorders or hides text without being a control character: bidirectional marks,
    zero-width characters, line separators, lone surrogates.
    """
    if text.isprintable():  # nearly always
        return text
    return "".join(
        each if each == "\n" or each.isprintable() else _escaped(each) for each in text
    )


def one_line(text: str, limit: int = 0) -> str:
    """As `printable`, with line breaks as blanks; cut to `limit` characters unless it is 0."""
    line = printable(text).replace("\n", " ")
    return f"{line[: limit - 3]}..." if limit and len(line) > limit else line


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def without_secrets(text: str) -> str:
    """Text without the user information of URLs, where people put passwords and tokens."""
    return _USERINFO.sub(r"\1***@", text)

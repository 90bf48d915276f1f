"""Markdown that holds text of strangers and nothing that they could do with it; pure."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.printable import one_line

_MARKS = str.maketrans({mark: f"\\{mark}" for mark in "\\|`*_~["})


def cell(text: str) -> str:
    """Text in one line in which nothing is markup, a link's name, a mention or a tag."""
    safe = one_line(text).translate(_MARKS)
    return safe.replace("&", "&amp;").replace("<", "&lt;").replace("@", "@\u200b")


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; cells are made safe here."""
    lines = [titles, ["--"] * len(titles), *[list(map(cell, row)) for row in rows]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

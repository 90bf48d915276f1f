"""Annotations set and removed line by line, every other byte kept; pure.

A YAML library writes the whole document again: it moves comments and changes indentation, and
people would see their file change where nothing happened. Block style needs no library: each
annotation is a line. What is written in another style is left to the library.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from reconciler import yamlio

_LINE = re.compile(r"[^\r\n\x85\u2028\u2029]*(?:\r\n|[\r\n\x85\u2028\u2029]|\Z)")
_END = re.compile(r"[\r\n\x85\u2028\u2029]*\Z")
_VALUE = re.compile(
    r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s"'#&*!|>{\[][^#]*?|)(?P<comment>\s+\#.*)?\Z"""
)


def annotate_lines(
    text: str, where: yamlio.Path, change: Mapping[str, str | None]
) -> str | None:
    """One document with annotations set or removed (`None`) on the object at `where`.

    `None` where the annotations are not in block style with one line each, or would all go.
    The caller compares the meaning of the result with what it wanted.
    """
    document = yamlio.load_all(text.encode(), positions=True)[0]
    path = (*where, "metadata", "annotations")
    present = _at(document.data, path)
    left = {key for key in (*present, *change) if change.get(key, "") is not None}
    if not present or not left:
        return None
    lines = _LINE.findall(text)
    rows = {key: document.positions[(*path, key, "?")] for key in present}
    if any(lines[row - 1][: column - 1].strip() for row, column in rows.values()):
        return None
    anchor = _anchor(rows, change)
    row, column = rows[anchor]
    made = [
        f"{' ' * (column - 1)}{yamlio.scalar(key)}: {yamlio.scalar(value)}"
        for key, value in change.items()
        if value is not None and key not in present
    ]
    edits: dict[int, str | None] = {}
    for key in (each for each in change if each in present):
        number, start = document.positions[(*path, key)]
        if number != rows[key][0]:
            return None
        edits[number] = _changed(lines[number - 1], change[key], start - 1)
    end = _END.search(lines[row - 1])
    ending = (end[0] if end is not None else "") or "\n"
    edits[row] = _inserted(edits.get(row, lines[row - 1]), made, ending)
    if any(line is None for line in edits.values()):
        return None
    return "".join(
        edits.get(number, line) or "" for number, line in enumerate(lines, start=1)
    )


def _at(data: Any, path: yamlio.Path) -> Mapping[str, Any]:
    for step in path:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return {}
    return data if isinstance(data, Mapping) else {}


def _anchor(
    rows: Mapping[str, tuple[int, int]], change: Mapping[str, str | None]
) -> str:
    """After which annotation new ones stand: the last one of the same prefix."""
    prefixes = {key.partition("/")[0] for key in change}
    family = [key for key in rows if key.partition("/")[0] in prefixes]
    return max(family or rows, key=lambda key: rows[key])


def _changed(line: str, value: str | None, start: int) -> str | None:
    """The line with another value, empty when it goes; `None` if it is not one plain line."""
    body = _END.sub("", line)
    end = line[len(body) :]
    match = _VALUE.match(body[start:])
    if match is None:
        return None
    if value is None:
        return ""
    lead = body[:start]
    space = "" if lead.endswith(" ") else " "
    return f"{lead}{space}{yamlio.scalar(value)}{match['comment'] or ''}{end}"


def _inserted(line: str | None, made: list[str], ending: str) -> str | None:
    """The line and new ones after it; the file's last line may lack its end."""
    if line is None or not made:
        return line
    first = line if not line or line.endswith(ending) else line + ending
    return first + ending.join(made) + ending

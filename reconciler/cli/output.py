"""Prints results: tables on a terminal, plain columns in a pipe, JSON, Markdown (I/O)."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.options import NO_COLOR
from reconciler.markdown import table
from reconciler.names import API_VERSION
from reconciler.printable import one_line

if TYPE_CHECKING:
    from rich.console import Console

Columns = Sequence[str]
Rows = Sequence[Sequence[object]]


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object on stdout, ASCII, keys in the order given."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=True))


def print_list(kind: str, items: Sequence[Mapping[str, Any]], **extra: object) -> None:
    """A list as one JSON object; `extra` are further top-level keys."""
    head = {"apiVersion": API_VERSION, "kind": kind}
    print_json({**head, **extra, "items": list(items)})


def print_table(columns: Columns, rows: Rows, output: str = "text") -> None:
    """Rows under upper-case titles, the first column is the name; `output` text or markdown."""
    cells = [
        ["" if each is None else one_line(str(each)) for each in row] for row in rows
    ]
    if output == "markdown":
        click.echo(table(columns, cells))
    elif sys.stdout.isatty():
        _print_rich(columns, cells)
    else:
        _print_plain(columns, cells)


def _print_rich(columns: Columns, cells: list[list[str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    grid = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in cells:
        grid.add_row(*map(Text, row))  # as Text: `[red]` in a reason is no markup
    console().print(grid)


def _print_plain(columns: Columns, cells: list[list[str]]) -> None:
    widths = [
        max(len(text) for text in (title, *(row[index] for row in cells)))
        for index, title in enumerate(columns)
    ]
    for row in (list(columns), *cells):
        padded = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def console() -> Console:
    """A rich console for stdout; it honours NO_COLOR, and we --no-color."""
    from rich.console import Console

    context = click.get_current_context(silent=True)
    plain = context is not None and context.find_root().meta.get(NO_COLOR, False)
    return Console(no_color=True if plain else None, highlight=False)

"""Prints results: tables on a terminal, plain columns in a pipe, JSON for programs (I/O)."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from reconciler.cli import printable


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object on stdout, ASCII, keys in the order given."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=True))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Rows under upper-case titles; the first column is the name."""
    cells = [
        ["" if each is None else printable(str(each)) for each in row] for row in rows
    ]
    if sys.stdout.isatty():
        table = Table(*columns, box=None, header_style="bold", pad_edge=False)
        for row in cells:
            table.add_row(*row)
        Console().print(table)
        return
    widths = [
        max(len(text) for text in (title, *(row[index] for row in cells)))
        for index, title in enumerate(columns)
    ]
    for row in (list(columns), *cells):
        line = "  ".join(
            text.ljust(width) for text, width in zip(row, widths, strict=True)
        )
        click.echo(line.rstrip())

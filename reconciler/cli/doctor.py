"""`wharfinger doctor`: what stands in the way, and what to do about it."""

from __future__ import annotations

import os
from collections import Counter
from datetime import UTC, datetime

import click

from reconciler.cli.options import Target, output_option, repository_options
from reconciler.cli.output import print_list, print_table
from reconciler.doctor import Finding, Level, examine, exit_of


@click.command("doctor")
@repository_options
@output_option
def command(target: Target, output: str) -> None:
    """Examine permissions, CRDs, clocks, certificates, push rights, engines and room.

    Nothing is changed anywhere. Exit code 0 when nothing failed.
    """
    found = examine(target.open(), os.environ, datetime.now(UTC))
    if output == "json":
        print_list("Findings", [_object(each) for each in found])
    else:
        rows = [
            (each.where, each.check, each.level, each.found, each.advice)
            for each in found
        ]
        print_table(("WHERE", "CHECK", "RESULT", "FOUND", "WHAT TO DO"), rows, output)
    _sum_up(found)
    raise click.exceptions.Exit(exit_of(found))


def _object(each: Finding) -> dict[str, object]:
    return {
        "where": each.where,
        "check": each.check,
        "result": str(each.level),
        "found": each.found,
        "advice": each.advice,
    }


def _sum_up(found: tuple[Finding, ...]) -> None:
    counts = Counter(each.level for each in found)
    text = ", ".join(f"{counts[level]} {level}" for level in Level if counts[level])
    click.echo(text, err=True)

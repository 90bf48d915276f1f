"""`wharfinger release`: end a hold, by removing its file or by committing what we want."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from reconciler.cli.options import Target, output_option, repository_options
from reconciler.cli.passes import show
from reconciler.cli.people import author, commit, hold_path, parse_unit
from reconciler.cli.reconcile import release_pass
from reconciler.cli.report_output import tell
from reconciler.errors import worst
from reconciler.model.repository import FileWrite


@click.command("release")
@click.argument("unit", metavar="UNIT|CLUSTER|CLUSTER/NAMESPACE|all")
@repository_options
@output_option
def command(unit: str, target: Target, output: str) -> None:
    """End the hold of a unit (or remove a hold file), then commit what its owner wants."""
    path = hold_path(unit)
    repository = target.open(author=author())
    if path in repository.head().files:
        write = FileWrite(path=path, data=None)
        commit(repository, f"Release {unit}", (write,), datetime.now(UTC))
        click.echo(f"removed {path}", err=True)
    if unit.count("/") != 2:
        return
    result, report = release_pass(target, parse_unit(unit))
    tell(report, "auto", result.settings)
    show(result, output, commit=result.commit)
    raise click.exceptions.Exit(worst(result.exits))

"""`wharfinger release`: end a hold, by removing its file or by committing what we want."""

from __future__ import annotations

import click

from reconciler.cli.options import Target, output_option, repository_options
from reconciler.cli.passes import show
from reconciler.cli.people import author, commit, hold_path, parse_unit
from reconciler.cli.proposing import Made
from reconciler.cli.report_output import tell
from reconciler.cli.whole import release_pass
from reconciler.errors import Usage, worst
from reconciler.model.repository import FileWrite, Head


@click.command("release")
@click.argument("unit", metavar="UNIT|CLUSTER|CLUSTER/NAMESPACE|all")
@repository_options
@output_option
def command(unit: str, target: Target, output: str) -> None:
    """End a hold: remove its file if there is one; of a unit, commit what its owner wants.

    UNIT is cluster/namespace/name, or the cluster alone for its API.
    """
    path = hold_path(unit)
    removed = _remove(target, unit, path)
    if removed:
        click.echo(f"removed {path} {removed}", err=True)
    if removed and removed.at:
        return
    is_unit = unit.count("/") == 2
    if removed and not is_unit:
        click.echo("the next pass commits what was held")
        return
    if not is_unit and (unit == "all" or "/" in unit):
        raise Usage(
            f"there is no {path}",
            hint="`wharfinger get holds` lists the files; a hold that came with a git "
            "revert is ended per unit: cluster/namespace/name",
        )
    result, report = release_pass(target, parse_unit(unit))
    tell(report, "auto", result.settings)
    show(result, output, commit=result.commit)
    raise click.exceptions.Exit(worst(result.exits))


def _remove(target: Target, unit: str, path: str) -> Made | None:
    """Commit the removal of a hold file; `None` when there is none."""

    def writes(head: Head) -> tuple[FileWrite, ...]:
        return (FileWrite(path=path, data=None),) if path in head.files else ()

    return commit(target.open_side(author()), f"Release {unit}", writes)

"""`wharfinger hold`: a person's decision that a wish stays as it is."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime

import click

from reconciler import yamlio
from reconciler.cli.options import Target, option, repository_options
from reconciler.cli.people import author, commit, hold_path
from reconciler.errors import Usage
from reconciler.holds import parse_hold
from reconciler.model.repository import FileWrite


@click.command("hold")
@click.argument("unit", metavar="UNIT|CLUSTER|CLUSTER/NAMESPACE|all")
@repository_options
@option("--reason", required=True, help="Why; everybody reads it.")
@option("--by", default="", help="Who decides [default: you].")
@option(
    "--until",
    default="",
    metavar="TIME",
    help="When the hold ends by itself, such as 2026-12-24.",
)
@option("--freeze-addresses", is_flag=True, help="Keep the addresses too.")
def command(
    unit: str, target: Target, reason: str, by: str, until: str, freeze_addresses: bool
) -> None:
    """Hold a unit, a cluster, a namespace or all as they are in Git."""
    path = hold_path(unit)
    body: dict[str, object] = {"reason": reason, "by": by or getpass.getuser()}
    if until:
        body["until"] = until
    if freeze_addresses:
        body["addresses"] = "frozen"
    data = yamlio.dump(body).encode()
    if until and parse_hold(path, data).until is None:
        raise Usage(
            f"--until {until} is no date or time",
            hint="write 2026-12-24 or 2026-12-24T18:00:00Z",
        )
    repository = target.open(author=author())
    made = commit(
        repository,
        f"Hold {unit}",
        (FileWrite(path=path, data=data),),
        datetime.now(UTC),
    )
    click.echo(f"{unit} is held by {path} ({made[:10]})")

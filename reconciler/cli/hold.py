"""`wharfinger hold`: a person's decision that a wish stays as it is."""

from __future__ import annotations

import click

from reconciler import yamlio
from reconciler.cli.options import Target, option, repository_options
from reconciler.cli.people import author, commit, hold_path
from reconciler.errors import Usage
from reconciler.holds import parse_hold
from reconciler.model.repository import FileWrite, Head


@click.command("hold")
@click.argument("unit", metavar="UNIT|CLUSTER|CLUSTER/NAMESPACE|all")
@repository_options
@option("--reason", required=True, help="Why; everybody reads it.")
@option("--by", default="", help="Who decides [default: you, as git knows you].")
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
    """Hold a unit, a cluster, a namespace or all as they are in Git.

    A hold is a file that you can also write, review and remove by hand.
    """
    path = hold_path(unit)
    if not reason.strip():
        raise Usage("--reason is empty", hint="say why, everybody reads it")
    person = author()
    body: dict[str, object] = {"reason": reason, "by": by or person[0]}
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

    def writes(head: Head) -> tuple[FileWrite, ...]:
        there = head.files.get(path)
        is_same = there is not None and there.data == data
        return () if is_same else (FileWrite(path=path, data=data),)

    made = commit(target.open_side(person), f"Hold {unit}", writes)
    how = str(made) if made else "already, in the same words"
    click.echo(f"{unit} is held by {path} {how}")

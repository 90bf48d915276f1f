"""`wharfinger accept-rewind`: a person says that commits of the branch may be lost."""

from __future__ import annotations

import re

import click

from reconciler.cli.options import Target, repository_options
from reconciler.cli.people import author, say
from reconciler.errors import Usage
from reconciler.model.repository import CommitId
from reconciler.printable import one_line
from reconciler.repo import ACCEPTED_REWIND

_DIGITS = re.compile(r"[0-9a-f]{7,40}\Z")
_WHOLE = 40


@click.command("accept-rewind")
@click.argument("sha")
@repository_options
def command(sha: str, target: Target) -> None:
    """Accept that the branch no longer contains SHA, and end the freeze.

    SHA is the lost commit, at least seven digits of it; the whole id where the clone has never
    seen it. What the branch says now counts: look first at the ports that the lost commits gave
    out (`wharfinger explain WHF403`).
    """
    if _DIGITS.match(sha) is None:
        raise Usage(
            f"{one_line(sha, 80)!r} is no commit",
            hint="write at least seven digits of the lost commit's id, in lower case",
        )
    repository = target.open(author=author())
    full = repository.full_id(sha) or sha
    if len(full) < _WHOLE:
        raise Usage(
            f"commit {sha} is not known here", hint="write its whole id of 40 digits"
        )
    if repository.is_ancestor(CommitId(full)):
        click.echo(f"the branch contains {full[:10]}: there is nothing to accept")
        return
    if full in repository.accepted_rewinds():
        click.echo(f"{full[:10]} is accepted already")
        return
    made = say(
        repository, f"Accept that {full[:10]} is lost", f"{ACCEPTED_REWIND}: {full}"
    )
    click.echo(f"accepted that {full[:10]} is lost ({made[:10]})")
    click.echo("the next pass goes on from what the branch says now")

"""`wharfinger reconcile`: one pass."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import click

from reconciler.cli.flags import PassFlags, finish_settled, plan_object
from reconciler.cli.options import (
    Target,
    option,
    output_option,
    pass_options,
    repository_options,
)
from reconciler.settled import Asked, recall


@click.command("reconcile")
@repository_options
@pass_options
@option(
    "--no-wait",
    is_flag=True,
    help="Do not wait for a second look: withhold such deletions.",
)
@option(
    "--write-back",
    type=click.Choice(["auto", "on", "off"]),
    default="auto",
    show_default=True,
    help="Patch VirtualServices of a directory; auto: not in a Git work tree under CI.",
)
@output_option
def command(
    target: Target, output: str, no_wait: bool, write_back: str, **flags: object
) -> None:
    """Make one pass: plan, commit, prove, write back."""
    wanted = PassFlags.of(flags)
    asked = Asked(mode=write_back, now=datetime.now(UTC), environment=os.environ)
    with plan_object(output, commit=None):
        repository = target.reach()
        plain = wanted.is_plain(repository.paths.tip)
        note = recall(repository, asked) if plain else None
    if note is not None:
        for line in note.told:
            click.echo(line, err=True)
        finish_settled(note, output, wanted, commit=None)
    # Loaded only now: with everything that plans it takes longer than a note does.
    from reconciler.cli.whole import reconcile

    reconcile(repository, wanted, output, asked, not no_wait)

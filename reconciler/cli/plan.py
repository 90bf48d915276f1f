"""`wharfinger plan`: what a pass would commit."""

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


@click.command("plan")
@repository_options
@pass_options
@option("--exit-code", is_flag=True, help="Exit code 10 when routes would change.")
@output_option
def command(target: Target, output: str, exit_code: bool, **flags: object) -> None:
    """Show what a pass would commit; change nothing."""
    wanted = PassFlags.of(flags)
    asked = Asked(mode="", now=datetime.now(UTC), environment=os.environ)
    with plan_object(output):
        repository = target.reach()
        plain = wanted.is_plain(repository.paths.tip)
        note = recall(repository, asked) if plain else None
    if note is not None:
        finish_settled(note, output, wanted)
    # Loaded only now: with everything that plans it takes longer than a note does.
    from reconciler.cli.whole import plan

    plan(repository, wanted, output, exit_code)

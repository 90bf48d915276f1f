"""`wharfinger plan`: what a pass would commit."""

from __future__ import annotations

import asyncio

import click

from reconciler.cli.options import (
    Target,
    option,
    output_option,
    pass_options,
    repository_options,
)
from reconciler.cli.passes import PassFlags, finish, plan_object
from reconciler.cli.plan_output import has_changes
from reconciler.errors import Exit
from reconciler.run import Memory, one_pass


@click.command("plan")
@repository_options
@pass_options
@option("--exit-code", is_flag=True, help="Exit code 10 when routes would change.")
@output_option
def command(target: Target, output: str, exit_code: bool, **flags: object) -> None:
    """Show what a pass would commit; change nothing."""
    wanted = PassFlags.of(flags)
    options = wanted.options(commit=False)
    with plan_object(output):
        result = asyncio.run(one_pass(target.open(), options, Memory()))
    changed = (Exit.CHANGES,) if exit_code and has_changes(result.plan) else ()
    finish(result, output, wanted, changed)

"""`wharfinger reconcile`: one pass."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import click

from reconciler.cli.options import (
    Target,
    option,
    output_option,
    pass_options,
    repository_options,
)
from reconciler.cli.passes import PassFlags, finish, plan_object, requests_object
from reconciler.cli.report_output import tell
from reconciler.model.units import UnitId
from reconciler.repo import Repository
from reconciler.report import Report, ask_about, prove_and_write_back
from reconciler.run import Memory, PassOptions, PassResult, one_pass


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
    options = wanted.options(commit=True, wait=not no_wait)
    with plan_object(output, commit=None):
        result, report = asyncio.run(
            whole_pass(target.open(), options, Memory(), write_back)
        )
    tell(report, write_back, result.settings)
    finish(result, output, wanted, commit=result.commit, **requests_object(result))


async def whole_pass(
    repository: Repository, options: PassOptions, memory: Memory, write_back: str
) -> tuple[PassResult, Report]:
    """A pass and its report; nothing is written back when the pass failed."""
    result = await one_pass(repository, options, memory)
    if result.failure is not None:
        return result, Report(proofs=(), changes=(), outcomes=())
    asked = await ask_about(result, memory)
    report = await prove_and_write_back(repository, result, memory, write_back)
    return result, replace(report, asked=asked)


def release_pass(target: Target, unit: UnitId) -> tuple[PassResult, Report]:
    """A pass that ends the hold of one unit."""
    options = PassOptions(released=frozenset({unit}))
    return asyncio.run(whole_pass(target.open(), options, Memory(), "auto"))

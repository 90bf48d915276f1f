"""Whole passes of `reconcile` and `release`, with the planner and everything that it needs (I/O)."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import replace

import click

from reconciler.cli.flags import PassFlags, plan_object
from reconciler.cli.options import Target, trust
from reconciler.cli.passes import finish, requests_object
from reconciler.cli.plan_output import has_changes
from reconciler.cli.report_output import report_lines
from reconciler.errors import Exit
from reconciler.model.units import UnitId
from reconciler.noting import leave_note
from reconciler.repo import Repository
from reconciler.report import Report, ask_about, prove_and_write_back
from reconciler.run import Memory, PassOptions, PassResult, one_pass
from reconciler.settled import Asked


def reconcile(
    repository: Repository, wanted: PassFlags, output: str, asked: Asked, wait: bool
) -> None:
    """One pass of everything, told and ended with its exit code; it may leave a note."""
    options = wanted.options(commit=True, wait=wait)
    with plan_object(output, commit=None):
        trust(repository)
        result, report = asyncio.run(
            whole_pass(repository, options, Memory(), asked.mode)
        )
    told = report_lines(report, asked.mode, result.settings)
    for line in told:
        click.echo(line, err=True)
    leave_note(repository, (result, report), tuple(told), (options, asked))
    finish(result, output, wanted, commit=result.commit, **requests_object(result))


def plan(
    repository: Repository, wanted: PassFlags, output: str, exit_code: bool
) -> None:
    """What such a pass would commit, told; the exit code says on demand whether it would."""
    options = wanted.options(commit=False)
    with plan_object(output):
        trust(repository)
        result = asyncio.run(one_pass(repository, options, Memory()))
    changed = (Exit.CHANGES,) if exit_code and has_changes(result.plan) else ()
    finish(result, output, wanted, changed)


async def whole_pass(
    repository: Repository, options: PassOptions, memory: Memory, write_back: str
) -> tuple[PassResult, Report]:
    """A pass and its report; nothing is written back when the pass failed."""
    result = await one_pass(repository, options, memory)
    gc.freeze()  # it stays to the end of the process: not to be looked through again
    if result.failure is not None:
        return result, Report(proofs=(), changes=(), outcomes=())
    asked = await ask_about(result, memory)
    report = await prove_and_write_back(repository, result, memory, write_back)
    return result, replace(report, asked=asked)


def release_pass(target: Target, unit: UnitId) -> tuple[PassResult, Report]:
    """A pass that ends the hold of one unit."""
    options = PassOptions(released=frozenset({unit}))
    return asyncio.run(whole_pass(target.open(), options, Memory(), "auto"))

"""What whole passes share: printing, exit codes (I/O)."""

from __future__ import annotations

import sys
from typing import Any

import click

from reconciler.cli.flags import PassFlags, print_plan
from reconciler.errors import Exit, worst
from reconciler.model.plans import Op
from reconciler.model.reviews import Outcome, Step
from reconciler.printable import printable, without_secrets
from reconciler.run import PassResult
from reconciler.settings import under_review


def finish(
    result: PassResult,
    output: str,
    flags: PassFlags,
    more: tuple[Exit, ...] = (),
    **extra: object,
) -> None:
    """Print a pass and end the process with its exit code."""
    show(result, output, **extra)
    held = any(row.op is Op.HOLD for row in result.plan.rows)
    codes = [*result.exits, *more]
    if flags.fail_on_held and held:
        codes.append(Exit.BLOCKED)
    sys.stdout.flush()
    raise click.exceptions.Exit(worst(codes))


def show(result: PassResult, output: str, **extra: object) -> None:
    """The plan on stdout, a failure on stderr."""
    print_plan(result.plan, output, **extra)
    for outcome in result.reviewed.outcomes:
        if output != "json" and outcome.step is not Step.KEPT:
            click.echo(printable(_request(outcome)))
        if outcome.note:
            where = outcome.url or outcome.group
            click.echo(f"note: {where}: {printable(outcome.note)}", err=True)
    for note in result.reviewed.notes:
        click.echo(f"note: {printable(without_secrets(note))}", err=True)
    for failure in result.failures:
        click.echo(f"error: {printable(without_secrets(str(failure)))}", err=True)


def _request(outcome: Outcome) -> str:
    """One line about a request for people."""
    if outcome.step is Step.WAITING:
        return f"Request for {outcome.group}: waits, as many are open as settings allow"
    return f"Request for {outcome.group}: {outcome.step} {outcome.url}".rstrip()


def requests_object(result: PassResult) -> dict[str, Any]:
    """What became of requests, for `reconcile -o json`; nothing without review."""
    if result.settings is None or not under_review(result.settings):
        return {}
    requests = [
        {
            "group": each.group,
            "step": each.step.name.lower(),
            "number": each.number,
            "url": each.url,
            "units": list(map(str, each.units)),
        }
        for each in result.reviewed.outcomes
    ]
    return {"requests": requests}

"""What `plan`, `reconcile` and `run` share: flags, printing, exit codes."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click

from reconciler.cli.output import print_json
from reconciler.cli.plan_output import to_json, to_markdown, to_text
from reconciler.errors import Exit, ReconcileError, worst
from reconciler.model.plans import Op
from reconciler.model.reviews import Outcome, Step
from reconciler.model.units import UnitId
from reconciler.printable import printable, without_secrets
from reconciler.run import NO_PLAN, PassOptions, PassResult
from reconciler.settings import under_review


@dataclass(frozen=True, slots=True, kw_only=True)
class PassFlags:
    """The flags of a pass as they were given."""

    clusters: tuple[str, ...]
    gateways: tuple[str, ...]
    accept_deletions: str
    accept_rewrites: str
    last_seen: str
    fail_on_held: bool

    @staticmethod
    def of(flags: Mapping[str, Any]) -> PassFlags:
        """From the keyword arguments of a command."""
        return PassFlags(**{key: flags[key] for key in PassFlags.__slots__})

    def options(
        self,
        *,
        commit: bool,
        wait: bool = True,
        released: frozenset[UnitId] = frozenset(),
    ) -> PassOptions:
        """The options of one pass."""
        return PassOptions(
            only=frozenset(self.clusters) or None,
            gateways=frozenset(self.gateways) or None,
            accept_deletions=self.accept_deletions,
            accept_rewrites=self.accept_rewrites,
            last_seen=self.last_seen,
            commit=commit,
            wait=wait,
            released=released,
        )


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


@contextmanager
def plan_object(output: str, **extra: object) -> Iterator[None]:
    """With `-o json` a program finds a Plan on stdout also when there was none to make."""
    try:
        yield
    except ReconcileError:
        if output == "json":
            print_json(to_json(NO_PLAN, **extra))
        raise


def show(result: PassResult, output: str, **extra: object) -> None:
    """The plan on stdout, a failure on stderr."""
    if output == "json":
        print_json(to_json(result.plan, **extra))
    elif output == "markdown":
        click.echo(to_markdown(result.plan))
    else:
        click.echo(to_text(result.plan))
        if extra.get("commit"):
            click.echo(f"Committed {str(extra['commit'])[:10]}")
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

"""Flags of a pass, and how a plan is printed; loads no planner, so that a note is told quickly (I/O)."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.output import print_json
from reconciler.cli.plan_output import to_json, to_markdown, to_text
from reconciler.errors import Exit, ReconcileError
from reconciler.model.plans import NO_PLAN, Op, Plan
from reconciler.model.units import UnitId

if TYPE_CHECKING:
    from reconciler.note import Note
    from reconciler.passes import PassOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class PassFlags:
    """The flags of a pass as they were given."""

    clusters: tuple[str, ...]
    gateways: tuple[str, ...]
    accept_deletions: str
    accept_rewrites: str
    accept_arrivals: str
    last_seen: str
    fail_on_held: bool

    @staticmethod
    def of(flags: Mapping[str, Any]) -> PassFlags:
        """From the keyword arguments of a command."""
        return PassFlags(**{key: flags[key] for key in PassFlags.__slots__})

    def is_plain(self, tip: str) -> bool:
        """Whether a pass of everything on this tip is asked for, and nothing accepted."""
        seen = self.last_seen in ("", tip)
        other = set(self.__slots__) - {"last_seen", "fail_on_held"}
        return seen and not any(getattr(self, name) for name in other)

    def options(
        self,
        *,
        commit: bool,
        wait: bool = True,
        released: frozenset[UnitId] = frozenset(),
    ) -> PassOptions:
        """The options of one pass."""
        from reconciler.passes import PassOptions

        return PassOptions(
            only=frozenset(self.clusters) or None,
            gateways=frozenset(self.gateways) or None,
            accept_deletions=self.accept_deletions,
            accept_rewrites=self.accept_rewrites,
            accept_arrivals=self.accept_arrivals,
            last_seen=self.last_seen,
            commit=commit,
            wait=wait,
            released=released,
        )


@contextmanager
def plan_object(output: str, **extra: object) -> Iterator[None]:
    """With `-o json` a program finds a Plan on stdout also when there was none to make."""
    try:
        yield
    except ReconcileError:
        if output == "json":
            print_json(to_json(NO_PLAN, **extra))
        raise


def print_plan(plan: Plan, output: str, **extra: object) -> None:
    """A plan on stdout."""
    if output == "json":
        print_json(to_json(plan, **extra))
    elif output == "markdown":
        click.echo(to_markdown(plan))
    else:
        click.echo(to_text(plan))
        if extra.get("commit"):
            click.echo(f"Committed {str(extra['commit'])[:10]}")


def finish_settled(note: Note, output: str, flags: PassFlags, **extra: object) -> None:
    """Print what the note's pass printed and end the process with its exit code."""
    print_plan(note.plan, output, **extra)
    sys.stdout.flush()
    held = any(row.op is Op.HOLD for row in note.rows)
    blocked = flags.fail_on_held and held
    raise click.exceptions.Exit(Exit.BLOCKED if blocked else Exit.DONE)

"""Tells on stderr what proof and write-back found; results are the command's own."""

from __future__ import annotations

import os
from pathlib import Path

import click

from reconciler.directory import will_write
from reconciler.model.proofs import Stage
from reconciler.printable import printable
from reconciler.report import Report
from reconciler.settings import Settings


class Telling:
    """Tells a report after the other; what was said before and still is so is not said again."""

    def __init__(self, mode: str) -> None:
        self._mode = mode
        self._said: frozenset[str] = frozenset()

    def tell(self, report: Report, settings: Settings | None) -> None:
        """What is new in this report."""
        said = report_lines(report, self._mode, settings)
        for line in said:
            if line not in self._said:
                click.echo(line, err=True)
        self._said = frozenset(said)


def tell(report: Report, mode: str, settings: Settings | None) -> None:
    """Problems of write-back, what was not written, and once that nothing can be seen."""
    for line in report_lines(report, mode, settings):
        click.echo(line, err=True)


def report_lines(report: Report, mode: str, settings: Settings | None) -> list[str]:
    """What `tell` says, fit for a terminal."""
    unseen = sorted(
        {proof.message for proof in report.proofs if proof.stage is Stage.UNSEEN}
    )
    found = [f"note: {unseen[0]}; states stop at Allocated"] if unseen else []
    for asked in report.asked:
        if asked.problem:
            problem = printable(asked.problem)
            found.append(f"note: not asked to sync: {asked.what}: {problem}")
    for outcome in report.outcomes:
        if outcome.problem:
            found.append(f"note: {outcome.unit}: {printable(outcome.problem)}")
    for change in report.changes:
        if (
            mode == "auto"
            and settings is not None
            and not _is_written(change.inventory, mode, settings)
        ):
            said = ", ".join(
                f"{key.partition('/')[2]}={value}"
                for key, value in change.annotations.items()
                if value
            )
            found.append(f"write-back is off: {change.source.unit}: {printable(said)}")
    return found


def _is_written(inventory: str, mode: str, settings: Settings) -> bool:
    for each in settings.inventories:
        if each.name == inventory and each.directory is not None:
            return will_write(mode, Path(each.directory.path), os.environ)
    return True

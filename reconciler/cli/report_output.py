"""Tells on stderr what proof and write-back found; results are the command's own."""

from __future__ import annotations

import os
from pathlib import Path

import click

from reconciler.model.proofs import Stage
from reconciler.printable import printable
from reconciler.report import Report
from reconciler.settings import Settings
from reconciler.writeback import decide


def tell(report: Report, mode: str, settings: Settings | None) -> None:
    """Problems of write-back, what was not written, and once that nothing can be seen."""
    unseen = sorted(
        {proof.message for proof in report.proofs if proof.stage is Stage.UNSEEN}
    )
    if unseen:
        click.echo(f"note: {unseen[0]}; states stop at Allocated", err=True)
    for outcome in report.outcomes:
        if outcome.problem:
            click.echo(f"note: {outcome.unit}: {printable(outcome.problem)}", err=True)
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
            click.echo(
                f"write-back is off: {change.source.unit}: {printable(said)}", err=True
            )


def _is_written(inventory: str, mode: str, settings: Settings) -> bool:
    for each in settings.inventories:
        if each.name == inventory and each.directory is not None:
            return decide(mode, Path(each.directory.path), os.environ)
    return True

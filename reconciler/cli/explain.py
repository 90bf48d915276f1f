"""`wharfinger explain`: a reason code, or the story of one unit."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import click

from reconciler.cli import clusters
from reconciler.cli.options import Target, option, repository_options
from reconciler.cli.people import parse_unit
from reconciler.codes import Code
from reconciler.headers import parse_wish_header
from reconciler.holds import explicit_hold
from reconciler.ledger import read_ledger, touches
from reconciler.model.repository import Head, History
from reconciler.model.units import UnitId
from reconciler.names import unit_stem
from reconciler.printable import printable

_HINT = "`wharfinger plan` says why an exposure is not granted"


@click.command("explain")
@click.argument("what", metavar="CODE|UNIT|CLUSTER")
@repository_options
@option("--live", is_flag=True, help="Of a cluster: ask the inventories, too.")
def command(what: str, target: Target, live: bool) -> None:
    """Explain a reason code (WHF123), or tell the story of a unit or a cluster."""
    if what.upper() in set(Code):
        click.echo(page(Code(what.upper())), nl=False)
        return
    unit = parse_unit(what)
    repository = target.open()
    if unit.is_api:
        now = datetime.now(UTC)
        for line in clusters.story(repository, unit.cluster, now, live=live):
            click.echo(printable(line))
    for line in _story(unit, repository.head(), repository.history()):
        click.echo(printable(line))


def page(code: Code) -> str:
    """The page of a code, from the package or from the checkout."""
    packaged = resources.files("reconciler") / "_errors" / f"{code}.md"
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    checkout = Path(__file__).parents[2] / "docs" / "errors" / f"{code}.md"
    return checkout.read_text(encoding="utf-8")


def _story(unit: UnitId, head: Head, history: History) -> list[str]:
    by_path = touches(history)
    stem = f"{unit_stem(unit)}.yaml"
    lines = [f"{unit}"]
    for path, file in sorted(head.files.items()):
        if (
            path.startswith("manifests/")
            and path.partition("/")[2].partition("/")[2] == stem
        ):
            header = parse_wish_header(file.data)
            lines.append(
                f"  served: {path}: {header or 'a person removed the first line'}"
            )
    for entry in read_ledger(head.files, history, by_path).entries.values():
        if entry.owner is not None and entry.owner.unit == unit:
            lines.append(
                f"  ledger: {entry.path} {entry.state} for route {entry.owner.route} since {entry.since:%Y-%m-%d %H:%M}"
            )
    hold = explicit_hold(unit, head.files, datetime.now(UTC))
    if hold is not None:
        lines.append(f"  hold: {hold.message}")
    for path in sorted(by_path):
        if path.startswith("manifests/") and path.endswith(f"/{stem}"):
            lines += [
                f"  {touch.commit.time:%Y-%m-%d %H:%M} {touch.commit.id[:10]} {touch.commit.author}: {touch.commit.subject}"
                for touch in by_path[path][:20]
            ]
    return lines if len(lines) > 1 else [*lines, f"  Git knows nothing of it; {_HINT}"]

"""`wharfinger history`: what happened to a unit, a port, a host or a gateway, from `git log`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from typing import Any

import click

from reconciler.audit.events import What
from reconciler.audit.rows import HistoryRow, history_rows, owned_paths
from reconciler.audit.subjects import Subject, UnitSubject, parse_subject
from reconciler.cli.asking import known_clusters, known_gateways, review, stamp
from reconciler.cli.options import Target, option, output_option, repository_options
from reconciler.cli.output import print_list, print_table
from reconciler.printable import one_line
from reconciler.repo.paths import Paths

_LIMIT = 100


@click.command("history")
@click.argument("what", metavar="UNIT|PORT|GATEWAY")
@repository_options
@option(
    "--limit",
    type=click.IntRange(min=0),
    default=_LIMIT,
    show_default=True,
    help="At most so many rows; 0 is all.",
)
@option("--addresses", is_flag=True, help="Show changes of addresses, too.")
@output_option
def command(
    what: str, target: Target, limit: int, addresses: bool, output: str
) -> None:
    """Tell what happened to a unit, a port, an SNI host or a gateway, newest first.

    UNIT is cluster/namespace/name, or a cluster for its API. PORT is 20017 or GATEWAY/20017.
    Reviewers and pull requests are what the commit messages say.
    """
    paths = target.open().paths
    subject = parse_subject(what, known_gateways(paths), known_clusters(paths))
    rows = _rows(paths, subject, addresses)
    shown = list(islice(rows, limit + 1 if limit else None))
    more = bool(limit) and len(shown) > limit
    shown = shown[:limit] if limit else shown
    if output == "json":
        print_list("History", [_item(row) for row in shown], subject=what, more=more)
        return
    print_table(_COLUMNS, [_cells(row) for row in shown], output)
    if not shown:
        click.echo(f"Git knows nothing of {what}", err=True)
    if more:
        click.echo("there is more: --limit 0 shows all of it", err=True)


def _rows(paths: Paths, subject: Subject, addresses: bool) -> Iterable[HistoryRow]:
    asked = subject.paths
    if isinstance(subject, UnitSubject):
        if addresses:
            asked += tuple(_endpoints(path) for path in subject.wishes)
        asked += owned_paths(paths.trail(subject.wishes), subject)
    for row in history_rows(paths.trail(asked), subject, paths.brought):
        kept = tuple(
            each for each in row.events if addresses or each.what is not What.ADDRESSES
        )
        if kept:
            yield replace(row, events=kept)


def _endpoints(path: str) -> str:
    return f"{path.removesuffix('.yaml')}.endpoints.yaml"


_COLUMNS = (
    *("TIME", "UNIT", "WHAT", "WHO", "REQUESTER", "REVIEWER", "PULL REQUEST"),
    *("GENERATION", "COMMIT"),
)


def _cells(row: HistoryRow) -> tuple[object, ...]:
    return (
        stamp(row.time),
        row.unit,
        one_line(row.text, 300),
        row.account.who,
        row.requester,
        review(row.account),
        row.account.pull_request or row.account.url,
        "" if row.generation is None else row.generation,
        row.commit[:10],
    )


def _item(row: HistoryRow) -> dict[str, Any]:
    return {
        "time": row.time.isoformat(),
        "unit": row.unit or None,
        "events": [
            {"what": each.what, "text": each.text, "path": each.path or None}
            for each in row.events
        ],
        "who": row.account.who,
        "attributed": row.account.ours,
        "requester": row.requester,
        "reviewers": list(row.account.reviewers),
        "mergedBy": row.account.merged_by or None,
        "pullRequest": row.account.pull_request or None,
        "pullRequestUrl": row.account.url or None,
        "generation": row.generation,
        "commit": row.commit,
        "subject": row.subject,
        "via": list(row.account.via),
    }

"""`wharfinger accept-cluster`: a recreated cluster becomes the successor of the old one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import click

from reconciler.cli.options import Target, repository_options
from reconciler.cli.people import author, commit
from reconciler.errors import Usage
from reconciler.model.repository import FileWrite
from reconciler.names import cluster_path
from reconciler.plan.records import format_record, parse_record


@click.command("accept-cluster")
@click.argument("cluster")
@click.argument("cluster_id", metavar="ID")
@repository_options
def command(cluster: str, cluster_id: str, target: Target) -> None:
    """Accept ID as the successor of CLUSTER: its ports and holds stay."""
    repository = target.open(author=author())
    path = cluster_path(cluster)
    file = repository.head().files.get(path)
    record = parse_record(cluster, file.data) if file is not None else None
    if record is None:
        raise Usage(
            f"there is no readable {path}", hint="`wharfinger get clusters` lists them"
        )
    if cluster_id in (record.cluster_id, *record.accept):
        click.echo(f"{cluster_id} is accepted already")
        return
    data = format_record(replace(record, accept=(*record.accept, cluster_id)))
    made = commit(
        repository,
        f"Accept {cluster_id} as cluster {cluster}"[:200],
        (FileWrite(path=path, data=data),),
        datetime.now(UTC),
    )
    click.echo(
        f"accepted {cluster_id} as {cluster} ({made[:10]}); the next pass takes it over"
    )

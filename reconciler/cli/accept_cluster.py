"""`wharfinger accept-cluster`: a recreated cluster becomes the successor of the old one."""

from __future__ import annotations

import click

from reconciler import yamlio
from reconciler.cli.options import Target, repository_options
from reconciler.cli.people import author, commit
from reconciler.errors import Usage
from reconciler.model.repository import FileWrite, Head
from reconciler.names import cluster_path, is_cluster_name
from reconciler.plan.records import parse_record
from reconciler.printable import one_line
from reconciler.trust import is_voucher, is_well_formed

_LONGEST = 253  # of a cluster's id


@click.command("accept-cluster")
@click.argument("cluster")
@click.argument("cluster_id", metavar="ID")
@repository_options
def command(cluster: str, cluster_id: str, target: Target) -> None:
    """Accept ID as the successor of CLUSTER: its ports and holds stay.

    With sha256:FINGERPRINT or host:NAME in the place of ID it is the CA, or the server without
    one, that is accepted. The same as adding ID to `accept:` in clusters/CLUSTER.yaml by hand.
    """
    if not is_cluster_name(cluster):
        raise Usage(f"{cluster[:80]!r} is no cluster's name")
    if not cluster_id.isprintable() or not 0 < len(cluster_id) <= _LONGEST:
        raise Usage(f"{one_line(cluster_id, 80)!r} is no cluster's id")
    if is_voucher(cluster_id) and not is_well_formed(cluster_id):
        what = f"{one_line(cluster_id, 80)!r} is no fingerprint and no host"
        hint = "write sha256: and 64 digits in lower case, or host:NAME, as the message has it"
        raise Usage(what, hint=hint)
    path = cluster_path(cluster)

    def writes(head: Head) -> tuple[FileWrite, ...]:
        file = head.files.get(path)
        data = accepted(cluster, cluster_id, file.data if file is not None else b"")
        return () if data is None else (FileWrite(path=path, data=data),)

    made = commit(
        target.open_side(author()),
        f"Accept {cluster_id[:80]} as cluster {cluster}",
        writes,
    )
    if made is None:
        click.echo(f"{cluster_id} is accepted already")
        return
    click.echo(f"accepted {cluster_id} as {cluster} {made}")
    click.echo("the next pass takes it over")


def accepted(cluster: str, cluster_id: str, data: bytes) -> bytes | None:
    """The cluster's file with the id in `accept`, all else kept; `None` when it is there."""
    record = parse_record(cluster, data)
    if record is None:
        raise Usage(
            f"there is no readable {cluster_path(cluster)}",
            hint="`wharfinger get clusters` lists them",
        )
    if cluster_id in (record.cluster_id, *record.accept):
        return None
    (document,) = yamlio.edit(data)
    document["accept"] = [*record.accept, cluster_id]
    return yamlio.edited([document], data)

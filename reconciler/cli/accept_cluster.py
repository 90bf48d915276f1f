"""`wharfinger accept-cluster`: people's word on a cluster: take it, let it succeed, it is gone."""

from __future__ import annotations

from collections.abc import Callable

import click

from reconciler import yamlio
from reconciler.cli.options import Target, option, repository_options
from reconciler.cli.people import author, commit
from reconciler.cli.proposing import Made
from reconciler.errors import Usage
from reconciler.model.repository import FileWrite, Head
from reconciler.names import cluster_path, is_cluster_name
from reconciler.plan.records import ClusterRecord, format_record, parse_record
from reconciler.printable import one_line
from reconciler.trust import is_voucher, is_well_formed

_LONGEST = 253  # of a cluster's id


@click.command("accept-cluster")
@click.argument("cluster")
@click.argument("cluster_id", metavar="[ID]", required=False)
@repository_options
@option(
    "--gone",
    is_flag=True,
    help="CLUSTER, which no inventory names any more, was deleted: remove what it has.",
)
def command(cluster: str, cluster_id: str | None, target: Target, gone: bool) -> None:
    """Accept ID as CLUSTER: a new one is served, a successor gets its ports and holds.

    With sha256:FINGERPRINT or host:NAME in the place of ID it is the CA, or the server without
    one, that is accepted. The same as adding ID to `accept:` in clusters/CLUSTER.yaml by hand.
    """
    if not is_cluster_name(cluster):
        raise Usage(f"{cluster[:80]!r} is no cluster's name")
    if gone == (cluster_id is not None):
        raise Usage("say either the ID to accept, or --gone")
    if cluster_id is None:
        subject = f"Say that cluster {cluster} is gone"
        made = _commit(target, cluster, subject, marked_gone)
        click.echo(f"{cluster} is gone {made}" if made else "that was said already")
        click.echo("the next pass removes what it has, within the budget of deletions")
        return
    _check(cluster_id)

    def accepting(cluster: str, data: bytes) -> bytes | None:
        return accepted(cluster, cluster_id, data)

    subject = f"Accept {cluster_id[:80]} as cluster {cluster}"
    made = _commit(target, cluster, subject, accepting)
    if made is None:
        click.echo(f"{cluster_id} is accepted already")
        return
    click.echo(f"accepted {cluster_id} as {cluster} {made}")
    click.echo("the next pass takes it over")


def _check(cluster_id: str) -> None:
    """Raises Usage for what nobody can accept."""
    if not cluster_id.isprintable() or not 0 < len(cluster_id) <= _LONGEST:
        raise Usage(f"{one_line(cluster_id, 80)!r} is no cluster's id")
    if is_voucher(cluster_id) and not is_well_formed(cluster_id):
        what = f"{one_line(cluster_id, 80)!r} is no fingerprint and no host"
        hint = "write sha256: and 64 digits in lower case, or host:NAME, as the message has it"
        raise Usage(what, hint=hint)


def _commit(
    target: Target,
    cluster: str,
    subject: str,
    change: Callable[[str, bytes], bytes | None],
) -> Made | None:
    path = cluster_path(cluster)

    def writes(head: Head) -> tuple[FileWrite, ...]:
        file = head.files.get(path)
        data = change(cluster, file.data if file is not None else b"")
        return () if data is None else (FileWrite(path=path, data=data),)

    return commit(target.open_side(author()), subject, writes)


def accepted(cluster: str, cluster_id: str, data: bytes) -> bytes | None:
    """The cluster's file with the id in `accept`, all else kept; `None` when it is there.

    Without `data` it is the file of a cluster that no pass has taken yet. Raises Usage.
    """
    if not data:
        new = ClusterRecord(
            cluster=cluster, cluster_id="", inventory="", accept=(cluster_id,)
        )
        return format_record(new)
    record = _record(cluster, data)
    if cluster_id in (record.cluster_id, record.uid, *record.accept):
        return None
    (document,) = yamlio.edit(data)
    document["accept"] = [*record.accept, cluster_id]
    return yamlio.edited([document], data)


def marked_gone(cluster: str, data: bytes) -> bytes | None:
    """The cluster's file with `deleted: true`, all else kept; `None` when it says so. Raises Usage."""
    record = _record(cluster, data)
    if not record.cluster_id:
        raise Usage(
            f"no pass has taken {cluster} yet: there is nothing to remove",
            hint=f"take {cluster_path(cluster)} back when it shall not be accepted any more",
        )
    if record.deleted:
        return None
    (document,) = yamlio.edit(data)
    document["deleted"] = True
    return yamlio.edited([document], data)


def _record(cluster: str, data: bytes) -> ClusterRecord:
    record = parse_record(cluster, data)
    if record is None:
        raise Usage(
            f"there is no readable {cluster_path(cluster)}",
            hint="`wharfinger get clusters` lists them",
        )
    return record

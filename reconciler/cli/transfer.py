"""`wharfinger transfer`: give a port or SNI host to another unit without a gap."""

from __future__ import annotations

from dataclasses import replace

import click

from reconciler.cli.options import Target, option, repository_options
from reconciler.cli.people import author, commit
from reconciler.errors import Usage
from reconciler.ledger_file import Entry, Malformed, format_entry, parse_entry
from reconciler.model.repository import FileWrite, Head
from reconciler.model.units import PortState, UnitId
from reconciler.names import (
    cluster_path,
    host_path,
    is_label,
    is_sni_host,
    port_path,
    unit_named,
)
from reconciler.printable import one_line
from reconciler.run import settings_at

_UNIT = "write cluster/namespace/name"


@click.command("transfer")
@click.argument("place", metavar="GATEWAY/PORT")
@click.argument("unit", required=False, default="")
@repository_options
@option("--cancel", is_flag=True, help="Take back what was not handed over yet.")
def command(place: str, unit: str, target: Target, cancel: bool) -> None:
    """Give a port (or an SNI host: GATEWAY/HOST) to UNIT, which is cluster/namespace/name.

    Writes `next: UNIT` into the port's file. The pass that finds UNIT exposed with ready
    addresses hands over route and port in one commit; until then nothing changes.
    """
    path = _path(place)
    to = _named(unit, cancel)

    def writes(head: Head) -> tuple[FileWrite, ...]:
        entry = _entry(head, path)
        if to is not None:
            _refuse_nonsense(head, entry, to)
        data = format_entry(replace(entry, next=str(to) if to is not None else ""))
        is_same = data == head.files[path].data
        return () if is_same else (FileWrite(path=path, data=data),)

    what = f"Transfer {place} to {to}" if to is not None else f"Keep {place}"
    made = commit(target.open_side(author()), what, writes)
    how = str(made) if made else "already"
    if to is None:
        click.echo(f"{path} names no other unit {how}")
        return
    click.echo(f"{path} goes to {to} {how}")
    click.echo(f"the pass that finds {to} exposed with ready addresses hands it over")
    if cluster_path(to.cluster) not in target.open().head().files:
        click.echo(f"cluster {to.cluster} is not known yet", err=True)


def _path(place: str) -> str:
    gateway, _, key = place.partition("/")
    if is_label(gateway) and key.isdecimal():
        if str(int(key)) == key and len(key) <= 5:
            return port_path(gateway, int(key))
    elif is_label(gateway) and is_sni_host(key):
        return host_path(gateway, key)
    raise Usage(
        f"{one_line(place, 80)!r} is no port or host of a gateway",
        hint="write GATEWAY/PORT, such as public/20017; `wharfinger get ports` lists them",
    )


def _named(unit: str, cancel: bool) -> UnitId | None:
    if cancel:
        if unit:
            raise Usage("--cancel takes no unit", hint="write GATEWAY/PORT --cancel")
        return None
    named = unit_named(unit)
    if named is None:
        what = f"{one_line(unit, 120)!r} is no unit" if unit else "the unit is missing"
        raise Usage(what, hint=_UNIT)
    return named


def _entry(head: Head, path: str) -> Entry:
    file = head.files.get(path)
    if file is None:
        raise Usage(
            f"there is no {path}",
            hint="only what somebody has can be given; `wharfinger get ports` lists it",
        )
    try:
        return parse_entry(path, file.data)
    except Malformed as exc:
        raise Usage(
            f"{path} is not in the ledger's form: {exc}",
            hint="`wharfinger check` shows what is wrong; put it right first",
        ) from exc


def _refuse_nonsense(head: Head, entry: Entry, to: UnitId) -> None:
    what = f"{entry.gateway}/{entry.key}"
    if entry.state is not PortState.ACTIVE or entry.owner is None:
        raise Usage(
            f"{what} is {entry.state}, only an active one can be handed over",
            hint="a free port is asked for with wharfinger.dev/request-port",
        )
    if entry.owner.unit == to:
        raise Usage(f"{to} has {what} already", hint="name the unit that shall get it")
    if entry.owner.unit.is_api:
        raise Usage(
            f"{what} belongs to the API of cluster {entry.owner.cluster}",
            hint="an API's port stays with its cluster",
        )
    tenant = settings_at(head).tenant(to.cluster)
    if tenant is None or entry.gateway not in tenant.gateways:
        raise Usage(
            f"cluster {to.cluster} may not use gateway {entry.gateway}",
            where="wharfinger.yaml",
            hint="add the gateway to the cluster's tenants entry first",
        )

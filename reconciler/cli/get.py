"""`wharfinger get`: what Git says, as tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import click

from reconciler.audit.undone import undone
from reconciler.capacity import Capacity, capacities_at
from reconciler.cli import clusters
from reconciler.cli.options import (
    Target,
    option,
    output_option,
    repository_options,
)
from reconciler.cli.output import print_list, print_table
from reconciler.errors import Usage
from reconciler.headers import parse_wish_header
from reconciler.holds import parse_hold
from reconciler.ledger import read_ledger, touches
from reconciler.ledger_file import Entry
from reconciler.model.repository import Head, History
from reconciler.model.units import PortState
from reconciler.run import settings_at

Table = tuple[Sequence[str], list[Sequence[object]]]


@click.command("get")
@click.argument(
    "what",
    type=click.Choice(["routes", "ports", "hosts", "clusters", "holds", "gateways"]),
)
@repository_options
@option("--live", is_flag=True, help="Of clusters: ask their inventories, and say why.")
@output_option
def command(what: str, target: Target, output: str, live: bool) -> None:
    """List routes, ports, hosts, clusters, holds or the room of gateways, as Git has them."""
    if live and what != "clusters":
        raise Usage("--live is about clusters", hint="`wharfinger get clusters --live`")
    repository = target.open()
    if what == "clusters":
        clusters.show(repository, output, live=live)
        return
    head, history = repository.head(), repository.history()
    if what == "gateways":
        _show_gateways(head, history, output)
        return
    columns, rows = _TABLES[what](head, history)
    if output == "json":
        keys = [column.lower() for column in columns]
        items = [dict(zip(keys, map(_plain, row), strict=True)) for row in rows]
        print_list("List", items)
    else:
        print_table(columns, rows, output)


def _show_gateways(head: Head, history: History, output: str) -> None:
    """The capacity report: numbers for programs, what people decide by for people."""
    found = capacities_at(settings_at(head), head, history, datetime.now(UTC))
    if output == "json":
        print_list("List", [_gateway_object(each) for each in found])
        return
    rows = [
        (
            each.gateway,
            each.level,
            f"{each.fill_percent}%",
            each.headroom,
            each.limit,
            each.ranges,
            each.usable,
            each.live,
            each.draining,
            each.quarantined,
            each.reserved,
            each.hosts,
            "; ".join(f"{name}: {count}" for name, count in each.tenants),
        )
        for each in found
    ]
    print_table(_GATEWAY_COLUMNS, rows, output)


_GATEWAY_COLUMNS = (
    "GATEWAY", "LEVEL", "FULL", "ROOM", "LIMIT", "RANGE", "USABLE",
    "LIVE", "DRAINING", "QUARANTINED", "RESERVED", "HOSTS", "TENANTS",
)  # fmt: skip


def _gateway_object(each: Capacity) -> dict[str, object]:
    return {
        "gateway": each.gateway,
        "level": str(each.level),
        "fillPercent": each.fill_percent,
        "headroom": each.headroom,
        "limit": str(each.limit),
        "range": each.ranges,
        "usable": each.usable,
        "live": each.live,
        "draining": each.draining,
        "quarantined": each.quarantined,
        "reserved": each.reserved,
        "free": each.free,
        "hosts": each.hosts,
        "tenants": dict(each.tenants),
    }


def _plain(value: object) -> object:
    return value if isinstance(value, (int, str)) or value is None else str(value)


def _routes(head: Head, history: History) -> Table:
    rows: list[Sequence[object]] = []
    for path, file in sorted(head.files.items()):
        header = parse_wish_header(file.data) if path.startswith("manifests/") else None
        if header is None or path.endswith(".endpoints.yaml"):
            continue
        for served in header.served:
            state = "draining" if served.draining else "active"
            rows.append(
                (
                    str(header.unit),
                    path.split("/")[1],
                    served.host,
                    served.port,
                    state,
                    header.digest,
                )
            )
    return ("UNIT", "GATEWAY", "HOST", "PORT", "STATE", "WISH"), rows


def _ledger(head: Head, history: History, folder: str) -> list[Entry]:
    ledger = read_ledger(head.files, history, touches(history))
    found = [each for each in ledger.entries.values() if each.path.startswith(folder)]
    return sorted(found, key=lambda each: (each.gateway, str(each.key).rjust(6)))


def _entries(head: Head, history: History, folder: str, title: str) -> Table:
    quarantine = settings_at(head).release.quarantine
    rows: list[Sequence[object]] = [
        (
            each.key,
            each.gateway,
            each.state,
            each.owner.unit if each.owner else "",
            each.owner.route if each.owner else "",
            f"{each.since:%Y-%m-%d %H:%M}",
            _until(each, quarantine),
            each.next,
        )
        for each in _ledger(head, history, folder)
    ]
    return (title, "GATEWAY", "STATE", "UNIT", "ROUTE", "SINCE", "UNTIL", "NEXT"), rows


def _until(entry: Entry, quarantine: timedelta) -> str:
    """When others may have what was released."""
    if entry.state is not PortState.RELEASED:
        return ""
    return f"{entry.since + quarantine:%Y-%m-%d %H:%M}"


def _ports(head: Head, history: History) -> Table:
    return _entries(head, history, "ports/", "PORT")


def _hosts(head: Head, history: History) -> Table:
    return _entries(head, history, "hosts/", "HOST")


def _holds(head: Head, history: History) -> Table:
    now = datetime.now(UTC)
    rows: list[Sequence[object]] = []
    for path, file in sorted(head.files.items()):
        if path.startswith("holds/"):
            hold = parse_hold(path, file.data)
            over = hold.until is not None and hold.until <= now
            rows.append(
                (
                    path.removeprefix("holds/").removesuffix(".yaml"),
                    hold.by,
                    f"{hold.until:%Y-%m-%d %H:%M}" if hold.until else "",
                    "over" if over else "held",
                    hold.reason,
                )
            )
    for each in undone(head, history):
        rows.append((str(each.unit), each.by.author, "", "undone", each.said))
    return ("HELD", "BY", "UNTIL", "STATE", "REASON"), rows


_TABLES: dict[str, Callable[[Head, History], Table]] = {
    "routes": _routes,
    "ports": _ports,
    "hosts": _hosts,
    "holds": _holds,
}

"""`get clusters` and `explain CLUSTER`: what Git knows, and with `--live` what inventories say."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from reconciler.claim import claim
from reconciler.cli.output import print_list, print_table
from reconciler.heads import served_addresses
from reconciler.holds import explicit_hold, parse_hold
from reconciler.ledger import Touch, touches
from reconciler.model.repository import Head, History
from reconciler.model.units import UnitId
from reconciler.names import cluster_path
from reconciler.observe import observe
from reconciler.plan import Index, Inputs
from reconciler.plan.pins import HeadPins
from reconciler.plan.records import ClusterRecord, read_record
from reconciler.plan.roster import Listed, in_git, named, seen
from reconciler.repo import Repository
from reconciler.run import settings_at
from reconciler.trust import fingerprints

_SHOWN = 20  # commits of a cluster's file


def show(repository: Repository, output: str, *, live: bool) -> None:
    """The table of all clusters."""
    head, history = repository.head(), repository.history()
    listed = (
        _live(repository)
        if live
        else in_git(Index(head, history), records_at(head, history))
    )
    if output == "json":
        print_list("List", [_object(each) for each in listed])
        return
    columns = ["CLUSTER", "STATE", "EXPOSURES", "API", "MODE", "INVENTORY", "ID"]
    if live:
        columns += ["ORIGIN", "CODE", "WHY"]
    print_table(columns, [_row(each, live=live) for each in listed], output)


def records_at(head: Head, history: History) -> dict[str, ClusterRecord]:
    """What counts of each cluster's file."""
    touched = touches(history)
    paths = {*head.files, *touched}
    names = sorted(
        path.removeprefix("clusters/").removesuffix(".yaml")
        for path in paths
        if path.startswith("clusters/") and path.endswith(".yaml")
    )
    found = {
        name: read_record(name, head.files, touched, history.read) for name in names
    }
    return {name: record for name, record in found.items() if record is not None}


def _live(repository: Repository) -> tuple[Listed, ...]:
    """What the inventories say now."""
    head, history = repository.head(), repository.history()
    settings, now = settings_at(head), datetime.now(UTC)
    pins = HeadPins(head, lambda: history).ready()
    snapshot = asyncio.run(observe(settings, pins=pins))
    served = served_addresses(head)
    return seen(
        Inputs(
            settings=settings,
            head=head,
            history=history,
            claims=tuple(
                claim(view, settings, served.get(view.entry.name, {}), now)
                for view in snapshot.clusters
            ),
            failures=snapshot.failures,
            now=now,
        )
    )


def _row(each: Listed, *, live: bool) -> Sequence[object]:
    inventory = ", ".join((each.inventory, *each.also))
    row: list[object] = [
        each.cluster,
        each.phase,
        each.exposures,
        each.api,
        each.mode,
        inventory,
        each.cluster_id,
    ]
    return [*row, each.origin, each.code, each.reason] if live else row


def _object(each: Listed) -> dict[str, object]:
    return {
        "cluster": each.cluster,
        "state": str(each.phase),
        "exposures": each.exposures,
        "api": each.api,
        "mode": each.mode,
        "inventory": each.inventory,
        "id": each.cluster_id,
        "origin": each.origin,
        "also": list(each.also),
        "code": each.code,
        "reason": each.reason,
    }


def story(
    repository: Repository, cluster: str, now: datetime, *, live: bool
) -> list[str]:
    """The story of one cluster, a line each; only its name where nobody knows it."""
    head, history = repository.head(), repository.history()
    records = records_at(head, history)
    listed = named(in_git(Index(head, history), records), cluster)
    lines = [cluster]
    if live:
        lines += _now(named(_live(repository), cluster))
    if listed is None:
        return [*lines, "  Git does not know it"]
    plural = "exposure" if listed.exposures == 1 else "exposures"
    lines.append(f"  in Git: {listed.phase}, {listed.exposures} {plural}")
    if record := records.get(cluster):
        lines += _recorded(record)
    lines += _holds(head, cluster, now)
    return lines + _commits(touches(history).get(cluster_path(cluster), ()))


def _now(found: Listed | None) -> list[str]:
    if found is None:
        return ["  now: no inventory names it"]
    code = f" [{found.code}]" if found.code else ""
    why = f": {found.reason}{code}" if found.reason else ""
    where = f" as {found.origin}" if found.origin else ""
    lines = [f"  now: {found.phase}{why}"]
    if found.inventory:
        lines.append(f"  named by: inventory {found.inventory}{where}")
    lines += [f"  named by: inventory {each}, too" for each in found.also]
    return lines


def _recorded(record: ClusterRecord) -> list[str]:
    lines = [f"  id: {record.cluster_id or 'not known yet'}"]
    if record.uid:
        lines.append(f"  uid of kube-system: {record.uid}")
    if record.inventory:
        named_as = f" as {record.inventory_id}" if record.inventory_id else ""
        lines.append(f"  from: inventory {record.inventory}{named_as}")
    if record.api is not None:
        where = f"https://{record.api.host}:{record.api.port}"
        lines.append(
            f"  api: {where} on gateway {record.api.gateway} ({record.api.mode})"
        )
    lines += [f"  trusted: {each}" for each in fingerprints(record.ca_bundle)]
    lines += [f"  trusted: {each}" for each in record.trust]
    lines += [f"  accepted by people: {each}" for each in record.accept]
    lines += [f"  before: {each}" for each in record.previous_ids]
    return lines


def _holds(head: Head, cluster: str, now: datetime) -> list[str]:
    whole = explicit_hold(UnitId(cluster=cluster), head.files, now)
    lines = [f"  hold: {whole.message}"] if whole is not None else []
    inner = [path for path in head.files if path.startswith(f"holds/{cluster}/")]
    for path in sorted(inner):
        hold = parse_hold(path, head.files[path].data)
        held = path.removeprefix("holds/").removesuffix(".yaml")
        lines.append(f"  hold: {held} by {hold.by}: {hold.reason}")
    return lines


def _commits(trail: Sequence[Touch]) -> list[str]:
    return [
        f"  {each.commit.time:%Y-%m-%d %H:%M} {each.commit.id[:10]} {each.commit.author}: "
        f"{each.commit.subject}"
        for each in trail[:_SHOWN]
    ]

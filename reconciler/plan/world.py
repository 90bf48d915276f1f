"""The ingress repository as the planner reads it: units at HEAD, ledger, clusters; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from reconciler.headers import (
    WishHeader,
    parse_addresses,
    parse_wish_header,
)
from reconciler.ledger import Ledger, Touch, read_ledger, touches
from reconciler.ledger_file import Entry, Key
from reconciler.model.repository import CommitId, File
from reconciler.model.units import PortState, UnitAddresses, UnitId
from reconciler.names import endpoints_path, unit_stem, wish_path
from reconciler.plan.inputs import Inputs
from reconciler.plan.records import ClusterRecord, read_record
from reconciler.plan.transfer import Delay, Transfer


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadUnit:
    """One unit on one gateway as HEAD has it. `header` is `None` where a person broke it."""

    unit: UnitId
    gateway: str
    wish: File
    header: WishHeader | None
    endpoints: File | None
    addresses: UnitAddresses | None

    @property
    def path(self) -> str:
        return wish_path(self.gateway, self.unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything that HEAD and its history say, indexed for the planner.

    With `transfers` the ledger is the one after them; `delays` are those that do not happen.
    """

    inputs: Inputs
    touched: Mapping[str, list[Touch]]
    ledger: Ledger
    heads: Mapping[UnitId, tuple[HeadUnit, ...]]
    owned: Mapping[UnitId, tuple[Entry, ...]]
    records: Mapping[str, ClusterRecord]
    frozen: Mapping[UnitId, str]
    faults: tuple[str, ...]
    transfers: tuple[Transfer, ...] = ()
    delays: tuple[Delay, ...] = ()

    def gives(self, unit: UnitId) -> tuple[Transfer, ...]:
        """What the unit hands over now and still serves."""
        return tuple(
            each for each in self.transfers if each.former == unit and each.entry.live
        )

    def gets(self, unit: UnitId) -> tuple[Transfer, ...]:
        """What the unit takes over now."""
        return tuple(each for each in self.transfers if each.to.unit == unit)

    def handover(self, unit: UnitId) -> str:
        """What the unit takes part in, in words; empty when in nothing."""
        parts = (*self.gives(unit), *self.gets(unit))
        return "; ".join(sorted(set(map(str, parts))))

    def leaves(self, unit: UnitId) -> bool:
        """Whether the unit hands over all that it has."""
        left = self.owned.get(unit, ())
        return bool(self.gives(unit)) and not any(
            entry.state is PortState.ACTIVE for entry in left
        )

    def written_by_us(self, path: str) -> bool:
        """Whether an attributed commit of ours ever wrote this path."""
        return any(
            touch.commit.ours and touch.change.new is not None
            for touch in self.touched.get(path, ())
        )

    def ours_at_head(self, path: str) -> bool:
        """Whether the present content of this path was written by us."""
        touched = self.touched.get(path, [])
        return bool(touched) and touched[0].commit.ours

    def aside(self, path: str) -> Callable[[CommitId | None], tuple[Touch, ...]]:
        """What people did to a path on other sides of merges since a commit."""

        def touched(since: CommitId | None) -> tuple[Touch, ...]:
            return tuple(
                Touch(commit=commit, change=change)
                for commit in self.inputs.history.aside(path, since)
                for change in commit.changes
                if change.path == path
            )

        return touched

    def data(self, path: str) -> bytes | None:
        """The content at HEAD, `None` when absent or no regular file."""
        file = self.inputs.head.files.get(path)
        return file.data if file is not None and file.mode == 0o100644 else None


def read_world(inputs: Inputs) -> World:
    """Index HEAD and history for planning."""
    files = inputs.head.files
    touched = touches(inputs.history)
    ledger = read_ledger(files, inputs.history, touched)
    records = {
        cluster: record
        for cluster in _clusters(inputs)
        if (record := read_record(cluster, files, touched, inputs.history.read))
        is not None
    }
    owned = _owned(ledger.entries)
    heads = _heads(inputs, owned)
    frozen, faults = _frozen(ledger, heads)
    return World(
        inputs=inputs,
        touched=touched,
        ledger=ledger,
        heads=heads,
        owned=owned,
        records=records,
        frozen=frozen,
        faults=faults,
    )


def _clusters(inputs: Inputs) -> list[str]:
    found = {each.view.entry.name for each in inputs.claims}
    for path in inputs.head.files:
        parts = path.split("/")
        if parts[0] == "clusters" and len(parts) == 2 and path.endswith(".yaml"):
            found.add(parts[1].removesuffix(".yaml"))
    for commit in inputs.history.commits:
        for change in commit.changes:
            parts = change.path.split("/")
            if parts[0] == "clusters" and len(parts) == 2:
                found.add(parts[1].removesuffix(".yaml"))
    return sorted(found)


def in_lineage(world: World, records: Mapping[str, ClusterRecord]) -> World:
    """The world with every owner under its cluster's present id; `records` say which."""
    entries = {
        at: _under_present_id(entry, records)
        for at, entry in world.ledger.entries.items()
    }
    return with_entries(world, entries)


def with_entries(world: World, entries: Mapping[tuple[str, Key], Entry]) -> World:
    """The world with another ledger."""
    ledger = replace(world.ledger, entries=entries)
    return replace(world, ledger=ledger, owned=_owned(entries))


def _under_present_id(entry: Entry, records: Mapping[str, ClusterRecord]) -> Entry:
    """The owner under the cluster's present id when its id is an accepted predecessor."""
    owner = entry.owner
    record = records.get(owner.cluster) if owner is not None else None
    if owner is None or record is None or owner.cluster_id not in record.previous_ids:
        return entry
    return replace(entry, owner=replace(owner, cluster_id=record.cluster_id))


def _owned(entries: Mapping[tuple[str, Key], Entry]) -> dict[UnitId, tuple[Entry, ...]]:
    found: dict[UnitId, list[Entry]] = {}
    for entry in entries.values():
        if entry.live and entry.owner is not None:
            found.setdefault(entry.owner.unit, []).append(entry)
    return {unit: tuple(each) for unit, each in found.items()}


def _heads(
    inputs: Inputs, owned: Mapping[UnitId, tuple[Entry, ...]]
) -> dict[UnitId, tuple[HeadUnit, ...]]:
    files = inputs.head.files
    expected = _expected_paths(inputs, owned)
    found: dict[UnitId, list[HeadUnit]] = {}
    for path, file in files.items():
        if not _is_wish(path) or file.mode != 0o100644:
            continue
        header = parse_wish_header(file.data)
        gateway = path.split("/")[1]
        unit = header.unit if header is not None else None
        if unit is None or wish_path(gateway, unit) != path:
            unit, header = expected.get(path), None
        if unit is None:
            continue
        endpoints = files.get(endpoints_path(gateway, unit))
        addresses = parse_addresses(endpoints.data) if endpoints else None
        found.setdefault(unit, []).append(
            HeadUnit(
                unit=unit,
                gateway=gateway,
                wish=file,
                header=header,
                endpoints=endpoints,
                addresses=addresses if addresses and addresses.unit == unit else None,
            )
        )
    return {
        unit: tuple(sorted(each, key=lambda head: head.gateway))
        for unit, each in found.items()
    }


def _is_wish(path: str) -> bool:
    parts = path.split("/")
    if parts[0] != "manifests" or path.endswith(".endpoints.yaml"):
        return False
    if len(parts) == 5:
        return parts[4].startswith("vs-") and path.endswith(".yaml")
    return len(parts) == 4 and parts[3] == "api.yaml"


def _expected_paths(
    inputs: Inputs, owned: Mapping[UnitId, tuple[Entry, ...]]
) -> dict[str, UnitId]:
    """Where units that we know of would lie: for files whose header a person broke."""
    units = set(owned)
    for claims in inputs.claims:
        units.update(claim.unit for claim in claims.claims)
        units.update(claims.unexposed)
    stems = {unit: unit_stem(unit) for unit in units}
    return {
        f"manifests/{gateway.name}/{stem}.yaml": unit
        for unit, stem in stems.items()
        for gateway in inputs.settings.gateways
    }


def _frozen(
    ledger: Ledger, heads: Mapping[UnitId, tuple[HeadUnit, ...]]
) -> tuple[dict[UnitId, str], tuple[str, ...]]:
    """Units that a contradiction concerns, and contradictions that concern no unit."""
    frozen: dict[UnitId, str] = {}
    faults: list[str] = []
    for each in ledger.contradictions:
        if each.owner is not None:
            frozen.setdefault(each.owner.unit, each.message)
        else:
            faults.append(each.message)
    for unit, placed in heads.items():
        message = _served_by_other(ledger, unit, placed)
        if message:
            frozen.setdefault(unit, message)
    return frozen, tuple(faults)


def _served_by_other(ledger: Ledger, unit: UnitId, placed: tuple[HeadUnit, ...]) -> str:
    for head in placed:
        for served in head.header.served if head.header else ():
            entry = ledger.entries.get((head.gateway, served.port))
            if entry is None or entry.owner is None or not entry.live:
                continue
            if entry.owner.unit != unit:
                return f"{head.path} serves port {served.port}, which {entry.path} gives to another owner"
    return ""

"""The ingress repository as the planner reads it: units at HEAD, ledger, clusters; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from reconciler.ledger import Touch
from reconciler.ledger_file import Entry
from reconciler.model.repository import CommitId
from reconciler.model.units import PortState, UnitId
from reconciler.names import unit_stem, wish_path
from reconciler.plan.heads_index import HeadUnit, head_unit
from reconciler.plan.index import Index
from reconciler.plan.inputs import Inputs
from reconciler.plan.ledger_index import At
from reconciler.plan.overlay import changes_of, over
from reconciler.plan.records import ClusterRecord
from reconciler.plan.transfer import Delay, Transfer


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything that HEAD and its history say, indexed for the planner.

    It speaks of the whole repository; `inputs.units` say which units are decided. With
    `transfers` the ledger is the one after them; `delays` are those that do not happen.
    """

    inputs: Inputs
    index: Index
    touched: Mapping[str, Sequence[Touch]]
    entries: Mapping[At, Entry]
    heads: Mapping[UnitId, tuple[HeadUnit, ...]]
    owned: Mapping[UnitId, tuple[Entry, ...]]
    records: Mapping[str, ClusterRecord]
    frozen: Mapping[UnitId, str]
    faults: tuple[str, ...]
    transfers: tuple[Transfer, ...] = ()
    delays: tuple[Delay, ...] = ()

    def clusters(self) -> set[str]:
        """Clusters of which units are decided, as far as Git knows them."""
        if self.inputs.units is not None:
            return {unit.cluster for unit in self.inputs.units}
        served = (self.index.heads.units, self.index.ledger.units)
        known = (name for units in served for name, each in units.items() if each)
        more = (*changes_of(self.heads), *changes_of(self.owned))
        return {*known, *self.records, *(unit.cluster for unit in more)}

    def units_of(self, cluster: str) -> set[UnitId]:
        """Units of a cluster that Git has and that are decided."""
        found = self.all_of(cluster)
        return found if self.inputs.units is None else found & self.inputs.units

    def all_of(self, cluster: str) -> set[UnitId]:
        """Units of a cluster that Git has, also those that this pass does not decide."""
        more = (*changes_of(self.heads), *changes_of(self.owned))
        found = self.index.units_of(cluster)
        found.update(unit for unit in more if unit.cluster == cluster)
        return {unit for unit in found if unit in self.heads or unit in self.owned}

    def decides(self, unit: UnitId) -> bool:
        """Whether the unit is one of those that are decided."""
        return self.inputs.units is None or unit in self.inputs.units

    def writes_to(self, gateway: str) -> bool:
        """Whether this process writes what is at home on a gateway."""
        return self.inputs.gateways is None or gateway in self.inputs.gateways

    def exposures(self, cluster: str) -> int:
        """How many exposures of a cluster HEAD has."""
        broken = [
            unit
            for unit in changes_of(self.heads)
            if unit.cluster == cluster and unit not in self.index.heads.heads
        ]
        count = self.index.heads.exposures[cluster]
        return count + sum(not unit.is_api for unit in broken)

    def wishes(self, gateway: str) -> int:
        """How many wish files a gateway has at HEAD."""
        broken = (p for p in self.index.heads.broken if p.split("/")[1] == gateway)
        known = {
            head.path for each in changes_of(self.heads).values() for head in each or ()
        }
        return self.index.heads.wishes[gateway] + sum(p in known for p in broken)

    def serves(self, stem: str) -> bool:
        """Whether HEAD has a unit of this stem (`cluster/namespace/vs-name`) on any gateway."""
        paths = (
            f"manifests/{gateway}/{stem}.yaml" for gateway in self.index.heads.wishes
        )
        broken = {
            unit_stem(unit) for unit in changes_of(self.heads) if unit in self.heads
        }
        return stem in broken or any(self.index.heads.at(p) is not None for p in paths)

    def gives(self, unit: UnitId) -> tuple[Transfer, ...]:
        """What the unit hands over now and still serves."""
        if not self.transfers:
            return ()
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


def read_world(index: Index, inputs: Inputs) -> World:
    """What the index knows, for one plan; `inputs` are of its HEAD and history."""
    heads = _with_broken(index, inputs)
    entries = index.ledger.entries
    frozen, faults = _frozen(index, heads, inputs.units)
    return World(
        inputs=inputs,
        index=index,
        touched=index.touched,
        entries=entries,
        heads=heads,
        owned=index.ledger.owned,
        records=index.records,
        frozen=frozen,
        faults=faults,
    )


def in_lineage(world: World, records: Mapping[str, ClusterRecord]) -> World:
    """The world with every owner under its cluster's present id; `records` say which."""
    changes: dict[At, Entry] = {}
    for record in records.values():
        named = world.index.ledger.named if record.previous_ids else {}
        for at in named.get(record.cluster, ()):
            entry = world.entries[at]
            owner = entry.owner
            if owner is not None and owner.cluster_id in record.previous_ids:
                owner = replace(owner, cluster_id=record.cluster_id)
                changes[at] = replace(entry, owner=owner)
    return with_entries(world, changes)


def with_entries(world: World, changes: Mapping[At, Entry]) -> World:
    """The world with other entries in its ledger."""
    if not changes:
        return world
    units = {
        entry.owner.unit
        for at, after in changes.items()
        for entry in (world.entries.get(at), after)
        if entry is not None and entry.owner is not None
    }
    owned: dict[UnitId, tuple[Entry, ...] | None] = {}
    for unit in units:
        mine = {each.path: each for each in world.owned.get(unit, ())}
        for at, after in changes.items():
            before = world.entries.get(at)
            mine.pop(before.path if before is not None else "", None)
            if after.live and after.owner is not None and after.owner.unit == unit:
                mine[after.path] = after
        owned[unit] = tuple(mine[path] for path in sorted(mine)) or None
    return replace(
        world, entries=over(world.entries, changes), owned=over(world.owned, owned)
    )


def _with_broken(index: Index, inputs: Inputs) -> Mapping[UnitId, tuple[HeadUnit, ...]]:
    """Units at HEAD, also where a person broke a first line: by who would lie there."""
    found: dict[UnitId, list[HeadUnit]] = {}
    for path in sorted(index.heads.broken):
        cluster = path.split("/")[2]
        expected = {
            wish_path(path.split("/")[1], unit): unit
            for unit in {*index.units_of(cluster), *_claimed(inputs, cluster)}
        }
        head = head_unit(path, index.files[path], index.files, expected.get(path))
        if head is not None:
            found.setdefault(head.unit, list(index.heads.heads.get(head.unit, ())))
            found[head.unit].append(head)
    changes = {
        unit: tuple(sorted(each, key=lambda head: head.gateway))
        for unit, each in found.items()
    }
    return over(index.heads.heads, changes)


def _claimed(inputs: Inputs, cluster: str) -> Iterator[UnitId]:
    for claims in inputs.claims:
        if claims.view.entry.name == cluster:
            yield from (claim.unit for claim in claims.claims)
            yield from claims.unexposed


def _frozen(
    index: Index,
    heads: Mapping[UnitId, tuple[HeadUnit, ...]],
    only: frozenset[UnitId] | None,
) -> tuple[dict[UnitId, str], tuple[str, ...]]:
    """Units that a contradiction concerns, and contradictions that concern no unit."""
    frozen: dict[UnitId, str] = {}
    faults: list[str] = []
    for each in index.ledger.contradictions():
        if each.owner is not None:
            frozen.setdefault(each.owner.unit, each.message)
        else:
            faults.append(each.message)
    for unit in heads if only is None else only:
        message = _served_by_other(index, unit, heads.get(unit, ()))
        if message:
            frozen.setdefault(unit, message)
    return frozen, tuple(faults)


def _served_by_other(index: Index, unit: UnitId, placed: Sequence[HeadUnit]) -> str:
    for head in placed:
        for served in head.header.served if head.header else ():
            entry = index.ledger.entries.get((head.gateway, served.port))
            if entry is None or entry.owner is None or not entry.live:
                continue
            if entry.owner.unit != unit:
                return f"{head.path} serves port {served.port}, which {entry.path} gives to another owner"
    return ""

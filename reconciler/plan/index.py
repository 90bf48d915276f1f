"""HEAD and its history by unit, kept up to date by what commits change; pure.

A whole pass builds one and looks at everything. A process that stays keeps one: `advance` costs
what a commit changed, and `world` of some units costs these units. Where that is not so easily
said, `advance` says nothing and the caller builds another one: other settings, history that does
not go on from what is known, a wish file that a person broke.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from reconciler.ledger import Touch, counts, is_ledger, touches
from reconciler.model.repository import CommitId, File, Head, History
from reconciler.model.units import UnitAddresses, UnitId
from reconciler.model.updates import Changes
from reconciler.names import unit_named
from reconciler.plan.heads_index import HeadsIndex
from reconciler.plan.ledger_index import LedgerIndex
from reconciler.plan.records import ClusterRecord, read_record

_SETTINGS = "wharfinger.yaml"


class Index:
    """One HEAD and its history. `head` and `history` are what it speaks of now.

    `records` are the clusters' files by name, `renderer` is the newest version that wrote.
    """

    def __init__(self, head: Head, history: History) -> None:
        self.history = history
        self.commit: CommitId = head.commit
        self.files: Mapping[str, File] = head.files
        self._files: dict[str, File] = {}
        self._torn = False  # half of some changes is taken
        self.touched = touches(history)
        self.ledger = LedgerIndex()
        self.heads = HeadsIndex()
        self.records: dict[str, ClusterRecord] = {}
        self.renderer = _newest(history)
        self._doubtful: set[str] = set()  # ledger files whose last word is a person's
        for path in dict.fromkeys((*head.files, *self.touched)):
            self._look(path)

    @property
    def head(self) -> Head:
        """HEAD as the planner wants it; its files go on with this index."""
        return Head(commit=self.commit, files=self.files)

    def advance(self, changes: Changes) -> frozenset[UnitId] | None:
        """Go on to the tip of `changes`; returns the units that it concerns.

        `None` when only a new index can tell, this one is
        then of no use. So it is after an exception (what `History.read` raises): then `commit`
        is what it was, for a push on it to be refused, and `advance` says `None` from then on.
        """
        is_ours_to_take = changes.base == self.commit and not self._torn
        if not is_ours_to_take or _SETTINGS in changes.files:
            return None
        self._torn = True
        concerned = self._units_about(changes.files)
        self._take(changes)
        paths = {*changes.files, *(c.path for f in changes.commits for c in f.changes)}
        for path in sorted(paths | self._doubtful):
            self._look(path)
        if not self.heads.broken.isdisjoint(paths) or "holds/all.yaml" in paths:
            return None
        self.commit, self._torn = changes.tip, False
        return concerned | self._units_about(paths)

    def _take(self, changes: Changes) -> None:
        if self._files is not self.files:
            self._files = dict(self.files)  # HEAD's own files are others' as well
            self.files = self._files
        for path, file in changes.files.items():
            if file is None:
                self._files.pop(path, None)
            else:
                self._files[path] = file
        for fact in reversed(changes.commits):
            self.renderer = max(self.renderer, fact.renderer if fact.ours else 0)
            for change in fact.changes:
                trail = self.touched.setdefault(change.path, [])
                trail.insert(0, Touch(commit=fact, change=change))
        self.history = replace(
            self.history,
            commits=changes.commits + self.history.commits,
            aside=changes.aside,
        )

    def scope(self, units: Iterable[UnitId]) -> frozenset[UnitId]:
        """The units and all that must be looked at with them."""
        found = set(units)
        for at in self.ledger.nexts | self.ledger.draining:
            entry = self.ledger.entries[at]
            to = unit_named(entry.next)
            found.update([to] if to is not None else [])
            found.update([entry.owner.unit] if entry.owner is not None else [])
        found.update([UnitId(cluster=unit.cluster) for unit in found])
        return frozenset(found)

    def units_of(self, cluster: str) -> set[UnitId]:
        """Units of a cluster that HEAD or the ledger has."""
        served = self.heads.units.get(cluster, set())
        return served | self.ledger.units.get(cluster, set())

    def has(self, unit: UnitId) -> bool:
        """Whether HEAD or the ledger has a unit."""
        return unit in self.heads.heads or unit in self.ledger.owned

    def addresses(self, units: Iterable[UnitId]) -> dict[UnitId, UnitAddresses]:
        """What HEAD has of these units: the sticky input of their next claims."""
        found: dict[UnitId, UnitAddresses] = {}
        for unit in units:
            for head in self.heads.heads.get(unit, ()):
                addresses = head.addresses
                if addresses is not None:
                    found.setdefault(unit, addresses)
        return found

    def _look(self, path: str) -> None:
        """Read a path again."""
        if is_ledger(path):
            self._look_at_entry(path)
        elif path.startswith("manifests/"):
            self.heads.put(path, self.files)
        elif path.startswith("clusters/") and path.count("/") == 1:
            name = path.removeprefix("clusters/").removesuffix(".yaml")
            record = read_record(name, self.files, self.touched, self.history.read)
            self.records.pop(name, None)
            if record is not None:
                self.records[name] = record

    def _look_at_entry(self, path: str) -> None:
        trail: Sequence[Touch] = self.touched.get(path, ())
        entry, fault = counts(path, self.files, trail, self.history)
        self.ledger.put(path, entry, fault)
        is_ours = bool(trail) and trail[0].commit.ours
        (self._doubtful.discard if is_ours else self._doubtful.add)(path)

    def _units_about(self, paths: Iterable[str]) -> frozenset[UnitId]:
        return frozenset(unit for path in paths for unit in self._about(path))

    def _about(self, path: str) -> Iterable[UnitId]:
        """The units that a path speaks of, as it is read now."""
        root, *place = path.removesuffix(".yaml").split("/")
        match root:
            case "ports" | "hosts":
                entry = self.ledger.at(path)
                named = entry.owner if entry is not None else None
                return [named.unit] if named is not None else []
            case "manifests":
                head = self.heads.at(path.replace(".endpoints.yaml", ".yaml"))
                return [head.unit] if head is not None else []
            case "clusters" if len(place) == 1:
                return [*self.units_of(place[0]), UnitId(cluster=place[0])]
            case "holds" if place:
                return self._held(place)
        return []

    def _held(self, place: list[str]) -> list[UnitId]:
        """The units that a file below `holds/` covers."""
        cluster, *rest = place
        return [
            unit
            for unit in self.units_of(cluster)
            if rest == [unit.namespace, unit.name][: len(rest)]
        ]


def _newest(history: History) -> int:
    return max((each.renderer for each in history.commits if each.ours), default=0)

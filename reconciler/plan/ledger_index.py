"""The ledger by owner, cluster and gateway, kept up to date entry by entry; pure.

Whatever the planner counts over the whole ledger is counted here, when an entry changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from reconciler.allocate import Berths
from reconciler.ledger import Contradiction, twice
from reconciler.ledger_file import Entry, Key
from reconciler.model.units import Owner, PortState, UnitId
from reconciler.plan.overlay import changes_of, over

At = tuple[str, Key]
Identity = tuple[str, str, str, str]
_Active = tuple[str, Identity]


class LedgerIndex:
    """All entries that count, by (gateway, key), and what follows from them.

    `owned` are the live entries of each unit in order of their paths; `routes` counts their
    routes by (cluster, namespace), without APIs. `former` are released or reserved entries by
    the identity that they name, `kept` those that people reserved for a unit, `nexts` those that people want to give to another unit,
    `draining` those that only time and proof release.
    """

    def __init__(self) -> None:
        self.entries: dict[At, Entry] = {}
        self.faults: dict[str, Contradiction] = {}
        self.owned: dict[UnitId, tuple[Entry, ...]] = {}
        self.former: dict[Identity, set[At]] = {}
        self.kept: dict[Identity, set[At]] = {}
        self.nexts: set[At] = set()
        self.draining: set[At] = set()
        self.ports: dict[str, dict[int, Entry]] = {}
        self.live_ports: dict[str, set[int]] = {}
        self.live: Counter[str] = Counter()
        self.routes: Counter[tuple[str, str]] = Counter()
        self.units: dict[str, set[UnitId]] = {}
        self.named: dict[str, set[At]] = {}
        self._by_path: dict[str, Entry] = {}
        self._active: dict[_Active, set[At]] = {}
        self._doubled: set[_Active] = set()

    def put(self, path: str, entry: Entry | None, fault: Contradiction | None) -> None:
        """What a ledger file counts for now."""
        if fault is None:
            self.faults.pop(path, None)
        else:
            self.faults[path] = fault
        before = self._by_path.get(path)
        if before == entry:
            return
        if before is not None:
            self._forget((before.gateway, before.key), before)
            del self._by_path[path]
        if entry is not None:
            self._note((entry.gateway, entry.key), entry)
            self._by_path[path] = entry

    def at(self, path: str) -> Entry | None:
        """What the ledger file at a path counts for."""
        return self._by_path.get(path)

    def contradictions(self) -> Iterator[Contradiction]:
        """What contradicts itself, in order of the paths; then owners with two active ports."""
        yield from (self.faults[path] for path in sorted(self.faults))
        doubled = {at for each in self._doubled for at in self._active[each]}
        yield from twice(sorted((self.entries[at] for at in doubled), key=_path))

    def _note(self, at: At, entry: Entry) -> None:
        gateway, key = at
        self.entries[at] = entry
        if isinstance(key, int):
            self.ports.setdefault(gateway, {})[key] = entry
        if entry.next:
            self.nexts.add(at)
        if entry.state is PortState.DRAINING:
            self.draining.add(at)
        if entry.live:
            self.live[gateway] += 1
            if isinstance(key, int):
                self.live_ports.setdefault(gateway, set()).add(key)
        if entry.owner is None:
            return
        self.named.setdefault(entry.owner.cluster, set()).add(at)
        if not entry.live:
            self.former.setdefault(entry.owner.identity, set()).add(at)
            if entry.state is PortState.RESERVED:
                self.kept.setdefault(unit_of(entry.owner), set()).add(at)
            return
        mine = (*self.owned.get(entry.owner.unit, ()), entry)
        self._own(entry.owner.unit, tuple(sorted(mine, key=_path)))
        self._activate(at, entry, present=True)

    def _forget(self, at: At, entry: Entry) -> None:
        gateway, key = at
        del self.entries[at]
        if isinstance(key, int):
            del self.ports[gateway][key]
        self.nexts.discard(at)
        self.draining.discard(at)
        if entry.live:
            self.live[gateway] -= 1
            if isinstance(key, int):
                self.live_ports[gateway].discard(key)
        if entry.owner is None:
            return
        self.named[entry.owner.cluster].discard(at)
        if not entry.live:
            self.former[entry.owner.identity].discard(at)
            self.kept.get(unit_of(entry.owner), set()).discard(at)
            return
        mine = self.owned[entry.owner.unit]
        self._own(entry.owner.unit, tuple(each for each in mine if each != entry))
        self._activate(at, entry, present=False)

    def _own(self, unit: UnitId, mine: tuple[Entry, ...]) -> None:
        place = (unit.cluster, unit.namespace)
        if not unit.is_api:
            self.routes[place] += routes_of(mine) - routes_of(self.owned.get(unit, ()))
        if mine:
            self.owned[unit] = mine
            self.units.setdefault(unit.cluster, set()).add(unit)
        else:
            self.owned.pop(unit, None)
            self.units.get(unit.cluster, set()).discard(unit)

    def _activate(self, at: At, entry: Entry, *, present: bool) -> None:
        """A route may have several SNI hosts, but one active port of a gateway."""
        if entry.state is not PortState.ACTIVE or isinstance(entry.key, str):
            return
        if entry.owner is None:
            return
        who = (entry.gateway, entry.owner.identity)
        found = self._active.setdefault(who, set())
        (found.add if present else found.discard)(at)
        (self._doubled.add if len(found) > 1 else self._doubled.discard)(who)


def berths_of(ledger: LedgerIndex, entries: Mapping[At, Entry], gateway: str) -> Berths:
    """The ports of one gateway in `entries`, which are the ledger's with some laid over."""
    changed = {
        key: entry
        for (name, key), entry in changes_of(entries).items()
        if name == gateway and isinstance(key, int)
    }
    ports = ledger.ports.get(gateway, {})
    live = len(ledger.live_ports.get(gateway, ()))
    for port, entry in changed.items():
        before = ports.get(port)
        live -= before is not None and before.live
        live += entry is not None and entry.live

    def former(owner: Owner) -> Iterator[int]:
        for name, key in ledger.former.get(owner.identity, ()):
            if name == gateway and isinstance(key, int):
                yield key
        for key, entry in changed.items():
            named = entry.owner if entry is not None else None
            if named is not None and named.identity == owner.identity:
                yield key

    def kept(owner: Owner) -> Iterator[int]:
        for name, key in ledger.kept.get(unit_of(owner), ()):
            if name == gateway and isinstance(key, int) and key not in changed:
                yield key
        mine = unit_of(owner)
        yield from (key for key, entry in changed.items() if keeper(entry) == mine)

    return Berths(entries=over(ports, changed), live=live, former=former, kept=kept)


def keeper(entry: Entry | None) -> Identity | None:
    """The unit for which people reserved an entry, under its cluster's present id."""
    if entry is None or entry.owner is None or entry.state is not PortState.RESERVED:
        return None
    return unit_of(entry.owner)


def unit_of(owner: Owner) -> Identity:
    """The identity of an owner's unit, whatever its routes are called."""
    return (*owner.identity[:3], "")


def routes_of(entries: tuple[Entry, ...]) -> int:
    """How many routes have one of these entries."""
    return len({entry.owner.route for entry in entries if entry.owner is not None})


def _path(entry: Entry) -> str:
    return entry.path

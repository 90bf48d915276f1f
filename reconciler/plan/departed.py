"""Routes whose port or host went to another unit: they do not come back by themselves; pure.

The VirtualService of a workload that moved away still carries its annotation. Its route gets no
other port in silence: it stays away until it asks for another port by number or another
gateway, or a person runs `wharfinger release`. Read from Git alone: the newest commit that gave
the route a port, or in which we took its port for another unit, decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from reconciler.ledger import transfer_of
from reconciler.ledger_file import Entry, Malformed, parse_entry
from reconciler.model.claims import Wanted
from reconciler.model.repository import CommitFact, FileChange
from reconciler.model.units import Owner, PortState, RouteWish, UnitId
from reconciler.names import wish_path
from reconciler.plan.records import ClusterRecord
from reconciler.plan.transfer import Departure
from reconciler.plan.world import World

_Mine = Callable[[Entry], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Staying:
    """What of a wish stays with its unit: nothing where `wanted` is `None`."""

    wanted: Wanted | None
    departures: tuple[Departure, ...] = ()


def staying(world: World, wanted: Wanted, record: ClusterRecord) -> Staying:
    """The wish without the routes and hosts that went to other units."""
    finder = _Finder(world, wanted, record)
    departures: list[Departure] = []
    routes: list[RouteWish] = []
    for route in wanted.wish.routes:
        if not route.hosts:
            gone = finder.port_of(route)
            departures += [gone] if gone else []
            routes += [] if gone else [route]
            continue
        lost = {host: finder.host(host) for host in route.hosts}
        departures += [each for each in lost.values() if each]
        hosts = tuple(host for host in route.hosts if lost[host] is None)
        routes += [replace(route, hosts=hosts)] if hosts else []
    if not departures:
        return Staying(wanted=wanted)
    left = _only(wanted, tuple(routes)) if routes else None
    return Staying(wanted=left, departures=tuple(departures))


def _only(wanted: Wanted, routes: tuple[RouteWish, ...]) -> Wanted:
    names = {route.name for route in routes}
    needed = {each.key for route in routes for each in route.destinations}
    addresses = tuple(each for each in wanted.addresses.routes if each.name in names)
    return replace(
        wanted,
        wish=replace(wanted.wish, routes=routes),
        addresses=replace(wanted.addresses, routes=addresses),
        requests=tuple(each for each in wanted.requests if each[0] in names),
        missing=tuple(each for each in wanted.missing if each in needed),
    )


class _Finder:
    """Looks for the departures of one unit."""

    def __init__(self, world: World, wanted: Wanted, record: ClusterRecord) -> None:
        self._world = world
        self._wanted = wanted
        self._unit = wanted.wish.unit
        self._ids = {record.cluster_id, *record.previous_ids}
        self._owned = world.owned.get(self._unit, ())

    def port_of(self, route: RouteWish) -> Departure | None:
        """Where the route's port went, unless it has one or asks for another one."""
        active = [
            each
            for each in self._owned
            if each.state is PortState.ACTIVE and isinstance(each.key, int)
        ]
        only = len(self._wanted.wish.routes) == 1
        asked = dict(self._wanted.requests).get(route.name)

        def is_mine(entry: Entry) -> bool:
            named = entry.owner is not None and entry.owner.route == route.name
            return isinstance(entry.key, int) and (named or entry.key == asked)

        given = self._now(lambda entry: entry.key == asked)
        has_own = any(each.owner and each.owner.route == route.name for each in active)
        if given is not None or has_own:
            return given  # who asks for the very port that it gives away has none
        inherits = only and len(active) == 1
        found = self._now(is_mine) if inherits else self._departure(is_mine)
        if found is None or asked not in (None, found.key):
            return None
        return found

    def host(self, host: str) -> Departure | None:
        """Where the host went, unless the unit has it."""
        if any(each.key == host for each in self._owned):
            return None
        return self._departure(lambda entry: entry.key == host)

    def _now(self, is_mine: _Mine) -> Departure | None:
        for each in self._world.gives(self._unit):
            if is_mine(each.entry):
                return self._here(each.entry, each.to)
        return None

    def _departure(self, is_mine: _Mine) -> Departure | None:
        found = self._now(is_mine)
        if found is not None or self._unit in self._world.inputs.released:
            return found
        for gateway in self._world.inputs.settings.gateways:
            path = wish_path(gateway.name, self._unit)
            for touch in self._world.touched.get(path, ()):
                if self._arrived(touch.commit, is_mine):
                    break
                if not touch.commit.ours:
                    continue
                found = self._left(touch.commit, is_mine)
                if found is not None:
                    return found
        return None

    def _here(self, entry: Entry, to: Owner) -> Departure | None:
        """A departure, unless the unit asks for another gateway."""
        if self._wanted.gateway not in ("", entry.gateway):
            return None
        return Departure(gateway=entry.gateway, key=entry.key, to=to.unit)

    def _arrived(self, commit: CommitFact, is_mine: _Mine) -> bool:
        """Whether the unit got it then, from us or as people took back its transfer."""
        return any(
            self._is_own(entry.owner)
            and entry.state is PortState.ACTIVE
            and is_mine(entry)
            for change in _ledger_changes(commit)
            if (entry := self._after(change)) is not None
        )

    def _after(self, change: FileChange) -> Entry | None:
        if change.new is None:
            return None
        try:
            return parse_entry(change.path, self._world.inputs.history.read(change.new))
        except Malformed:
            return None

    def _left(self, commit: CommitFact, is_mine: _Mine) -> Departure | None:
        for change in _ledger_changes(commit):
            handed = transfer_of(change, self._world.inputs.history)
            if handed is None:
                continue
            before, after = handed
            if self._is_own(before.owner) and is_mine(before) and after.owner:
                return self._here(before, after.owner)
        return None

    def _is_own(self, owner: Owner | None) -> bool:
        if owner is None or owner.cluster_id not in self._ids:
            return False
        return owner.unit == self._unit


def _ledger_changes(commit: CommitFact) -> list[FileChange]:
    return [
        each for each in commit.changes if each.path.startswith(("ports/", "hosts/"))
    ]


def told(unit: UnitId, departures: tuple[Departure, ...]) -> str:
    """What the unit's people are told, and what they can do."""
    where = ", ".join(f"{each.key} to {each.to}" for each in departures)
    if any(isinstance(each.key, str) for each in departures):
        return f"its host was transferred: {where}; take it out of the VirtualService"
    return (
        f"its port was transferred: {where}; it gets no other one until it asks for one "
        f"with request-port, or `wharfinger release {unit}`"
    )

"""Judges what people wrote under `next:` in the ledger: who may get a port now; pure.

A transfer happens when its unit is claimed, permitted, not held and has ready addresses. It is
one commit for all units that it joins. What does not happen yet says why; nobody else gets the
port meanwhile, and its present owner goes on as if nothing had been written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from reconciler.holds import explicit_hold
from reconciler.ledger_file import Entry
from reconciler.model.claims import Rejection, Wanted
from reconciler.model.plans import Op, State
from reconciler.model.units import Owner, PortState, UnitId, UnitKind
from reconciler.names import unit_named
from reconciler.plan.decisions import Decisions
from reconciler.plan.standing import Standing, Stands
from reconciler.plan.transfer import At, Delay, Transfer
from reconciler.plan.world import World, with_entries
from reconciler.printable import one_line


class _Waits(Exception):
    """Why a transfer does not happen now."""

    def __init__(self, reason: str, op: Op = Op.SKIP) -> None:
        super().__init__(reason)
        self.reason = reason
        self.op = op


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposals:
    """What may be handed over as far as can be told without placing units, and what not."""

    transfers: tuple[Transfer, ...] = ()
    delays: tuple[Delay, ...] = ()

    def without(self, delays: Sequence[Delay]) -> Proposals:
        """The rest when these do not happen after all."""
        late = {(each.entry.gateway, each.entry.key) for each in delays}
        rest = tuple(each for each in self.transfers if each.at not in late)
        return Proposals(transfers=rest, delays=(*self.delays, *delays))


def propose(world: World, stand: Iterable[Standing]) -> Proposals:
    """Everything that the ledger's `next` asks for."""
    standing = {each.cluster: each for each in stand}
    transfers: list[Transfer] = []
    delays: list[Delay] = []
    entries = [world.entries[at] for at in world.index.ledger.nexts]
    for entry in sorted(entries, key=lambda each: each.path):
        unit = unit_named(entry.next)
        former = entry.owner.unit if entry.owner is not None else None
        told, only = unit or former, world.inputs.only
        if told is None or (only is not None and told.cluster not in only):
            continue
        meant = unit is not None and unit != former
        try:
            transfers.append(_judged(world, standing, entry))
        except _Waits as exc:
            delay = Delay(
                entry=entry, unit=told, op=exc.op, reason=exc.reason, meant=meant
            )
            delays.append(delay)
    made = Proposals(transfers=tuple(transfers), delays=tuple(delays))
    return made.without(_two_for_one_route(transfers))


def _two_for_one_route(transfers: Sequence[Transfer]) -> list[Delay]:
    """A route has one port: nobody can say which of two is meant."""
    ports = [each for each in transfers if isinstance(each.entry.key, int)]
    count = Counter((each.entry.gateway, each.to) for each in ports)
    delays = []
    for each in ports:
        if count[(each.entry.gateway, each.to)] > 1:
            reason = (
                f"more than one port is meant for route {each.to.route} of {each.to.unit}; "
                "cancel all but one"
            )
            delays.append(delayed(each, reason, Op.REJECT))
    return delays


def delayed(transfer: Transfer, reason: str, op: Op = Op.SKIP) -> Delay:
    """That a transfer does not happen now."""
    return Delay(entry=transfer.entry, unit=transfer.to.unit, op=op, reason=reason)


def _judged(world: World, standing: Mapping[str, Standing], entry: Entry) -> Transfer:
    unit, former = _parties(entry)
    only = world.inputs.only
    if only is not None and former.cluster not in only:
        raise _Waits(f"this pass leaves out cluster {former.cluster}")
    for each in (former, unit):
        if each in world.frozen:
            raise _Waits(f"{each} is frozen: {world.frozen[each]}")
        hold = explicit_hold(each, world.inputs.head.files, world.inputs.now)
        if hold is not None:
            raise _Waits(f"{each} is {hold.message}", Op.HOLD)
    tenant = world.inputs.settings.tenant(unit.cluster)
    if tenant is None or entry.gateway not in tenant.gateways:
        reason = f"cluster {unit.cluster} may not use gateway {entry.gateway}"
        raise _Waits(reason, Op.REJECT)
    wanted, cluster_id = _claimed(standing, unit)
    route = _receiver(entry, wanted, _former_route(world, standing, entry))
    replaces = _replaced(world, entry, wanted, route)
    if wanted.missing:
        raise _Waits(f"no ready address yet for {', '.join(wanted.missing)}")
    owner = Owner(
        cluster=unit.cluster,
        cluster_id=cluster_id,
        namespace=unit.namespace,
        name=unit.name,
        route=route,
    )
    return Transfer(entry=entry, former=former, to=owner, replaces=replaces)


def _parties(entry: Entry) -> tuple[UnitId, UnitId]:
    """Who shall get it and who has (or had) it."""
    unit = unit_named(entry.next)
    if unit is None:
        raise _Waits(
            f"{entry.path}: next is {one_line(entry.next, 80)!r}, which is no unit: write "
            "cluster/namespace/name, or `wharfinger transfer "
            f"{entry.gateway}/{entry.key} --cancel`",
            Op.REJECT,
        )
    if entry.owner is None or entry.state is PortState.RESERVED:
        reason = f"{entry.path} is reserved: it has no owner who could give it"
        raise _Waits(reason, Op.REJECT)
    if entry.owner.unit.is_api:
        reason = f"{entry.path} belongs to the API of cluster {entry.owner.cluster}"
        raise _Waits(reason, Op.REJECT)
    if entry.owner.unit == unit:
        reason = f"{entry.path}: next names {unit}, which has it already"
        raise _Waits(reason, Op.REJECT)
    return unit, entry.owner.unit


def _claimed(standing: Mapping[str, Standing], unit: UnitId) -> tuple[Wanted, str]:
    """What the unit asks for, and its cluster's id."""
    found = standing.get(unit.cluster)
    if found is None:
        raise _Waits(f"no inventory has a cluster {unit.cluster}")
    if found.stands is not Stands.KNOWN or not found.claims or not found.record:
        raise _Waits(f"cluster {unit.cluster} cannot be seen: {found.message}")
    outcome = next(
        (each.outcome for each in found.claims.claims if each.unit == unit), None
    )
    if outcome is None:
        raise _Waits(f"no VirtualService {unit} is exposed yet")
    if isinstance(outcome, Rejection):
        raise _Waits(f"{outcome.code}: {outcome.reason}")
    return outcome, found.record.cluster_id


def _former_route(world: World, standing: Mapping[str, Standing], entry: Entry) -> str:
    """The route that has it; one that is renamed in this pass goes by its new name."""
    if entry.owner is None:
        return ""
    unit = entry.owner.unit
    active = [
        each
        for each in world.owned.get(unit, ())
        if each.state is PortState.ACTIVE and isinstance(each.key, int)
    ]
    found = standing.get(unit.cluster)
    claims = found.claims.claims if found is not None and found.claims else ()
    wanted = next((each.outcome for each in claims if each.unit == unit), None)
    if not isinstance(wanted, Wanted):
        return entry.owner.route
    requests = dict(wanted.requests)
    for name, port in wanted.requests:
        if port == entry.key:
            return name
    only = wanted.wish.routes[0].name
    inherits = len(wanted.wish.routes) == 1 and active == [entry]
    return only if inherits and only not in requests else entry.owner.route


def _receiver(entry: Entry, wanted: Wanted, former: str) -> str:
    """The route that gets it: who asks for it, has the former route's name, or is the only one."""
    routes = [route.name for route in wanted.wish.routes]
    if isinstance(entry.key, str):
        for route in wanted.wish.routes:
            if entry.key in route.hosts:
                return route.name
        reason = f"it does not ask for host {entry.key} in its VirtualService"
        raise _Waits(reason, Op.REJECT)
    if wanted.wish.kind is not UnitKind.TCP:
        raise _Waits("it is exposed as tls, a port is for tcp", Op.REJECT)
    requests = dict(wanted.requests)
    for name in routes:
        if requests.get(name) == entry.key:
            return name
    chosen = former if former in routes else routes[0]
    if len(routes) > 1 and former not in routes:
        reason = (
            f"which of its routes ({', '.join(routes)}) gets port {entry.key}? write "
            f"wharfinger.dev/request-port: {routes[0]}={entry.key}"
        )
        raise _Waits(reason, Op.REJECT)
    if chosen in requests:
        reason = (
            f"its route {chosen} asks for port {requests[chosen]} with request-port; "
            f"write {entry.key} there, or nothing"
        )
        raise _Waits(reason, Op.REJECT)
    return chosen


def _replaced(world: World, entry: Entry, wanted: Wanted, route: str) -> tuple[At, ...]:
    """Ports that the receiving route has; its unit must be able to be on this gateway."""
    if wanted.gateway and wanted.gateway != entry.gateway:
        reason = f"it asks for gateway {wanted.gateway}, the port is of {entry.gateway}"
        raise _Waits(reason, Op.REJECT)
    only_route = len(wanted.wish.routes) == 1
    replaced = []
    for each in world.owned.get(wanted.wish.unit, ()):
        if each.state is not PortState.ACTIVE or isinstance(each.key, str):
            continue
        if only_route or (each.owner is not None and each.owner.route == route):
            replaced.append((each.gateway, each.key))
        elif each.gateway != entry.gateway:
            reason = f"its other routes are on gateway {each.gateway}"
            raise _Waits(reason, Op.REJECT)
    return tuple(replaced)


def handed_over(world: World, proposals: Proposals) -> World:
    """The world in which these transfers happened: the ledger names the new owners.

    What the new owners had before drains from now on, and their proof is not one of the new
    place. Whose hold a person ends, ends it for both sides.
    """
    entries: dict[At, Entry] = {}
    now = world.inputs.now
    for each in proposals.transfers:
        for at in each.replaces:
            before = world.entries[at]
            entries[at] = replace(before, state=PortState.DRAINING, since=now)
    for each in proposals.transfers:
        entries[each.at] = replace(
            each.entry, owner=each.to, state=PortState.ACTIVE, next="", since=now
        )
    getting = {each.to.unit for each in proposals.transfers}
    released = set(world.inputs.released)
    for each in proposals.transfers:
        if released.intersection(each.units):
            released.update(each.units)
    inputs = replace(
        world.inputs,
        proven=frozenset(
            each for each in world.inputs.proven if each[0] not in getting
        ),
        released=frozenset(released),
    )
    return replace(
        with_entries(world, entries),
        inputs=inputs,
        transfers=proposals.transfers,
        delays=proposals.delays,
    )


def held_back(proposals: Proposals, without: Decisions) -> list[Delay]:
    """Transfers of units that are held when nothing is handed over."""
    held = {each.unit: each for each in without.states if each.state is State.HELD}
    return [
        delayed(each, f"{unit} is held: {held[unit].message}", Op.HOLD)
        for each in proposals.transfers
        for unit in each.units
        if unit in held
    ]


def failed(proposals: Proposals, out: Decisions) -> list[Delay]:
    """Transfers that one of the two sides could not follow when it was tried."""
    states = {each.unit: each for each in out.states}
    delays = []
    for each in proposals.transfers:
        gives = (each.former,) if each.entry.live else ()
        stuck = [unit for unit in (*gives, each.to.unit) if unit not in out.settled]
        if not stuck:
            continue
        unit = stuck[0]
        state = states.get(unit)
        if state is None or state.state is State.ALLOCATED:
            reason = (
                f"{unit} has other routes and cannot be seen now: transfer all of them, "
                "or wait until its cluster can be read"
            )
            delays.append(delayed(each, reason))
        elif state.state is State.HELD:
            delays.append(delayed(each, f"{unit} is held: {state.message}", Op.HOLD))
        elif state.state is State.REJECTED and unit == each.to.unit:
            delays.append(delayed(each, state.message, Op.REJECT))
        else:
            delays.append(delayed(each, f"{unit}: {state.message}"))
    return delays

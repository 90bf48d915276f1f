"""Whose a unit is where several processes share the gateways of a repository; pure.

Every process plans the whole, so that quotas, budgets and places are the same for all of them,
and then leaves out what is at home elsewhere. A unit is at home where its wish is placed now,
else where the ledger or HEAD has it, else on the first gateway that its tenant may use; the API
of a cluster, and with it the cluster's file, on the gateway of APIs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from reconciler.codes import Code
from reconciler.model.plans import Op, Row
from reconciler.model.repository import FileWrite
from reconciler.model.units import PortState, UnitId
from reconciler.names import cluster_path, wish_path
from reconciler.plan.decisions import Change, Decisions, UnitWrite
from reconciler.plan.identity import fresh
from reconciler.plan.records import format_record
from reconciler.plan.transfer import joined
from reconciler.plan.world import World

# Refused until there is room, or somebody else has left.
_FOR_NOW = frozenset(
    {
        Code.PORT_TAKEN,
        Code.HOST_TAKEN,
        Code.QUOTA_EXCEEDED,
        Code.GATEWAY_FULL,
        Code.TRANSFER_REFUSED,
    }
)
IsMine = Callable[[UnitId], bool]


def home(world: World, out: Decisions, unit: UnitId) -> str:
    """The gateway whose process writes the unit."""
    settings = world.inputs.settings
    if unit.is_api:
        return settings.api_gateway()
    if unit in out.homes:
        return out.homes[unit]
    owned = world.owned.get(unit, ())
    active = [each for each in owned if each.state is PortState.ACTIVE]
    for entry in (*active, *owned):
        return entry.gateway
    for head in world.heads.get(unit, ()):
        return head.gateway
    tenant = settings.tenant(unit.cluster)
    return tenant.gateways[0] if tenant is not None else settings.api_gateway()


def mine(world: World, out: Decisions) -> IsMine:
    """Whether a unit is this process's to write; what transfers join is one."""
    gateways = world.inputs.gateways
    if gateways is None:
        return lambda unit: True
    together: dict[UnitId, str] = {}
    for units in joined(world.transfers):
        at = min(
            each.entry.gateway
            for each in world.transfers
            if units.intersection(each.units)
        )
        together.update(dict.fromkeys(units, at))

    def is_mine(unit: UnitId) -> bool:
        return (together.get(unit) or home(world, out, unit)) in gateways

    return is_mine


def leave_others(world: World, out: Decisions, is_mine: IsMine) -> None:
    """Take out what other processes write and say; addresses are followed where they are served."""
    out.others.update(_never_ours(world))
    if world.inputs.gateways is None:
        return
    out.pending.update(unit for unit in _undone(out) if not is_mine(unit))
    out.writes[:] = [
        each for each in out.writes if is_mine(each.unit) or _follows(world, each)
    ]
    out.waiting[:] = [each for each in out.waiting if is_mine(each.unit)]
    out.rows[:] = [each for each in out.rows if _is_told(each, is_mine)]
    out.states[:] = [each for each in out.states if is_mine(each.unit)]
    out.departed = {unit for unit in out.departed if is_mine(unit)}
    out.others.update(unit for unit in _all(world) if not is_mine(unit))
    out.records = {
        cluster: marked
        for cluster, marked in out.records.items()
        if is_mine(UnitId(cluster=cluster))
    }
    out.writes.extend(_records(world, out))


def _undone(out: Decisions) -> Iterable[UnitId]:
    """What another process has to write, or cannot yet: counted until it is done."""
    for each in (*out.writes, *out.waiting):
        if each.change in (Change.WISH, Change.DELETION):
            yield each.unit
    for row in out.rows:
        if row.op is Op.WITHHOLD or row.code in _FOR_NOW:
            yield _unit(row)


def _unit(row: Row) -> UnitId:
    namespace, name = row.namespace or "", row.name or ""
    return UnitId(cluster=row.cluster, namespace=namespace, name=name)


def _follows(world: World, write: UnitWrite) -> bool:
    gateways = world.inputs.gateways or ()
    return write.change is Change.ADDRESSES and all(
        file.path.split("/")[1] in gateways for file in write.files
    )


def _is_told(row: Row, is_mine: IsMine) -> bool:
    """What concerns a whole cluster, or none, every process tells."""
    return is_mine(_unit(row)) or (row.name is None and row.op is Op.SKIP)


def _never_ours(world: World) -> Iterable[UnitId]:
    """Objects that say nothing any more, where what they said was another repository's."""
    settings = world.inputs.settings
    if not settings.is_shared():
        return
    for claims in world.inputs.claims:
        for source in claims.unexposed_sources:
            paths = (wish_path(each.name, source.unit) for each in settings.gateways)
            if not any(world.written_by_us(path) for path in paths):
                yield source.unit


def _all(world: World) -> Iterable[UnitId]:
    for claims in world.inputs.claims:
        yield from (each.unit for each in claims.claims)
        yield from (each.unit for each in claims.unexposed_sources)
    yield from world.heads if world.inputs.units is None else world.inputs.units


def _records(world: World, out: Decisions) -> Iterable[UnitWrite]:
    """The first unit of a cluster notes its id, whoever writes it: a swap is noticed by that."""
    written = {each.unit.cluster for each in out.writes}
    noted = {file.path for each in out.writes for file in each.files}
    for claims in world.inputs.claims:
        cluster = claims.view.entry.name
        path = cluster_path(cluster)
        before = world.records.get(cluster)
        is_known = before is not None and before.cluster_id
        if is_known or cluster not in written or path in noted:
            continue
        record = fresh(claims.view.entry)
        yield UnitWrite(
            unit=UnitId(cluster=cluster),
            change=Change.RECORD,
            subject=f"Note what is known of cluster {cluster}",
            files=(FileWrite(path=path, data=format_record(record)),),
            rows=(),
        )

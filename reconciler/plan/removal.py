"""Decides units that nobody wants any more; pure. Unknown is not empty.

    why nobody wants it                                  | proof
    -----------------------------------------------------+-------------------------------------
    listed without the annotation, or being deleted      | the listing itself
    listed as another ingress repository's               | the listing itself
    not listed, cluster in a directory                   | one complete read
    not listed, cluster behind an API server             | complete lists, grace apart
    the same, and the list is of nothing at all          | the same for all that it serves
    settings no longer permit what HEAD has              | the settings
    the inventory says that the cluster was deleted      | the inventory
    a person says that a vanished cluster is gone        | the cluster's file

All of them are guarded by the deletion budget of their cluster; a unit that a person restored
after we had deleted it is held.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from reconciler.codes import Code
from reconciler.headers import parse_wish_header
from reconciler.ledger_file import format_entry
from reconciler.model.plans import Look, Op, State
from reconciler.model.repository import FileWrite
from reconciler.model.units import Backend, PortState, UnitAddresses, UnitId
from reconciler.names import cluster_path, endpoints_path
from reconciler.plan.decisions import Change, Decisions, UnitWrite, row
from reconciler.plan.heads_index import HeadUnit
from reconciler.plan.records import ClusterRecord, format_record
from reconciler.plan.wanted import Writer
from reconciler.plan.world import World
from reconciler.settings import Tenant
from reconciler.tenants import address_refusal, host_refusal

_REASONS = {
    Code.UNEXPOSED: "the annotation is gone or the object is being deleted",
    Code.GONE: "the VirtualService is gone",
    Code.NO_LONGER_PERMITTED: "the settings no longer permit it",
    Code.CLUSTER_DELETED: "the cluster was deleted",
    Code.TRANSFERRED: "its ports and hosts go to other units",
    Code.ELSEWHERE: "it is another ingress repository's now",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """A unit to remove; `gateways` limits it to some, empty means wherever it is."""

    unit: UnitId
    code: Code
    gateways: tuple[str, ...] = ()
    detail: str = ""
    follow: UnitAddresses | None = None  # for a unit that people hold all the same

    @property
    def reason(self) -> str:
        return f"{_REASONS[self.code]}{f': {self.detail}' if self.detail else ''}"


def forbidden_now(world: World, head: HeadUnit) -> str:
    """Why the settings no longer permit what HEAD has for a unit; empty when they do."""
    settings = world.inputs.settings
    if head.unit.is_api:
        return ""
    tenant = settings.tenant(head.unit.cluster)
    if tenant is None:
        return f"no tenants entry matches cluster {head.unit.cluster}"
    if head.gateway not in tenant.gateways:
        return f"gateway {head.gateway} is not among the tenant's gateways"
    gateway = settings.gateway(head.gateway)
    by_sni = head.header is not None and gateway is not None
    for served in head.header.served if by_sni and head.header else ():
        if (
            gateway
            and served.host != settings.host(gateway)
            and served.port == gateway.tls_port
        ):
            refusal = host_refusal(settings, tenant, served.host)
            if refusal:
                return refusal
    return _addresses_forbidden(tenant, head)


def _addresses_forbidden(tenant: Tenant, head: HeadUnit) -> str:
    for route in head.addresses.routes if head.addresses else ():
        for located in route.located:
            refusals = [
                address_refusal(tenant, each.host, each.is_ip)
                for each in located.addresses
            ]
            found = [each for each in refusals if each]
            every = located.destination.backend is not Backend.LOAD_BALANCER
            if found and (len(found) == len(refusals) or not every):
                return found[0]
    return ""


class Remover:
    """Turns removals into decisions; budgets are judged afterwards, over all of a cluster."""

    def __init__(self, world: World, writer: Writer, out: Decisions) -> None:
        self._world = world
        self._writer = writer
        self._out = out
        self._enough = {
            look.unit for look in world.inputs.looks if _enough(look, world)
        }

    def confirmed(self, unit: UnitId, one_look_is_proof: bool) -> bool:
        """Whether the unit was missing in enough complete lists; notes that it was in this."""
        if one_look_is_proof:
            return True
        self._out.unconfirmed.append(unit)
        return self._needs_no_look() or unit in self._enough

    def all_confirmed(self, cluster: str) -> bool:
        """Whether all exposures of a cluster were missing so: then a list of nothing is no lie."""
        world = self._world
        return self._needs_no_look() or all(
            unit in self._enough
            for unit in world.all_of(cluster)
            if unit in world.heads and not unit.is_api
            if unit not in world.frozen and not world.leaves(unit)
        )

    def _needs_no_look(self) -> bool:
        inputs = self._world.inputs
        return inputs.assume_confirmed or inputs.settings.guards.confirmations == 1

    def wait(
        self,
        unit: UnitId,
        why: str = "missing in one complete list; the next look decides",
    ) -> None:
        """Say that the unit's absence needs another look."""
        self._out.say(
            row(Op.WITHHOLD, unit, at, Code.ABSENCE_UNCONFIRMED, why)
            for at in self._writer.serving(unit)
        )

    def remove(self, removal: Removal) -> None:
        """Remove a unit from HEAD and release what it owns; a contradiction freezes it first."""
        if removal.unit in self._world.frozen:
            self._writer.frozen(removal.unit, self._world.frozen[removal.unit])
            return
        hold = self._writer.explicitly_held(removal.unit)
        heads = self._heads(removal)
        for head in heads:
            if hold is None and removal.unit not in self._world.inputs.released:
                hold = self._writer.derived(head.path, None)
        if hold is not None:
            self._writer.held(removal.unit, hold, removal.follow)
            return
        files = self._files(removal, heads)
        if not files:
            return
        op = Op.DELETE if heads else Op.RELEASE
        self._out.writes.append(
            UnitWrite(
                unit=removal.unit,
                change=Change.DELETION if heads else Change.WISH,
                subject=_subject(removal, heads),
                files=tuple(files),
                rows=tuple(
                    row(op, removal.unit, at, removal.code, removal.reason)
                    for at in self._writer.serving(removal.unit)
                    if not removal.gateways or at.gateway in removal.gateways
                ),
                gateway=",".join(removal.gateways),
            )
        )

    def depart(self, unit: UnitId) -> None:
        """Take a unit from HEAD that hands over all that it has: a decision, no deletion."""
        hold = self._writer.explicitly_held(unit)
        removal = Removal(unit=unit, code=Code.TRANSFERRED)
        heads = self._heads(removal)
        for head in heads:
            if hold is None and unit not in self._world.inputs.released:
                hold = self._writer.derived(head.path, None)
        if hold is not None:
            self._writer.held(unit, hold, None)
            return
        if len(heads) < len(self._world.heads.get(unit, ())):
            message = (
                f"its manifest {self._world.heads[unit][0].path} is not ours to remove"
            )
            self._out.state(unit, State.PENDING, message)
            return
        self._out.settled.add(unit)
        self._out.departed.add(unit)
        self._out.writes.append(
            UnitWrite(
                unit=unit,
                change=Change.WISH,
                subject=f"Transfer {self._world.handover(unit)}",
                files=tuple(self._files(removal, heads)),
                rows=tuple(self._writer.given(unit)),
                joint=True,
            )
        )

    def keep_record(self, record: ClusterRecord) -> None:
        """Write the cluster's file where it differs, without its API route."""
        path, data = cluster_path(record.cluster), format_record(record)
        if self._world.data(path) != data:
            self._out.writes.append(
                UnitWrite(
                    unit=UnitId(cluster=record.cluster),
                    change=Change.RECORD,
                    subject=f"Note what is known of cluster {record.cluster}",
                    files=(FileWrite(path=path, data=data),),
                    rows=(),
                )
            )

    def remove_record(self, cluster: str, marked: bytes) -> None:
        """Remove a deleted cluster's file once nothing of it is left, else mark it."""
        path = cluster_path(cluster)
        self._out.records[cluster] = FileWrite(path=path, data=marked)

    def _heads(self, removal: Removal) -> list[HeadUnit]:
        return [
            head
            for head in self._world.heads.get(removal.unit, ())
            if (not removal.gateways or head.gateway in removal.gateways)
            and self._world.written_by_us(head.path)
        ]

    def _files(self, removal: Removal, heads: list[HeadUnit]) -> list[FileWrite]:
        paths: dict[str, bytes | None] = {}
        for head in heads:
            paths[head.path] = None
            if head.endpoints is not None:
                paths[endpoints_path(head.gateway, head.unit)] = None
        for entry in self._world.owned.get(removal.unit, ()):
            if not removal.gateways or entry.gateway in removal.gateways:
                released = replace(entry, state=PortState.RELEASED)
                paths[released.path] = format_entry(released)
        return [
            FileWrite(path=path, data=data)
            for path, data in sorted(paths.items())
            if data != self._world.data(path)
        ]


def _enough(look: Look, world: World) -> bool:
    guards = world.inputs.settings.guards
    count = look.count + 1
    return (
        count >= guards.confirmations and world.inputs.now - look.first >= guards.grace
    )


def _subject(removal: Removal, heads: list[HeadUnit]) -> str:
    what = f"{removal.unit.cluster} API" if removal.unit.is_api else str(removal.unit)
    if not heads:
        return f"Release the ports of {what}"
    served = parse_wish_header(heads[0].wish.data)
    where = f" from {served.served[0].host}:{served.served[0].port}" if served else ""
    return f"Remove {what}{where}"

"""What was decided for units, collected while planning; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from reconciler.codes import Code
from reconciler.errors import Exit
from reconciler.headers import WishHeader
from reconciler.model.plans import Op, Row, State, UnitState
from reconciler.model.repository import FileWrite
from reconciler.model.units import Placement, UnitAddresses, UnitId
from reconciler.settings import Settings


class Change(StrEnum):
    """The kind of a unit's write; decides in which commit it goes and which guard judges it."""

    WISH = "wish"
    ADDRESSES = "addresses"
    REWRITE = "rewrite"
    DELETION = "deletion"
    RECORD = "record"  # what is known of a cluster


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitWrite:
    """One unit's files to change, with the rows that tell of it."""

    unit: UnitId
    change: Change
    subject: str
    files: tuple[FileWrite, ...]
    rows: tuple[Row, ...]
    gateway: str = ""
    joint: bool = False  # in one commit with all units of its transfers


@dataclass(slots=True)
class Decisions:
    """Collects decisions; the one value that changes while a plan is made."""

    rows: list[Row] = field(default_factory=list)
    writes: list[UnitWrite] = field(default_factory=list)
    states: list[UnitState] = field(default_factory=list)
    exits: list[Exit] = field(default_factory=list)
    unconfirmed: list[UnitId] = field(default_factory=list)
    records: dict[str, FileWrite] = field(default_factory=dict)  # of deleted clusters
    withheld: dict[int, tuple[Code, str]] = field(default_factory=dict)
    settled: set[UnitId] = field(default_factory=set)  # granted, or left for others
    departed: set[UnitId] = field(default_factory=set)
    waiting: list[UnitWrite] = field(default_factory=list)  # withheld writes
    homes: dict[UnitId, str] = field(default_factory=dict)  # gateways of what is placed
    others: set[UnitId] = field(default_factory=set)  # units of other processes
    pending: set[UnitId] = field(default_factory=set)  # that those have not done yet

    def say(self, rows: Iterable[Row]) -> None:
        """Add rows that change nothing."""
        self.rows.extend(rows)

    def state(
        self, unit: UnitId, state: State, message: str, degraded: str = ""
    ) -> None:
        """Note where an exposure stands."""
        self.states.append(
            UnitState(unit=unit, state=state, message=message, degraded=degraded)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteAt:
    """Where one route is (or was) served, for a row."""

    route: str | None
    gateway: str | None
    host: str | None
    port: int | None


def row(op: Op, unit: UnitId, at: RouteAt, code: Code, reason: str) -> Row:
    """One row of a plan. For a cluster's API namespace and name are `None`."""
    return Row(
        op=op,
        cluster=unit.cluster,
        namespace=unit.namespace or None,
        name=unit.name or None,
        route=at.route,
        gateway=at.gateway,
        host=at.host,
        port=at.port,
        code=code,
        reason=reason,
    )


NOWHERE = RouteAt(route=None, gateway=None, host=None, port=None)


def at_placements(
    placements: Iterable[Placement], settings: Settings
) -> tuple[RouteAt, ...]:
    """One entry per route that is active there: its port, or its first SNI host."""
    found = []
    for placement in placements:
        gateway = settings.gateway(placement.gateway)
        if gateway is None:
            continue
        for route in placement.routes:
            active = [port for port in route.ports if port not in route.draining]
            if active:
                host: str | None = settings.host(gateway)
                port = active[0]
            elif route.wish.hosts and not route.ports:
                host, port = route.wish.hosts[0], gateway.tls_port
            else:
                continue
            found.append(
                RouteAt(
                    route=route.wish.name,
                    gateway=placement.gateway,
                    host=host,
                    port=port,
                )
            )
    return tuple(found)


def at_header(gateway: str, header: WishHeader | None) -> tuple[RouteAt, ...]:
    """One entry per served address of a wish header, at least one."""
    served = header.served if header is not None else ()
    found = tuple(
        RouteAt(route=None, gateway=gateway, host=each.host, port=each.port)
        for each in served
    )
    return found or (RouteAt(route=None, gateway=gateway, host=None, port=None),)


def without_address(addresses: UnitAddresses) -> str:
    """Which destinations have no address left, in words; empty when all have one."""
    empty = [
        located.destination.key
        for route in addresses.routes
        for located in route.located
        if not located.addresses
    ]
    return f"no address is left for {', '.join(empty)}" if empty else ""


def subject(op: Op, unit: UnitId, at: Sequence[RouteAt], code: Code) -> str:
    """The subject of a unit's commit."""
    where = ", ".join(f"{each.host}:{each.port}" for each in at[:3])
    what = f"{unit.cluster} API" if unit.is_api else str(unit)
    if op is Op.CREATE:
        return f"Expose {what} at {where}"
    if code is Code.MOVED:
        return f"Move {what} to {where}"
    if code is Code.ADDRESSES_CHANGED:
        return f"Follow the addresses of {what}"
    return f"Update {what} at {where}"

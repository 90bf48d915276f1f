"""Decides units that are wanted, rejected or held: what is written, and what stays; pure.

For one exposure, the first line that applies:

    the ledger contradicts itself about it      -> skip, HEAD stays
    a file in holds/ covers it                  -> hold, addresses follow
    rejected, settings forbid what HEAD has     -> removed (see removal.py)
    rejected                                    -> reject, HEAD stays, addresses follow
    a destination has no address, wish is new   -> skip (Pending), HEAD stays
    people moved HEAD away from this very wish  -> hold, addresses follow
    HEAD differs                                -> create or update
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reconciler.codes import Code
from reconciler.errors import Exit
from reconciler.headers import wish_moved
from reconciler.holds import Hold, derived_hold, explicit_hold
from reconciler.ledger_file import Entry, format_entry
from reconciler.model.claims import Rejection, Wanted
from reconciler.model.plans import Op, Row, State
from reconciler.model.repository import FileWrite
from reconciler.model.units import (
    Placement,
    UnitAddresses,
    UnitFiles,
    UnitId,
    Wish,
)
from reconciler.names import endpoints_path, wish_path
from reconciler.plan.decisions import (
    NOWHERE,
    Change,
    Decisions,
    RouteAt,
    UnitWrite,
    at_header,
    at_placements,
    row,
    subject,
    without_address,
)
from reconciler.plan.departed import Staying, told
from reconciler.plan.heads_index import HeadUnit
from reconciler.plan.inputs import Rendering
from reconciler.plan.place import Placed
from reconciler.plan.transfer import Delay
from reconciler.plan.world import World
from reconciler.settings import under_review

_FOLLOWS = ".endpoints.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A wanted unit with its place; `follow` are addresses for what HEAD serves."""

    wanted: Wanted
    placed: Placed
    follow: UnitAddresses | None
    extra: tuple[FileWrite, ...] = ()  # the cluster's own file, for an API unit
    left: frozenset[str] = frozenset()  # gateways whose removal is judged on its own


class Writer:
    """Turns candidates into decisions against one world."""

    def __init__(self, world: World, render: Rendering, out: Decisions) -> None:
        self._world = world
        self._settings = world.inputs.settings
        self._render = render
        self._out = out

    def frozen(self, unit: UnitId, message: str) -> None:
        """Skip a unit that the ledger contradicts itself about."""
        self._out.say(
            row(Op.SKIP, unit, at, Code.LEDGER_CONTRADICTION, message)
            for at in self.serving(unit)
        )
        self._out.exits.append(Exit.BLOCKED)
        self._out.state(unit, State.PENDING, message)

    def rejected(
        self, unit: UnitId, rejection: Rejection, follow: UnitAddresses | None
    ) -> None:
        """Say why a wish is not granted; what HEAD has stays and follows its addresses."""
        at = self.serving(unit)[0] if unit in self._world.heads else NOWHERE
        self._out.say([row(Op.REJECT, unit, at, rejection.code, rejection.reason)])
        self._out.state(unit, State.REJECTED, f"{rejection.code}: {rejection.reason}")
        self.follow(unit, follow)

    def waits(self, delay: Delay, follow: UnitAddresses | None) -> None:
        """Say why a unit does not get what people mean for it; it gets nothing else instead."""
        state = {Op.REJECT: State.REJECTED, Op.HOLD: State.HELD}.get(delay.op)
        message = f"{delay.code}: {delay.told}"
        self._out.state(delay.unit, state or State.PENDING, message)
        self.follow(delay.unit, follow)

    def departed(self, unit: UnitId, staying: Staying) -> None:
        """Say what went to other units and why the unit gets nothing instead."""
        reason = told(unit, staying.departures)
        if not self._world.gives(unit):
            at = self.serving(unit)[0]
            self._out.say([row(Op.SKIP, unit, at, Code.TRANSFERRED, reason)])
        if staying.wanted is None:
            self._out.state(unit, State.PENDING, f"{Code.TRANSFERRED}: {reason}")

    def unsettled(self, unit: UnitId) -> None:
        """Take back that a unit can follow its transfers."""
        self._out.settled.discard(unit)

    def given(self, unit: UnitId) -> list[Row]:
        """What the unit hands over, as rows."""
        return [
            row(
                Op.DELETE,
                unit,
                self.at_entry(each.entry),
                Code.TRANSFERRED,
                f"goes to {each.to.unit}",
            )
            for each in self._world.gives(unit)
        ]

    def held(self, unit: UnitId, hold: Hold, follow: UnitAddresses | None) -> None:
        """Keep the wish as HEAD has it; ports stay, addresses follow unless frozen."""
        self._out.say(
            row(Op.HOLD, unit, at, hold.code, hold.message) for at in self.serving(unit)
        )
        self._out.state(unit, State.HELD, f"{hold.code}: {hold.message}")
        if not hold.addresses_frozen:
            self.follow(unit, follow)

    def unsupported(self, wish: Wish, gateway: str) -> str | None:
        """What the gateway's renderer cannot do for this wish."""
        found = self._settings.gateway(gateway)
        if found is None:
            return f"there is no gateway {gateway}"
        return self._render.unsupported(wish, found)

    def place(self, unit: UnitId, gateway: str) -> None:
        """Note the gateway that a unit's wish has now."""
        self._out.homes[unit] = gateway

    def leave(self, unit: UnitId, gateway: str) -> None:
        """Leave a unit to the process of its gateway, which may have to make it yet."""
        heads = self._world.heads.get(unit, ())
        if not any(head.gateway == gateway for head in heads):
            self._out.pending.add(unit)

    def note(self, rows: Iterable[Row]) -> None:
        """Say something that changes nothing."""
        self._out.say(rows)

    def decide(self, candidate: Candidate) -> bool:
        """Write a candidate, or say why it waits; true when HEAD has or gets the wish."""
        unit = candidate.wanted.wish.unit
        files = self._files(candidate)
        if candidate.wanted.missing and not self._has_wish(candidate.placed):
            self._pending(candidate)
            return False
        hold = explicit_hold(
            unit, self._world.inputs.head.files, self._world.inputs.now
        ) or self._derived(unit, files)
        if hold is not None:
            self.held(unit, hold, candidate.follow)
            return False
        self._write(candidate, files)
        self._out.settled.add(unit)
        return True

    def explicitly_held(self, unit: UnitId) -> Hold | None:
        """The hold that a file says, whatever else."""
        inputs = self._world.inputs
        return explicit_hold(unit, inputs.head.files, inputs.now)

    def serving(self, unit: UnitId) -> tuple[RouteAt, ...]:
        """Where the unit is served according to the ledger, else to HEAD; never empty."""
        found = tuple(self.at_entry(entry) for entry in self._world.owned.get(unit, ()))
        if found:
            return found
        heads = self._world.heads.get(unit, ())
        from_heads = tuple(
            at for head in heads for at in at_header(head.gateway, head.header)
        )
        return from_heads or (NOWHERE,)

    def at_entry(self, entry: Entry) -> RouteAt:
        """A ledger entry as people know it."""
        gateway = self._settings.gateway(entry.gateway)
        route = entry.owner.route if entry.owner else None
        if isinstance(entry.key, str):
            port = gateway.tls_port if gateway else None
            return RouteAt(
                route=route, gateway=entry.gateway, host=entry.key, port=port
            )
        host = self._settings.host(gateway) if gateway else None
        return RouteAt(route=route, gateway=entry.gateway, host=host, port=entry.key)

    def _files(self, candidate: Candidate) -> dict[str, bytes | None]:
        """Wanted content of the unit's manifests; `None` where a gateway is left."""
        unit = candidate.wanted.wish.unit
        files: dict[str, bytes | None] = {}
        for placement in candidate.placed.placements:
            rendered = self._rendered(placement, candidate.wanted.addresses)
            files[wish_path(placement.gateway, unit)] = rendered.wish
            files[endpoints_path(placement.gateway, unit)] = rendered.endpoints
        for head in self._world.heads.get(unit, ()):
            if head.path in files or head.gateway in candidate.left:
                continue
            if self._world.written_by_us(head.path):
                files[head.path] = None
                if head.endpoints is not None:
                    files[endpoints_path(head.gateway, unit)] = None
        return files

    def _rendered(self, placement: Placement, addresses: UnitAddresses) -> UnitFiles:
        gateway = self._settings.gateway(placement.gateway)
        if gateway is None:
            raise AssertionError(f"placed on an unknown gateway {placement.gateway}")
        return self._render.unit(placement, addresses, gateway, self._settings)

    def _has_wish(self, placed: Placed) -> bool:
        """Whether HEAD has this wish already, whatever its addresses are."""
        digests = {
            placement.gateway: placement.digest for placement in placed.placements
        }
        heads = self._world.heads.get(placed.placements[0].wish.unit, ())
        return any(
            head.header is not None and digests.get(head.gateway) == head.header.digest
            for head in heads
        )

    def _derived(self, unit: UnitId, files: dict[str, bytes | None]) -> Hold | None:
        if unit in self._world.inputs.released:
            return None
        for path, data in files.items():
            if path.endswith(_FOLLOWS):
                continue
            hold = self.derived(path, data)
            if hold is not None:
                return hold
        return None

    def derived(self, path: str, wanted: bytes | None) -> Hold | None:
        """The hold that history says of one wish file."""
        world = self._world
        return derived_hold(
            wanted,
            world.inputs.head.files.get(path),
            world.touched.get(path, ()),
            world.inputs.history.read,
            world.aside(path),
        )

    def _pending(self, candidate: Candidate) -> None:
        unit = candidate.wanted.wish.unit
        missing = ", ".join(candidate.wanted.missing)
        left_out = "; ".join(candidate.wanted.left_out)
        reason = f"no address yet for {missing}" + (
            f" ({left_out})" if left_out else ""
        )
        at = at_placements(candidate.placed.placements, self._settings)
        where = RouteAt(
            route=at[0].route if at else None, gateway=None, host=None, port=None
        )
        self._out.say([row(Op.SKIP, unit, where, Code.NO_ADDRESS, reason)])
        self._out.state(unit, State.PENDING, f"{Code.NO_ADDRESS}: {reason}")
        self.follow(unit, candidate.follow)

    def follow(self, unit: UnitId, follow: UnitAddresses | None) -> None:
        """Update the addresses of what HEAD serves, the wish untouched."""
        if follow is None:
            return
        for head in self._world.heads.get(unit, ()):
            gateway = self._settings.gateway(head.gateway)
            if gateway is None or head.addresses is None or head.addresses == follow:
                continue
            path = endpoints_path(head.gateway, unit)
            data = self._render.addresses(follow, gateway, self._settings)
            if data == self._world.data(path):
                continue
            self._out.writes.append(
                UnitWrite(
                    unit=unit,
                    change=Change.ADDRESSES,
                    subject=f"Follow the addresses of {unit}",
                    files=(FileWrite(path=path, data=data),),
                    rows=tuple(
                        row(
                            Op.UPDATE,
                            unit,
                            at,
                            Code.ADDRESSES_CHANGED,
                            "addresses changed",
                        )
                        for at in at_header(head.gateway, head.header)
                    ),
                )
            )

    def _write(self, candidate: Candidate, files: dict[str, bytes | None]) -> None:
        unit = candidate.wanted.wish.unit
        heads = self._world.heads.get(unit, ())
        writes = self._differences(candidate, files)
        degraded = without_address(candidate.wanted.addresses)
        handover = self._world.handover(unit)
        news = f"transferred {handover}; " if handover else ""
        message = degraded or f"{news}in Git, waiting for the gateway"
        self._out.state(unit, State.ALLOCATED, message, degraded)
        if not writes:
            return
        change, code, reason = self._kind(candidate, files, heads, writes)
        op = Op.UPDATE if heads else Op.CREATE
        at = at_placements(candidate.placed.placements, self._settings)
        rows = [row(op, unit, each, code, reason) for each in at]
        rows.extend((*self._release_rows(candidate), *self.given(unit)))
        if change is Change.ADDRESSES:
            writes = [each for each in writes if each.path.endswith(_FOLLOWS)]
        self._out.writes.append(
            UnitWrite(
                unit=unit,
                change=change,
                subject=f"Transfer {handover}"
                if handover
                else subject(op, unit, at, code),
                files=tuple(writes),
                rows=tuple(rows),
                gateway=candidate.placed.placements[0].gateway,
                joint=bool(handover),
            )
        )
        if under_review(self._settings) and change is not Change.ADDRESSES:
            self.follow(unit, candidate.follow)  # people may take days to merge

    def _release_rows(self, candidate: Candidate) -> list[Row]:
        unit = candidate.wanted.wish.unit
        return [
            row(
                Op.RELEASE,
                unit,
                self.at_entry(entry),
                Code.DRAINED,
                "no longer part of the wish, or drained after its move",
            )
            for entry in candidate.placed.released
        ]

    def _differences(
        self, candidate: Candidate, files: dict[str, bytes | None]
    ) -> list[FileWrite]:
        wanted = dict(files)
        for entry in (*candidate.placed.entries, *candidate.placed.released):
            wanted[entry.path] = format_entry(entry)
        for extra in candidate.extra:
            wanted[extra.path] = extra.data
        present = self._world.inputs.head.files
        return [
            FileWrite(path=path, data=data)
            for path, data in sorted(wanted.items())
            if (data is None and path in present)
            or (data is not None and data != self._world.data(path))
        ]

    def _kind(
        self,
        candidate: Candidate,
        files: dict[str, bytes | None],
        heads: Sequence[HeadUnit],
        writes: list[FileWrite],
    ) -> tuple[Change, Code, str]:
        handover = self._world.handover(candidate.wanted.wish.unit)
        if handover:
            return Change.WISH, Code.TRANSFERRED, f"transferred {handover}"
        if not heads:
            return Change.WISH, Code.EXPOSED, "newly exposed"
        changed = {write.path for write in writes}
        wishes = [
            each for each in changed & files.keys() if not each.endswith(_FOLLOWS)
        ]
        if any(wish_moved(self._world.data(each), files[each]) for each in wishes):
            moved = candidate.placed.moving
            text = (
                "moves to another port; the old one drains"
                if moved
                else "its wish changed"
            )
            return Change.WISH, Code.MOVED if moved else Code.WISH_CHANGED, text
        if wishes and all(self._world.ours_at_head(path) for path in wishes):
            return Change.REWRITE, Code.RERENDERED, "rendered anew, no wish changed"
        if wishes or any(path not in files for path in changed):
            return Change.WISH, Code.WISH_CHANGED, "its files are put back in order"
        head = next((each for each in heads if each.addresses is not None), None)
        if head is None or head.addresses != candidate.wanted.addresses:
            return Change.ADDRESSES, Code.ADDRESSES_CHANGED, "addresses changed"
        return Change.REWRITE, Code.RERENDERED, "rendered anew, no wish changed"

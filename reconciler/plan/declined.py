"""Takes out of a pass what people closed a request about; pure.

What must be one commit is declined as a whole or not at all: half of a transfer would give a
port to one unit and leave the route of the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from reconciler.codes import Code
from reconciler.model.plans import Op, Pair, State
from reconciler.model.reviews import Declined
from reconciler.model.units import UnitId
from reconciler.plan.decisions import Decisions, UnitWrite
from reconciler.plan.proposals import DECIDED, pairs_of
from reconciler.plan.transfer import joined
from reconciler.plan.world import World

Said = Mapping[UnitId, Sequence[Declined]]


def leave_declined(world: World, out: Decisions) -> None:
    """Take writes out that people closed a request about; their units say so.

    What the budget withholds stays withheld then, without being asked for again.
    """
    said: dict[UnitId, list[Declined]] = {}
    for no in world.inputs.declined:
        said.setdefault(no.pair.unit, []).append(no)
    for mine in _together(world, out.writes):
        found = _declined(world, mine, said)
        if found:
            _leave(out, mine, found)
    for mine in _together(world, out.waiting):
        if _declined(world, mine, said):
            out.waiting[:] = [each for each in out.waiting if each not in mine]


def _together(world: World, writes: Sequence[UnitWrite]) -> list[list[UnitWrite]]:
    """Decided writes by unit, those of all units that transfers join as one."""
    joint = {unit: units for units in joined(world.transfers) for unit in units}
    found: dict[frozenset[UnitId], list[UnitWrite]] = {}
    for write in writes:
        if write.change in DECIDED:
            alone = frozenset({write.unit})
            at = joint.get(write.unit, alone) if write.joint else alone
            found.setdefault(at, []).append(write)
    return list(found.values())


def _declined(
    world: World, writes: Sequence[UnitWrite], said: Said
) -> dict[UnitId, Declined]:
    """By unit what was declined; empty unless that is all of it."""
    files = {file.path: file.data for each in writes for file in each.files}
    pairs = {pair.unit: pair for pair in pairs_of(files, world.data)}
    found = {}
    for unit in {each.unit for each in writes} - world.inputs.released:
        no = next((e for e in said.get(unit, ()) if _is_same(e, pairs.get(unit))), None)
        if no is not None:
            found[unit] = no
    return found if len(found) == len({each.unit for each in writes}) else {}


def _is_same(no: Declined, mine: Pair | None) -> bool:
    """Whether it decides what was declined.

    Another free port is no other wish; where there is no wish the ports are what is decided.
    """
    if mine is None or mine.wish != no.pair.wish:
        return False
    return bool(mine.wish) or mine.ports == no.pair.ports


def _leave(
    out: Decisions, writes: Sequence[UnitWrite], found: Mapping[UnitId, Declined]
) -> None:
    left = {id(each) for each in writes}
    out.writes[:] = [each for each in out.writes if id(each) not in left]
    for unit in sorted(found):
        about = found[unit].about
        reason = f"declined in {about}; another wish or `wharfinger release` asks anew"
        rows = [row for each in writes if each.unit == unit for row in each.rows]
        out.say(
            replace(row, op=Op.HOLD, code=Code.DECLINED, reason=reason) for row in rows
        )
        out.states[:] = [each for each in out.states if each.unit != unit]
        out.state(unit, State.PENDING, f"{Code.DECLINED}: {reason}")

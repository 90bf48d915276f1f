"""Judges what a pass would write: what needs a person waits; pure.

Everything else of the pass goes on. What waits is named by one digest, so that exactly the set
that was shown is the set that is accepted. A file that goes back and forth stays as it is.
A pass over some units sees too little to let go what one over everything withheld.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from reconciler.codes import Code
from reconciler.errors import Exit
from reconciler.flapping import MESSAGE, recent_moves, returns
from reconciler.guards import (
    deleted_recently,
    over_budget,
    set_digest,
    too_many_rewrites,
)
from reconciler.model.plans import Op, State
from reconciler.model.repository import FileWrite
from reconciler.model.units import UnitId
from reconciler.plan.decisions import NOWHERE, Change, Decisions, UnitWrite, row
from reconciler.plan.shards import leave_others, mine
from reconciler.plan.transfer import joined
from reconciler.plan.world import World
from reconciler.settings import under_review

_STANDS = "withheld by the last pass over everything"


def judge(world: World, out: Decisions) -> str:
    """Take what must wait out of `out.writes`; returns the digest of all that waits."""
    _freeze_flapping(world, out)
    is_mine = mine(world, out)
    deletions = [each for each in _deletions_over(world, out) if is_mine(each.unit)]
    rewrites = [each for each in _rewrites_over(world, out) if is_mine(each.unit)]
    by_kind = {
        Change.DELETION: set_digest(_name(each) for each in deletions),
        Change.REWRITE: set_digest(_name(each) for each in rewrites),
    }
    both = set_digest(_name(each) for each in (*deletions, *rewrites))
    waiting: list[UnitWrite] = []
    if world.inputs.accept_deletions not in (by_kind[Change.DELETION], both):
        waiting.extend(deletions)
    if world.inputs.accept_rewrites not in (by_kind[Change.REWRITE], both):
        waiting.extend(rewrites)
    _withhold(out, waiting)
    leave_others(world, out, is_mine)
    _finish_records(world, out)
    return set_digest(_name(each) for each in waiting) if waiting else ""


def _freeze_flapping(world: World, out: Decisions) -> None:
    """Take out what would turn a wish or a cluster's file back once too often.

    What transfers join stops as one: half of it would be a port without its route.
    """
    counts = {id(each): _returns_of(world, each) for each in out.writes}
    for units in joined(world.transfers):
        mine = [id(each) for each in out.writes if each.joint and each.unit in units]
        counts |= dict.fromkeys(mine, max((counts[each] for each in mine), default=0))
    for write in tuple(out.writes):
        count = counts[id(write)]
        if count == 0 or write.change is Change.ADDRESSES:
            continue
        message = MESSAGE.format(count=count)
        out.writes.remove(write)
        out.say(
            replace(each, op=Op.SKIP, code=Code.FLAPPING, reason=message)
            for each in write.rows
            or (row(Op.SKIP, write.unit, NOWHERE, Code.FLAPPING, ""),)
        )
        out.states[:] = [each for each in out.states if each.unit != write.unit]
        out.state(write.unit, State.PENDING, f"{Code.FLAPPING}: {message}")
        out.exits.append(Exit.BLOCKED)


def _returns_of(world: World, write: UnitWrite) -> int:
    return max((_returns(world, write.unit, file) for file in write.files), default=0)


def _returns(world: World, unit: UnitId, file: FileWrite) -> int:
    inputs = world.inputs
    folder = file.path.split("/")[0]
    is_decided = folder in ("manifests", "clusters")
    if (
        not is_decided
        or file.path.endswith(".endpoints.yaml")
        or unit in inputs.released
    ):
        return 0
    moves = recent_moves(world.touched.get(file.path, ()), str(unit), inputs.now)
    return returns(file.data, moves, inputs.history.read)


def _name(write: UnitWrite) -> str:
    if write.change is Change.DELETION:
        return f"delete {write.unit} {write.gateway}"
    paths = " ".join(f"{file.path}" for file in write.files)
    return f"rewrite {write.unit} {paths}"


def _deletions_over(world: World, out: Decisions) -> list[UnitWrite]:
    inputs = world.inputs
    deletions = [each for each in out.writes if each.change is Change.DELETION]
    if not deletions:
        return []
    before = deleted_recently(inputs.history, inputs.now, world.serves)
    counts = Counter(
        unit.cluster for unit in {each.unit for each in deletions} if not unit.is_api
    )
    guard = inputs.settings.guards.deletions
    reasons = {
        cluster: over_budget(
            guard,
            there=world.exposures(cluster),
            before=before.get(cluster, 0),
            now=count,
        )
        for cluster, count in counts.items()
    }
    stands = _standing(world)
    why = {
        id(each): reasons.get(each.unit.cluster)
        or (_STANDS if each.unit in stands else "")
        for each in deletions
    }
    staying = {each.unit for each in deletions if why[id(each)]}
    for each in deletions:
        why[id(each)] = why[id(each)] or _api_serves(world, out, each, staying)
    return _note(out, deletions, Code.DELETIONS_WITHHELD, why)


def _standing(world: World) -> frozenset[UnitId]:
    """What stays withheld: nothing where everything is judged anew."""
    inputs = world.inputs
    return inputs.withheld if inputs.units is not None else frozenset()


def _api_serves(
    world: World, out: Decisions, write: UnitWrite, staying: set[UnitId]
) -> str:
    """Why the API of a deleted cluster stays in a pass over some units; empty when it goes.

    Which of the exposures that this pass does not decide are withheld only one over everything
    knows for sure.
    """
    unit = write.unit
    if world.inputs.units is None or not unit.is_api or unit.cluster not in out.records:
        return ""
    others = world.all_of(unit.cluster) - {unit}
    left = sum(
        each in world.heads and (each in staying or not world.decides(each))
        for each in others
    )
    return f"{left} exposures of the cluster are still served" if left else ""


def _note(
    out: Decisions, writes: list[UnitWrite], code: Code, why: dict[int, str]
) -> list[UnitWrite]:
    """The writes that have a reason to wait, which is noted."""
    found = [each for each in writes if why[id(each)]]
    out.withheld.update({id(each): (code, why[id(each)]) for each in found})
    return found


def _rewrites_over(world: World, out: Decisions) -> list[UnitWrite]:
    rewrites = [each for each in out.writes if each.change is Change.REWRITE]
    counts = Counter(each.gateway for each in rewrites)
    percent = world.inputs.settings.guards.rewrites.percent
    reasons = {
        gateway: too_many_rewrites(percent, files=world.wishes(gateway), rewrites=count)
        for gateway, count in counts.items()
    }
    for gateway in counts:
        reasons[gateway] = reasons[gateway] or _rewrites_stand(world, gateway)
    why = {id(each): reasons[each.gateway] for each in rewrites}
    return _note(out, rewrites, Code.REWRITES_WITHHELD, why)


def _rewrites_stand(world: World, gateway: str) -> str:
    """Why no file of the gateway is rewritten: an upgrade or the settings concern them all."""
    is_held = any(
        head.gateway == gateway
        for unit in _standing(world)
        for head in world.heads.get(unit, ())
    )
    return _STANDS if is_held else ""


def _withhold(out: Decisions, waiting: list[UnitWrite]) -> None:
    held = {id(each) for each in waiting}
    if not held:
        return
    out.writes[:] = [each for each in out.writes if id(each) not in held]
    out.waiting.extend(waiting)
    for each in waiting:
        code, reason = out.withheld[id(each)]
        out.say(
            replace(row, op=Op.WITHHOLD, code=code, reason=f"{row.reason}; {reason}")
            for row in each.rows
        )
    out.exits.append(Exit.BLOCKED)


def _finish_records(world: World, out: Decisions) -> None:
    """A deleted cluster's file goes with its last unit; until then it is marked.

    Under review the last unit leaves when people merge, so the file goes in a later pass.
    """
    leaving = {each.unit for each in out.writes if each.change is Change.DELETION}
    leaving |= out.departed
    if under_review(world.inputs.settings):
        leaving = set()
    for cluster, marked in out.records.items():
        units = {unit for unit in world.all_of(cluster) if unit in world.heads}
        left = units - leaving
        data = marked.data if left else None
        if world.data(marked.path) == data:
            continue
        out.writes.append(
            UnitWrite(
                unit=UnitId(cluster=cluster),
                change=Change.RECORD,
                subject=f"Forget cluster {cluster}"
                if data is None
                else f"Note that cluster {cluster} was deleted",
                files=(FileWrite(path=marked.path, data=data),),
                rows=(),
            )
        )

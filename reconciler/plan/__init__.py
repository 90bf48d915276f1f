"""Decides a pass: claims, HEAD and history in, a Plan out; pure.

    clusters   each stands known, deleted or skipped        (standing.py, identity.py)
    arrivals   many new clusters at once wait for a person  (arrivals.py)
    units      wanted, rejected, held, pending or to remove (wanted.py, removal.py)
    places     gateways, ports and SNI hosts                (place.py, quota.py, apis.py)
    transfers  ports that people give to other units        (handover.py, departed.py)
    guards     deletions and rewrites that need a person    (judge.py)
    drafts     one commit per unit, addresses on their own  (drafts.py)

Same input in any order: same plan, same bytes, same digest. Planning again after applying
plans nothing. One bad unit or cluster never changes what is planned for another.
"""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.codes import Code
from reconciler.errors import Blocked, Exit, Usage
from reconciler.model.plans import Op, Plan
from reconciler.model.units import UnitId
from reconciler.plan.arrivals import arrived
from reconciler.plan.decisions import NOWHERE, Decisions, row
from reconciler.plan.drafts import finish
from reconciler.plan.handover import failed, handed_over, held_back, propose
from reconciler.plan.index import Index
from reconciler.plan.inputs import Inputs, Rendering
from reconciler.plan.judge import judge
from reconciler.plan.standing import Standing, standings
from reconciler.plan.units import plan_units
from reconciler.plan.wanted import Writer
from reconciler.plan.world import World, in_lineage, read_world

__all__ = ["Index", "Inputs", "Rendering", "plan", "plan_on"]


def plan(inputs: Inputs, render: Rendering) -> Plan:
    """The plan of one pass.

    Raises Usage when the settings left out a gateway that has live allocations, Blocked when
    HEAD holds a commit of a newer renderer than this one.
    """
    return plan_on(Index(inputs.head, inputs.history), inputs, render)


def plan_on(index: Index, inputs: Inputs, render: Rendering) -> Plan:
    """The plan of a pass whose HEAD and history somebody has indexed. Raises as `plan`."""
    world = read_world(index, inputs)
    _refuse_newer(index, render)
    _refuse_lost_gateways(world)
    stand, arrivals = arrived(world, standings(world))
    records = {each.cluster: each.record for each in stand if each.record is not None}
    world = in_lineage(world, {**world.records, **records})
    world, out = _decided(world, stand, render)
    withheld = judge(world, out)
    return finish(world, render, out, withheld or arrivals)


def _decided(
    world: World, stand: Sequence[Standing], render: Rendering
) -> tuple[World, Decisions]:
    """All units decided, with as many transfers as both of their sides can follow.

    Whether they can shows only when it is tried; each try starts from nothing.
    """
    proposals = propose(world, stand)
    if proposals.transfers:
        without = _units(world, stand, render)
        proposals = proposals.without(held_back(proposals, without))
    while True:
        tried = handed_over(world, proposals)
        out = _units(tried, stand, render)
        late = failed(proposals, out)
        if not late:
            return tried, out
        proposals = proposals.without(late)


def _units(world: World, stand: Sequence[Standing], render: Rendering) -> Decisions:
    out = Decisions()
    _say_faults(world, out)
    plan_units(world, stand, Writer(world, render, out), out)
    return out


def _say_faults(world: World, out: Decisions) -> None:
    """What concerns no cluster that could have a row of its own."""
    nobody = UnitId(cluster="")
    for message in world.faults:
        out.say([row(Op.SKIP, nobody, NOWHERE, Code.LEDGER_CONTRADICTION, message)])
        out.exits.append(Exit.BLOCKED)
    for failure in world.inputs.failures:
        reason = f"inventory {failure.inventory}: {failure.reason.message}"
        out.say([row(Op.SKIP, nobody, NOWHERE, Code.INVENTORY_UNREADABLE, reason)])
        out.exits.append(Exit.INCOMPLETE)


def _refuse_newer(index: Index, render: Rendering) -> None:
    if index.renderer > render.version:
        raise Blocked(
            f"{Code.NEWER_RENDERER}: HEAD holds commits of renderer version {index.renderer}, "
            f"this is version {render.version}",
            hint="upgrade wharfinger here; an older one would take back what the newer one wrote",
        )


def _refuse_lost_gateways(world: World) -> None:
    known = {gateway.name for gateway in world.inputs.settings.gateways}
    live = world.index.ledger.live
    lost = sorted(name for name in live if live[name] and name not in known)
    if lost:
        name, count = lost[0], live[lost[0]]
        raise Usage(
            f"gateway {name} is not in the settings but has {count} live allocations",
            where="wharfinger.yaml",
            hint="a gateway cannot be removed or renamed while routes are on it: move them first",
        )

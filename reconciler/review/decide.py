"""What is to be done about the requests of a pass; pure.

proposal | branch, request               | step
---------+-------------------------------+--------------------------------------------------
yes      | open, ours, same pairs, clean | kept
yes      | open, ours, more than that,   | kept
         | something not observed        |
yes      | open, ours                    | rebuilt: one commit on the present branch
yes      | open, foreign changes         | left to people
yes      | none, or a leftover of ours   | opened, while fewer than `maxOpen` are
no       | open, all of it decided       | closed: superseded or no longer wanted
no       | open, something not observed  | kept
no       | a leftover that HEAD has, or  | swept
         | that people never declined    |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reconciler.codes import Code
from reconciler.model.plans import Op, Pair, Proposal, ProposalKind, Row
from reconciler.model.reviews import Offered, Request, Step
from reconciler.settings import Tier


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One branch below our prefix: its group, what it offers, and its open request."""

    group: str
    offered: Offered | None
    pairs: tuple[Pair, ...] = ()
    request: Request | None = None
    decided: bool = True  # whether this pass observed all that it is about
    whole: bool = True  # whether it observed all of its clusters
    spent: bool = False  # whether HEAD has all of its files already
    left: bool = False  # without a request that people closed: a lost step's rest


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One step about one group."""

    step: Step
    group: str
    proposal: Proposal | None = None
    branch: Branch | None = None


def decide(
    proposals: Sequence[Proposal], branches: Mapping[str, Branch], max_open: int
) -> tuple[Action, ...]:
    """All steps: closing first, then what is open, then what is new, by group."""
    wanted = {each.group: each for each in proposals}
    rest = [
        _rest(each) for group, each in sorted(branches.items()) if group not in wanted
    ]
    closing = [each for each in rest if each is not None]
    present = [_present(each, branches.get(each.group)) for each in proposals]
    there = [each for each in present if each.step is not Step.OPENED]
    urgent = [each for each in present if each.step is Step.OPENED and _follows(each)]
    new = [each for each in present if each.step is Step.OPENED and not _follows(each)]
    staying = (Step.KEPT, Step.REBUILT, Step.EDITED)
    room = max_open - sum(each.step in staying for each in (*there, *closing))
    opened = [
        each
        if index < room
        else Action(step=Step.WAITING, group=each.group, proposal=each.proposal)
        for index, each in enumerate(new)
    ]
    return (*closing, *there, *urgent, *opened)


def _follows(action: Action) -> bool:
    """Whether traffic waits for it, however many wishes people have still to review."""
    proposal = action.proposal
    return proposal is not None and proposal.kind is ProposalKind.FOLLOW


def _present(proposal: Proposal, branch: Branch | None) -> Action:
    step = Step.OPENED
    if branch is not None and branch.request is not None:
        step = _step(proposal, branch)
    return Action(step=step, group=proposal.group, proposal=proposal, branch=branch)


def _step(proposal: Proposal, branch: Branch) -> Step:
    offered = branch.offered
    if offered is None:
        return Step.REBUILT
    if not offered.ours:
        return Step.EDITED
    if proposal.kind is ProposalKind.ADOPTION and not branch.whole:
        return Step.KEPT  # built anew now, it would lose what was not observed
    if not offered.conflicts and not branch.decided and _is_part(proposal, branch):
        return Step.KEPT  # likewise: what is missing was only not observed
    if offered.conflicts or not is_same(proposal, branch):
        return Step.REBUILT
    return Step.KEPT


def _is_part(proposal: Proposal, branch: Branch) -> bool:
    """Whether a branch offers all that is proposed, and more."""
    return bool(proposal.pairs) and set(proposal.pairs) <= set(branch.pairs)


def is_same(proposal: Proposal, branch: Branch) -> bool:
    """Whether a branch offers what is proposed: the same pairs, or where none are the same files."""
    if proposal.pairs and proposal.kind is not ProposalKind.FOLLOW:
        return proposal.pairs == branch.pairs
    return branch.offered is not None and is_exact(proposal, branch.offered)


def is_exact(proposal: Proposal, offered: Offered) -> bool:
    """Whether a branch brings the very files that are proposed.

    Asked where nobody reviews: pairs are what headers say, and without signatures whoever may
    push can write those above anything.
    """
    wanted = {each.path: each.data for each in proposal.draft.writes}
    return wanted == dict(offered.files)


def _rest(branch: Branch) -> Action | None:
    """A branch that nothing is proposed for any more."""
    if branch.offered is not None and not branch.offered.ours:
        step = Step.EDITED if branch.request is not None else None
    elif branch.request is None:
        step = Step.SWEPT if branch.spent or branch.left else None
    else:
        step = Step.CLOSED if branch.decided else Step.KEPT
    return Action(step=step, group=branch.group, branch=branch) if step else None


def merges_by_itself(proposal: Proposal, tiers: Sequence[Tier]) -> bool:
    """Whether the forge is asked to merge: never for removals, moves or the adoption."""
    if proposal.kind is ProposalKind.FOLLOW:
        return True
    if proposal.kind is not ProposalKind.WISHES or not proposal.rows:
        return False
    return all(_tier(row) in tiers for row in proposal.rows)


def _tier(row: Row) -> Tier | None:
    """The tier of a row; what is not listed here never merges by itself."""
    return _TIERS.get((row.op, row.code))


_TIERS = {
    (Op.CREATE, Code.EXPOSED): Tier.CREATE,
    (Op.UPDATE, Code.WISH_CHANGED): Tier.UPDATE,
    (Op.UPDATE, Code.RERENDERED): Tier.REWRITE,
}

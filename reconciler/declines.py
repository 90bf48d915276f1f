"""Reads what people declined: the content of closed requests, by unit (does I/O)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from reconciler.model.plans import Pair, Proposal, ProposalKind
from reconciler.model.reviews import Declined, Request, RequestState
from reconciler.model.units import UnitId
from reconciler.plan.proposals import Files, groups_of, pairs_of
from reconciler.repo import Repository
from reconciler.review.decide import Branch
from reconciler.review.forge import Forge


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """Closed requests of one repository, each asked for and read once a pass."""

    repository: Repository
    forge: Forge
    prefix: str
    answers: dict[str, tuple[Request, ...]] = field(default_factory=dict)
    contents: dict[int, tuple[Pair, ...]] = field(default_factory=dict)

    def declined(self, proposal: Proposal, branch: Branch | None) -> Iterable[Declined]:
        """Per unit: the newest request that has it decides, whatever its group was then."""
        offered = branch.pairs if branch is not None and branch.request else ()
        present = {(pair.unit, pair.wish) for pair in offered}
        wanted = {
            pair.unit
            for pair in proposal.pairs
            if (pair.unit, pair.wish) not in present
        }
        for request in self._closed(proposal, wanted):
            if not wanted:
                return
            if request.ours_closed or request.state is RequestState.OPEN:
                continue
            for pair in self._content(request):
                if pair.unit not in wanted:
                    continue
                wanted.discard(pair.unit)
                if request.state is RequestState.CLOSED:
                    yield Declined(pair=pair, about=request.url)

    def _closed(self, proposal: Proposal, units: Iterable[UnitId]) -> list[Request]:
        """Closed requests that may have had these units, the newest first."""
        groups = {proposal.group} if units else set()
        if proposal.kind in (ProposalKind.WISHES, ProposalKind.DELETIONS):
            groups.update(*map(groups_of, units))
        found: list[Request] = []
        for group in sorted(groups):
            found += self._answer(group)
        return sorted(found, key=lambda each: -each.number)

    def _answer(self, group: str) -> tuple[Request, ...]:
        if group not in self.answers:
            found = self.forge.closed_requests(self.prefix + group)
            self.answers[group] = tuple(found)
        return self.answers[group]

    def refused(self, proposal: Proposal) -> bool:
        """Whether people closed the newest request of a proposal without units: same files."""
        if proposal.pairs or proposal.kind is not ProposalKind.WISHES:
            return False
        found = [each for each in self._answer(proposal.group) if not each.ours_closed]
        if not found or found[0].state is not RequestState.CLOSED:
            return False
        changed = self._changed(found[0])
        wanted = {each.path: each.data for each in proposal.draft.writes}
        return changed is not None and changed[0] == wanted

    def _content(self, request: Request) -> tuple[Pair, ...]:
        if request.number not in self.contents:
            self.contents[request.number] = self._read(request)
        return self.contents[request.number]

    def _read(self, request: Request) -> tuple[Pair, ...]:
        changed = self._changed(request)
        return pairs_of(changed[0], changed[1].get) if changed is not None else ()

    def _changed(self, request: Request) -> tuple[Files, Files] | None:
        branches = self.repository.branches()
        refs = self.forge.head_refs(request.number)
        if not branches.bring_commit(request.head, refs):
            return None
        return branches.proposed(request.head)

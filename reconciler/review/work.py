"""Does one step about one request: push its branch, then tell the forge (does I/O).

The branch comes first and the forge second: whatever is lost in between, the next pass finds
the branch and goes on from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from reconciler.codes import Code
from reconciler.errors import Blocked
from reconciler.model.plans import Op, Proposal, ProposalKind, Row
from reconciler.model.repository import CommitDraft, CommitId
from reconciler.model.reviews import Outcome, Request, Step
from reconciler.printable import one_line
from reconciler.review.body import (
    LOUD,
    MERGING,
    Story,
    closed_body,
    edited_comment,
    edited_mark,
    marked_body,
    request_body,
)
from reconciler.review.decide import Action, Branch, is_exact, is_same, merges_by_itself
from reconciler.review.forge import (
    EDITED_LABEL,
    MARK,
    Comment,
    Forge,
    RequestText,
    kept_labels,
)
from reconciler.semantic import semantic_diff
from reconciler.settings import Review

Files = Mapping[str, bytes | None]


class Branches(Protocol):
    """What is needed of the Git side of requests."""

    def push(
        self,
        branch: str,
        draft: CommitDraft,
        at: tuple[CommitId, CommitId],
        stamp: tuple[str, datetime],
    ) -> CommitId: ...
    def delete(self, branch: str, expected: CommitId) -> None: ...
    def trailers(self, tip: CommitId) -> str: ...
    def proposed(self, tip: CommitId) -> tuple[Files, Files] | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What all steps of a pass share: where branches are, on which commit, and what to tell.

    `held` are the rows of the pass that people hold.
    """

    prefix: str
    head: CommitId
    stamp: tuple[str, datetime]
    quarantine: timedelta
    engine: str
    held: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where the steps of a pass are done, one by one."""

    forge: Forge
    branches: Branches
    review: Review
    work: Work

    def do(self, action: Action) -> Outcome:
        """One step. Raises what Git or the forge raise; nothing is half done for ever."""
        match action.step, action.proposal, action.branch:
            case Step.CLOSED | Step.SWEPT, _, Branch() as branch:
                self._close(branch)
            case Step.EDITED, proposal, Branch(request=Request()) as branch:
                return self._edited(action, proposal, branch)
            case Step.KEPT, Proposal() as proposal, Branch(request=Request()) as branch:
                return self._keep(action, proposal, branch)
            case Step.REBUILT | Step.OPENED, Proposal() as proposal, branch:
                return self._offer(action, proposal, branch)
        request = action.branch.request if action.branch is not None else None
        return _outcome(action, action.step, request)

    def _name(self, group: str) -> str:
        return self.work.prefix + group

    def _close(self, branch: Branch) -> None:
        reason = (
            "the branch has it already" if branch.spent else "it is not wanted any more"
        )
        if branch.request is not None:
            self.forge.close(branch.request, closed_body(reason))
        if branch.offered is not None:
            self.branches.delete(self._name(branch.group), branch.offered.tip)

    def _edited(
        self, action: Action, proposal: Proposal | None, branch: Branch
    ) -> Outcome:
        """Leave it to people and say so once; a removed label gives it back to us.

        The label comes first and the body names the commit last: so a body without a label is
        one whose label was removed, and never one whose label was lost on the way. Comments
        prove nothing, as strangers may write them.
        """
        request, offered = branch.request, branch.offered
        if request is None or offered is None:
            raise AssertionError("only an open request with its branch is edited")
        mark = edited_mark(offered.tip)
        is_told = mark in request.body
        labels = tuple(dict.fromkeys((*request.labels, EDITED_LABEL)))
        if not is_told:
            self.forge.take_merge_back(request)  # it was asked for another content
        if EDITED_LABEL not in request.labels:
            if is_told and proposal is not None:
                return self._offer(action, proposal, branch)
            self.forge.label(request, labels)
        if not is_told:
            told = edited_comment(request.url, offered.tip)
            self.forge.say(request.number, self._said(request), told)
            body = marked_body(request.body, mark, self.forge.longest_body)
            text = RequestText(title=request.title, body=body, labels=labels)
            self.forge.edit(replace(request, labels=labels), text)
        return _outcome(action, Step.EDITED, request)

    def _said(self, request: Request) -> Comment | None:
        """What we said of an edit. Anybody may write our mark; the account must be ours, too."""
        for each in self.forge.comments(request.number):
            if MARK in each.body and each.author and each.author == request.author:
                return each
        return None

    def _keep(self, action: Action, proposal: Proposal, branch: Branch) -> Outcome:
        """Heal a text whose writing was lost, and ask again for the merge it waits for."""
        request, offered = branch.request, branch.offered
        if request is None or offered is None:
            raise AssertionError("only an open request with its branch is kept")
        trailers = self.branches.trailers(offered.tip)
        if MERGING in request.body and not self._merges(proposal):
            self.forge.take_merge_back(request)  # settings allowed it once
            self.forge.edit(request, self._text(proposal, offered.tip))
        if self._merges(proposal) and not is_exact(proposal, offered):
            return self._offer(action, proposal, branch)  # nobody else looks at it
        labels = kept_labels(request.labels, self._labels(proposal))
        if trailers not in request.body:
            self.forge.edit(request, self._text(proposal, offered.tip))
        elif _folded(labels) != _folded(request.labels):
            self.forge.label(request, labels)
        note = self._merge(proposal, request, offered.tip)
        return _outcome(action, Step.KEPT, request, note)

    def _offer(
        self, action: Action, proposal: Proposal, branch: Branch | None
    ) -> Outcome:
        """Build the branch anew on HEAD, then open its request or tell it anew."""
        name = self._name(proposal.group)
        offered = branch.offered if branch is not None else None
        request = branch.request if branch is not None else None
        if offered is not None and request is None and not offered.ours:
            self._refuse_foreign(name, offered.tip)
        reuse = offered is not None and branch is not None and is_same(proposal, branch)
        if offered is not None and self._merges(proposal):
            reuse = is_exact(proposal, offered)
        if offered is not None and reuse and offered.ours and not offered.conflicts:
            tip = offered.tip  # its request was lost or closed, its commit is right
        else:
            if request is not None and not self._merges(proposal):
                self.forge.take_merge_back(request)  # it was asked for another content
            expected = offered.tip if offered is not None else CommitId("")
            at = (self.work.head, expected)
            tip = self.branches.push(name, proposal.draft, at, self.work.stamp)
        text = self._text(proposal, tip)
        if request is None:
            request = self.forge.open(name, text)
            step = Step.OPENED
        else:
            self.forge.edit(request, text)
            step = Step.REBUILT
        note = self._merge(proposal, request, tip)
        return _outcome(action, step, request, note)

    def _refuse_foreign(self, name: str, tip: CommitId) -> None:
        """A branch that no request explains may be somebody's work."""
        if any(each.head == tip for each in self.forge.closed_requests(name)):
            return
        raise Blocked(
            f"{Code.REQUEST_EDITED}: branch {name} holds changes that are not ours",
            hint="open a request for it, or delete the branch",
        )

    def _merge(self, proposal: Proposal, request: Request, tip: CommitId) -> str:
        """Ask for a merge where the tier allows it; the forge's rules stay in force.

        Returns what stands in the way; the next pass asks again.
        """
        if not self._merges(proposal):
            return ""
        return self.forge.merge_when_ready(request, tip)

    def _merges(self, proposal: Proposal) -> bool:
        return merges_by_itself(proposal, self.review.auto_merge)

    def _text(self, proposal: Proposal, tip: CommitId) -> RequestText:
        changed = self.branches.proposed(tip)
        diff = semantic_diff(*changed) if changed is not None else ()
        story = Story(
            diff=diff,
            trailers=self.branches.trailers(tip),
            merges=self._merges(proposal),
            quarantine=_hours(self.work.quarantine),
            engine=self.work.engine,
            held=tuple(row for row in self.work.held if _is_near(row, proposal)),
        )
        return RequestText(
            title=proposal.draft.subject[:200],
            body=request_body(proposal, story, self.forge.longest_body),
            labels=self._labels(proposal),
        )

    def _labels(self, proposal: Proposal) -> tuple[str, ...]:
        return (*self.review.labels, *_effects(proposal))


def _is_near(row: Row, proposal: Proposal) -> bool:
    """Whether a held unit is one of the group's cluster and namespace."""
    if proposal.kind is ProposalKind.ADOPTION:
        return True
    return proposal.group == f"{row.cluster}/{row.namespace}"


def _effects(proposal: Proposal) -> tuple[str, ...]:
    """Labels by effect, so that rules and eyes find removals."""
    ops = {row.op for row in proposal.rows}
    found = []
    if ops & set(LOUD) and proposal.kind is not ProposalKind.REWRITES:
        found.append("wharfinger/removes")
    if any(row.code is Code.MOVED for row in proposal.rows):
        found.append("wharfinger/moves")
    if Op.CREATE in ops:
        found.append("wharfinger/creates")
    if Op.UPDATE in ops:
        found.append("wharfinger/changes")
    if proposal.kind is ProposalKind.FOLLOW:
        found.append("wharfinger/follows")
    return tuple(found)


def _folded(labels: tuple[str, ...]) -> set[str]:
    """Labels as a forge that ignores case compares them."""
    return {each.casefold() for each in labels}


def _hours(span: timedelta) -> str:
    minutes = int(span.total_seconds()) // 60
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def _outcome(
    action: Action, step: Step, request: Request | None, note: str = ""
) -> Outcome:
    pairs = action.proposal.pairs if action.proposal is not None else ()
    return Outcome(
        group=action.group,
        step=step,
        number=request.number if request is not None else 0,
        url=request.url if request is not None else "",
        units=tuple(pair.unit for pair in pairs),
        note=one_line(note, 200),
    )

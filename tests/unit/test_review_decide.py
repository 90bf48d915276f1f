"""What is done about requests: each line of the table in `reconciler.review.decide`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.codes import Code
from reconciler.model.plans import Op, Proposal, ProposalKind
from reconciler.model.repository import CommitId
from reconciler.model.reviews import Offered, Request, RequestState, Step
from reconciler.review.decide import Branch, decide, merges_by_itself
from reconciler.settings import Tier
from tests.review_bodies import creation, proposal, removal, row

OURS = Offered(
    branch="wharfinger/eu1/shop",
    tip=CommitId("1" * 40),
    files={},
    before={},
    ours=True,
    conflicts=False,
)
REQUEST = Request(
    number=1,
    branch=OURS.branch,
    head=OURS.tip,
    state=RequestState.OPEN,
    title="",
    body="",
    url="",
)
WANTED, _ = creation()
SAME = Branch(group="eu1/shop", offered=OURS, pairs=WANTED.pairs, request=REQUEST)
FOREIGN = replace(OURS, ours=False)
Groups = Mapping[str, Branch]


def steps(
    wanted: tuple[Proposal, ...], branches: Groups, most: int = 9
) -> dict[str, Step]:
    return {each.group: each.step for each in decide(wanted, branches, most)}


@pytest.mark.parametrize(
    ("branch", "step"),
    [
        (SAME, Step.KEPT),
        (replace(SAME, decided=False), Step.KEPT),
        (replace(SAME, pairs=()), Step.REBUILT),
        (replace(SAME, offered=replace(OURS, conflicts=True)), Step.REBUILT),
        (replace(SAME, offered=None), Step.REBUILT),
        (replace(SAME, offered=FOREIGN), Step.EDITED),
        (replace(SAME, offered=replace(FOREIGN, conflicts=True)), Step.EDITED),
        (replace(SAME, request=None), Step.OPENED),
        (replace(SAME, request=None, offered=FOREIGN), Step.OPENED),
        (None, Step.OPENED),
    ],
)
def test_what_is_proposed(branch: Branch | None, step: Step) -> None:
    branches = {"eu1/shop": branch} if branch is not None else {}
    assert steps((WANTED,), branches) == {"eu1/shop": step}


@pytest.mark.parametrize(
    ("branch", "step"),
    [
        (SAME, Step.CLOSED),
        (replace(SAME, decided=False), Step.KEPT),
        (replace(SAME, offered=FOREIGN), Step.EDITED),
        (replace(SAME, request=None), None),
        (replace(SAME, request=None, spent=True), Step.SWEPT),
        (replace(SAME, request=None, offered=FOREIGN, spent=True), None),
    ],
)
def test_what_is_not_proposed_any_more(branch: Branch, step: Step | None) -> None:
    assert steps((), {"eu1/shop": branch}).get("eu1/shop") == step


@given(st.integers(0, 8), st.integers(0, 8), st.integers(1, 8))
def test_never_more_are_open_than_allowed(there: int, new: int, most: int) -> None:
    groups = [f"eu1/n{number}" for number in range(there + new)]
    wanted = tuple(replace(WANTED, group=group) for group in groups)
    branches = {group: replace(SAME, group=group) for group in groups[:there]}
    found = list(steps(wanted, branches, most).values())
    assert found.count(Step.KEPT) == there
    assert found.count(Step.OPENED) == max(0, min(new, most - there))
    assert found.count(Step.OPENED) + found.count(Step.WAITING) == new


def test_a_request_that_closes_makes_room_in_the_same_pass() -> None:
    old = {"eu1/old": replace(SAME, group="eu1/old")}
    found = decide((WANTED,), old, 1)
    assert [each.step for each in found] == [Step.CLOSED, Step.OPENED]


def test_what_nobody_decides_is_the_same_by_its_files() -> None:
    files = {"manifests/public/eu1/shop/vs-a.endpoints.yaml": b"new"}
    follow = proposal((), files, ProposalKind.FOLLOW)
    for content, step in ((b"new", Step.KEPT), (b"old", Step.REBUILT)):
        offered = replace(OURS, files=dict.fromkeys(files, content))
        branch = replace(SAME, offered=offered, pairs=())
        assert steps((follow,), {"eu1/shop": branch}) == {"eu1/shop": step}


def test_only_listed_tiers_merge_by_themselves() -> None:
    gone, _ = removal()
    change = row(Op.UPDATE, "weights", Code.WISH_CHANGED)
    moved = row(Op.UPDATE, "moves", Code.MOVED)
    every = tuple(Tier)
    assert not merges_by_itself(WANTED, ())
    assert merges_by_itself(WANTED, (Tier.CREATE,))
    assert not merges_by_itself(replace(WANTED, rows=()), every)
    assert not merges_by_itself(gone, every)
    assert not merges_by_itself(replace(WANTED, rows=(moved,)), every)
    both = replace(WANTED, rows=(*WANTED.rows, change))
    assert not merges_by_itself(both, (Tier.CREATE,))
    assert merges_by_itself(both, every)
    for kind in (ProposalKind.ADOPTION, ProposalKind.DELETIONS, ProposalKind.REWRITES):
        assert not merges_by_itself(replace(WANTED, kind=kind), every)
    assert merges_by_itself(proposal((), {}, ProposalKind.FOLLOW), ())

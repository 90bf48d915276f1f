"""What is done about requests: every row of the table in `review.decide`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.codes import Code
from reconciler.model.plans import Op, Pair, Proposal, ProposalKind, Row
from reconciler.model.repository import CommitDraft, CommitId, FileWrite
from reconciler.model.reviews import Offered, Request, RequestState, Step
from reconciler.model.units import UnitId
from reconciler.review.decide import Branch, decide, merges_by_itself
from reconciler.settings import Tier

UNIT = UnitId(cluster="eu1", namespace="shop", name="orders")
PAIR = Pair(unit=UNIT, wish=("public:3f9a6c2e",), ports=())
OTHER = replace(PAIR, wish=("public:00000000",))
ROW = Row(
    op=Op.CREATE, cluster="eu1", namespace="shop", name="orders", route="tcp",
    gateway="public", host="h", port=20017, code=Code.EXPOSED, reason="new",
)  # fmt: skip
PROPOSAL = Proposal(
    group="eu1/shop",
    kind=ProposalKind.WISHES,
    draft=CommitDraft(
        subject="s", body="", units=(), writes=(FileWrite(path="p", data=b"1"),)
    ),
    pairs=(PAIR,),
    rows=(ROW,),
)
REQUEST = Request(
    number=1, branch="wharfinger/eu1/shop", head=CommitId("1"), state=RequestState.OPEN,
    title="t", body="b", url="u",
)  # fmt: skip
OFFERED = Offered(
    branch="b", tip=CommitId("1"), files={"p": b"1"}, before={}, ours=True, conflicts=False
)  # fmt: skip
BRANCH = Branch(group="eu1/shop", offered=OFFERED, pairs=(PAIR,), request=REQUEST)


def step(proposal: Proposal | None, branch: Branch | None, most: int = 20) -> list[str]:
    proposals = [proposal] if proposal is not None else []
    branches = {branch.group: branch} if branch is not None else {}
    return [each.step.name for each in decide(proposals, branches, most)]


@pytest.mark.parametrize(
    ("branch", "expected"),
    [
        (None, ["OPENED"]),
        (BRANCH, ["KEPT"]),
        (replace(BRANCH, pairs=(OTHER,)), ["REBUILT"]),
        (replace(BRANCH, offered=replace(OFFERED, conflicts=True)), ["REBUILT"]),
        (replace(BRANCH, offered=replace(OFFERED, ours=False)), ["EDITED"]),
        (replace(BRANCH, offered=None, pairs=()), ["REBUILT"]),
        (replace(BRANCH, request=None), ["OPENED"]),
    ],
)
def test_a_proposal(branch: Branch | None, expected: list[str]) -> None:
    assert step(PROPOSAL, branch) == expected


@pytest.mark.parametrize(
    ("branch", "expected"),
    [
        (BRANCH, ["CLOSED"]),
        (replace(BRANCH, decided=False), ["KEPT"]),
        (replace(BRANCH, offered=replace(OFFERED, ours=False)), ["EDITED"]),
        (replace(BRANCH, request=None), []),
        (replace(BRANCH, request=None, spent=True), ["SWEPT"]),
        (replace(BRANCH, request=None, offered=replace(OFFERED, ours=False)), []),
    ],
)
def test_a_branch_without_a_proposal(branch: Branch, expected: list[str]) -> None:
    assert step(None, branch) == expected


def test_without_pairs_the_files_decide() -> None:
    plain = replace(PROPOSAL, pairs=())
    same = replace(BRANCH, pairs=())
    assert step(plain, same) == ["KEPT"]
    other = replace(same, offered=replace(OFFERED, files={"p": b"2"}))
    assert step(plain, other) == ["REBUILT"]


def test_more_than_the_settings_allow_wait_and_open_ones_come_first() -> None:
    new = [replace(PROPOSAL, group=f"eu1/a{index}") for index in range(3)]
    actions = decide([*new, PROPOSAL], {"eu1/shop": BRANCH}, 2)
    steps = {each.group: each.step for each in actions}
    assert steps == {
        "eu1/shop": Step.KEPT,
        "eu1/a0": Step.OPENED,
        "eu1/a1": Step.WAITING,
        "eu1/a2": Step.WAITING,
    }


@pytest.mark.parametrize(
    ("row", "tiers", "expected"),
    [
        (ROW, (Tier.CREATE,), True),
        (ROW, (Tier.UPDATE,), False),
        (ROW, (), False),
        (replace(ROW, op=Op.UPDATE, code=Code.WISH_CHANGED), (Tier.UPDATE,), True),
        (replace(ROW, op=Op.UPDATE, code=Code.RERENDERED), (Tier.UPDATE,), False),
        (replace(ROW, op=Op.UPDATE, code=Code.RERENDERED), (Tier.REWRITE,), True),
        (replace(ROW, op=Op.UPDATE, code=Code.MOVED), tuple(Tier), False),
        (replace(ROW, op=Op.UPDATE, code=Code.TRANSFERRED), tuple(Tier), False),
        (replace(ROW, op=Op.DELETE), tuple(Tier), False),
        (replace(ROW, op=Op.RELEASE), tuple(Tier), False),
    ],
)
def test_tiers(row: Row, tiers: tuple[Tier, ...], expected: bool) -> None:
    assert merges_by_itself(replace(PROPOSAL, rows=(row,)), tiers) is expected
    mixed = replace(PROPOSAL, rows=(row, replace(ROW, op=Op.DELETE)))
    assert not merges_by_itself(mixed, tuple(Tier))


def test_only_what_nobody_decides_merges_whatever_the_tiers() -> None:
    follow = replace(PROPOSAL, kind=ProposalKind.FOLLOW, rows=())
    assert merges_by_itself(follow, ())
    for kind in (ProposalKind.ADOPTION, ProposalKind.DELETIONS, ProposalKind.REWRITES):
        assert not merges_by_itself(replace(PROPOSAL, kind=kind), tuple(Tier))


def test_addresses_wait_for_no_reviewer_of_wishes() -> None:
    follow = replace(
        PROPOSAL, group="eu1/followed.addresses", kind=ProposalKind.FOLLOW, pairs=()
    )
    new = replace(PROPOSAL, group="eu1/a")
    actions = decide([PROPOSAL, new, follow], {"eu1/shop": BRANCH}, 1)
    assert {each.group: each.step for each in actions} == {
        "eu1/shop": Step.KEPT,
        "eu1/a": Step.WAITING,
        "eu1/followed.addresses": Step.OPENED,
    }


def test_what_was_not_observed_is_not_taken_out_of_a_request() -> None:
    more = replace(PAIR, unit=replace(UNIT, name="unseen"))
    both = replace(BRANCH, pairs=(PAIR, more))
    assert step(PROPOSAL, replace(both, decided=False)) == ["KEPT"]
    assert step(PROPOSAL, both) == ["REBUILT"]
    unlike = replace(both, pairs=(OTHER, more), decided=False)
    assert step(PROPOSAL, unlike) == ["REBUILT"]
    clash = replace(OFFERED, conflicts=True)
    assert step(PROPOSAL, replace(both, decided=False, offered=clash)) == ["REBUILT"]

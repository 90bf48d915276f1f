"""Budgets under review at a real Gitea: what is withheld is accepted by a merge."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import reconciler.run
from reconciler.codes import Code
from reconciler.errors import Exit
from reconciler.model.plans import Op
from reconciler.model.units import UnitFiles
from reconciler.run import PassResult
from tests.stack.engines import gitea  # noqa: F401
from tests.stack.gitea import Gitea
from tests.stack.review import review_at
from tests.stack.rounds import MANY, Rounds, code_of, passes

pytestmark = pytest.mark.stack
SETTINGS = {"mode": "pull-request", "forge": "gitea", "autoMerge": ["rewrite"]}
SPACES = tuple(f"s{number}" for number in range(8))


@pytest.fixture
def served(gitea: Gitea, tmp_path: Path) -> Rounds:  # noqa: F811
    """Nine exposures at the branch."""
    review = review_at(gitea, tmp_path).start(review=SETTINGS, gateways=[MANY])
    made = Rounds(review=review)
    for space in SPACES:
        made.expose(space)
    made.begin()
    return made


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A renderer that writes the same routes in another way, as an upgrade may."""
    present = reconciler.run.RENDERING

    def unit(*args: Any) -> UnitFiles:
        files = present.unit(*args)
        return replace(files, wish=files.wish + b"# rendered anew\n")

    changed = replace(present, version=present.version + 1, unit=unit)
    monkeypatch.setattr(reconciler.run, "RENDERING", changed)


def steps(result: PassResult) -> dict[str, str]:
    """What was done by group."""
    return {each.group: each.step.name.lower() for each in result.reviewed.outcomes}


def rows(result: PassResult, op: Op) -> int:
    """How many rows of a kind a pass has."""
    return len([row for row in result.plan.rows if row.op is op])


def test_a_gateway_that_is_rendered_anew_is_one_request_and_its_merge_accepts_it(
    served: Rounds, newer: None
) -> None:
    review = served.review
    before = review.tip()
    result = passes(review)
    assert steps(result) == {"withheld.rewrites.public": "opened"}
    assert code_of(result) is Exit.BLOCKED
    codes = {row.code for row in result.plan.rows if row.op is Op.WITHHOLD}
    assert codes == {Code.REWRITES_WITHHELD}
    assert review.tip() == before
    pull = review.only()
    assert pull["title"] == "Render 9 exposures of public anew"
    assert steps(passes(review)) == {"withheld.rewrites.public": "kept"}
    assert review.only()["state"] == "open", (
        "rewrites above the budget never merge alone"
    )
    review.merge(pull["number"])
    assert "rendered anew" in review.show("manifests/public/eu1/s0/vs-s0.yaml")
    result = passes(review)
    assert code_of(result) is Exit.DONE
    assert rows(result, Op.WITHHOLD) == 0
    assert result.plan.proposals == ()
    assert steps(passes(review)) == {}


def test_deletions_of_merged_requests_count_for_a_day(served: Rounds) -> None:
    review = served.review
    for space in SPACES[:3]:
        (review.clusters / f"eu1/{space}.yaml").unlink()
    result = passes(review)
    assert rows(result, Op.WITHHOLD) == 0
    assert set(steps(result)) == {f"eu1/{space}" for space in SPACES[:3]}
    for pull in review.pulls():
        review.merge(pull["number"])
    passes(review)
    (review.clusters / "eu1/s3.yaml").unlink()
    result = passes(review)
    assert code_of(result) is Exit.BLOCKED
    (row,) = [row for row in result.plan.rows if row.op is Op.WITHHOLD]
    assert "4 of 9 exposures in 24 hours, 3 are allowed" in row.reason
    assert steps(result) == {"eu1/withheld.deletions": "opened"}
    review.merge(review.only()["number"])
    result = passes(review)
    assert code_of(result) is Exit.DONE
    assert "manifests/public/eu1/s3/vs-s3.yaml" not in review.files()

"""One hour of churn in simulated time."""

from __future__ import annotations

import pytest

from reconciler.errors import Exit
from tests.simulation import verdicts
from tests.simulation.churn import Churn, Hour, Size
from tests.simulation.clock import simulate

SMALL = Size(clusters=40, exposures=4, minutes=6)


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Hour:
    return simulate(Churn(tmp_path_factory.mktemp("hour"), SMALL).play)


def test_nothing_is_deleted_that_is_there(hour: Hour) -> None:
    assert list(verdicts.wrong_deletions(hour)) == []


def test_nothing_changes_of_a_cluster_that_cannot_be_seen(hour: Hour) -> None:
    assert list(verdicts.touched_in_the_dark(hour)) == []


def test_there_is_at_most_one_push_a_window(hour: Hour) -> None:
    assert list(verdicts.crowded_pushes(hour)) == []


def test_every_change_but_the_noise_is_committed_in_time(hour: Hour) -> None:
    assert list(verdicts.late(hour)) == []


def test_no_port_has_two_owners(hour: Hour) -> None:
    assert list(verdicts.owners_that_changed(hour)) == []


def test_in_the_end_there_is_nothing_left_to_plan(hour: Hour) -> None:
    assert hour.ended is Exit.DONE
    assert hour.after is not None
    assert hour.after.plan.drafts == ()

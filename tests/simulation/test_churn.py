"""An hour of churn in simulated time: nobody loses anything, and only the noisy one is late.

`WHARFINGER_HOUR=1` plays the whole hour of 500 clusters with 20 exposures each; without it the
hour is shorter and clusters have fewer exposures.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

from tests.simulation import verdicts
from tests.simulation.__main__ import HOUR
from tests.simulation.churn import Churn, Hour, Size
from tests.simulation.clock import simulate

SHORT = Size(clusters=500, exposures=2, minutes=5)


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Hour:
    size = HOUR if os.environ.get("WHARFINGER_HOUR") else SHORT
    return simulate(Churn(tmp_path_factory.mktemp("hour"), size).play)


def test_much_happens(hour: Hour) -> None:
    kinds = Counter(event.kind for event in hour.events)
    assert set(kinds) == {"change", "create", "delete", "revert"}
    assert len(verdicts.pushes(hour)) > 5 * hour.size.minutes
    assert hour.passes["slice"] > hour.passes["whole"]
    assert hour.fleet.lists > 0


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


def test_objects_threads_and_descriptors_stay_as_many(hour: Hour) -> None:
    assert list(verdicts.not_flat(hour)) == []


def test_only_clusters_of_which_something_went_are_listed(hour: Hour) -> None:
    assert list(verdicts.needless_lists(hour)) == []


def test_in_the_end_there_is_nothing_left_to_plan(hour: Hour) -> None:
    assert list(verdicts.unfinished(hour)) == []

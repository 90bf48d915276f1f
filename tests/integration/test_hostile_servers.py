"""A hostile API server beside 20 healthy clusters: late or lost alone, whatever it sends."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from reconciler.model.clusters import Why
from tests.hostile.evils import evils
from tests.hostile.serving import HEALTHY, uid

Seen = dict[str, Any]
EVILS = evils(1, uid(HEALTHY[0]))
WAITING = tuple(name for name, evil in EVILS.items() if evil.waits)
MEBIBYTES, REQUESTS = 100.0, 300


@pytest.fixture(scope="module")
def passes(tmp_path_factory: pytest.TempPathFactory) -> list[Seen]:
    """A pass for each behaviour, one for all that make us wait."""
    folder = tmp_path_factory.mktemp("hostile")
    groups = [name for name in EVILS if name not in WAITING]
    argv = [sys.executable, "-m", "tests.hostile.observing", str(folder)]
    done = subprocess.run(
        [*argv, *groups, "+".join(WAITING)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def of(passes: list[Seen], name: str) -> Seen:
    """The pass with this behaviour."""
    (found,) = (each for each in passes if name in each["behaviours"])
    return found


def alone(passes: list[Seen]) -> Seen:
    """The healthy clusters without a hostile one."""
    return next(each for each in passes if not each["behaviours"])


def test_the_healthy_clusters_alone_are_known(passes: list[Seen]) -> None:
    assert len(alone(passes)["others"]) == len(HEALTHY) == 20
    assert alone(passes)["unknown"] == {}


def test_there_are_at_least_fourteen_behaviours() -> None:
    assert len(EVILS) >= 14
    assert all(evil.does for evil in EVILS.values())


@pytest.mark.parametrize("name", EVILS)
def test_a_hostile_cluster_is_unknown_for_its_own_reason(
    passes: list[Seen], name: str
) -> None:
    why, message = of(passes, name)["unknown"].get(name, (None, ""))
    late = EVILS[name].much and why == Why.TIMEOUT
    assert late or why == EVILS[name].why, message
    assert "t0ken" not in message
    assert len(message) < 300


@pytest.mark.parametrize("name", EVILS)
def test_the_others_are_seen_as_if_it_were_not_there(
    passes: list[Seen], name: str
) -> None:
    seen, expected = of(passes, name), dict(alone(passes)["others"])
    harmed = [each for each in HEALTHY if uid(each) == EVILS[name].harms]
    for each in harmed:
        assert seen["unknown"][each][0] == Why.DUPLICATE
        expected[each] = seen["others"][each]
    assert seen["others"] == expected


@pytest.mark.parametrize("name", EVILS)
def test_memory_requests_and_connections_are_bounded(
    passes: list[Seen], name: str
) -> None:
    seen = of(passes, name)
    assert seen["mebibytes"] < MEBIBYTES
    assert seen["requests"][name] <= REQUESTS
    assert seen["canary"] == 0
    assert seen["threads"] == alone(passes)["threads"]


@pytest.mark.parametrize("name", WAITING)
def test_the_others_are_ready_before_the_deadline_of_one_that_waits(
    passes: list[Seen], name: str
) -> None:
    ready = of(passes, name)["ready"]
    assert set(ready[: len(HEALTHY)]) == set(HEALTHY)
    assert set(ready[len(HEALTHY) :]) == set(WAITING)

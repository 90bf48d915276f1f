"""Hostile watches beside 20 healthy clusters: those are told of in time, and the others too."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from reconciler.model.clusters import Why
from tests.hostile.serving import HEALTHY
from tests.hostile.watch_evils import watch_evils

Seen = dict[str, Any]
EVILS = watch_evils(1)
FLOODS = (
    "watch-flood",
    "watch-flood-new",
    "watch-flood-odd",
    "watch-bookmarks",
    "watch-tiny-chunks",
    "watch-informational",
    "watch-endless-line",
)
OTHERS = tuple(name for name in EVILS if name not in FLOODS)
MEBIBYTES, REQUESTS = 100.0, 100
POOL = 6  # threads of asyncio that look up names, on two cores


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> list[Seen]:
    """The healthy clusters alone, beside all floods at once, and beside all others at once."""
    folder = tmp_path_factory.mktemp("hostile")
    argv = [sys.executable, "-m", "tests.hostile.watching", str(folder)]
    done = subprocess.run(
        [*argv, "", "+".join(FLOODS), "+".join(OTHERS)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def of(scenes: list[Seen], name: str) -> Seen:
    """The scene with this behaviour."""
    (found,) = (each for each in scenes if name in each["behaviours"])
    return found


@pytest.mark.parametrize("name", EVILS)
def test_a_hostile_cluster_is_unknown_for_its_own_reason(
    scenes: list[Seen], name: str
) -> None:
    why, message = of(scenes, name)["unknown"].get(name, (None, ""))
    # On a busy machine an honest part of the server can be late first.
    late = EVILS[name].why is not None and why == Why.TIMEOUT
    assert late or why == EVILS[name].why, message
    assert "t0ken" not in message
    assert len(message) < 300


@pytest.mark.parametrize("name", EVILS)
def test_it_is_asked_only_so_often(scenes: list[Seen], name: str) -> None:
    assert of(scenes, name)["requests"][name] <= REQUESTS


@pytest.mark.parametrize("number", [1, 2], ids=["floods", "others"])
def test_the_others_are_known_and_told_of_meanwhile(
    scenes: list[Seen], number: int
) -> None:
    seen = scenes[number]
    assert len(seen["behaviours"]) == len((FLOODS, OTHERS)[number - 1])
    # 0 would be never: no flood ends before the watcher does.
    assert all(seen["told"].values()), seen["told"]
    assert not set(HEALTHY) & seen["unknown"].keys()
    touched = set(seen["told"])
    for name in set(HEALTHY) - touched:
        assert seen["others"][name] == scenes[0]["others"][name]


@pytest.mark.parametrize("number", [1, 2], ids=["floods", "others"])
def test_memory_threads_and_connections_are_bounded(
    scenes: list[Seen], number: int
) -> None:
    seen = scenes[number]
    assert seen["mebibytes"] < MEBIBYTES
    assert seen["threads"] <= scenes[0]["threads"] + POOL
    watches = 6
    assert seen["descriptors"] <= scenes[0]["descriptors"] + 2 * watches * len(
        seen["behaviours"]
    )
    assert seen["canary"] == 0

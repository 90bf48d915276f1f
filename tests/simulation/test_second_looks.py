"""What the second looks of `run` cost and what they do not believe, in simulated time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.simulation.fleet import Sky, exposed
from tests.simulation.rig import Rig, time

HOLD = "reason: freeze\n"


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_what_is_removed_is_missed_no_more_and_delays_no_other_removal(
    rig: Rig,
) -> None:
    async def story(rig: Rig) -> None:
        rig.fleet.apply("c1", "vs0", None)
        await asyncio.sleep(600)
        assert rig.fleet.lists == 1
        rig.fleet.apply("c1", "vs1", None)
        await asyncio.sleep(70)
        assert rig.fleet.lists == 2

    rig.play(story)
    assert [status for _, status in rig.pushed("c1", "vs0")[1:]] == ["D"]
    ((at, status),) = rig.pushed("c1", "vs1")[1:]
    assert status == "D"
    assert 630 + 60 < at < 630 + 70


def test_what_stays_missing_is_looked_for_ever_more_seldom(rig: Rig) -> None:
    """A person holds it: nothing comes of the looks, however often they are taken."""

    async def story(rig: Rig) -> None:
        rig.place.commits("holds/c1/shop/vs0.yaml", HOLD, "Freeze")
        await asyncio.sleep(60)
        rig.fleet.apply("c1", "vs0", None)
        await asyncio.sleep(3300)

    rig.play(story)
    assert [status for _, status in rig.pushed("c1", "vs0")] == ["A"]
    assert 2 <= rig.fleet.lists <= 7


def test_what_goes_soon_after_something_else_of_its_cluster_does_not_wait_twice(
    rig: Rig,
) -> None:
    async def story(rig: Rig) -> None:
        rig.fleet.apply("c1", "vs0", None)
        await asyncio.sleep(10)
        rig.fleet.apply("c1", "vs1", None)
        await asyncio.sleep(300)
        assert rig.fleet.lists == 2

    rig.play(story)
    first, second = (rig.pushed("c1", name)[-1] for name in ("vs0", "vs1"))
    assert (first[1], second[1]) == ("D", "D")
    assert 30 + 60 < first[0] < 30 + 67
    assert 40 + 60 < second[0] < first[0] + 35


def test_a_list_of_nothing_is_no_second_look_at_what_came_back_in_the_dark(
    rig: Rig,
) -> None:
    async def story(rig: Rig) -> None:
        rig.fleet.apply("c1", "vs0", None)
        await asyncio.sleep(20)
        rig.fleet.turn("c1", Sky.DARK)
        rig.fleet.apply("c1", "vs0", exposed("vs0", 0))
        await asyncio.sleep(20)
        rig.fleet.turn("c1", Sky.EMPTY)
        await asyncio.sleep(50)
        rig.fleet.turn("c1", Sky.CLEAR)
        await asyncio.sleep(300)

    rig.play(story)
    assert [rig.pushed("c1", f"vs{index}")[1:] for index in range(3)] == [[], [], []]


def test_what_is_gone_is_removed_when_a_list_of_nothing_was_a_lie(rig: Rig) -> None:
    async def story(rig: Rig) -> None:
        rig.fleet.apply("c1", "vs0", None)
        await asyncio.sleep(40)
        rig.fleet.turn("c1", Sky.EMPTY)
        await asyncio.sleep(40)
        assert rig.fleet.lists == 1
        rig.fleet.turn("c1", Sky.CLEAR)
        assert time() == 110
        await asyncio.sleep(100)

    rig.play(story)
    ((at, status),) = rig.pushed("c1", "vs0")[1:]
    assert (at >= 110, status) == (True, "D")
    assert [rig.pushed("c1", f"vs{index}")[1:] for index in (1, 2)] == [[], []]

"""What the hourly pass calls missed is what slices should have done, and nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.simulation.fleet import Sky, exposed
from tests.simulation.rig import Rig, made, missed, time

HOUR = 3600  # of the first pass, and the next over everything


def test_news_of_what_flaps_are_late_and_not_missed(tmp_path: Path) -> None:
    before = (made("whole"), missed())

    async def story(rig: Rig) -> None:
        await asyncio.sleep(HOUR - 20 - time())
        for _ in range(6):
            rig.fleet.turn("c1", Sky.DARK)
            await asyncio.sleep(1)
            rig.fleet.turn("c1", Sky.CLEAR)
            await asyncio.sleep(1)
        rig.fleet.turn("c1", Sky.DARK)
        rig.fleet.apply("c1", "vs0", exposed("vs0", 1))
        rig.fleet.turn("c1", Sky.CLEAR)
        await asyncio.sleep(7)
        assert len(rig.pushed("c1", "vs0")) == 1
        await asyncio.sleep(30)

    rig = Rig(tmp_path)
    rig.play(story)
    assert len(rig.pushed("c1", "vs0")) == 2
    assert (made("whole") - before[0], missed()) == (2, before[1])


def test_what_people_did_just_before_was_nobodys_to_miss(tmp_path: Path) -> None:
    before = (made("whole"), missed())
    path = "manifests/public/c1/shop/vs-vs0.endpoints.yaml"

    async def story(rig: Rig) -> None:
        await asyncio.sleep(HOUR - 5 - time())
        text = rig.show(path)
        rig.place.commits(path, text.replace("31000", "31009"), "Move it")
        await asyncio.sleep(4)
        assert "31009" in rig.show(path)
        await asyncio.sleep(5)
        assert "31009" not in rig.show(path)

    rig = Rig(tmp_path)
    rig.play(story)
    assert (made("whole") - before[0], missed()) == (2, before[1])

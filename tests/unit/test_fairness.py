"""Who rests between pieces of work: a server that used more than others at work."""

from __future__ import annotations

import asyncio

from reconciler.fairness import FREE, Shares


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_who_is_alone_never_rests() -> None:
    shares = Shares(clock=Clock())
    account = shares.open()
    assert shares.charge(account, 60.0) == 0.0


def test_who_used_more_rests_while_others_are_at_work() -> None:
    clock = Clock()
    shares = Shares(clock=clock)
    heavy, light = shares.open(), shares.open()
    assert shares.charge(light, FREE / 10) == 0.0
    assert shares.charge(heavy, 2 * FREE) > 2 * FREE
    assert shares.charge(light, FREE / 10) == 0.0
    clock.now += 5.0  # the other one waits for its server
    assert shares.charge(heavy, 2 * FREE) == 0.0


def test_equals_do_not_rest() -> None:
    shares = Shares(clock=Clock())
    one, two = shares.open(), shares.open()
    for _ in range(10):
        assert shares.charge(one, FREE / 2) == 0.0
        assert shares.charge(two, FREE / 2) == 0.0


def test_who_is_done_counts_no_longer() -> None:
    shares = Shares(clock=Clock())
    heavy, light = shares.open(), shares.open()
    shares.charge(light, FREE / 10)
    shares.close(light)
    assert shares.charge(heavy, 1.0) == 0.0


def test_what_was_long_ago_is_forgotten() -> None:
    clock = Clock()
    shares = Shares(clock=clock)
    heavy, light = shares.open(), shares.open()
    shares.charge(heavy, 1.0)
    clock.now += 600.0
    shares.charge(light, FREE / 10)
    assert shares.charge(heavy, FREE / 10) == 0.0


def test_a_turn_comes_at_last() -> None:
    async def run() -> None:
        shares = Shares()
        heavy, light = shares.open(), shares.open()
        shares.charge(light, 0.001)
        await asyncio.wait_for(shares.turn(heavy, 30.0), 20)

    asyncio.run(run())

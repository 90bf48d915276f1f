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


def shares() -> tuple[Shares, Clock, Clock]:
    """Shares, their clock and their clock of work."""
    clock, work = Clock(), Clock()
    return Shares(clock=clock, work=work), clock, work


def test_who_is_alone_never_rests() -> None:
    found, _, _ = shares()
    assert not found.charge(found.open(), 60.0)


def test_who_used_more_rests_while_others_are_at_work() -> None:
    found, clock, _ = shares()
    heavy, light = found.open(), found.open()
    assert not found.charge(light, FREE / 10)
    assert found.charge(heavy, 2 * FREE)
    assert not found.charge(light, FREE / 10)
    clock.now += 2.0  # the other one waits for its server
    assert not found.rests(heavy)


def test_a_rest_is_over_when_others_have_worked_for_some_time() -> None:
    found, _, work = shares()
    heavy, light = found.open(), found.open()
    found.charge(light, FREE / 10)
    assert found.charge(heavy, 2 * FREE)
    work.now += 10 * FREE
    assert found.rests(heavy)
    work.now += 60 * FREE
    assert not found.rests(heavy)


def test_no_rest_is_longer_than_some_seconds() -> None:
    found, clock, _ = shares()
    heavy, light = found.open(), found.open()
    found.charge(light, FREE / 10)
    assert found.charge(heavy, 100.0)
    for _ in range(20):
        clock.now += 0.5
        found.charge(light, 0.0)
    assert not found.rests(heavy)


def test_equals_do_not_rest() -> None:
    found, _, _ = shares()
    one, two = found.open(), found.open()
    for _ in range(10):
        assert not found.charge(one, FREE / 2)
        assert not found.charge(two, FREE / 2)


def test_who_is_done_counts_no_longer() -> None:
    found, _, _ = shares()
    heavy, light = found.open(), found.open()
    found.charge(light, FREE / 10)
    found.close(light)
    assert not found.charge(heavy, 1.0)


def test_what_was_long_ago_is_forgotten() -> None:
    found, clock, _ = shares()
    heavy, light = found.open(), found.open()
    found.charge(heavy, 1.0)
    clock.now += 600.0
    found.charge(light, FREE / 10)
    assert not found.charge(heavy, FREE / 10)


def test_a_turn_comes_at_last() -> None:
    async def run() -> None:
        found = Shares()
        heavy, light = found.open(), found.open()
        found.charge(light, 0.001)
        await asyncio.wait_for(found.turn(heavy, 30.0), 20)

    asyncio.run(run())

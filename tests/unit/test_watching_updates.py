"""Updates wait put together, news that flaps wait longer, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from reconciler.kubeerrors import KubeError
from reconciler.model.clusters import Node, Why
from reconciler.model.updates import Delta, Update
from reconciler.observe.watching.events import (
    Bookmark,
    Dropped,
    Failure,
    Garbled,
    Put,
    event,
)
from reconciler.observe.watching.flapping import MOST, Damping
from reconciler.observe.watching.health import Health
from reconciler.observe.watching.kinds import sources
from reconciler.observe.watching.pace import Backoff, Pace
from reconciler.observe.watching.updates import Updates

PACE = Pace(flap_first=0.05, flap_longest=0.2)
N1 = Node(name="n1", ready=True, ready_since=None, internal_ips=())
N2 = replace(N1, ready=False)
N3 = replace(N1, internal_ips=("10.0.0.1",))
KEY = ("nodes", ("", "n1"))


def on(use: Callable[[Updates], Awaitable[None]], pace: Pace = PACE) -> None:
    async def run() -> None:
        await use(Updates(pace))

    asyncio.run(run())


def change(updates: Updates, old: Node | None, new: Node | None) -> None:
    updates.changed("eu1", {KEY: Delta(old=old, new=new)})


def test_changes_of_one_object_become_one_change() -> None:
    async def use(updates: Updates) -> None:
        change(updates, None, N1)
        change(updates, N1, N3)
        updates.changed("eu2", {KEY: Delta(old=None, new=N2)})
        assert updates.qsize() == 2
        assert await updates.get() == Update(
            cluster="eu1", deltas=(Delta(old=None, new=N3),)
        )
        assert (await updates.get()).cluster == "eu2"
        assert updates.empty()

    on(use)


def test_a_change_and_its_opposite_are_none() -> None:
    async def use(updates: Updates) -> None:
        change(updates, N1, N2)
        change(updates, N2, N1)
        assert (await updates.get()).deltas == ()
        assert updates.empty()

    on(use)


def test_a_whole_cluster_needs_no_changes_besides() -> None:
    async def use(updates: Updates) -> None:
        change(updates, N1, N2)
        updates.whole("eu1")
        change(updates, N2, N3)
        assert await updates.get() == Update(cluster="eu1", deltas=None)
        assert updates.empty()
        change(updates, N3, N1)
        assert (await updates.get()).deltas == (Delta(old=N3, new=N1),)

    on(use)


def test_a_thousand_clusters_that_change_all_the_time_wait_once_each() -> None:
    async def use(updates: Updates) -> None:
        for turn in range(10):
            for number in range(1000):
                old, new = (N1, N3) if turn % 2 else (N3, N1)
                updates.changed(f"c{number}", {KEY: Delta(old=old, new=new)})
        assert updates.qsize() == 1000

    on(use)


def test_an_object_that_flips_is_told_ever_later_and_never_lost() -> None:
    async def use(updates: Updates) -> None:
        sides: tuple[Node, Node] = (N1, N2)
        told: list[Node] = []
        for turn in range(12):
            change(updates, sides[turn % 2], sides[(turn + 1) % 2])
            while not updates.empty():
                for delta in updates.get_nowait().deltas or ():
                    assert isinstance(delta.new, Node)
                    told.append(delta.new)
        assert 2 <= len(told) <= 6
        # The last word is N1: what was told last, or what is still to come.
        change(updates, N1, N3)
        async with asyncio.timeout(5):
            while told[-1] != N3:
                for delta in (await updates.get()).deltas or ():
                    assert isinstance(delta.new, Node)
                    told.append(delta.new)

    on(use)


def flap(updates: Updates) -> None:
    """A cluster that goes back and forth until news of it wait."""
    for turn in range(10):
        updates.whole("eu1", (turn % 2, (turn + 1) % 2))
        while not updates.empty():
            assert updates.get_nowait().deltas is None
    assert updates.untold("eu1")


def test_no_change_is_told_before_the_whole_that_it_goes_on_from() -> None:
    async def use(updates: Updates) -> None:
        flap(updates)
        change(updates, N1, N3)
        assert updates.get_nowait().deltas is None
        assert not updates.untold("eu1")
        change(updates, N3, N2)
        assert updates.get_nowait().deltas == (Delta(old=N3, new=N2),)
        await asyncio.sleep(0.4)
        assert updates.empty()

    on(use)


def test_a_change_that_waits_to_be_taken_becomes_the_whole_that_follows() -> None:
    async def use(updates: Updates) -> None:
        flap(updates)
        assert (await updates.get()).deltas is None
        change(updates, N1, N3)
        updates.whole("eu1", (0, 1))
        assert updates.get_nowait().deltas is None
        assert updates.empty()

    on(use)


def test_a_flapping_object_of_a_flapping_cluster_waits_with_it() -> None:
    async def use(updates: Updates) -> None:
        for turn in range(12):
            change(updates, *((N1, N2) if turn % 2 else (N2, N1)))
            while not updates.empty():
                updates.get_nowait()
        flap(updates)
        change(updates, N2, N1)
        assert updates.empty()
        async with asyncio.timeout(5):
            assert (await updates.get()).deltas is None
        await asyncio.sleep(0.4)
        assert updates.empty()

    on(use)


def test_what_is_ever_new_is_remembered_within_bounds() -> None:
    damping = Damping(PACE)
    for number in range(3 * MOST):
        assert damping.delay(number, (0, 1), 1.0) == 0
    assert len(damping) == MOST
    assert damping.delay("x", (0, 1), 1.0 + 2 * PACE.flap_memory) == 0
    assert len(damping) == 1


def test_a_rollout_is_no_flapping() -> None:
    damping = Damping(PACE)
    steps = [(number, number + 1) for number in range(50)]
    assert [damping.delay("x", step, 1.0) for step in steps] == [0.0] * 50


def test_what_flaps_waits_longer_each_time_and_is_forgiven_after_a_rest() -> None:
    damping = Damping(Pace(flap_free=2, flap_first=4, flap_longest=20))
    steps = [(1, 2), (2, 1)] * 5
    delays = [damping.delay("x", step, float(at)) for at, step in enumerate(steps)]
    assert delays == [0, 0, 4, 8, 16, 20, 20, 20, 20, 20]
    assert damping.delay("y", (1, 2), 11.0) == 0
    assert damping.delay("x", (1, 2), 2000.0) == 0
    assert len(damping) == 1


def test_backoff_grows_and_has_full_jitter() -> None:
    backoff = Backoff(Pace(backoff=1.0, backoff_longest=10.0))
    assert [backoff.next(1.0) for _ in range(6)] == [1, 2, 4, 8, 10, 10]
    assert backoff.next(0.25) == 2.5
    backoff.reset()
    assert backoff.next(0.5) == 0.5


def test_a_cluster_is_unknown_for_what_has_failed_longest() -> None:
    health = Health(10.0)
    refused = KubeError("HTTP 403", "eu1", why=Why.FORBIDDEN)
    gone = KubeError("no connection", "eu1", why=Why.UNREACHABLE)
    assert health.failed("nodes", gone, 0.0)
    assert not health.failed("nodes", refused, 5.0)
    assert health.failed("services", gone, 1.0)
    assert health.verdict(9.9) is None
    verdict = health.verdict(11.0)
    assert verdict is not None
    assert verdict.why is Why.FORBIDDEN
    health.well("nodes")
    verdict = health.verdict(11.0)
    assert verdict is not None
    assert verdict.why is Why.UNREACHABLE
    health.well("services")
    assert health.verdict(100.0) is None


NODES = next(each for each in sources("", rules=False) if each.kind == "nodes")
OBJECT = b'{"metadata": {"name": "n1", "resourceVersion": "%s"}}'


def said(type: bytes, body: bytes) -> Any:
    return event(b'{"type": "%b", "object": %b}' % (type, body), NODES.convert)


def test_events() -> None:
    body = OBJECT % b"not-a-number"
    found = said(b"ADDED", body)
    assert isinstance(found, Put)
    assert found.row.key == ("", "n1")
    assert found.version == "not-a-number"
    assert isinstance(said(b"MODIFIED", body), Put)
    assert isinstance(said(b"DELETED", body), Dropped)
    assert said(b"BOOKMARK", body) == Bookmark(version="not-a-number")
    assert said(b"ERROR", b'{"code": 410}') == Failure(code=410)
    assert said(b"ERROR", b'{"code": "410"}') == Failure(code=0)


@pytest.mark.parametrize(
    ("type", "body"),
    [
        (b"RENAMED", OBJECT % b"7"),
        (b"ADDED", OBJECT % b""),
        (b"ADDED", OBJECT % b"7 8"),
        (b"ADDED", OBJECT % (b"7" * 300)),
        (b"ADDED", b'{"metadata": {"resourceVersion": "7"}}'),
        (b"BOOKMARK", b"{}"),
        (b"ADDED", b"[]"),
        (b"ADDED", b'{"metadata": NaN}'),
    ],
)
def test_what_no_server_would_send(type: bytes, body: bytes) -> None:
    with pytest.raises(Garbled):
        said(type, body)

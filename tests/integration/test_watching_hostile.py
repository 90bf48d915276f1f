"""Watches of servers that do their worst: bounded requests and time, and the others go on."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from reconciler.model.clusters import Why
from tests.kubeserver import Answer, raw, serving, status
from tests.stack.certificates import Authority, Issued
from tests.watching import FAST, FakeCluster, Place, event, on

Made = tuple[Authority, Issued]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
NODE = event("MODIFIED", {"metadata": {"name": "n1", "resourceVersion": "7"}})
OVER = event("ERROR", {"kind": "Status", "code": 500, "message": "canary"})
EVILS: dict[str, tuple[Answer, Why]] = {
    "ends at once": (raw(HEAD), Why.UNREACHABLE),
    "an error at once": (raw(HEAD + OVER), Why.UNREACHABLE),
    "garbage at once": (raw(HEAD + b"{]\n"), Why.UNREADABLE),
    "half a line at once": (raw(HEAD + b'{"type":'), Why.INCOMPLETE),
    "refused": (status(403, "Forbidden"), Why.FORBIDDEN),
    "gone": (status(410, "Expired"), Why.INCOMPLETE),
    "redirected": (
        Answer(status=302, headers={"Location": "https://127.0.0.1:1/"}),
        Why.UNREADABLE,
    ),
    "compressed": (Answer(headers={"Content-Encoding": "gzip"}), Why.UNREADABLE),
    "no HTTP": (raw(b"hello\r\n\r\n"), Why.UNREADABLE),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return serving(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def place(tmp_path: Path, made: Made) -> Place:
    return Place(tmp_path, made)


@pytest.mark.parametrize("evil", EVILS)
def test_a_watch_that_never_holds_is_unknown_after_the_deadline(
    place: Place, evil: str
) -> None:
    answer, why = EVILS[evil]
    bad = FakeCluster()
    bad.put("nodes", "n1", "")
    bad.broken["watch", "nodes"] = answer

    async def use(place: Place) -> None:
        assert place.why() is None
        await place.until(lambda: place.why() is not None)
        assert place.why() is why
        told = place.watcher.snapshot().clusters[0].objects
        assert "canary" not in str(told)
        asked = bad.count("watch", "nodes")
        await asyncio.sleep(0.5)
        assert bad.count("watch", "nodes") - asked <= 5
        del bad.broken["watch", "nodes"]
        # After nonsense it takes a line that makes sense.
        await place.until(lambda: place.watcher.counts.open == 5)
        bad.bookmark("nodes")
        await place.until(lambda: place.why() is None)

    slow = replace(FAST, backoff=0.3, backoff_longest=0.4, deadline=0.6)
    on(place, {"eu1": bad}, use, slow)


def shows(place: Place, count: int) -> bool:
    return len(place.names("good")) == count


@pytest.mark.parametrize(
    "answer",
    [
        raw(HEAD, NODE * 2000, forever=True),
        raw(HEAD, b" ", pause=0.01, forever=True),
        raw(HEAD + b'{"type": "', b"x" * 4096, forever=True),
    ],
    ids=["a flood of events", "a line that drips", "a line without an end"],
)
def test_a_server_that_never_stops_keeps_nobody_waiting(
    place: Place, answer: Answer
) -> None:
    good, bad = FakeCluster("uid-good"), FakeCluster("uid-bad")
    bad.broken["watch", "nodes"] = answer

    async def use(place: Place) -> None:
        loop = asyncio.get_running_loop()
        await place.until(lambda: good.count("watch") == 5)
        await place.until(lambda: bad.count("watch", "nodes") >= 1)
        late = 0.0
        for count in range(1, 11):
            good.put("virtualservices", f"v{count}")
            began = loop.time()
            await place.until(partial(shows, place, count))
            late = max(late, loop.time() - began)
            await asyncio.sleep(0.02)
        assert late < 5.0
        assert place.watcher.updates.qsize() <= 2

    on(place, {"bad": bad, "good": good}, use)


def test_an_update_for_each_of_many_events_is_never_more_than_one(
    place: Place,
) -> None:
    noisy = FakeCluster()

    async def use(place: Place) -> None:
        await place.until(lambda: place.watcher.counts.open == 5)
        for number in range(200):
            noisy.put("virtualservices", f"v{number}")
            noisy.drop("virtualservices", f"v{number}")
        noisy.put("virtualservices", "last")
        await place.until(lambda: place.names() == ["last"])
        update = await place.update()
        assert update.deltas is not None
        assert [getattr(each.new, "name", "") for each in update.deltas] == ["last"]
        assert place.watcher.updates.empty()

    on(place, {"eu1": noisy}, use)

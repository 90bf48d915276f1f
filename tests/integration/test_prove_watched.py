"""The platform cluster is listed once and then watched, over HTTP, through what goes wrong."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from reconciler.kube import KubeApi, KubeError
from reconciler.prove import reflecting
from reconciler.prove.views import Collection
from reconciler.prove.watched import Watched
from reconciler.settings import Platform
from tests.kubeserver import Answer, Request, Server, page, running, serving, status
from tests.stack.certificates import Authority, Issued

Made = tuple[Authority, Issued]
APPLICATIONS = Collection(
    version="argoproj.io/v1alpha1", plural="applications", namespace="argocd"
)
HUB = Platform(context="hub")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return serving(tmp_path_factory.mktemp("tls"))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflecting, "BACKOFF", 0.01)
    monkeypatch.setattr(reflecting, "LONGEST", 0.02)
    monkeypatch.setattr(reflecting, "RELIST", 0.0)


def application(name: str, path: str = "a", **more: object) -> dict[str, Any]:
    metadata = {"namespace": "argocd", "name": name, "managedFields": ["much"]}
    return {"metadata": metadata, "spec": {"source": {"path": path}}, **more}


def event(kind: str, body: dict[str, Any], version: str) -> bytes:
    metadata = {**body.get("metadata", {}), "resourceVersion": version}
    return json.dumps({"type": kind, "object": {**body, "metadata": metadata}}).encode()


@dataclass
class Platforms:
    """An API server: what it lists, and lines for the watches that are open."""

    items: list[dict[str, Any]] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)
    refuse: int = 0
    refuse_watches: int = 0
    since: list[str] = field(default_factory=list)
    end: bool = False
    _said: int = 0

    def __call__(self, request: Request) -> Answer:
        if self.refuse:
            return status(self.refuse, "Because")
        if "watch" not in request.query:
            return page(self.items, version="7")
        self.since.append(request.query["resourceVersion"])
        if self.refuse_watches:
            return status(self.refuse_watches, "Because")
        return Answer(script=self._stream)

    async def _stream(self, writer: asyncio.StreamWriter) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        writer.write(head + b"Connection: close\r\n\r\n")
        while True:
            while self._said < len(self.lines):
                writer.write(self.lines[self._said] + b"\n")
                self._said += 1
            await writer.drain()
            if self.end:
                self.end = False
                return
            await asyncio.sleep(0.01)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.01)


def watching(
    made: Made,
    platform: Platforms,
    use: Callable[[Watched, Server], Awaitable[None]],
) -> Server:
    async def run() -> Server:
        async with running(made, platform) as server:
            watched = Watched(
                connect=lambda _: KubeApi(server.credentials(), name="platform")
            )
            try:
                await use(watched, server)
            finally:
                await watched.close()
            return server

    return asyncio.run(run())


async def names(watched: Watched) -> list[str]:
    async with watched.look(HUB) as view:
        found = await view.objects(APPLICATIONS)
    return sorted(each["metadata"]["name"] for each in found)


def lists(server: Server) -> int:
    return sum("watch" not in each.query for each in server.requests)


def test_many_looks_cost_one_list_and_see_what_happens_since(made: Made) -> None:
    platform = Platforms(items=[application("one"), application("two")])

    async def use(watched: Watched, server: Server) -> None:
        assert await names(watched) == ["one", "two"]
        platform.lines.append(event("ADDED", application("three"), "8"))
        platform.lines.append(event("DELETED", application("one"), "9"))
        await until(lambda: _are(watched, ["three", "two"]))
        for _ in range(20):
            await names(watched)
        assert lists(server) == 1

    watching(made, platform, use)


async def _are(watched: Watched, wanted: list[str]) -> bool:
    return await names(watched) == wanted


def test_only_what_proof_reads_is_kept(made: Made) -> None:
    resource = {"kind": "Backend", "name": "x", "status": "Synced", "health": {"a": 1}}
    result = {"revision": "r", "resources": [{"kind": "Backend"}] * 3}
    more = {
        "history": [{}],
        "resources": [resource],
        "operationState": {"phase": "Succeeded", "syncResult": result},
        "conditions": [{"type": "X", "message": "long"}],
    }
    platform = Platforms(items=[application("one", status=more)])

    async def use(watched: Watched, _: Server) -> None:
        async with watched.look(HUB) as view:
            (found,) = await view.objects(APPLICATIONS)
        assert found == {
            "metadata": {"namespace": "argocd", "name": "one"},
            "spec": {"source": {"path": "a"}},
            "status": {
                "resources": [{"kind": "Backend", "name": "x", "status": "Synced"}],
                "operationState": {
                    "phase": "Succeeded",
                    "syncResult": {"revision": "r"},
                },
                "conditions": [{"type": "X"}],
            },
        }

    watching(made, platform, use)


def test_a_watch_that_ends_goes_on_where_it_was_without_a_list(made: Made) -> None:
    platform = Platforms(items=[application("one")])

    async def use(watched: Watched, server: Server) -> None:
        await names(watched)
        platform.lines.append(event("BOOKMARK", {"metadata": {}}, "41"))
        await until(lambda: _said(platform, 1))
        platform.end = True
        await until(lambda: _watches(platform, 2))
        platform.lines.append(event("ADDED", application("two"), "42"))
        await until(lambda: _are(watched, ["one", "two"]))
        assert platform.since == ["7", "41"]
        assert lists(server) == 1

    watching(made, platform, use)


async def _said(platform: Platforms, count: int) -> bool:
    return platform._said >= count


async def _watches(platform: Platforms, count: int) -> bool:
    return len(platform.since) >= count


@pytest.mark.parametrize(
    "line",
    [
        b'{"type": "ERROR", "object": {"kind": "Status", "code": 410}}',
        b"no JSON",
        b'{"type": "ADDED", "object": {"metadata": {"name": "x"}}}',
        b'{"type": "ADDED", "object": {"metadata": {"resourceVersion": "8"}}}',
        b'{"type": "MOVED", "object": {"metadata": {"name": "x", "resourceVersion": "8"}}}',
        b"[]",
    ],
)
def test_a_place_that_is_forgotten_or_nonsense_means_a_new_list(
    made: Made, line: bytes
) -> None:
    platform = Platforms(items=[application("one")])

    async def use(watched: Watched, server: Server) -> None:
        assert await names(watched) == ["one"]
        platform.items = [application("two")]
        platform.lines.append(line)
        await until(lambda: _are(watched, ["two"]))
        assert lists(server) == 2

    watching(made, platform, use)


def test_what_cannot_be_listed_is_an_error_and_known_again_later(made: Made) -> None:
    platform = Platforms(items=[application("one")], refuse=403)

    async def use(watched: Watched, _: Server) -> None:
        with pytest.raises(KubeError, match="403"):
            await names(watched)
        platform.refuse = 0
        await until(lambda: _known(watched))
        assert await names(watched) == ["one"]

    watching(made, platform, use)


async def _unknown(watched: Watched) -> bool:
    return not await _known(watched)


async def _known(watched: Watched) -> bool:
    try:
        return bool(await names(watched))
    except KubeError:
        return False


def test_what_is_known_counts_for_a_while_after_the_server_is_gone(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = Platforms(items=[application("one")])

    async def use(watched: Watched, _: Server) -> None:
        await names(watched)
        await until(lambda: _watches(platform, 1))
        platform.refuse, platform.end = 500, True
        await asyncio.sleep(0.1)
        assert await names(watched) == ["one"]
        monkeypatch.setattr(reflecting, "PATIENCE", 0.0)
        await until(lambda: _unknown(watched))

    watching(made, platform, use)


def test_another_thread_with_a_loop_of_its_own_may_look(made: Made) -> None:
    platform = Platforms(items=[application("one")])

    async def use(watched: Watched, _: Server) -> None:
        found: list[str] = []
        other = threading.Thread(
            target=lambda: found.extend(asyncio.run(names(watched)))
        )
        other.start()
        while other.is_alive():
            await asyncio.sleep(0.01)
        assert found == ["one"]

    watching(made, platform, use)


def test_what_nobody_reads_is_not_watched_for_ever(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = Platforms(items=[application("one")])

    async def use(watched: Watched, server: Server) -> None:
        await names(watched)
        await until(lambda: _watches(platform, 1))
        monkeypatch.setattr(reflecting, "IDLE", 0.0)
        platform.end = True
        await asyncio.sleep(0.3)
        assert len(platform.since) == 1
        monkeypatch.setattr(reflecting, "IDLE", 600.0)
        assert await names(watched) == ["one"]
        assert lists(server) == 2

    watching(made, platform, use)


def test_a_first_list_that_expires_is_an_error_and_not_an_empty_platform(
    made: Made,
) -> None:
    async def use(watched: Watched, _: Server) -> None:
        with pytest.raises(KubeError, match="410"):
            await names(watched)

    watching(made, Platforms(items=[application("one")], refuse=410), use)


def test_lists_that_expire_for_long_end_what_is_known(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = Platforms(items=[application("one")])

    async def use(watched: Watched, _: Server) -> None:
        await names(watched)
        await until(lambda: _watches(platform, 1))
        monkeypatch.setattr(reflecting, "PATIENCE", 0.0)
        platform.refuse, platform.end = 410, True
        await until(lambda: _unknown(watched))

    watching(made, platform, use)


@pytest.mark.parametrize("begun", [True, False])
def test_who_waits_for_the_first_list_is_told_when_it_is_given_up(
    made: Made, begun: bool
) -> None:
    class Hanging(Platforms):
        def __call__(self, request: Request) -> Answer:
            return Answer(script=self._stream)

    async def use(watched: Watched, server: Server) -> None:
        waiting = asyncio.create_task(watched.objects(HUB, APPLICATIONS))
        if begun:
            await until(lambda: _asked(server))
        await asyncio.sleep(0)
        await watched.close()
        with pytest.raises(KubeError, match="not known yet"):
            await asyncio.wait_for(waiting, 5)

    watching(made, Hanging(), use)


async def _asked(server: Server) -> bool:
    return bool(server.requests)


def test_a_server_that_expires_each_watch_is_not_listed_all_the_time(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reflecting, "RELIST", 600.0)
    platform = Platforms(items=[application("one")], refuse_watches=410)

    async def use(watched: Watched, server: Server) -> None:
        assert await names(watched) == ["one"]
        await asyncio.sleep(0.5)
        assert await names(watched) == ["one"]
        assert lists(server) == 1

    watching(made, platform, use)


def test_a_proof_of_the_platform_before_leaves_nothing_to_the_next(made: Made) -> None:
    async def run() -> None:
        one, two = Platforms([application("one")]), Platforms([application("two")])
        async with running(made, one) as first, running(made, two) as second:
            at = {"hub": first, "other": second}
            watched = Watched(
                connect=lambda asked: KubeApi(
                    at[asked.context].credentials(), name="platform"
                )
            )
            other = Platform(context="other")
            await watched.objects(HUB, APPLICATIONS)
            both = [watched.objects(each, APPLICATIONS) for each in (other, HUB, other)]
            found = await asyncio.gather(*both)
            told = [each[0]["metadata"]["name"] for each in found]
            await watched.close()
        assert told == ["two", "one", "two"]

    asyncio.run(run())

"""New content serves only once the API server itself was asked; afterwards nothing is listed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from reconciler.kube import KubeApi
from reconciler.model.proofs import Proof, Stage
from reconciler.model.units import UnitId
from reconciler.prove import prove
from reconciler.prove.confirming import Seen
from reconciler.prove.watched import Watched
from reconciler.settings import Platform
from tests.kubeserver import Answer, Request, Server, page, running, serving, status
from tests.proving import (
    HEAD,
    OBJECTS,
    Json,
    Repository,
    condition,
    gateway,
    live_gateway,
    live_route,
    live_set,
    parent,
    target,
)
from tests.rendering import settings
from tests.stack.certificates import Authority, Issued

Made = tuple[Authority, Issued]
HUB = Platform(context="hub")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return serving(tmp_path_factory.mktemp("tls"))


def application(revision: str) -> Json:
    source = {"repoURL": "r", "path": "manifests/public/eu1", "targetRevision": "main"}
    keys = ("group", "kind", "namespace", "name")
    resources = [
        {**dict(zip(keys, each, strict=True)), "status": "Synced"} for each in OBJECTS
    ]
    return {
        "metadata": {"namespace": "argocd", "name": "ingress-eu1", "generation": 1},
        "spec": {"source": source},
        "status": {
            "sync": {"revision": revision, "comparedTo": {"source": source}},
            "resources": resources,
        },
    }


def refused() -> Json:
    """The route with the content of now, which its controller has not accepted."""
    return live_route(parent(conditions=[condition("Accepted", "False")]))


@dataclass
class Hub:
    """A platform whose watches say nothing, as if they were cut but not yet missed."""

    there: dict[str, list[Json]]
    refuse: int = 0
    lists: list[str] = field(default_factory=list)

    def __call__(self, request: Request) -> Answer:
        plural = request.path.rpartition("/")[2]
        if "watch" in request.query:
            return Answer(script=_silence)
        self.lists.append(plural)
        if self.refuse:
            return status(self.refuse)
        return page(self.there.get(plural, []))


async def _silence(writer: asyncio.StreamWriter) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    writer.write(head + b"Connection: close\r\n\r\n")
    await writer.drain()
    await asyncio.sleep(60)


def hub(revision: str = HEAD) -> Hub:
    return Hub(
        there={
            "applications": [application(revision)],
            "gateways": [live_gateway()],
            "listenersets": [live_set()],
            "tcproutes": [live_route()],
        }
    )


Prove = Callable[[], Awaitable[Proof]]


def proving(
    made: Made, platform: Hub, use: Callable[[Prove, Watched], Awaitable[None]]
) -> None:
    about = target()
    known = settings().model_copy(
        update={
            "platform": HUB,
            "gateways": (
                gateway(proof={"argocd": ["argocd/ingress-*"], "connect": False}),
            ),
        }
    )
    seen: Seen = {}

    async def run() -> None:
        async with running(made, platform) as server:
            watched = Watched(connect=lambda _: _api(server))

            async def once() -> Proof:
                content_at = Repository(about).content_at
                (proof,) = await prove([about], known, content_at, seen, watched.look)
                return proof

            try:
                await use(once, watched)
            finally:
                await watched.close()

    asyncio.run(run())


def _api(server: Server) -> KubeApi:
    return KubeApi(server.credentials(), name="platform")


async def _read_all(watched: Watched) -> None:
    """Let the watches know what is there now."""
    known = settings().model_copy(update={"platform": HUB, "gateways": (gateway(),)})
    nothing = Repository(target(), **{HEAD: {}}).content_at
    await prove([target()], known, nothing, {}, watched.look)


def test_a_watch_that_is_behind_does_not_make_new_content_serve(made: Made) -> None:
    platform = hub()

    async def use(once: Prove, watched: Watched) -> None:
        await _read_all(watched)
        platform.there["tcproutes"] = [refused()]
        found = await once()
        assert found.stage is Stage.FAILING
        assert "not Accepted" in found.message
        platform.there["tcproutes"] = [live_route()]
        assert (await once()).stage is Stage.SERVING

    proving(made, platform, use)


def test_what_was_confirmed_is_not_listed_again(made: Made) -> None:
    platform = hub()

    async def use(once: Prove, _: Watched) -> None:
        assert (await once()).stage is Stage.SERVING
        before = sorted(platform.lists)
        kinds = ["gateways", "listenersets", "tcproutes", "tlsroutes"]
        assert before == sorted(["applications", *kinds, *kinds])
        for _ in range(5):
            assert (await once()).stage is Stage.SERVING
        assert sorted(platform.lists) == before

    proving(made, platform, use)


def test_what_cannot_be_confirmed_is_not_seen(made: Made) -> None:
    platform = hub()

    async def use(once: Prove, watched: Watched) -> None:
        await _read_all(watched)
        platform.refuse = 503
        found = await once()
        assert found.stage is Stage.UNSEEN
        assert "503" in found.message

    proving(made, platform, use)


def test_content_that_comes_back_is_confirmed_anew(made: Made) -> None:
    platform = hub()
    known = settings().model_copy(
        update={
            "platform": HUB,
            "gateways": (
                gateway(proof={"argocd": ["argocd/ingress-*"], "connect": False}),
            ),
        }
    )
    seen: Seen = {}

    async def use(_: Prove, watched: Watched) -> None:
        for wish in (target().wish, target().wish + b"# other", target().wish):
            about = target(wish=wish)
            content_at = Repository(about).content_at
            before = platform.lists.count("tcproutes")
            (found,) = await prove([about], known, content_at, seen, watched.look)
            assert found.stage is Stage.SERVING
            assert platform.lists.count("tcproutes") == before + 1 + (before == 0)

    proving(made, platform, use)


def test_an_unknown_revision_is_asked_for_once_a_round(made: Made) -> None:
    platform = hub(revision="c" * 40)
    units = [UnitId(cluster="eu1", namespace="shop", name=f"u{at}") for at in range(9)]
    known = settings().model_copy(update={"platform": HUB, "gateways": (gateway(),)})
    asked: list[str] = []

    def content_at(revision: str, paths: Sequence[str]) -> Mapping[str, Any] | None:
        asked.append(revision)
        return None

    async def use(_: Prove, watched: Watched) -> None:
        targets = [target(unit=each) for each in units]
        found = await prove(targets, known, content_at, {}, watched.look)
        assert {each.stage for each in found} == {Stage.WAITING}
        assert asked == ["c" * 40]

    proving(made, platform, use)

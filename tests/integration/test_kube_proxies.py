"""Proxies and servers that are not verified: only where the settings name them, and only those."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

import reconciler.log
from reconciler import kubesession
from reconciler.kube import KubeApi, KubeError, Terms
from reconciler.model.clusters import Why
from tests.kubeserver import TOKEN, ok, running, serving
from tests.proxies import proxying
from tests.stack.certificates import Authority, Issued
from tests.watching import FakeCluster

Made = tuple[Authority, Issued]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return serving(tmp_path_factory.mktemp("tls"))


def test_a_proxy_sees_where_we_go_and_nothing_else(made: Made) -> None:
    async def run() -> None:
        async with running(made, lambda _: ok({"a": 1})) as server, proxying() as proxy:
            known = replace(server.credentials(), proxy=proxy.url)
            async with KubeApi(known, name="eu1") as api:
                assert await api.get("/x") == {"a": 1}
            assert server.requests[0].headers["authorization"] == f"Bearer {TOKEN}"
            (head,) = proxy.heads
            assert head.startswith(f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\n")
            assert TOKEN not in head

    asyncio.run(run())


def test_a_watch_goes_through_a_proxy_too(made: Made) -> None:
    async def run() -> None:
        cluster = FakeCluster()
        async with running(made, cluster) as server, proxying() as proxy:
            known = replace(server.credentials(), proxy=proxy.url)
            terms = Terms(version="100", seconds=30, silence=20)
            async with (
                KubeApi(known, name="eu1") as api,
                api.watch("/api/v1/services", terms) as lines,
            ):
                cluster.put("services", "db")
                async for line in lines.each():
                    assert b'"db"' in line
                    break

    asyncio.run(run())


def test_behind_a_proxy_the_server_is_verified_as_ever(
    made: Made, tmp_path: Path
) -> None:
    other = serving(tmp_path)[0].cert.read_text()

    async def run() -> None:
        async with running(made, lambda _: ok({})) as server, proxying() as proxy:
            known = replace(server.credentials(ca=other), proxy=proxy.url)
            async with KubeApi(known, name="eu1") as api:
                with pytest.raises(KubeError, match="certificate"):
                    await api.get("/x")
            assert server.requests == []

    asyncio.run(run())


@pytest.mark.parametrize(
    "answer",
    ["403 Forbidden", "302 Found\r\nLocation: https://127.0.0.1:1", "407 Proxy"],
)
def test_a_proxy_that_refuses_is_named_as_the_one_who_did(
    made: Made, answer: str
) -> None:
    async def run() -> None:
        async with running(made, lambda _: ok({})) as server, proxying() as proxy:
            proxy.answer = answer
            known = replace(server.credentials(), proxy=proxy.url)
            async with KubeApi(known, name="eu1") as api:
                with pytest.raises(KubeError) as error:
                    await api.get("/x")
            assert f"the proxy answers HTTP {answer[:3]}" in str(error.value)
            assert error.value.why is Why.UNREACHABLE
            assert server.connections == 0

    asyncio.run(run())


def test_a_proxy_that_is_not_there(made: Made) -> None:
    async def run() -> None:
        async with running(made, lambda _: ok({})) as server:
            known = replace(server.credentials(), proxy="http://127.0.0.1:1")
            async with KubeApi(known, name="eu1") as api:
                with pytest.raises(KubeError, match="no connection to the proxy"):
                    await api.get("/x")

    asyncio.run(run())


def test_proxies_of_the_environment_are_never_used(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with running(made, lambda _: ok({})) as server, proxying() as proxy:
            for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "http_proxy"):
                monkeypatch.setenv(name, proxy.url)
            async with KubeApi(server.credentials(), name="eu1") as api:
                await api.get("/x")
            assert proxy.heads == []

    asyncio.run(run())


def test_one_server_that_is_not_verified_is_said_once_and_is_the_only_one(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = serving(tmp_path)

    async def run() -> None:
        async with (
            running(other, lambda _: ok({})) as loose,
            running(made, lambda _: ok({})) as strict,
        ):
            known = replace(loose.credentials(ca=""), insecure=True)
            for _ in range(2):
                async with KubeApi(known, name="eu1") as api:
                    await api.get("/x")
            async with KubeApi(strict.credentials(ca=""), name="us1") as api:
                with pytest.raises(KubeError, match="not trusted"):
                    await api.get("/x")

    reconciler.log.configure()
    kubesession.warned.clear()
    asyncio.run(run())
    said = capsys.readouterr().err
    with capsys.disabled():
        reconciler.log.configure()
    assert said.count("the certificate of an API server is not verified") == 1
    assert TOKEN not in said

"""Whom the client of Kubernetes APIs believes: certificates, names and authorities."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from reconciler.kube import KubeApi, KubeError, server_certificate_names
from reconciler.kubeconfig import Credentials
from reconciler.model.clusters import Why
from tests.kubeserver import Server, ok, running, serving
from tests.stack.certificates import Authority, Issued

Made = tuple[Authority, Issued]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return serving(tmp_path_factory.mktemp("tls"))


def test_the_token_is_sent_to_nobody_with_another_ca(
    made: Made, tmp_path: Path
) -> None:
    other = serving(tmp_path)[0].cert.read_text()

    async def run(**change: str) -> tuple[KubeError, Server]:
        async with running(made, lambda _: ok({})) as server:
            async with KubeApi(server.credentials(**change), name="eu1") as api:
                with pytest.raises(KubeError) as error:
                    await api.get("/x")
            return error.value, server

    for change in ({"ca": other}, {"ca": ""}, {"tls_server_name": "us1.example.com"}):
        error, server = asyncio.run(run(**change))
        assert error.why is Why.UNREACHABLE
        assert "certificate" in str(error)
        assert server.requests == []


def test_tls_server_name_is_the_name_that_is_checked(made: Made) -> None:
    async def run() -> None:
        async with running(made, lambda _: ok({"a": 1})) as server:
            known = server.credentials(tls_server_name="eu1.k8s.example.com")
            async with KubeApi(known, name="eu1") as api:
                assert await api.get("/x") == {"a": 1}

    asyncio.run(run())


@pytest.mark.parametrize("change", [{"ca": "junk"}, {"client_certificate": "junk"}])
def test_credentials_that_are_no_pem(change: dict[str, str]) -> None:
    error = unreachable_at_start(Credentials(server="https://127.0.0.1:1", **change))
    assert error.why is Why.UNREADABLE
    assert "junk" not in str(error)


def unreachable_at_start(credentials: Credentials) -> KubeError:
    async def run() -> KubeError:
        with pytest.raises(KubeError) as error:
            async with KubeApi(credentials, name="eu1"):
                pass
        return error.value

    return asyncio.run(run())


def test_names_in_a_certificate(made: Made, tmp_path: Path) -> None:
    async def run(ca: str) -> tuple[object, Server]:
        async with running(made, lambda _: ok({})) as server:
            found = await server_certificate_names(
                "127.0.0.1", server.port, ca=ca, server_name="eu1.k8s.example.com"
            )
            return found, server

    found, server = asyncio.run(run(made[0].cert.read_text()))
    assert found == ("127.0.0.1", "eu1.k8s.example.com", "localhost")
    assert server.requests == []
    for ca in (serving(tmp_path)[0].cert.read_text(), "", "junk"):
        assert asyncio.run(run(ca))[0] is None


def test_names_of_a_server_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    found = asyncio.run(server_certificate_names("127.0.0.1", port, ca=""))
    assert found is None

"""Plug-ins that say who we are: which run, with what, how long, and for how long they count."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler import kubeplugin
from reconciler.kube import KubeApi, KubeError
from reconciler.kubeplugin import FOLDER
from reconciler.model.access import Credentials, Plugin
from reconciler.model.clusters import Why
from tests.kubeserver import Answer, Request, Server, ok, running, serving, status
from tests.plugins import V1, Plugins
from tests.stack.certificates import Authority, Issued

Made = tuple[Authority, Issued]
SECRET = "canary-s3cret"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return serving(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plugins:
    monkeypatch.setenv(FOLDER, str(tmp_path / "plugins"))
    kubeplugin.forget()
    return Plugins(tmp_path / "plugins")


def asking(server: Server, **plugin: Any) -> Credentials:
    wanted: dict[str, Any] = {"program": "who", "api_version": V1, **plugin}
    return Credentials(
        server=f"https://127.0.0.1:{server.port}",
        ca=server.ca,
        plugin=Plugin(**wanted),
    )


def failing(credentials: Credentials) -> str:
    async def run() -> KubeError:
        with pytest.raises(KubeError) as error:
            async with KubeApi(credentials, name="eu1"):
                pass
        return error.value

    error = asyncio.run(run())
    assert error.why is Why.UNAUTHORISED
    assert SECRET not in str(error)
    return str(error)


def nowhere(**plugin: Any) -> Credentials:
    return asking(Server(port=1, ca=""), **plugin)


def at_server(
    made: Made,
    handler: Callable[[Request], Answer],
    use: Callable[[KubeApi, Server], Any],
    **plugin: Any,
) -> Server:
    async def run() -> Server:
        async with running(made, handler) as server:
            async with KubeApi(asking(server, **plugin), name="eu1") as api:
                await use(api, server)
            return server

    return asyncio.run(run())


def bearers(server: Server) -> list[str]:
    return [each.headers.get("authorization", "") for each in server.requests]


async def _twice(api: KubeApi, _: Server) -> None:
    await api.get("/a")
    await api.get("/b")


def test_a_token_is_asked_for_once_and_used(made: Made, plugins: Plugins) -> None:
    plugins.say(token=SECRET)
    server = at_server(made, lambda _: ok({}), _twice)
    assert bearers(server) == [f"Bearer {SECRET}"] * 2
    assert len(plugins.runs()) == 1


def test_it_gets_its_arguments_and_only_named_variables(
    made: Made, plugins: Plugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OURS", "ours")
    monkeypatch.setenv("OTHER", SECRET)
    plugins.say(token=SECRET)
    server = at_server(
        made,
        lambda _: ok({}),
        _twice,
        arguments=("--a", "$(touch x); b"),
        environment=(("OURS", "theirs"), ("THEIRS", "theirs")),
        inherit=("OURS", "NOT_SET"),
        cluster_info=True,
        config='{"region": "eu1"}',
    )
    (run,) = plugins.runs()
    environment: Any = run["env"]
    info = json.loads(environment.pop("KUBERNETES_EXEC_INFO"))
    environment.pop("LC_CTYPE", None)  # Python's own, made at its start
    assert environment == {"OURS": "ours", "THEIRS": "theirs"}
    assert run["argv"] == ["--a", "$(touch x); b"]
    assert run["stdin"] == ""
    assert (info["apiVersion"], info["kind"]) == (V1, "ExecCredential")
    assert info["spec"]["interactive"] is False
    assert info["spec"]["cluster"]["server"] == f"https://127.0.0.1:{server.port}"
    assert info["spec"]["cluster"]["config"] == {"region": "eu1"}


def test_without_a_folder_none_runs(
    plugins: Plugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugins.say(token=SECRET)
    monkeypatch.delenv(FOLDER)
    assert f"set {FOLDER}" in failing(nowhere())
    assert plugins.runs() == []


def test_only_programs_of_that_folder(plugins: Plugins, tmp_path: Path) -> None:
    outside = Plugins(tmp_path / "outside")
    outside.say(token=SECRET)
    (plugins.folder / "data").write_text("not a program")
    for name in ("../outside/who", str(outside.folder / "who"), "none", "data"):
        assert "no such program" in failing(nowhere(program=name))
    assert outside.runs() == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (SECRET, "JSON"),
        ("[]", "ExecCredential"),
        (json.dumps({"kind": "ExecCredential", "apiVersion": "v1"}), "ExecCredential"),
    ],
)
def test_what_is_no_credential(plugins: Plugins, text: str, what: str) -> None:
    plugins.write("who", text)
    assert what in failing(nowhere())


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"token": 1},
        {"token": f"{SECRET}\r\nX: y"},
        {"clientCertificateData": SECRET},
        {"clientCertificateData": SECRET, "clientKeyData": f"ENCRYPTED {SECRET}"},
        {"token": SECRET, "expirationTimestamp": SECRET},
    ],
)
def test_what_cannot_be_used_is_not_quoted(
    plugins: Plugins, said: dict[str, Any]
) -> None:
    plugins.say(**said)
    assert "plug-in who" in failing(nowhere())


def test_it_must_end_well_in_time_and_say_little(
    plugins: Plugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugins.write("who", SECRET, code=3)
    assert "ended with 3" in failing(nowhere())
    plugins.write("who", "x" * (kubeplugin.MAX_ANSWER + 1))
    assert "says more than" in failing(nowhere())
    monkeypatch.setattr(kubeplugin, "SECONDS", 2.0)
    slow = "import subprocess; subprocess.run(['/bin/sleep', '600'])"
    plugins.write("who", "", more=slow)
    assert "no answer within" in failing(nowhere())


def test_many_at_once_wait_for_each_other_and_their_time_begins_then(
    made: Made, plugins: Plugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubeplugin, "_places", threading.BoundedSemaphore(1))
    monkeypatch.setattr(kubeplugin, "SECONDS", 4.0)
    plugins.say(token=SECRET)
    plugins.write("who", plugins.said("who"), more="import time; time.sleep(0.7)")

    async def run() -> None:
        async with running(made, lambda _: ok({})) as server:

            async def one(number: int) -> None:
                known = asking(server, arguments=(str(number),))
                async with KubeApi(known, name="eu1") as api:
                    await api.get("/a")

            await asyncio.gather(*map(one, range(8)))
            assert len(server.requests) == 8

    asyncio.run(run())


def test_it_is_asked_again_before_its_answer_ends(made: Made, plugins: Plugins) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1)
    plugins.say(token="first", expirationTimestamp=soon.isoformat())

    async def use(api: KubeApi, _: Server) -> None:
        await api.get("/a")
        plugins.say(token="second", expirationTimestamp="2099-01-01T00:00:00Z")
        while datetime.now(UTC) < soon:
            await asyncio.sleep(0.05)
        await asyncio.gather(*(api.get(f"/{n}") for n in range(5)))

    server = at_server(made, lambda _: ok({}), use)
    assert bearers(server) == ["Bearer first"] + ["Bearer second"] * 5
    assert len(plugins.runs()) == 2


def test_it_is_asked_again_when_the_server_refuses_its_answer(
    made: Made, plugins: Plugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubeplugin, "AGAIN", 0.0)
    plugins.say(token="first")

    def handler(request: Request) -> Answer:
        known = request.headers["authorization"] == "Bearer second"
        return ok({}) if known else status(401, "Unauthorized")

    async def use(api: KubeApi, _: Server) -> None:
        plugins.say(token="second")
        await api.get("/a")

    server = at_server(made, handler, use)
    assert bearers(server) == ["Bearer first", "Bearer second"]


def test_a_server_that_refuses_all_does_not_make_it_run_all_the_time(
    made: Made, plugins: Plugins
) -> None:
    plugins.say(token=SECRET)

    async def use(api: KubeApi, _: Server) -> None:
        for _unused in range(5):
            with pytest.raises(KubeError):
                await api.get("/a")

    at_server(made, lambda _: status(401, "Unauthorized"), use)
    assert len(plugins.runs()) == 1


def test_the_answer_for_one_server_goes_to_no_other(
    made: Made, plugins: Plugins
) -> None:
    async def run() -> tuple[Server, Server]:
        async with (
            running(made, lambda _: ok({})) as one,
            running(made, lambda _: ok({})) as other,
        ):
            for server, token in ((one, "one"), (other, "other")):
                plugins.say(token=token)
                async with KubeApi(asking(server), name="x") as api:
                    await api.get("/a")
            return one, other

    one, other = asyncio.run(run())
    assert (bearers(one), bearers(other)) == (["Bearer one"], ["Bearer other"])

"""A server that sends us elsewhere: nobody is asked there, and no secret goes anywhere."""

from __future__ import annotations

import asyncio
import base64
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

import reconciler.log
from reconciler.kube import KubeApi, KubeError, Terms
from reconciler.model.access import Credentials, Plugin
from reconciler.model.clusters import ClusterView, Unknown, Why
from reconciler.observe import observe
from tests.kubeserver import TOKEN, Answer, Server, raw, running, serving, status
from tests.stack.certificates import Authority, Issued
from tests.watching import Place

Made = tuple[Authority, Issued]
TERMS = Terms(version="7", seconds=5, silence=5)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Made, Made]:
    """Two clusters: each has an authority of its own."""
    one, other = (serving(tmp_path_factory.mktemp(name)) for name in ("one", "other"))
    return one, other


async def _watch(api: KubeApi) -> None:
    async with api.watch("/api/v1/things", TERMS) as lines:
        async for _ in lines.each():
            raise AssertionError("a redirect has no lines")


REQUESTS: dict[str, Callable[[KubeApi], Awaitable[object]]] = {
    "get": lambda api: api.get("/x"),
    "list": lambda api: api.list("/api/v1/things", dict),
    "watch": _watch,
    "patch": lambda api: api.json_patch("/x", []),
    "merge patch": lambda api: api.merge_patch("/x", {}),
    "apply": lambda api: api.apply("/x", {}, manager="m"),
    "create": lambda api: api.create("/x", {}),
}
PLACES = (
    "same host, other port",
    "other cluster",
    "loopback by name",
    "other path",
    "relative path",
    "no scheme",
)


def location(place: str, server: Server, near: Server, far: Server) -> str:
    """A `Location` that leads there; of the two servers one shares our CA, one does not."""
    return {
        "same host, other port": f"https://127.0.0.1:{near.port}/api/v1/things",
        "other cluster": f"https://127.0.0.1:{far.port}/api/v1/things",
        "loopback by name": f"https://localhost:{near.port}/",
        "other path": f"https://127.0.0.1:{server.port}/api/v1/secrets",
        "relative path": "../secrets",
        "no scheme": f"//127.0.0.1:{near.port}/",
    }[place]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("request_name", REQUESTS)
def test_no_request_is_sent_on(
    two: tuple[Made, Made], request_name: str, place: str
) -> None:
    async def run() -> None:
        answer = Answer()
        async with (
            running(two[0], lambda _: status(500)) as near,
            running(two[1], lambda _: status(500)) as far,
            running(two[0], lambda _: answer) as server,
            KubeApi(server.credentials(), name="eu1") as api,
        ):
            where = location(place, server, near, far)
            for number, code in enumerate((301, 302, 303, 307, 308), 1):
                answer = Answer(status=code, headers={"Location": where})
                with pytest.raises(KubeError) as error:
                    await REQUESTS[request_name](api)
                assert error.value.why is Why.UNREADABLE
                assert "redirect" in str(error.value)
                assert str(near.port) not in str(error.value)
                assert len(server.requests) == number
            assert (near.connections, far.connections) == (0, 0)

    asyncio.run(run())


def test_a_cluster_that_redirects_is_unknown_and_no_token_goes_on(
    two: tuple[Made, Made], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Place(tmp_path, two[0])

    async def run() -> tuple[ClusterView, Server]:
        async with running(two[0], lambda _: status(500)) as near:
            moved = {"Location": f"https://127.0.0.1:{near.port}/?token={TOKEN}"}
            async with running(
                two[0], lambda _: Answer(status=307, headers=moved)
            ) as server:
                place.servers["eu1"] = server
                place.write()
                (view,) = (await observe(place.settings())).clusters
                return view, near

    reconciler.log.configure()
    view, near = asyncio.run(run())
    said = capsys.readouterr()
    with capsys.disabled():
        reconciler.log.configure()
    assert isinstance(view.objects, Unknown)
    assert view.objects.why is Why.UNREADABLE
    assert near.connections == 0
    no_secret(f"{view!r} {view} {view.access!r}", said.out, said.err)


def no_secret(*texts: str) -> None:
    for text in texts:
        for form in (TOKEN, base64.b64encode(TOKEN.encode()).decode(), quote(TOKEN)):
            assert form not in text


HOSTILE: dict[str, Answer] = {
    "says the token": status(500, TOKEN, TOKEN),
    "says it as a reason": status(403, TOKEN),
    "says it in a header": Answer(status=401, headers={"WWW-Authenticate": TOKEN}),
    "wants another realm": Answer(
        status=401, headers={"WWW-Authenticate": 'Basic realm="hub"'}
    ),
    "sets a cookie": Answer(status=200, body=b"[]", headers={"Set-Cookie": TOKEN}),
    "is no HTTP": raw(f"220 {TOKEN} ESMTP\r\n\r\n".encode()),
    "is no JSON": Answer(body=f"{{{TOKEN}".encode()),
    "has a key twice": Answer(body=f'{{"{TOKEN}": 1, "{TOKEN}": 2}}'.encode()),
    "hangs up": raw(b""),
}


@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE)
def test_no_secret_comes_back_in_an_error(
    two: tuple[Made, Made], answer: Answer
) -> None:
    async def run() -> None:
        async with running(two[0], lambda _: answer) as server:
            known = server.credentials()
            async with KubeApi(known, name="eu1") as api:
                for ask in REQUESTS.values():
                    with pytest.raises(KubeError) as error:
                        await ask(api)
                    trace = "".join(traceback.format_exception(error.value))
                    no_secret(trace, repr(error.value.unknown()))

    asyncio.run(run())


def test_nothing_that_is_secret_is_in_the_words_for_credentials() -> None:
    plugin = Plugin(
        program="who",
        api_version="v1",
        arguments=(TOKEN,),
        environment=(("A", TOKEN),),
        config=TOKEN,
    )
    known = Credentials(
        server="https://eu1",
        token=TOKEN,
        client_certificate=TOKEN,
        client_key=TOKEN,
        plugin=plugin,
    )
    no_secret(repr(known), str(known), f"{replace(known, token='')!r}")

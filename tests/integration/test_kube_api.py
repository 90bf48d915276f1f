"""The client of Kubernetes APIs against a server that is broken or hostile."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import resource
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from reconciler.kube import (
    KubeApi,
    KubeError,
    Limits,
    NotFound,
    Rejected,
    Terms,
    object_path,
)
from reconciler.kubeconfig import Credentials
from reconciler.model.clusters import Why
from tests.kubeserver import (
    TOKEN,
    Answer,
    Handler,
    Request,
    Server,
    ok,
    page,
    raw,
    running,
    serving,
    status,
    thing,
)
from tests.stack.certificates import Authority, Issued

T = TypeVar("T")
Made = tuple[Authority, Issued]
LIMITS = Limits(request_seconds=5, page_items=2, pages=50, items=100)
OK_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
KIB = 1024


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return serving(tmp_path_factory.mktemp("tls"))


def against(
    made: Made,
    handler: Handler,
    use: Callable[[KubeApi], Awaitable[T]],
    limits: Limits = LIMITS,
) -> tuple[T, Server]:
    """What `use` returns, and the server with what it was asked."""

    async def run() -> tuple[T, Server]:
        async with (
            running(made, handler) as server,
            KubeApi(server.credentials(), name="eu1", limits=limits) as api,
        ):
            return await use(api), server

    return asyncio.run(run())


def names(api: KubeApi) -> Awaitable[tuple[str, ...]]:
    return api.list("/api/v1/things", lambda body: body["metadata"]["name"])


def failure(
    made: Made, handler: Handler, use: Any = names, limits: Limits = LIMITS
) -> KubeError:
    async def run() -> KubeError:
        async with (
            running(made, handler) as server,
            KubeApi(server.credentials(), name="eu1", limits=limits) as api,
        ):
            with pytest.raises(KubeError) as error:
                await use(api)
            return error.value

    error = asyncio.run(run())
    assert str(error).startswith("eu1")
    assert TOKEN not in str(error)
    return error


def test_a_list_is_read_page_by_page(made: Made) -> None:
    pages = {
        "": page([thing("a"), thing("b")], "t/1+=", remainingItemCount=3),
        "t/1+=": page([thing("c"), thing("d")], "t2", remainingItemCount=1),
        "t2": page([thing("e")]),
    }
    found, server = against(made, lambda it: pages[it.query.get("continue", "")], names)
    assert found == ("a", "b", "c", "d", "e")
    assert [request.query["limit"] for request in server.requests] == ["2", "2", "2"]
    assert {each.headers["authorization"] for each in server.requests} == {f"Bearer {TOKEN}"}  # fmt: skip
    assert {each.headers["accept-encoding"] for each in server.requests} == {"identity"}


def test_a_path_keeps_its_query_on_every_page(made: Made) -> None:
    def handler(request: Request) -> Answer:
        assert request.query["labelSelector"] == "a=b,c"
        return page([thing("z")], "" if "continue" in request.query else "next")

    async def use(api: KubeApi) -> tuple[object, ...]:
        return await api.list("/api/v1/things?labelSelector=a%3Db%2Cc", dict)

    found, server = against(made, handler, use)
    assert len(found) == 2
    assert [each.path for each in server.requests] == ["/api/v1/things"] * 2


def test_a_watch_of_a_path_with_a_query_asks_for_both(made: Made) -> None:
    asked: list[Request] = []

    def handler(request: Request) -> Answer:
        asked.append(request)
        return Answer(body=b"")

    async def use(api: KubeApi) -> list[bytes]:
        terms = Terms(version="7", seconds=5, silence=5)
        async with api.watch("/api/v1/things?fieldSelector=type%3Dx", terms) as lines:
            return [line async for line in lines.each()]

    against(made, handler, use)
    assert asked[0].path == "/api/v1/things"
    said = asked[0].query
    assert (said["watch"], said["fieldSelector"]) == ("true", "type=x")


def test_an_empty_list_is_a_list(made: Made) -> None:
    assert against(made, lambda _: page([]), names)[0] == ()


def endless(request: Request) -> Answer:
    number = int(request.query.get("continue", "0"))
    return page([thing(f"x{number}")], str(number + 1))


def endless_empty(request: Request) -> Answer:
    return page([], request.query.get("continue", "") + "x")


def changed_version(request: Request) -> Answer:
    return page([thing("b")], version="8") if "continue" in request.query else page([thing("a")], "t")  # fmt: skip


def expired(request: Request) -> Answer:
    return status(410, "Expired") if "continue" in request.query else page([thing("a")], "t")  # fmt: skip


@pytest.mark.parametrize(
    ("handler", "why", "words"),
    [
        (endless, Why.INCOMPLETE, "50 pages"),
        (endless_empty, Why.INCOMPLETE, "50 pages"),
        (lambda _: page([thing("a")], "t"), Why.INCOMPLETE, "came twice"),
        (changed_version, Why.INCOMPLETE, "different resourceVersions"),
        (expired, Why.INCOMPLETE, "HTTP 410 Expired"),
        (lambda _: page([], remainingItemCount=5), Why.INCOMPLETE, "before its last"),
        (lambda _: page([], version=""), Why.INCOMPLETE, "resourceVersion"),
        (lambda _: page([thing("a")] * 101), Why.INCOMPLETE, "100 items"),
        (lambda _: page([], token={}), Why.UNREADABLE, "continue"),  # type: ignore[arg-type]
        (lambda _: page([1]), Why.UNREADABLE, "no object"),  # type: ignore[list-item]
        (lambda _: ok({"kind": "ThingList", "metadata": {}}), Why.UNREADABLE, "items"),
        (lambda _: ok({"kind": "ThingList", "metadata": {}, "items": None}), Why.UNREADABLE, "items"),
        (lambda _: ok({"kind": "Thing", "metadata": {}, "items": []}), Why.UNREADABLE, "no list"),
        (lambda _: ok({"kind": "Status", "status": "Failure"}), Why.UNREADABLE, "no object"),
        (lambda _: ok([]), Why.UNREADABLE, "no object"),
        (lambda _: ok("x"), Why.UNREADABLE, "no object"),
    ],
)  # fmt: skip
def test_a_list_that_is_not_whole_is_an_error(
    made: Made, handler: Handler, why: Why, words: str
) -> None:
    error = failure(made, handler)
    assert error.unknown().why is why
    assert words in str(error)


def test_an_item_without_identity_is_an_error(made: Made) -> None:
    def convert(body: Any) -> str:
        raise ValueError("an object without a name")

    error = failure(made, lambda _: page([{}]), lambda api: api.list("/x", convert))
    assert error.why is Why.UNREADABLE
    assert "without a name" in str(error)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"<html>",
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'{"kind": "A", "kind": "B"}',
        b'{"a": "\\ud800"}',
        b'{"a": "\xff"}',
        b'{"a":' * 100_000,
        b'{"a": ' + b"9" * 1_000_000 + b"}",
    ],
)
def test_what_is_no_strict_json(made: Made, body: bytes) -> None:
    for use in (names, lambda api: api.get("/x")):
        error = failure(made, lambda _: Answer(body=body), use)
        assert error.why is Why.UNREADABLE
        assert len(str(error)) < 300


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (401, Why.UNAUTHORISED),
        (403, Why.FORBIDDEN),
        (404, Why.INCOMPLETE),
        (429, Why.UNREACHABLE),
        (500, Why.UNREACHABLE),
        (503, Why.UNREACHABLE),
        (504, Why.TIMEOUT),
        (418, Why.UNREADABLE),
    ],
)
def test_answers_that_are_no_success(made: Made, code: int, why: Why) -> None:
    secret = "secret of the body \x1b[31m"
    error = failure(made, lambda _: status(code, "Because", secret))
    assert (error.status, error.why) == (code, why)
    assert f"HTTP {code}" in str(error)
    assert "secret" not in str(error)
    assert isinstance(error, NotFound) is (code == 404)


@pytest.mark.parametrize("reason", ["\x1b[31mRed", "two words", "x" * 500, "", 5, None])
def test_a_reason_that_is_no_word_is_not_shown(made: Made, reason: Any) -> None:
    assert str(failure(made, lambda _: status(403, reason))).endswith(": HTTP 403")


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["get", "patch"])
def test_redirects_are_refused_and_lead_nowhere(
    made: Made, code: int, method: str
) -> None:
    async def run() -> tuple[KubeError, Server]:
        async with running(made, lambda _: page([])) as other:
            where = f"https://127.0.0.1:{other.port}/api/v1/things"
            moved = Answer(status=code, headers={"Location": where})
            async with (
                running(made, lambda _: moved) as server,
                KubeApi(server.credentials(), name="eu1", limits=LIMITS) as api,
            ):
                asking = names(api) if method == "get" else api.json_patch("/x", [])
                with pytest.raises(KubeError) as error:
                    await asking
                assert len(server.requests) == 1
            return error.value, other

    error, other = asyncio.run(run())
    assert (error.why, other.connections, other.requests) == (Why.UNREADABLE, 0, [])
    assert "redirect" in str(error)
    assert str(other.port) not in str(error)


@pytest.mark.parametrize("location", ["/elsewhere", "file:///etc/passwd", "//x", ""])
def test_no_kind_of_redirect_is_followed(made: Made, location: str) -> None:
    moved = Answer(status=302, headers={"Location": location})
    assert "redirect" in str(failure(made, lambda _: moved))


def memory() -> int:
    """The most memory that this process ever had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // KIB


def test_a_body_of_two_gigabytes_costs_neither_memory_nor_time(made: Made) -> None:
    head = OK_HEAD + b"Content-Length: 2147483648\r\n\r\n"
    chunk = b" " * (64 * KIB)

    def large(_: Request) -> Answer:
        return raw(head, *[chunk] * 1_000_000)

    before, start = memory(), time.monotonic()
    error = failure(made, large, lambda api: api.get("/x"), Limits())
    assert error.why is Why.INCOMPLETE
    assert "bytes" in str(error)
    assert memory() - before < 100
    assert time.monotonic() - start < 20


def test_pages_that_are_too_large_are_asked_for_again_smaller(made: Made) -> None:
    things = [thing(f"x{number}", padding="x" * KIB) for number in range(20)]

    def serve(request: Request) -> Answer:
        first = int(request.query.get("continue", "0"))
        last = first + int(request.query["limit"])
        more = str(last) if last < len(things) else ""
        return page(things[first:last], more)

    limits = Limits(page_items=100, page_bytes=16 * KIB)
    found, server = against(made, serve, names, limits)
    assert len(found) == len(things)
    assert [each.query["limit"] for each in server.requests] == ["100", "10", "10"]


def test_a_list_of_pages_has_a_limit_in_bytes(made: Made) -> None:
    def serve(request: Request) -> Answer:
        number = int(request.query.get("continue", "0"))
        return page([thing("x", padding="x" * KIB)], str(number + 1))

    limits = Limits(received_bytes=20 * KIB)
    assert f"{20 * KIB} bytes" in str(failure(made, serve, limits=limits))


def test_an_object_that_alone_is_too_large(made: Made) -> None:
    body = page([thing("x", padding="x" * 64 * KIB)])
    error = failure(made, lambda _: body, limits=Limits(page_bytes=KIB))
    assert error.why is Why.INCOMPLETE


def test_a_compressed_answer_that_nobody_asked_for(made: Made) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    answer = Answer(body=bomb, headers={"Content-Encoding": "gzip"})
    assert "compressed" in str(failure(made, lambda _: answer))


CHUNKED = OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (raw(OK_HEAD + b"Content-Length: 100\r\n\r\n{"), Why.INCOMPLETE),
        (raw(CHUNKED + b"5\r\n{"), Why.INCOMPLETE),
        (raw(CHUNKED + b"zz\r\n{}"), None),
        (raw(b""), Why.UNREACHABLE),
        (raw(b"HTTP/1.1 200"), None),
        (raw(b"SSH-2.0-OpenSSH\r\n"), Why.UNREADABLE),
        (raw(b"HTTP/1.1 200 OK\r\nA: " + b"x" * 100_000 + b"\r\n\r\n"), Why.UNREADABLE),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}"), Why.UNREADABLE),
    ],
)
def test_answers_that_are_cut_or_no_http(
    made: Made, answer: Answer, why: Why | None
) -> None:
    error = failure(made, lambda _: answer)
    assert why is None or error.why is why
    assert error.why in (Why.INCOMPLETE, Why.UNREACHABLE, Why.UNREADABLE)


@pytest.mark.parametrize(
    "answer",
    [
        raw(b"", pause=60),
        raw(OK_HEAD + b"Content-Length: 100000\r\n\r\n", b"x", pause=0.1, forever=True),
        raw(OK_HEAD, b"A: b\r\n", pause=0.02, forever=True),
        raw(b"HTTP/1.1 100 Continue\r\n\r\n", pause=0.05, forever=True),
        raw(b"HTTP/1.1 401 No\r\nContent-Length: 9\r\n\r\n", b"", pause=60),
    ],
)
def test_slow_answers_end_in_time(made: Made, answer: Answer) -> None:
    start = time.monotonic()
    error = failure(made, lambda _: answer, limits=Limits(request_seconds=0.5))
    assert error.why in (Why.TIMEOUT, Why.UNREADABLE)
    assert time.monotonic() - start < 10


def unreachable(credentials: Credentials) -> KubeError:
    async def run() -> KubeError:
        async with KubeApi(credentials, name="eu1", limits=LIMITS) as api:
            with pytest.raises(KubeError) as error:
                await api.get("/x")
            return error.value

    return asyncio.run(run())


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    error = unreachable(Credentials(server=f"https://127.0.0.1:{port}", token=TOKEN))
    assert error.why is Why.UNREACHABLE
    assert "refused" in str(error)


def test_a_name_that_does_not_resolve() -> None:
    error = unreachable(Credentials(server="https://nowhere.invalid", token=TOKEN))
    assert error.why is Why.UNREACHABLE


def test_nothing_is_taken_from_the_environment(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> Server:
        async with running(made, lambda _: ok({})) as proxy:
            for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "HTTP_PROXY"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            monkeypatch.delenv("NO_PROXY", raising=False)
            monkeypatch.delenv("no_proxy", raising=False)
            async with (
                running(made, lambda _: ok({})) as server,
                KubeApi(server.credentials(), name="eu1") as api,
            ):
                await api.get("/x")
                assert len(server.requests) == 1
            return proxy

    assert asyncio.run(run()).connections == 0


def test_cookies_are_not_kept(made: Made) -> None:
    async def twice(api: KubeApi) -> None:
        await api.get("/x")
        await api.get("/x")

    answer = ok({}, **{"Set-Cookie": "a=b"})
    _, server = against(made, lambda _: answer, twice)
    assert all("cookie" not in each.headers for each in server.requests)


def test_writes(made: Made) -> None:
    async def write(api: KubeApi) -> None:
        await api.json_patch("/x", [{"op": "test", "path": "/a", "value": 1}])
        await api.apply("/y", {"kind": "A"}, manager="wharfinger")
        await api.create("/z", {"kind": "B"})

    _, server = against(made, lambda _: ok({}), write)
    seen = [(r.method, r.path, r.headers["content-type"]) for r in server.requests]
    assert seen == [
        ("PATCH", "/x", "application/json-patch+json"),
        ("PATCH", "/y", "application/apply-patch+yaml"),
        ("POST", "/z", "application/json"),
    ]
    assert server.requests[1].query == {"fieldManager": "wharfinger"}
    bodies = [json.loads(request.body) for request in server.requests]
    assert bodies[0] == [{"op": "test", "path": "/a", "value": 1}]


@pytest.mark.parametrize("code", [400, 409, 422])
def test_a_write_that_is_rejected(made: Made, code: int) -> None:
    error = failure(made, lambda _: status(code, "Invalid"), lambda api: api.json_patch("/x", []))  # fmt: skip
    assert isinstance(error, Rejected)


def test_logs_hold_no_secret(made: Made, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for answer in (status(401, message="s3cr3t"), raw(b"s3cr3t"), raw(b"")):
        failure(made, lambda _, answer=answer: answer)  # type: ignore[misc]
    assert TOKEN not in caplog.text
    assert "s3cr3t" not in caplog.text


def test_paths_of_objects() -> None:
    core = object_path("v1", "services", "shop", "db")
    assert core == "/api/v1/namespaces/shop/services/db"
    assert object_path("v1", "nodes", "", "") == "/api/v1/nodes"
    odd = object_path("a.io/v1", "things", "a/b", "c?d")
    assert odd == "/apis/a.io/v1/namespaces/a%2Fb/things/c%3Fd"
    for bad in (".", ".."):
        with pytest.raises(ValueError, match="path"):
            object_path("v1", "services", bad, "db")

"""The connect that proves a route, against real sockets."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import reconciler.prove
import reconciler.render.shapes
from reconciler.prove.checks import Dial
from reconciler.prove.connect import dial_all

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PEM = Path(reconciler.prove.__file__).parents[1] / "demo" / "certificate.pem"
OUTLIVE = 0.4


async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As a proxy whose workload refuses: the handshake was done before."""
    writer.close()


async def close_late(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """As a proxy whose connect timed out."""
    await asyncio.sleep(OUTLIVE * 0.6)
    writer.close()


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()


async def stay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As PostgreSQL, which waits for the client."""
    await reader.read(1)
    writer.close()


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As MySQL, which speaks first; then it hangs up."""
    writer.write(b"hello")
    await writer.drain()
    writer.close()


@asynccontextmanager
async def serving(
    serve: Serve, host: str = "127.0.0.1", context: ssl.SSLContext | None = None
) -> AsyncIterator[Dial]:
    server = await asyncio.start_server(serve, host, 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    try:
        yield Dial(address=host, port=port)
    finally:
        server.close()
        await server.wait_closed()


def tried(serve: Serve, host: str = "127.0.0.1") -> str:
    async def run() -> str:
        async with serving(serve, host) as dial:
            return (await dial_all((dial,), OUTLIVE))[dial]

    return asyncio.run(run())


@pytest.mark.parametrize("serve", [stay, greet])
def test_a_connection_that_lives_or_brings_data_is_proof(serve: Serve) -> None:
    assert tried(serve) == ""


@pytest.mark.parametrize("serve", [close, close_late, reset])
def test_a_connection_that_is_ended_within_the_connect_timeout_is_none(
    serve: Serve,
) -> None:
    problem = tried(serve)
    assert problem.startswith("127.0.0.1:")
    assert "the workload is not reached" in problem


def test_ipv6_is_dialled_too() -> None:
    assert tried(stay, "::1") == ""
    assert tried(close, "::1").startswith("[::1]:")


def test_a_refused_connection_says_so() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound and not listening: nobody else has it
        dial = Dial(address="127.0.0.1", port=free.getsockname()[1])
        problem = asyncio.run(dial_all((dial,), OUTLIVE))[dial]
    assert problem == f"{dial}: Connection refused"


def test_a_name_that_does_not_resolve_is_a_problem() -> None:
    dial = Dial(address="nowhere.invalid", port=1)
    problem = asyncio.run(dial_all((dial,), OUTLIVE))[dial]
    assert problem == "nowhere.invalid:1: its name does not resolve"


def test_many_connections_wait_at_the_same_time() -> None:
    async def run() -> tuple[float, set[str]]:
        loop = asyncio.get_running_loop()
        async with serving(stay) as first, serving(stay) as second:
            dials = tuple(
                Dial(address=each.address, port=each.port, sni="")
                for each in (first, second)
            )
            before = loop.time()
            found = await dial_all(dials * 100, OUTLIVE)
            return loop.time() - before, set(found.values())

    took, problems = asyncio.run(run())
    assert problems == {""}
    assert took < OUTLIVE * 10


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PEM)
    return context


def tls_tried(context: ssl.SSLContext | None, serve: Serve = stay) -> str:
    async def run() -> str:
        async with serving(serve, context=context) as plain:
            dial = Dial(address=plain.address, port=plain.port, sni="a.example.com")
            return (await dial_all((dial,), OUTLIVE))[dial]

    return asyncio.run(run())


def test_a_tls_handshake_with_any_certificate_is_proof() -> None:
    asked: list[str | None] = []
    context = server_context()

    def note(_: object, name: str | None, __: object) -> None:
        asked.append(name)

    context.sni_callback = note
    assert tls_tried(context) == ""
    assert asked == ["a.example.com"]


def test_a_server_that_wants_a_client_certificate_is_reached() -> None:
    context = server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(PEM)
    assert tls_tried(context) == ""


@pytest.mark.parametrize("serve", [close, reset, greet])
def test_without_a_tls_handshake_the_workload_is_not_reached(serve: Serve) -> None:
    assert tls_tried(None, serve).endswith(
        (
            "the TLS handshake failed",
            "Connection reset by peer",
            "the connection was closed",
        )
    )


def test_the_connection_must_outlive_the_timeout_that_is_rendered() -> None:
    rendered = reconciler.render.shapes.CONNECT_TIMEOUT_SECONDS
    assert rendered == reconciler.prove.CONNECT_TIMEOUT_SECONDS

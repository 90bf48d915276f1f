"""A small API server that misbehaves on demand, over real TLS, for tests of the client.

What it does well is held against a real kube-apiserver in `tests/stack/test_observe_real.py`.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from reconciler.kubeconfig import Credentials
from tests.stack.certificates import Authority, Issued

TOKEN = "canary-t0ken"
Json = Mapping[str, Any]
Script = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as it came."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer; a `script` writes it by itself and then the connection is closed."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    script: Script | None = None


Handler = Callable[[Request], Answer]


@dataclass(slots=True, kw_only=True)
class Server:
    """A server that runs: its port, its CA, and what was asked of it."""

    port: int
    ca: str
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    def credentials(self, **change: str) -> Credentials:
        server = f"https://127.0.0.1:{self.port}"
        known = {"server": server, "ca": self.ca, "token": TOKEN}
        return Credentials(**{**known, **change})


def serving(folder: Path) -> tuple[Authority, Issued]:
    """A CA and a serving certificate for 127.0.0.1 and `eu1.k8s.example.com`."""
    authority = Authority(folder, "fake")
    return authority, authority.server("fake", ("127.0.0.1",), ("eu1.k8s.example.com",))


@asynccontextmanager
async def running(
    made: tuple[Authority, Issued], handler: Handler
) -> AsyncIterator[Server]:
    """A server on a free port of the loopback, closed with all of its connections."""
    authority, issued = made
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.cert, issued.key)
    server = Server(port=0, ca=authority.cert.read_text())
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        server.connections += 1
        try:
            while await _one(reader, writer, server, handler):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            tasks.discard(task)

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await listening.wait_closed()


async def _one(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    server: Server,
    handler: Handler,
) -> bool:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = {
        key.lower(): value for key, value in (line.split(": ", 1) for line in head[1:] if line)
    }  # fmt: skip
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    url = urlsplit(target)
    query = dict(parse_qsl(url.query))
    request = Request(method=method, path=url.path, query=query, headers=headers, body=body)  # fmt: skip
    server.requests.append(request)
    answer = handler(request)
    if answer.script is not None:
        await answer.script(writer)
        return False
    lines = {"Content-Type": "application/json", **answer.headers}
    lines.setdefault("Content-Length", str(len(answer.body)))
    writer.write(f"HTTP/1.1 {answer.status} X\r\n".encode())
    writer.write("".join(f"{k}: {v}\r\n" for k, v in lines.items()).encode() + b"\r\n")
    writer.write(answer.body)
    await writer.drain()
    return True


def ok(body: object, **headers: str) -> Answer:
    """200 with JSON."""
    return Answer(body=json.dumps(body).encode(), headers=headers)


def status(code: int, reason: str = "Because", message: str = "") -> Answer:
    """A failure as a Kubernetes API says it."""
    body = {"kind": "Status", "status": "Failure", "reason": reason, "message": message}
    return Answer(status=code, body=json.dumps(body).encode())


def page(
    items: Sequence[Json], token: str = "", version: str = "7", **metadata: object
) -> Answer:
    """One page of a list."""
    said = {"resourceVersion": version, "continue": token, **metadata}
    body = {"kind": "ThingList", "apiVersion": "v1", "metadata": said, "items": items}
    return ok(body)


def thing(name: str, namespace: str = "shop", **body: object) -> dict[str, Any]:
    """An object of no special kind."""
    return {"metadata": {"name": name, "namespace": namespace}, **body}


def raw(*parts: bytes, pause: float = 0.0, forever: bool = False) -> Answer:
    """Bytes as they are, a pause after each, from the first again when `forever`."""

    async def script(writer: asyncio.StreamWriter) -> None:
        while True:
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause)
            if not forever:
                return

    return Answer(script=script)

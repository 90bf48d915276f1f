"""A proxy that tunnels (CONNECT), for tests; it notes what it was told and can refuse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Proxy:
    """A proxy that runs. `heads` is what came before a tunnel was there."""

    url: str = ""
    answer: str = "200 OK"
    heads: list[str] = field(default_factory=list)


@asynccontextmanager
async def proxying() -> AsyncIterator[Proxy]:
    """A proxy on a free port of the loopback."""
    proxy = Proxy()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await _tunnel(proxy, reader, writer)
        writer.transport.abort()
        tasks.discard(task)

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        listening.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await listening.wait_closed()


async def _tunnel(
    proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    proxy.heads.append(head)
    writer.write(f"HTTP/1.1 {proxy.answer}\r\n\r\n".encode())
    await writer.drain()
    method, target, _ = head.split("\r\n")[0].split(" ")
    if method != "CONNECT" or not proxy.answer.startswith("200"):
        return
    host, port = target.rsplit(":", 1)
    there_reader, there_writer = await asyncio.open_connection(host, int(port))
    try:
        await asyncio.gather(_copy(reader, there_writer), _copy(there_reader, writer))
    finally:
        there_writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()

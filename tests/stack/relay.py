"""Another address of a server: whoever connects there is carried to it (a thread, sockets)."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Self

from tests.stack.network import free_port, give_back, take_address


class Relay:
    """Carries connections to `host:port` while the block lasts; `carried` counts them."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.address = take_address()
        self.port = free_port()
        self.carried = 0

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.carried += 1
        with contextlib.suppress(OSError):
            there, back = await asyncio.open_connection(*self._target)
            try:
                await asyncio.gather(_pump(reader, back), _pump(there, writer))
            finally:
                back.close()
        writer.close()

    def __enter__(self) -> Self:
        self._thread.start()
        starting = asyncio.start_server(self._carry, self.address, self.port)
        ready = asyncio.run_coroutine_threadsafe(starting, self._loop)
        self._server = ready.result(timeout=10)
        return self

    def __exit__(self, *_: object) -> None:
        ending = asyncio.run_coroutine_threadsafe(_end(self._server), self._loop)
        ending.result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()
        give_back(self.address)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


async def _end(server: asyncio.Server) -> None:
    server.close()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

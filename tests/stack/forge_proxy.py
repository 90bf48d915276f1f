"""An HTTP proxy before a forge's API that loses, refuses and counts calls (does I/O)."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call as the proxy got it; `number` counts from 1, `at` is in seconds."""

    number: int
    method: str
    path: str
    at: float

    @property
    def is_write(self) -> bool:
        return self.method not in ("GET", "HEAD")

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What becomes of a call: it reaches the forge or not, its answer is lost or another one.

    `status` 0 answers nothing at all and closes the line.
    """

    arrives: bool = False
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)


LOST = Fault()
UNANSWERED = Fault(arrives=True)
Rule = Callable[[Call], Fault | None]


def nothing(_: Call) -> None:
    """The rule of a forge that is well."""


class ForgeProxy:
    """The proxy. `rule` is asked about every call, in the order of their coming."""

    def __init__(self, target: str) -> None:
        self.target = target.partition("://")[2]
        self.rule: Rule = nothing
        self.calls: list[Call] = []
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    @contextmanager
    def under(self, rule: Rule) -> Iterator[list[Call]]:
        """Count calls from nothing and treat them by a rule for a while."""
        self.rule, self.calls = rule, []
        try:
            yield self.calls
        finally:
            self.rule = nothing

    def seen(self, method: str, path: str) -> tuple[Call, Fault | None]:
        """Note a call and say what becomes of it."""
        with self._lock:
            call = Call(
                number=len(self.calls) + 1,
                method=method,
                path=path.partition("?")[0].removeprefix("/api/v1"),
                at=time.monotonic(),
            )
            self.calls.append(call)
            return call, self.rule(call)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A line that is closed on purpose is no news."""


class _Handler(BaseHTTPRequestHandler):
    """One line of a client; every call goes to the forge on a line of its own."""

    protocol_version = "HTTP/1.1"
    proxy: ForgeProxy

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        _, fault = self.proxy.seen(self.command, self.path)
        if fault is None:
            return self._answer(*self._asked(body))
        if fault.arrives:
            self._asked(body)
        if fault.status:
            return self._answer(fault.status, dict(fault.headers), b"{}")
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        return None

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def _asked(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        line = http.client.HTTPConnection(self.proxy.target, timeout=60)
        headers = {
            name: value
            for name, value in self.headers.items()
            if name.lower() not in _HOP
        }
        try:
            line.request(self.command, self.path, body, headers)
            answer = line.getresponse()
            content = answer.read()
            kept = {k: v for k, v in answer.getheaders() if k.lower() not in _HOP}
            return answer.status, kept, content
        finally:
            line.close()

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

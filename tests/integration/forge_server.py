"""A small HTTP server for tests of forges: what it is asked goes to a function (does I/O)."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, BinaryIO
from urllib.parse import parse_qsl, urlsplit

TOKEN = "canary-f0rge-t0ken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request as it came; `path` is still encoded."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer; bytes go out as they are, all else as JSON. A `script` writes it by itself."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    script: Callable[[BinaryIO], None] | None = None


@dataclass(slots=True, kw_only=True)
class Server:
    """A server that runs: its URL and what it was asked."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)

    def methods(self) -> list[str]:
        return [each.method for each in self.asked]


class _Web(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A line that is cut on purpose is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    disable_nagle_algorithm = True
    server_seen: Server
    reply: Callable[[Asked], Reply]

    def _serve(self) -> None:
        url = urlsplit(self.path)
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = Asked(
            method=self.command,
            path=url.path,
            query=dict(parse_qsl(url.query, keep_blank_values=True)),
            headers={key.lower(): value for key, value in self.headers.items()},
            body=json.loads(content) if content else None,
        )
        self.server_seen.asked.append(asked)
        reply = type(self).reply(asked)
        with suppress(OSError):
            self._write(reply)

    def _write(self, reply: Reply) -> None:
        if reply.script is not None:
            self.close_connection = True
            reply.script(self.wfile)
            return
        body = reply.body
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        content = b"" if body is None else content
        self.send_response(reply.status)
        headers = {"Content-Type": "application/json; charset=utf-8", **reply.headers}
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving(reply: Callable[[Asked], Reply]) -> Iterator[Server]:
    """Serve on a free port of the loopback."""
    seen = Server()
    fields = {"server_seen": seen, "reply": staticmethod(reply)}
    server = _Web(("127.0.0.1", 0), type("Handler", (_Handler,), fields))
    seen.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)

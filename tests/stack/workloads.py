"""Tiny real TCP servers that answer with their name, and clients that count (does I/O)."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from tests.stack.network import free_port, give_back, take_address
from tests.stack.process import wait_until

FAILED = "failed"
SHARED = "WHARFINGER_STACK_ADDRESS"
MOST_AT_ONCE = 16


class Workload:
    """A server at ``address:port`` that sends its name to everyone and hangs up.

    The address is one of its own (``10.99.x.y``), so several may use the same port.
    `stop` closes the port (connections are then refused), `start` opens it again.
    """

    def __init__(self, name: str, port: int = 8080, address: str = "") -> None:
        self.name = name
        self.port = port
        shared = os.environ.get(SHARED, "")
        if shared and not address:
            # One address for all workloads: the ports must differ.
            address, self.port = shared, free_port()
        self._owned = not address
        self.address = address or take_address()
        self.served = 0
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> Self:
        """Listen."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self.address, self.port))
        listener.listen(512)
        self._socket = listener
        self._thread = threading.Thread(
            target=self._serve, args=(listener,), daemon=True
        )
        self._thread.start()
        return self

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.sendall(f"{self.name}\n".encode())
                    self.served += 1
                except OSError:
                    continue

    def stop(self) -> None:
        """Refuse connections from now on; the address stays."""
        if self._socket is None or self._thread is None:
            return
        # A blocked accept() is not woken by close() alone.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(timeout=5)
        self._socket = self._thread = None

    def close(self) -> None:
        """`stop`, and give the address back."""
        self.stop()
        if self._owned:
            give_back(self.address)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()


def ask(host: str, port: int, timeout: float = 5.0) -> str:
    """What the server at `host:port` says, without the line end; raises OSError.

    A connection that is closed without a word raises ConnectionResetError: a proxy
    completes the handshake before it dials the workload.
    """
    with socket.create_connection((host, port), timeout=timeout) as connection:
        heard = b""
        while part := connection.recv(4096):
            heard += part
    if not heard:
        raise ConnectionResetError(
            f"{host}:{port} closed the connection without a word"
        )
    return heard.decode().rstrip("\n")


def ask_tls(
    host: str, port: int, name: str, *, ca: str, timeout: float = 5.0
) -> dict[str, object]:
    """The server certificate at `host:port` for SNI `name`, verified by the PEM `ca`."""
    context = ssl.create_default_context(cadata=ca)
    with (
        socket.create_connection((host, port), timeout=timeout) as plain,
        context.wrap_socket(plain, server_hostname=name) as wrapped,
    ):
        return dict(wrapped.getpeercert() or {})


def spread(host: str, port: int, n: int, timeout: float = 5.0) -> Counter[str]:
    """Ask `n` times, at most 16 at once: answer -> count, failures under ``failed``."""

    def once(_: int) -> str:
        try:
            return ask(host, port, timeout)
        except OSError:
            return FAILED

    with ThreadPoolExecutor(max_workers=min(MOST_AT_ONCE, n)) as pool:
        return Counter(pool.map(once, range(n)))


def wait_served(address: str, port: int, answers: set[str]) -> None:
    """Return when one of `answers` is heard at `address:port`."""

    def served() -> bool:
        try:
            return ask(address, port, 2.0) in answers
        except OSError:
            return False

    wait_until(served, f"{address}:{port} serves {answers}")

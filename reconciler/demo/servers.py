"""Real TCP servers as the demo's workloads and API servers, on loopback (does I/O)."""

from __future__ import annotations

import json
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOOPBACK = "127.0.0.1"
# A published key for names under `.localhost`: it protects nothing and is no secret.
CERTIFICATE = Path(__file__).with_name("certificate.pem")


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up in the middle is everyday life, not worth a traceback."""


@contextmanager
def workload(greeting: str) -> Iterator[int]:
    """A server that greets and then echoes; yields its port."""

    class Greet(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(f"{greeting}\n".encode())
            while data := self.request.recv(4096):
                self.request.sendall(data)

    with _serving(_Server((LOOPBACK, 0), Greet)) as port:
        yield port


@contextmanager
def api_server(cluster: str) -> Iterator[int]:
    """A TLS server that answers every request like `GET /version`; yields its port."""
    body = json.dumps({"gitVersion": "v1.37.2", "cluster": cluster}).encode()
    answer = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)

    class Answer(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                with context.wrap_socket(self.request, server_side=True) as tls:
                    tls.settimeout(5)
                    if tls.recv(65536):
                        tls.sendall(answer)
            except OSError:
                return  # a health check or a client that does not speak TLS

    with _serving(_Server((LOOPBACK, 0), Answer)) as port:
        yield port


@contextmanager
def _serving(server: _Server) -> Iterator[int]:
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
    )
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

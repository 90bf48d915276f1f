"""An API server behind a path of another host, as Rancher has them (does I/O)."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.stack.certificates import Authority
from tests.stack.kube import Cluster
from tests.stack.process import scratch

PASSED = ("Accept", "Authorization", "Content-Type")


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """Where the API server is found; `ca` is PEM."""

    server: str
    ca: str


@contextmanager
def path_behind(cluster: Cluster, path: str) -> Iterator[Behind]:
    """`https://127.0.0.1:PORT<path>` leads to the cluster's API server while it runs."""
    authority = Authority(scratch("behind"), "behind")
    issued = authority.server("behind", ("127.0.0.1",))
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(cluster, path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.cert, issued.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    port = server.server_address[1]
    try:
        ca = authority.cert.read_text()
        yield Behind(server=f"https://127.0.0.1:{port}{path}", ca=ca)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(cluster: Cluster, path: str) -> type[BaseHTTPRequestHandler]:
    trusted = ssl.create_default_context(cadata=cluster.ca)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = (
            "HTTP/1.0"  # the end of an answer is the end of its connection
        )

        def _pass_on(self) -> None:
            if not self.path.startswith(f"{path}/"):
                self.send_error(404)
                return
            size = int(self.headers.get("Content-Length") or 0)
            headers = {key: self.headers[key] for key in PASSED if key in self.headers}
            onward = HTTPSConnection(cluster.host, cluster.port, context=trusted)
            try:
                wanted = self.path.removeprefix(path)
                onward.request(self.command, wanted, self.rfile.read(size), headers)
                answer = onward.getresponse()
                self.send_response(answer.status)
                kind = answer.headers.get("Content-Type", "application/json")
                self.send_header("Content-Type", kind)
                self.end_headers()
                while data := answer.read1(65536):
                    self.wfile.write(data)
                    self.wfile.flush()
            except (OSError, HTTPException):
                return  # one of the two has gone
            finally:
                onward.close()

        do_GET = do_POST = do_PATCH = _pass_on

        def log_message(self, *_: Any) -> None:
            pass

    return Handler

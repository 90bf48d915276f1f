"""The connections of the Kubernetes client: `kubernetes.aio` and aiohttp, made fit for strangers.

Nothing is followed, decompressed, retried or taken from the environment. What a server sends is
taken in small pieces, and each piece counts as work of that server: a flood of tiny chunks,
headers or `100 Continue` slows itself down and not the other servers (does I/O).
"""

from __future__ import annotations

import asyncio
import functools
import os
import ssl
import tempfile
import time
from asyncio import sslproto
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
from aiohttp.client_proto import ResponseHandler
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.rest import RESTClientObject

from reconciler.fairness import STEP, Pace
from reconciler.kubeconfig import Credentials
from reconciler.kubeerrors import KubeError
from reconciler.log import log
from reconciler.model.clusters import Why
from reconciler.paging import Limits

_PIECE = 8 * 1024
_BUFFER = 256 * 1024
# asyncio gives each TLS connection 256 KiB of its own for what arrives: a gigabyte and a half for
# the watches of a thousand clusters, which nearly always say nothing.
sslproto.SSLProtocol.max_size = 32 * 1024
warned: set[str] = set()
# Taking the parsed chunks out again happens elsewhere, and costs more.
_AND_READ = 2.5


def open_session(
    credentials: Credentials, *, name: str, limits: Limits, pace: Pace
) -> aiohttp.ClientSession:
    """A session that talks to one server as one user. Raises KubeError for what is no PEM."""
    try:
        with _certificate_file(credentials) as file:
            rest = _Rest(_configuration(credentials, file, limits))
    except (ssl.SSLError, ValueError):
        what = "the CA or the client certificate in the credentials is not PEM"
        raise KubeError(what, name, why=Why.UNREADABLE) from None
    return rest.open(pace)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A server's certificate: its DNS names and IP addresses, sorted, and when it ends."""

    names: tuple[str, ...]
    until: datetime


async def server_certificate_names(
    host: str, port: int, *, ca: str, server_name: str = "", seconds: float = 10.0
) -> tuple[str, ...] | None:
    """The names in a server's certificate; `None`: not known."""
    found = await server_certificate(
        host, port, ca=ca, server_name=server_name, seconds=seconds
    )
    return None if found is None else found.names


async def server_certificate(
    host: str, port: int, *, ca: str, server_name: str = "", seconds: float = 10.0
) -> Certificate | None:
    """A server's certificate; `None`: not known.

    Only a handshake: no credentials are sent. `server_name` is asked for by SNI, since a
    server may have a certificate per name. The chain must lead to `ca` (PEM, empty: the
    system's); the name is not checked, it is what we want to know.
    """
    try:
        context = ssl.create_default_context(cadata=ca or None)
        context.check_hostname = False
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(
                host, port, ssl=context, server_hostname=server_name or host
            )
    except (OSError, ValueError, TimeoutError):
        return None
    certificate = writer.get_extra_info("peercert") or {}
    writer.transport.abort()
    names = (value for _, value in certificate.get("subjectAltName", ()))
    ends = ssl.cert_time_to_seconds(certificate["notAfter"])
    return Certificate(
        names=tuple(sorted({name.lower() for name in names})),
        until=datetime.fromtimestamp(ends, UTC),
    )


class _Rest(RESTClientObject):
    """The session of `kubernetes.aio`, used without its `request`.

    That one follows redirects, credentials included, and reads bodies without a limit.
    """

    pace: Pace

    def open(self, pace: Pace) -> aiohttp.ClientSession:
        self.pace = pace
        self.pool_manager = self._create_pool_manager()
        return self.pool_manager

    def _create_connector(self) -> aiohttp.TCPConnector:
        return _Connector(self.ssl_context, self.pace)


class _Connector(aiohttp.TCPConnector):
    """Connections that share one pace."""

    def __init__(self, context: ssl.SSLContext, pace: Pace) -> None:
        super().__init__(ssl=context)
        loop = asyncio.get_running_loop()

        def paced() -> ResponseHandler:
            return _Paced(loop, pace)

        self._factory = functools.partial(paced)


class _Paced(ResponseHandler):
    """Takes what arrives piece by piece, and rests when other servers wait."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pace: Pace) -> None:
        super().__init__(loop)
        self._pace = pace
        self._waiting = bytearray()
        self._resting: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        if not data:  # aiohttp wakes its own parser
            self._parse(data)
            return
        self._waiting += data
        if self._resting is None:
            self._go_on()

    def resume_reading(self, resume_parser: bool = True) -> None:
        if not self._reading_paused:  # asked for again with each chunk that is read
            return
        super().resume_reading(resume_parser)
        if self._waiting and self._resting is None:
            self._go_on()

    def _go_on(self) -> None:
        self._resting = None
        if self.transport is None:  # we closed it
            self._waiting.clear()
        while self._waiting and not self._reading_paused:
            if self._take_piece() and self.transport is not None:
                self._pause_transport_reading()
                self._rest()
                return
        if not (self._reading_paused or self._buffer_paused):
            self._resume_transport_reading()

    def _rest(self) -> None:
        if self._pace.rests():
            self._resting = self._loop.call_later(STEP, self._rest)
        else:
            self._go_on()

    def _take_piece(self) -> bool:
        """Parse a piece of what waits; whether to rest after it."""
        piece = bytes(self._waiting[:_PIECE])
        del self._waiting[:_PIECE]
        return self._parse(piece)

    def _parse(self, data: bytes) -> bool:
        started = time.thread_time()
        super().data_received(data)
        return self._pace.charge(_AND_READ * (time.thread_time() - started))

    def _resume_transport_reading(self) -> None:
        if self._resting is None:
            super()._resume_transport_reading()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        while self._waiting and self.transport is not None:
            self._take_piece()
        self._waiting.clear()
        super().connection_lost(exc)


def _configuration(
    credentials: Credentials, certificate: str | None, limits: Limits
) -> Configuration:
    configuration = Configuration(
        host=credentials.server,
        ca_cert_data=credentials.ca or None,
        cert_file=certificate,
        tls_server_name=credentials.tls_server_name or None,
    )
    if credentials.insecure:
        configuration.verify_ssl = False
        _warn(credentials.server)
    configuration.client_session_kwargs = {
        "trust_env": False,
        "auto_decompress": False,
        "cookie_jar": aiohttp.DummyCookieJar(),
        "read_bufsize": _BUFFER,
        # A watch has no end, and whoever reads any body has a clock of his own.
        "timeout": aiohttp.ClientTimeout(
            total=None, sock_connect=limits.connect_seconds
        ),
    }
    return configuration


def _warn(server: str) -> None:
    """Say once that a server can be anybody."""
    if server not in warned:
        warned.add(server)
        log.warning("the certificate of an API server is not verified", server=server)


@contextmanager
def _certificate_file(credentials: Credentials) -> Iterator[str | None]:
    """OpenSSL takes a client certificate from a file only; it lives as long as the load."""
    if not credentials.client_certificate:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="wharfinger-") as folder:
        path = Path(folder) / "client.pem"
        path.touch(mode=0o600)
        path.write_text(f"{credentials.client_certificate}\n{credentials.client_key}")
        yield str(path)


def transport_failure(exc: Exception, answered: bool) -> tuple[str, Why]:
    """What happened in our own words: an exception's can hold what the server sent."""
    match exc:
        case aiohttp.ClientHttpProxyError():
            return f"the proxy answers HTTP {exc.status}", Why.UNREACHABLE
        case aiohttp.ClientProxyConnectionError():
            return "no connection to the proxy", Why.UNREACHABLE
        case aiohttp.ClientConnectorCertificateError():
            cause = exc.certificate_error
            detail = getattr(cause, "verify_message", "") or "not valid"
            return f"its certificate is not trusted ({detail})", Why.UNREACHABLE
        case aiohttp.ClientSSLError():
            return "the TLS handshake failed", Why.UNREACHABLE
        case aiohttp.ClientConnectorDNSError():
            return "its name does not resolve", Why.UNREACHABLE
        case aiohttp.ClientConnectorError():
            # asyncio's own words hold addresses; with several there is no one number.
            number = exc.os_error.errno
            detail = os.strerror(number) if number else "no address answers"
            return f"no connection ({detail})", Why.UNREACHABLE
        case aiohttp.ClientResponseError() | ValueError():
            return "the answer is no HTTP", Why.UNREADABLE
    if answered:
        return "the answer was cut off", Why.INCOMPLETE
    return "the connection was closed without an answer", Why.UNREACHABLE

"""The one client of Kubernetes APIs: raw JSON over `kubernetes.aio`, with limits (does I/O).

An API server can be broken or hostile. Nothing is followed, decompressed, retried or taken from
the environment; sizes, times, pages and depth have limits; a list is whole or an error. Texts
of the server never reach a message, but for the CamelCase `reason` of a Status.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlencode

import aiohttp
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from yarl import URL

from reconciler import jsonio
from reconciler.kubeconfig import Credentials
from reconciler.kubeerrors import (
    KubeError,
    NotFound,
    Rejected,
    TooLarge,
    status_failure,
)
from reconciler.model.clusters import Why
from reconciler.paging import Limits, Reading

T = TypeVar("T")
Json = Mapping[str, Any]

__all__ = ["KubeApi", "KubeError", "Limits", "NotFound", "Rejected"]

METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_REASON = re.compile(r"[A-Z][A-Za-z]{1,63}\Z")
_ERROR_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    body: object = None
    content: str = "application/json"
    accept: str = "application/json"


class KubeApi:
    """Requests to one API server as one user; use it as an async context manager.

    `name` is what messages call the server. All methods raise KubeError.
    """

    def __init__(
        self, credentials: Credentials, *, name: str, limits: Limits | None = None
    ) -> None:
        self.credentials = credentials
        self.name = name
        self.limits = limits or Limits()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        try:
            with _certificate_file(self.credentials) as file:
                rest = _Rest(_configuration(self.credentials, file, self.limits))
        except (ssl.SSLError, ValueError):
            what = "the CA or the client certificate in the credentials is not PEM"
            raise KubeError(what, self.name, why=Why.UNREADABLE) from None
        self._session = rest.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Json:
        """The JSON object at `path`. Raises NotFound, KubeError."""
        return await self._json(_Request(method="GET", path=path, params=params or {}))

    async def list(
        self,
        path: str,
        convert: Callable[[Json], T],
        *,
        accept: str = "application/json",
    ) -> tuple[T, ...]:
        """All items of a collection, in the server's order, each through `convert`.

        Whole or an error: pages of one resourceVersion, no continue token twice, within the
        limits. Raw objects go page by page, so that they do not pile up. `convert` may raise
        ValueError for an item whose identity is broken.
        """
        items: list[T] = []
        async for page in self._pages(path, accept):
            if len(items) + len(page) > self.limits.items:
                raise self._broken(path, f"more than {self.limits.items} items")
            try:
                items.extend(map(convert, page))
            except ValueError as exc:
                raise self._broken(path, str(exc), Why.UNREADABLE) from None
        return tuple(items)

    async def json_patch(self, path: str, operations: Sequence[Json]) -> Json:
        """Apply a JSON patch (RFC 6902). Raises Rejected when a `test` fails."""
        content = "application/json-patch+json"
        body = [dict(operation) for operation in operations]
        return await self._json(
            _Request(method="PATCH", path=path, body=body, content=content)
        )

    async def apply(self, path: str, body: Json, *, manager: str) -> Json:
        """Server-side apply of one object, not forced. Raises Rejected on a conflict."""
        request = _Request(
            method="PATCH",
            path=path,
            params={"fieldManager": manager},
            body=body,
            content="application/apply-patch+yaml",
        )
        return await self._json(request)

    async def create(self, path: str, body: Json) -> Json:
        """Create one object in the collection at `path`. Raises Rejected if it exists."""
        return await self._json(_Request(method="POST", path=path, body=body))

    async def _pages(self, path: str, accept: str) -> AsyncIterator[Sequence[Json]]:
        reading = Reading(where=f"{self.name}: GET {path}", limits=self.limits)
        while not reading.done:
            params = {"limit": str(reading.page_items)}
            if reading.token:
                params["continue"] = reading.token
            request = _Request(method="GET", path=path, params=params, accept=accept)
            try:
                data = await self._answer(request, reading.where)
            except TooLarge:
                # Objects may have a megabyte each: fewer of them at a time.
                if reading.page_items == 1:
                    raise
                reading.page_items = max(1, reading.page_items // 10)
                continue
            yield reading.page(_object(data, reading.where), len(data))

    def _broken(self, path: str, what: str, why: Why = Why.INCOMPLETE) -> KubeError:
        return KubeError(what, f"{self.name}: GET {path}", why=why)

    async def _json(self, request: _Request) -> Json:
        where = f"{self.name}: {request.method} {request.path}"
        return _object(await self._answer(request, where), where)

    async def _answer(self, request: _Request, where: str) -> bytes:
        """The body of a successful answer; each failure of the transport has its `Why`."""
        seconds = self.limits.request_seconds
        answered = False
        try:
            async with asyncio.timeout(seconds), self._send(request) as answer:
                answered = True
                return await _body(answer, where, self.limits.page_bytes)
        except TimeoutError:
            what = f"no whole answer within {seconds:g} s"
            raise KubeError(what, where, why=Why.TIMEOUT) from None
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            what, why = _transport_failure(exc, answered)
            raise KubeError(what, where, why=why) from None

    def _send(self, request: _Request) -> Any:
        if self._session is None:
            raise RuntimeError("KubeApi is used as an async context manager")
        headers = {"Accept": request.accept, "Accept-Encoding": "identity"}
        if self.credentials.token:
            headers["Authorization"] = f"Bearer {self.credentials.token}"
        data = None
        if request.body is not None:
            headers["Content-Type"] = request.content
            data = json.dumps(request.body).encode()
        query = f"?{urlencode(request.params)}" if request.params else ""
        return self._session.request(
            request.method,
            URL(f"{self.credentials.server}{request.path}{query}", encoded=True),
            headers=headers,
            data=data,
            allow_redirects=False,
            server_hostname=self.credentials.tls_server_name or None,
        )


class _Rest(RESTClientObject):
    """The session of `kubernetes.aio`, used without its `request`.

    That one follows redirects, credentials included, and reads bodies without a limit.
    """

    def open(self) -> aiohttp.ClientSession:
        self.pool_manager = self._create_pool_manager()
        return self.pool_manager


def object_path(version: str, plural: str, namespace: str, name: str) -> str:
    """`/apis/<group>/<version>/namespaces/...`; `v1` is the core group. Raises ValueError."""
    parts = ["namespaces", namespace] if namespace else []
    parts += [plural, name] if name else [plural]
    if any(part in ("", ".", "..") for part in parts):
        raise ValueError("a part of the path is empty or a dot segment")
    root = "/apis/" if "/" in version else "/api/"
    return f"{root}{version}/{'/'.join(quote(part, safe='') for part in parts)}"


async def server_certificate_names(
    host: str, port: int, *, ca: str, server_name: str = "", seconds: float = 10.0
) -> tuple[str, ...] | None:
    """DNS names and IP addresses in a server's certificate, sorted; `None`: not known.

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
    return tuple(sorted({name.lower() for name in names}))


def _configuration(
    credentials: Credentials, certificate: str | None, limits: Limits
) -> Configuration:
    configuration = Configuration(
        host=credentials.server,
        ca_cert_data=credentials.ca or None,
        cert_file=certificate,
        tls_server_name=credentials.tls_server_name or None,
    )
    configuration.client_session_kwargs = {
        "trust_env": False,
        "auto_decompress": False,
        "cookie_jar": aiohttp.DummyCookieJar(),
        "timeout": aiohttp.ClientTimeout(
            total=limits.request_seconds, sock_connect=limits.connect_seconds
        ),
    }
    return configuration


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


def _object(data: bytes, where: str) -> Json:
    try:
        value = jsonio.loads(data)
    except jsonio.InvalidJson as exc:
        what = f"the answer is no valid JSON ({exc})"
        raise KubeError(what, where, why=Why.UNREADABLE) from None
    if not isinstance(value, dict) or value.get("kind") == "Status":
        what = "the answer is no object of the API"
        raise KubeError(what, where, why=Why.UNREADABLE)
    return value


async def _body(answer: aiohttp.ClientResponse, where: str, limit: int) -> bytes:
    if answer.status not in (200, 201):
        raise status_failure(answer.status, await _reason(answer), where)
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        what = "the answer is compressed although that was not asked for"
        raise KubeError(what, where, why=Why.UNREADABLE)
    data = bytearray()
    async for chunk in answer.content.iter_any():
        data += chunk
        if len(data) > limit:
            answer.close()
            what = f"the answer has more than {limit} bytes"
            raise TooLarge(what, where, why=Why.INCOMPLETE)
    return bytes(data)


async def _reason(answer: aiohttp.ClientResponse) -> str:
    """The machine-readable reason of a Status, such as `Forbidden`; else nothing."""
    data = await answer.content.read(_ERROR_BYTES)
    answer.close()
    try:
        value = jsonio.loads(data)
    except jsonio.InvalidJson:
        return ""
    reason = value.get("reason") if isinstance(value, dict) else None
    return reason if isinstance(reason, str) and _REASON.match(reason) else ""


def _transport_failure(exc: Exception, answered: bool) -> tuple[str, Why]:
    """What happened in our own words: an exception's can hold what the server sent."""
    match exc:
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

"""The one client of Kubernetes APIs: raw JSON over `kubernetes.aio`, with limits (does I/O).

An API server can be broken or hostile. Nothing is followed, decompressed, retried or taken from
the environment; sizes, times, pages and depth have limits; a list is whole or an error. Texts
of the server never reach a message, but for the CamelCase `reason` of a Status.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Generic, Self, TypeVar
from urllib.parse import quote, urlencode

import aiohttp
from yarl import URL

from reconciler import jsonio
from reconciler.fairness import Pace, Shares
from reconciler.kubeanswer import body_of, check_head, hang_up, object_in
from reconciler.kubeconfig import Credentials
from reconciler.kubeerrors import (
    Expired,
    KubeError,
    NotFound,
    Rejected,
    TooLarge,
)
from reconciler.kubeplugin import Identity
from reconciler.kubesession import (
    open_session,
    server_certificate_names,
    transport_failure,
)
from reconciler.kubewatch import Lines, Terms, Traffic
from reconciler.model.clusters import Why
from reconciler.paging import Limits, Reading, Spent
from reconciler.weight import weight

T = TypeVar("T")
Json = Mapping[str, Any]

__all__ = [
    "Expired",
    "KubeApi",
    "KubeError",
    "Limits",
    "NotFound",
    "Rejected",
    "Spent",
    "Terms",
    "Traffic",
    "server_certificate_names",
]

METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
METADATA_EVENTS = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
# About what an answer costs on a small machine; only the order of magnitude matters.
_SECONDS_PER_REQUEST = 0.001
_SECONDS_PER_BYTE = 5e-9
_SECONDS_PER_VALUE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    body: object = None
    content: str = "application/json"
    accept: str = "application/json"

    @property
    def verb(self) -> str:
        """The verb as Kubernetes counts it."""
        if self.method != "GET":
            return self.method.lower()
        if "watch" in self.params:
            return "watch"
        return "list" if "limit" in self.params else "get"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed(Generic[T]):
    """A whole list, and the opaque resourceVersion that a watch of it starts from.

    `size` are the bytes that came, `kept` what the items take in memory.
    """

    items: tuple[T, ...]
    version: str
    size: int
    kept: int


class KubeApi:
    """Requests to one API server as one user; use it as an async context manager.

    `name` is what messages call the server. Who reads several servers in one event loop gives
    all of them the same `shares`. All methods raise KubeError.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        name: str,
        limits: Limits | None = None,
        shares: Shares | None = None,
    ) -> None:
        self.name = name
        self.limits = limits or Limits()
        self.pace = Pace(shares=shares or Shares())
        self.traffic = Traffic()
        self._identity = Identity(credentials, name)
        self._sessions: list[tuple[Credentials, aiohttp.ClientSession]] = []
        self.date = ""  # of the last answer, as its header says it

    async def __aenter__(self) -> Self:
        access = await self._identity.now()
        self._sessions = [(access, self._open(access))]
        self.pace.begin()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._sessions:
            self.pace.end()
        for _, session in self._sessions:
            await session.close()

    @property
    def credentials(self) -> Credentials:
        """How the server is reached and who we are. Another who at the same server may be set:
        it counts from the next request on, and open watches go on.
        """
        return self._identity.credentials

    @credentials.setter
    def credentials(self, credentials: Credentials) -> None:
        self._identity = Identity(credentials, self.name)

    def _open(self, access: Credentials) -> aiohttp.ClientSession:
        return open_session(access, name=self.name, limits=self.limits, pace=self.pace)

    async def _connected(self) -> tuple[Credentials, aiohttp.ClientSession]:
        """Who we are now, and a session as this one. Raises KubeError."""
        if not self._sessions:
            raise RuntimeError("KubeApi is used as an async context manager")
        access = await self._identity.now()
        before, session = self._sessions[-1]
        if _certificate(before) != _certificate(access):
            # Watches of the one before go on; no certificate outlives two others.
            session = self._open(access)
            self._sessions.append((access, session))
            if len(self._sessions) > 2:
                await self._sessions.pop(0)[1].close()
        return access, session

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Json:
        """The JSON object at `path`. Raises NotFound, KubeError."""
        return await self._json(_Request(method="GET", path=path, params=params or {}))

    async def list(
        self,
        path: str,
        convert: Callable[[Json], T],
        *,
        accept: str = "application/json",
        spent: Spent | None = None,
    ) -> tuple[T, ...]:
        """All items of a collection: `listed` for whoever does not watch."""
        return (await self.listed(path, convert, accept=accept, spent=spent)).items

    async def listed(
        self,
        path: str,
        convert: Callable[[Json], T],
        *,
        accept: str = "application/json",
        spent: Spent | None = None,
    ) -> Listed[T]:
        """All items of a collection, in the server's order, each through `convert`.

        Whole or an error: pages of one resourceVersion, no continue token twice, within the
        limits, which count what `spent` has already. Raw objects go page by page, so that they
        do not pile up. `convert` may raise ValueError for an item whose identity is broken.
        """
        where = f"{self.name}: GET {path}"
        reading = Reading(where=where, limits=self.limits, spent=spent or Spent())
        items: list[T] = []
        kept = 0
        while not reading.done:
            data = await self._page(reading, path, accept)
            await self._turn(data)
            page, bytes_kept = _converted(reading, data, convert)
            items.extend(page)
            kept += bytes_kept
            del data, page
        version, size = reading.version, reading.total_bytes
        return Listed(items=tuple(items), version=version, size=size, kept=kept)

    @asynccontextmanager
    async def watch(self, path: str, terms: Terms) -> AsyncIterator[Lines]:
        """Lines of what happens to a collection after a list; the connection ends with it.

        Raises Expired when that is too long ago, NotFound, KubeError; so do the lines.
        """
        where = f"{self.name}: WATCH {path}"
        params = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": terms.version,
            "timeoutSeconds": str(int(terms.seconds)),
        }
        request = _Request(method="GET", path=path, params=params, accept=terms.accept)
        async with self._exchange(request, where) as opened:
            answer = opened
        try:
            yield Lines(
                content=answer.content,
                terms=terms,
                limits=self.limits,
                traffic=self.traffic,
                turn=self._turn,
                where=where,
            )
        finally:
            hang_up(answer)

    async def json_patch(self, path: str, operations: Sequence[Json]) -> Json:
        """Apply a JSON patch (RFC 6902). Raises Rejected when a `test` fails."""
        content = "application/json-patch+json"
        body = [dict(operation) for operation in operations]
        return await self._json(
            _Request(method="PATCH", path=path, body=body, content=content)
        )

    async def merge_patch(self, path: str, body: Json) -> Json:
        """Apply a JSON merge patch (RFC 7386). Raises NotFound, Rejected."""
        content = "application/merge-patch+json"
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

    async def _page(self, reading: Reading, path: str, accept: str) -> bytes:
        """The next page as it came; fewer objects are asked for while it is too large."""
        while True:
            params = {"limit": str(reading.page_items)}
            if reading.token:
                params["continue"] = reading.token
            request = _Request(method="GET", path=path, params=params, accept=accept)
            try:
                data = await self._answer(request, reading.where)
                reading.check_values(jsonio.values(data))
            except TooLarge:
                # Objects may have a megabyte each: fewer of them at a time.
                if reading.page_items == 1:
                    raise
                reading.page_items = max(1, reading.page_items // 10)
                continue
            return data

    async def _turn(self, data: bytes) -> None:
        """Wait until it is our turn to parse: that cannot be interrupted."""
        seconds = len(data) * _SECONDS_PER_BYTE
        seconds += jsonio.values(data) * _SECONDS_PER_VALUE
        await self.pace.turn(seconds)

    async def _json(self, request: _Request) -> Json:
        where = f"{self.name}: {request.method} {request.path}"
        data = await self._answer(request, where)
        if jsonio.values(data) > self.limits.object_values:
            what = f"the answer has more than {self.limits.object_values} values"
            raise KubeError(what, where, why=Why.INCOMPLETE)
        await self._turn(data)
        return object_in(data, where)

    async def _answer(self, request: _Request, where: str) -> bytes:
        """The body of a successful answer."""
        async with self._exchange(request, where) as answer:
            try:
                data = await body_of(answer, where, self.limits.page_bytes)
            finally:
                hang_up(answer)
        self.traffic.received += len(data)
        return data

    @asynccontextmanager
    async def _exchange(
        self, request: _Request, where: str
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A successful answer, in time; each failure of the transport has its `Why`."""
        seconds = self.limits.request_seconds
        answer = None
        self.traffic.requests[request.verb] += 1
        await self.pace.turn(_SECONDS_PER_REQUEST)
        try:
            async with asyncio.timeout(seconds):
                answer = await self._send(request)
                if answer.status == 401 and self._identity.refused():
                    hang_up(answer)
                    answer = await self._send(request)
                self.date = answer.headers.get("Date", "")
                await check_head(answer, where)
                yield answer
        except TimeoutError:
            what = f"no whole answer within {seconds:g} s"
            raise KubeError(what, where, why=Why.TIMEOUT) from None
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            what, why = transport_failure(exc, answer is not None)
            raise KubeError(what, where, why=why) from None

    async def _send(self, request: _Request) -> aiohttp.ClientResponse:
        access, session = await self._connected()
        headers = {"Accept": request.accept, "Accept-Encoding": "identity"}
        if access.token:
            headers["Authorization"] = f"Bearer {access.token}"
        data = None
        if request.body is not None:
            headers["Content-Type"] = request.content
            data = json.dumps(request.body).encode()
        target = with_query(request.path, request.params)
        return await session.request(
            request.method,
            URL(f"{access.server}{target}", encoded=True),
            headers=headers,
            data=data,
            allow_redirects=False,
            server_hostname=access.tls_server_name or None,
            proxy=access.proxy or None,
        )


def _certificate(access: Credentials) -> tuple[str, str]:
    return access.client_certificate, access.client_key


def with_query(path: str, params: Mapping[str, str]) -> str:
    """A path with parameters; one that has a query (`?labelSelector=...`) keeps it."""
    if not params:
        return path
    return f"{path}{'&' if '?' in path else '?'}{urlencode(params)}"


def object_path(version: str, plural: str, namespace: str, name: str) -> str:
    """`/apis/<group>/<version>/namespaces/...`; `v1` is the core group. Raises ValueError."""
    parts = ["namespaces", namespace] if namespace else []
    parts += [plural, name] if name else [plural]
    if any(part in ("", ".", "..") for part in parts):
        raise ValueError("a part of the path is empty or a dot segment")
    root = "/apis/" if "/" in version else "/api/"
    return f"{root}{version}/{'/'.join(quote(part, safe='') for part in parts)}"


def _converted(
    reading: Reading, data: bytes, convert: Callable[[Json], T]
) -> tuple[tuple[T, ...], int]:
    """What is kept of a page, and its bytes in memory; nothing raw outlives the call."""
    page = reading.page(object_in(data, reading.where), len(data))
    try:
        found = tuple(map(convert, page))
    except ValueError as exc:
        raise reading.broken(str(exc), Why.UNREADABLE) from None
    kept = sum(map(weight, found))
    reading.keep(kept)
    return found, kept

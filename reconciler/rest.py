"""JSON over HTTPS of products that are no Kubernetes: TKGI, UAA, Cloud Foundry (does I/O).

The same connections and limits as for API servers: nothing is followed, decompressed, retried or
taken from the environment. What is asked for is a path below one address, and no answer can lead
to another one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urlencode, urlsplit

import aiohttp
from yarl import URL

from reconciler import jsonio
from reconciler.fairness import Pace, Shares
from reconciler.kubeanswer import body_of, check_head, hang_up
from reconciler.kubeconfig import RefusedKubeconfig
from reconciler.kubeerrors import KubeError
from reconciler.kubesession import open_session, transport_failure
from reconciler.model.access import Credentials
from reconciler.model.clusters import Why
from reconciler.paging import Limits

LIMITS = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request: a path below the address, maybe with a query, and how we show who we are.

    With `form` it is a POST of these fields.
    """

    path: str
    authorisation: str = field(default="", repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)


class Rest:
    """Requests to one address; use it as an async context manager. Raises KubeError."""

    def __init__(self, address: str, ca: str, *, name: str) -> None:
        self.address = checked_address(address, name)
        self.name = name
        self._ca = ca
        self._pace = Pace(shares=Shares())
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        credentials = Credentials(server=self.address, ca=self._ca)
        self._session = open_session(
            credentials, name=self.name, limits=LIMITS, pace=self._pace
        )
        self._pace.begin()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            self._pace.end()
            await self._session.close()

    async def json(self, request: Request) -> object:
        """What a successful answer says."""
        where = f"{self.name}: {request.path.partition('?')[0]}"
        answer = None
        try:
            async with asyncio.timeout(LIMITS.request_seconds):
                answer = await self._send(request, where)
                await check_head(answer, where)
                data = await body_of(answer, where, LIMITS.page_bytes)
        except TimeoutError:
            what = f"no whole answer within {LIMITS.request_seconds:g} s"
            raise KubeError(what, where, why=Why.TIMEOUT) from None
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            what, why = transport_failure(exc, answer is not None)
            raise KubeError(what, where, why=why) from None
        finally:
            if answer is not None:
                hang_up(answer)
        return _parsed(data, where)

    async def _send(self, request: Request, where: str) -> aiohttp.ClientResponse:
        if self._session is None:
            raise RuntimeError("Rest is used as an async context manager")
        if not request.path.startswith("/") or request.path.startswith("//"):
            raise KubeError("not a path of this API", where, why=Why.UNREADABLE)
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        headers.update(request.headers)
        if request.authorisation:
            headers["Authorization"] = request.authorisation
        data = None
        if request.form:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            data = urlencode(request.form).encode()
        return await self._session.request(
            "GET" if request.form is None else "POST",
            URL(f"{self.address}{request.path}", encoded=True),
            headers=headers,
            data=data,
            allow_redirects=False,
        )


def checked_address(text: str, where: str) -> str:
    """`https://HOST[:PORT]` and nothing more. Raises RefusedKubeconfig."""
    try:
        url = urlsplit(text)
        is_plain = url.port != 0 and not (
            url.username or url.password or url.query or url.fragment
        )
    except ValueError:
        raise RefusedKubeconfig("its address is no URL", where) from None
    is_root = url.path in ("", "/")
    if url.scheme != "https" or not url.hostname or not (is_plain and is_root):
        raise RefusedKubeconfig("its address: expected https://HOST:PORT", where)
    return text.rstrip("/")


def _parsed(data: bytes, where: str) -> object:
    if jsonio.values(data) > LIMITS.object_values:
        what = f"the answer has more than {LIMITS.object_values} values"
        raise KubeError(what, where, why=Why.INCOMPLETE)
    try:
        return jsonio.loads(data)
    except jsonio.InvalidJson as exc:
        what = f"the answer is no valid JSON ({exc})"
        raise KubeError(what, where, why=Why.UNREADABLE) from None

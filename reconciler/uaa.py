"""Tokens of a UAA by client credentials, renewed before they expire (does I/O).

As UAA documents it: `POST /oauth/token` with `grant_type=client_credentials` and the client in
HTTP Basic; the answer has `access_token`, `token_type: bearer` and `expires_in` seconds.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import quote_plus

from reconciler.kubeerrors import KubeError
from reconciler.model.clusters import Why
from reconciler.rest import Request, Rest

EARLY = 30.0
"""Seconds before its end when a token is renewed; never more than a tenth of its life."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Where tokens come from and who asks for them."""

    uaa: str
    name: str
    secret: str = field(repr=False)
    ca: str = ""


class Tokens:
    """The token of one client. Who meets a 401 asks with `renewed`, once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._client: Client | None = None
        self._value = ""
        self._until = 0.0

    async def current(self, client: Client) -> str:
        """The value of the header Authorization. Raises KubeError, RefusedKubeconfig."""
        if client != self._client or self._clock() >= self._until:
            return await self.renewed(client)
        return self._value

    async def renewed(self, client: Client) -> str:
        """As `current`, with a new token in any case."""
        asked = self._clock()
        async with Rest(client.uaa, client.ca, name="UAA") as rest:
            answer = await rest.json(
                Request(
                    path="/oauth/token",
                    authorisation=_basic(client),
                    headers={"X-CF-ENCODED-CREDENTIALS": "true"},
                    form={"grant_type": "client_credentials", "response_type": "token"},
                )
            )
        token, seconds = _token(answer)
        self._client, self._value = client, f"Bearer {token}"
        self._until = asked + seconds - min(EARLY, seconds / 10)
        return self._value


def _basic(client: Client) -> str:
    # RFC 6749, 2.3.1: both parts are form-encoded first. UAA decodes them when it is told so.
    pair = f"{quote_plus(client.name)}:{quote_plus(client.secret)}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _token(answer: object) -> tuple[str, float]:
    found = answer if isinstance(answer, dict) else {}
    token, seconds = found.get("access_token"), found.get("expires_in")
    is_token = isinstance(token, str) and token.isascii() and token.isprintable()
    if not isinstance(token, str) or not is_token or not token or " " in token:
        raise KubeError("it gave no access_token", "UAA", why=Why.UNREADABLE)
    if not isinstance(seconds, int) or isinstance(seconds, bool) or seconds <= 0:
        raise KubeError("it gave no expires_in", "UAA", why=Why.UNREADABLE)
    return token, float(seconds)

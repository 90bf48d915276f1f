"""A UAA that gives tokens to clients, as its public API documentation says (a fake over TLS).

`POST /oauth/token` with `grant_type=client_credentials` and the client in HTTP Basic. A wrong
client is 401 `unauthorized`; other grants are 401 `invalid_client` or 400 `unsupported_grant_type`.
Resource servers answer 401 `invalid_token` for a token that is unknown or over, and 403
`access_denied` / `insufficient_scope` for one that lacks the scope.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote_plus

from tests.tlsweb import Asked, Said

CLIENT, SECRET = "wharfinger", "canary s3cret/+&"


@dataclass(slots=True, kw_only=True)
class Uaa:
    """Clients and the tokens that were given. `seconds` is how long the next token lives.

    Time does not pass by itself: `expire()` ends all tokens.
    """

    scopes: Sequence[str]
    client: str = CLIENT
    secret: str = SECRET
    seconds: int = 43199
    given: list[str] = field(default_factory=list)
    valid: set[str] = field(default_factory=set)
    asked: list[Asked] = field(default_factory=list)
    fails: list[Said] = field(default_factory=list)

    def expire(self) -> None:
        """No token that was given is good any more."""
        self.valid.clear()

    def answer(self, asked: Asked) -> Said:
        """What UAA says."""
        self.asked.append(asked)
        if self.fails:
            return self.fails.pop(0)
        if asked.path != "/oauth/token" or asked.method != "POST":
            return _error(404, "not_found", "Not Found")
        if asked.form.get("grant_type") != "client_credentials":
            return _error(400, "unsupported_grant_type", "Unsupported grant type")
        if self._who(asked) != (self.client, self.secret):
            return _error(401, "unauthorized", "Bad credentials")
        token = f"eyJhbGciOiJSUzI1NiJ9.{secrets.token_urlsafe(24)}.canary-uaa"
        self.given.append(token)
        self.valid.add(token)
        return Said(
            body={
                "access_token": token,
                "token_type": "bearer",
                "expires_in": self.seconds,
                "scope": " ".join(self.scopes),
                "jti": secrets.token_hex(16),
            }
        )

    def refusal(self, asked: Asked, *wanted: str) -> Said | None:
        """Why a resource server refuses a request that needs one of these scopes."""
        kind, _, token = asked.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or token not in self.valid:
            return _error(
                401, "invalid_token", "The token expired, was revoked, or ..."
            )
        if not set(wanted) & set(self.scopes):
            return _error(403, "access_denied", "Access is denied")
        return None

    def _who(self, asked: Asked) -> tuple[str, str]:
        kind, _, value = asked.headers.get("authorization", "").partition(" ")
        if kind != "Basic":
            return "", ""
        name, _, secret = base64.b64decode(value).decode().partition(":")
        if asked.headers.get("x-cf-encoded-credentials") == "true":
            return unquote_plus(name), unquote_plus(secret)
        return name, secret


def _error(status: int, error: str, description: str) -> Said:
    return Said(status=status, body={"error": error, "error_description": description})

"""How an API server is reached, and who we are there; a pure value with secrets in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """How to reach one API server and who we are there; texts are PEM.

    An empty `ca` means the system's authorities. Secrets are left out of `repr`.
    """

    server: str
    ca: str = ""
    tls_server_name: str = ""
    token: str = field(default="", repr=False)
    client_certificate: str = field(default="", repr=False)
    client_key: str = field(default="", repr=False)

    @property
    def host(self) -> str:
        """Host name or IP literal of the server, without brackets."""
        return urlsplit(self.server).hostname or ""

    @property
    def port(self) -> int:
        """TCP port of the server."""
        return urlsplit(self.server).port or 443

    @property
    def is_root(self) -> bool:
        """Is it the API server itself, not a path of some proxy?"""
        return urlsplit(self.server).path in ("", "/")

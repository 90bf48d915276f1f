"""How an API server is reached, and who we are there; pure values with secrets in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """A program that says who we are (`exec` of a kubeconfig); it runs before we connect.

    `program` is a name in the folder of plug-ins, `environment` all that it gets of ours and of
    the kubeconfig, `inherit` names of our own variables that it gets, too. `config` is the JSON
    of the cluster's own configuration for it, empty for none.
    """

    program: str
    api_version: str
    arguments: tuple[str, ...] = field(default=(), repr=False)
    environment: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    inherit: tuple[str, ...] = ()
    cluster_info: bool = False
    config: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """How to reach one API server and who we are there; texts are PEM.

    An empty `ca` means the system's authorities. Secrets are left out of `repr`. With a `plugin`
    there is neither token nor certificate until it has run. `proxy` and `insecure` (the server's
    certificate is not verified) are there only where the platform's own settings allow that one.
    """

    server: str
    ca: str = ""
    tls_server_name: str = ""
    token: str = field(default="", repr=False)
    client_certificate: str = field(default="", repr=False)
    client_key: str = field(default="", repr=False)
    plugin: Plugin | None = None
    proxy: str = ""
    insecure: bool = False

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

"""What a text claims of an API server -> Credentials, or a refusal by name; pure.

Whoever writes kubeconfigs can start programs, open files, send tokens elsewhere and switch checks
off with them. Accepted is what names a server and proves an identity; of the rest the platform's
own settings may allow single programs, proxies and servers, by their exact names. Messages never
quote a value, since any value can be a secret that lies in the wrong place.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from reconciler.errors import Unavailable
from reconciler.model.access import Credentials, Plugin
from reconciler.model.clusters import Unknown, Why
from reconciler.settings_inventories import Allow

Json = Mapping[str, object]
MAX_TEXT = 1024 * 1024
"""Bytes of a kubeconfig or a Secret's value: an object of Kubernetes has no more."""
NOTHING = Allow()
_MAX_TOKEN = 64 * 1024
_SERVER = re.compile(
    r"https://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*/?\Z"
)
_NAME = re.compile(r"[A-Za-z0-9*._:-]{1,253}\Z")
_EXEC_VERSIONS = (
    "client.authentication.k8s.io/v1",
    "client.authentication.k8s.io/v1beta1",
)
_EXEC_KEYS = frozenset(
    {
        *("apiVersion", "command", "args", "env", "installHint"),
        *("interactiveMode", "provideClusterInfo"),
    }
)
_MAX_ARGUMENTS = 64


class RefusedKubeconfig(Unavailable):
    """A kubeconfig, or one context of it, that cannot be used; `why` as in `Unknown`."""

    def __init__(
        self, what: str, where: str, *, why: Why = Why.UNREADABLE, hint: str = ""
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.why = why

    def unknown(self) -> Unknown:
        """The same as a value."""
        return Unknown(why=self.why, message="; ".join(str(self).split("\n  ")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """What a text says, decoded but not judged."""

    server: str
    ca: str = ""
    tls_server_name: str = ""
    token: str = ""
    client_certificate: str = ""
    client_key: str = ""
    plugin: Plugin | None = None
    proxy: str = ""
    insecure: bool = False


def accepted(claimed: Claimed, allow: Allow, where: str) -> Credentials:
    """The credentials, when all that is claimed is accepted. Raises RefusedKubeconfig."""
    found = Credentials(
        server=server_url(claimed.server, where),
        ca=claimed.ca,
        tls_server_name=claimed.tls_server_name,
        token=_token(claimed.token, where),
        client_certificate=claimed.client_certificate,
        client_key=claimed.client_key,
        plugin=claimed.plugin,
        proxy=claimed.proxy,
        insecure=claimed.insecure,
    )
    if bool(found.client_certificate) != bool(found.client_key):
        raise RefusedKubeconfig("the client's certificate and key belong together", where)  # fmt: skip
    if "ENCRYPTED" in found.client_key:
        raise RefusedKubeconfig("the client-key is encrypted, nobody can be asked", where)  # fmt: skip
    if found.ca and "-----BEGIN CERTIFICATE-----" not in found.ca:
        raise RefusedKubeconfig("the CA has no certificate in it", where)
    if found.tls_server_name and not _NAME.match(found.tls_server_name):
        raise RefusedKubeconfig("tls-server-name: not a name", where)
    _check_identity(found, where)
    _check_allowed(found, allow, where)
    return found


def _check_identity(found: Credentials, where: str) -> None:
    proofs = bool(found.token or found.client_key)
    if found.plugin is not None and proofs:
        raise RefusedKubeconfig("exec beside a token or a certificate: one of them is too much", where)  # fmt: skip
    if found.plugin is None and not proofs:
        raise RefusedKubeconfig("the user has no credentials", where, why=Why.UNAUTHORISED)  # fmt: skip


def _check_allowed(found: Credentials, allow: Allow, where: str) -> None:
    if found.proxy and found.proxy not in allow.proxies:
        hint = "the inventory's allow.proxies may name its exact URL"
        raise RefusedKubeconfig("proxy-url is not accepted", where, hint=hint)
    servers = {each.rstrip("/") for each in allow.insecure}
    if found.insecure and found.server not in servers:
        hint = "give the CA instead; the inventory's allow.insecure may name this server's exact URL"
        what = "insecure-skip-tls-verify is not accepted"
        raise RefusedKubeconfig(what, where, hint=hint)
    if found.insecure and found.ca:
        raise RefusedKubeconfig("insecure-skip-tls-verify beside a CA: one of them is too much", where)  # fmt: skip


def server_url(text: str, where: str) -> str:
    """`https://HOST[:PORT][/PATH]` as it is sent to, without a slash at its end.

    Raises RefusedKubeconfig, also for what parsers read in different ways.
    """
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise RefusedKubeconfig("server: not a URL", where) from None
    segments = url.path.split("/")
    if not _SERVER.match(text) or port == 0 or not url.hostname:
        raise RefusedKubeconfig("server: expected https://HOST:PORT", where)
    if "." in segments or ".." in segments or len(text) > 2048:
        raise RefusedKubeconfig("server: expected https://HOST:PORT", where)
    return text.rstrip("/")


def _token(token: str, where: str) -> str:
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        raise RefusedKubeconfig("the token has characters that no token has", where)
    if len(token) > _MAX_TOKEN:
        raise RefusedKubeconfig(f"the token has more than {_MAX_TOKEN} bytes", where)
    return token


def text_in(body: Json, key: str, where: str) -> str:
    """The text under a key, empty for none. Raises RefusedKubeconfig for another type."""
    value = body.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RefusedKubeconfig(f"{key}: expected a text", where)
    return value


def pem_in(body: Json, key: str, where: str) -> str:
    """The PEM text that stands under a key in base64, empty for none. Raises RefusedKubeconfig."""
    text = text_in(body, key, where)
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        what = f"{key}: not a PEM text in base64"
        raise RefusedKubeconfig(what, where) from None


def switch_in(body: Json, key: str, where: str) -> bool:
    """The boolean under a key, false for none. Raises RefusedKubeconfig for another type."""
    value = body.get(key)
    if not isinstance(value, bool | None):
        raise RefusedKubeconfig(f"{key}: expected true or false", where)
    return value is True


def check_keys(body: Json, allowed: frozenset[str], where: str, part: str = "") -> None:
    """Raises RefusedKubeconfig with the name of the first key that is not accepted.

    `insecure-skip-tls-verify: false` and empty values say nothing.
    """
    for key in sorted(map(str, body)):
        if key not in allowed and body.get(key):
            before = f"{part}: " if part else ""
            raise RefusedKubeconfig(f"{before}{key[:64]!a} is not accepted", where)


def plugin_in(body: Json, allow: Allow, where: str, name: str = "exec") -> Plugin:
    """The plug-in that an `exec` asks for, when the settings name it. Raises RefusedKubeconfig.

    A program is named, never a path; variables that the settings do not name are refused, since
    one of them can load other code into any program.
    """
    program = text_in(body, "command", where)
    if program not in allow.exec:
        hint = "the inventory's allow.exec may name a program of the folder WHARFINGER_PLUGINS"
        raise RefusedKubeconfig(f"{name} is not accepted", where, hint=hint)
    check_keys(body, _EXEC_KEYS, where, name)
    version = text_in(body, "apiVersion", where)
    if version not in _EXEC_VERSIONS:
        versions = " or ".join(_EXEC_VERSIONS)
        raise RefusedKubeconfig(f"{name}.apiVersion: expected {versions}", where)
    if body.get("interactiveMode") == "Always":
        raise RefusedKubeconfig(f"{name}.interactiveMode: nobody can be asked", where)
    return Plugin(
        program=program,
        api_version=version,
        arguments=_arguments(body.get("args"), f"{name}.args", where),
        environment=_environment(body.get("env"), allow, f"{name}.env", where),
        inherit=allow.environment,
        cluster_info=switch_in(body, "provideClusterInfo", where),
    )


def _arguments(value: object, name: str, where: str) -> tuple[str, ...]:
    if not isinstance(value, list | None) or len(value or []) > _MAX_ARGUMENTS:
        what = f"{name}: expected a list of at most {_MAX_ARGUMENTS} texts"
        raise RefusedKubeconfig(what, where)
    return tuple(_plain(each, name, where) for each in value or [])


def _environment(
    value: object, allow: Allow, name: str, where: str
) -> tuple[tuple[str, str], ...]:
    pairs = value.items() if isinstance(value, Mapping) else map(_pair, _items(value))
    found: dict[str, str] = {}
    for key, text in pairs:
        variable = _plain(key, name, where)
        if variable not in allow.environment:
            what = f"{name}: {variable[:64]!a} is not accepted"
            hint = "the inventory's allow.environment may name it"
            raise RefusedKubeconfig(what, where, hint=hint)
        found[variable] = _plain(text, name, where)
    return tuple(sorted(found.items()))


def _items(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _pair(each: object) -> tuple[object, object]:
    body = each if isinstance(each, Mapping) else {}
    return body.get("name"), body.get("value", "")


def _plain(value: object, name: str, where: str) -> str:
    if not isinstance(value, str) or "\0" in value or len(value) > _MAX_TOKEN:
        raise RefusedKubeconfig(f"{name}: expected plain texts", where)
    return value

"""Credentials from what ecosystems keep in objects: kubeconfig texts, Argo CD's JSON, tokens; pure.

One form comes out, and it is as strict for each of them: see `kubeaccess`. Nothing here reads a
file, whatever a text says.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from functools import lru_cache

from reconciler import jsonio
from reconciler.kubeaccess import (
    MAX_TEXT,
    NOTHING,
    Claimed,
    Json,
    RefusedKubeconfig,
    accepted,
    check_keys,
    pem_in,
    plugin_in,
    switch_in,
    text_in,
)
from reconciler.kubeentries import merged
from reconciler.model.access import Credentials, Plugin
from reconciler.settings_inventories import Allow

__all__ = [
    "RefusedKubeconfig",
    "from_argocd",
    "from_kubeconfig",
    "from_token",
    "secret_text",
]

_ARGOCD_KEYS = frozenset(
    {
        *("bearerToken", "tlsClientConfig", "disableCompression"),
        *("proxyUrl", "execProviderConfig"),
    }
)
_ARGOCD_TLS_KEYS = frozenset(
    {"insecure", "serverName", "caData", "certData", "keyData"}
)


def from_kubeconfig(
    text: str, allow: Allow, where: str, context: str = ""
) -> Credentials:
    """Credentials of one context of a kubeconfig that an object holds; the current one for none.

    Raises RefusedKubeconfig.
    """
    return _from_kubeconfig(text, allow, where, context)


@lru_cache(maxsize=16_384)
def _from_kubeconfig(text: str, allow: Allow, where: str, context: str) -> Credentials:
    """What was read before: an inventory of thousands is looked at again for one change."""
    config = merged([(where, text.encode("utf-8", "surrogatepass"))], where)
    if not context and not config.current:
        raise RefusedKubeconfig("current-context: it names none", where)
    return config.credentials(context, allow)


def from_argocd(server: str, config: str, allow: Allow, where: str) -> Credentials:
    """Credentials of an Argo CD cluster Secret: its `server` and the JSON in its `config`.

    Raises RefusedKubeconfig.
    """
    body = _object(config, where)
    check_keys(body, _ARGOCD_KEYS, where, "config")
    tls = body.get("tlsClientConfig")
    if not isinstance(tls, Mapping | None):
        raise RefusedKubeconfig("config.tlsClientConfig: expected an object", where)
    tls = tls or {}
    check_keys(tls, _ARGOCD_TLS_KEYS, where, "config.tlsClientConfig")
    claimed = Claimed(
        server=server,
        ca=pem_in(tls, "caData", where),
        tls_server_name=text_in(tls, "serverName", where),
        token=text_in(body, "bearerToken", where),
        client_certificate=pem_in(tls, "certData", where),
        client_key=pem_in(tls, "keyData", where),
        plugin=_argocd_plugin(body, allow, where),
        proxy=text_in(body, "proxyUrl", where),
        insecure=switch_in(tls, "insecure", where),
    )
    return accepted(claimed, allow, where)


def from_token(server: str, ca: str, token: str, where: str) -> Credentials:
    """Credentials from single values; `ca` is PEM or base64 of it, empty for the system's.

    Raises RefusedKubeconfig.
    """
    if max(len(ca), len(token), len(server)) > MAX_TEXT:
        raise RefusedKubeconfig(f"more than {MAX_TEXT} bytes", where)
    pem = ca if "-----BEGIN" in ca else pem_in({"ca": ca}, "ca", where)
    claimed = Claimed(server=server, ca=pem, token=token)
    return accepted(claimed, NOTHING, where)


def secret_text(secret: Json, key: str, where: str) -> str:
    """What a Secret holds under a key, decoded. Raises RefusedKubeconfig when it holds no text."""
    data = secret.get("data")
    value = data.get(key) if isinstance(data, Mapping) else None
    if not isinstance(value, str) or not value:
        raise RefusedKubeconfig(f"the Secret has no {key}", where)
    if len(value) > 2 * MAX_TEXT:
        raise RefusedKubeconfig(f"{key}: more than {MAX_TEXT} bytes", where)
    try:
        return base64.b64decode(value, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise RefusedKubeconfig(f"{key}: not a text in base64", where) from None


def _object(config: str, where: str) -> Json:
    if len(config) > MAX_TEXT:
        raise RefusedKubeconfig(f"config: more than {MAX_TEXT} bytes", where)
    try:
        body = jsonio.loads(config.encode("utf-8", "surrogatepass"))
    except jsonio.InvalidJson:
        # The parser's words can quote a key, and a key can be a secret in the wrong place.
        raise RefusedKubeconfig("config: not plain JSON", where) from None
    if not isinstance(body, Mapping):
        raise RefusedKubeconfig("config: expected an object", where)
    return body


def _argocd_plugin(body: Json, allow: Allow, where: str) -> Plugin | None:
    found = body.get("execProviderConfig")
    if not found:
        return None
    if not isinstance(found, Mapping):
        raise RefusedKubeconfig("execProviderConfig: expected an object", where)
    return plugin_in(found, allow, where, "execProviderConfig")

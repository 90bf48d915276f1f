"""Credentials for API servers: a strict loader of kubeconfigs, and `in-cluster` (reads files).

A kubeconfig can start programs, open files, send tokens elsewhere and switch checks off. Only
what names a server and proves an identity is accepted; anything else is refused by its name.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from reconciler import yamlio
from reconciler.errors import Unavailable
from reconciler.model.access import Credentials as Credentials
from reconciler.model.clusters import Unknown, Why

IN_CLUSTER = "in-cluster"
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_MAX_FILE = 1024 * 1024

_CLUSTER_KEYS = frozenset(
    {
        "server",
        "certificate-authority",
        "certificate-authority-data",
        "tls-server-name",
        "disable-compression",
        "extensions",
    }
)
_USER_KEYS = frozenset(
    {
        "token",
        "tokenFile",
        "client-certificate",
        "client-certificate-data",
        "client-key",
        "client-key-data",
        "extensions",
    }
)


class RefusedKubeconfig(Unavailable):
    """A kubeconfig, or one context of it, that cannot be used; `why` as in `Unknown`."""

    def __init__(self, what: str, where: str, *, why: Why = Why.UNREADABLE) -> None:
        super().__init__(what, where=where)
        self.why = why

    def unknown(self) -> Unknown:
        """The same as a value."""
        return Unknown(why=self.why, message=str(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubeconfig:
    """A kubeconfig that was read: entries by name, the first of several files wins.

    `folders` is where relative file names of an entry start; entries of inline texts have none
    and may not name files.
    """

    where: str
    current: str
    contexts: Mapping[str, Mapping[str, object]]
    clusters: Mapping[str, Mapping[str, object]]
    users: Mapping[str, Mapping[str, object]]
    folders: Mapping[tuple[str, str], Path]

    def matching(self, globs: tuple[str, ...]) -> tuple[str, ...]:
        """Names of contexts that match one of the globs, sorted."""
        return tuple(
            sorted(
                name
                for name in self.contexts
                if any(fnmatch.fnmatchcase(name, glob) for glob in globs)
            )
        )

    def credentials(self, context: str = "") -> Credentials:
        """Credentials of a context; the current one for an empty name.

        Raises RefusedKubeconfig, naming the construct that is not accepted.
        """
        return _Reader(self, context or self.current).credentials()


def load_kubeconfig(source: Path | str | None) -> Kubeconfig:
    """A kubeconfig from a path, from a text, or from where kubectl looks (`None`).

    Only files may name other files: a text comes from an object or a form, and whoever wrote
    it must not make us read our own disk. Raises RefusedKubeconfig.
    """
    if isinstance(source, str):
        return _merge([("kubeconfig", source.encode(), None)])
    paths = [source] if source else _default_paths()
    texts: list[tuple[str, bytes, Path | None]] = []
    for path in paths:
        try:
            texts.append((str(path), _read(path), path.absolute().parent))
        except FileNotFoundError:
            continue  # kubectl too takes what is there of a list of files
        except OSError as exc:
            raise RefusedKubeconfig(exc.strerror or "unreadable", str(path)) from None
    if not texts:
        names = os.pathsep.join(map(str, paths))
        raise RefusedKubeconfig("there is no such kubeconfig", names)
    return _merge(texts)


def in_cluster(folder: Path = _ACCOUNT) -> Credentials:
    """Credentials of the pod that we run in. Raises RefusedKubeconfig."""
    host = os.environ.get("KUBERNETES_SERVICE_HOST", "")
    port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not port.isdecimal():
        raise RefusedKubeconfig(
            "KUBERNETES_SERVICE_HOST is not set: this is not a pod; name a context",
            IN_CLUSTER,
        )
    try:
        token = _read(folder / "token").decode("ascii").strip()
        ca = _read(folder / "ca.crt").decode("ascii")
    except (OSError, UnicodeDecodeError):
        raise RefusedKubeconfig(
            f"the service account in {folder} cannot be read",
            IN_CLUSTER,
            why=Why.UNAUTHORISED,
        ) from None
    shown = f"[{host}]" if ":" in host else host
    return Credentials(server=f"https://{shown}:{port}", ca=ca, token=token)


def _default_paths() -> list[Path]:
    named = os.environ.get("KUBECONFIG", "")
    listed = [Path(part) for part in named.split(os.pathsep) if part]
    return listed or [Path.home() / ".kube" / "config"]


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(_MAX_FILE + 1)
    if len(data) > _MAX_FILE:
        raise OSError(0, f"more than {_MAX_FILE} bytes")
    return data


def _merge(texts: list[tuple[str, bytes, Path | None]]) -> Kubeconfig:
    current = ""
    found: dict[str, dict[str, Mapping[str, object]]] = {
        "contexts": {},
        "clusters": {},
        "users": {},
    }
    folders: dict[tuple[str, str], Path] = {}
    for where, data, folder in texts:
        document = _document(where, data)
        current = current or _text(document.get("current-context"))
        named = [
            (part, name, body)
            for part in found
            for name, body in _entries(document, part, where)
        ]
        for part, name, body in named:
            if name not in found[part] and folder is not None:
                folders[part, name] = folder
            found[part].setdefault(name, body)
    where = os.pathsep.join(where for where, _, _ in texts)
    return Kubeconfig(where=where, current=current, folders=folders, **found)


def _document(where: str, data: bytes) -> Mapping[str, object]:
    try:
        document = yamlio.load(data)
    except yamlio.Unreadable as exc:
        # The parser's words can quote the line, and that line can be a credential.
        place = f"{where}:{exc.line}:{exc.column}"
        raise RefusedKubeconfig("not a YAML mapping without anchors", place) from None
    if not isinstance(document, Mapping):
        raise RefusedKubeconfig("not a kubeconfig", where)
    return document


def _entries(
    document: Mapping[str, object], part: str, where: str
) -> list[tuple[str, Mapping[str, object]]]:
    listed = document.get(part) or []
    if not isinstance(listed, list):
        raise RefusedKubeconfig(f"{part}: expected a list", where)
    entries = []
    for item in listed:
        body = item.get(part[:-1]) if isinstance(item, Mapping) else None
        name = item.get("name") if isinstance(item, Mapping) else None
        if not isinstance(name, str) or not isinstance(body, Mapping | None):
            raise RefusedKubeconfig(f"{part}: expected name and {part[:-1]}", where)
        entries.append((name, body or {}))
    return entries


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


class _Reader:
    """One context of a kubeconfig on its way to Credentials."""

    def __init__(self, config: Kubeconfig, context: str) -> None:
        self.config = config
        self.where = f"{config.where}: context {context!a}"
        found = config.contexts.get(context)
        if found is None:
            raise self.refused("there is no such context")
        self.cluster_name = _text(found.get("cluster"))
        self.user_name = _text(found.get("user"))
        self.cluster = config.clusters.get(self.cluster_name)
        self.user = config.users.get(self.user_name)

    def refused(self, what: str, why: Why = Why.UNREADABLE) -> RefusedKubeconfig:
        return RefusedKubeconfig(what, self.where, why=why)

    def credentials(self) -> Credentials:
        cluster, user = self.cluster, self.user
        if cluster is None or user is None:
            raise self.refused("its cluster or its user is not in the file")
        self.check_keys("cluster", cluster, _CLUSTER_KEYS)
        self.check_keys("user", user, _USER_KEYS)
        key = ("users", self.user_name)
        found = Credentials(
            server=self.server(cluster),
            ca=self.pem(cluster, "certificate-authority", self.cluster_key),
            tls_server_name=_text(cluster.get("tls-server-name")),
            token=self.token(user),
            client_certificate=self.pem(user, "client-certificate", key),
            client_key=self.pem(user, "client-key", key),
        )
        if bool(found.client_certificate) != bool(found.client_key):
            raise self.refused("client-certificate and client-key belong together")
        if not found.token and not found.client_key:
            raise self.refused("the user has no credentials", Why.UNAUTHORISED)
        if "ENCRYPTED" in found.client_key:
            raise self.refused("the client-key is encrypted, nobody can be asked")
        return found

    @property
    def cluster_key(self) -> tuple[str, str]:
        return ("clusters", self.cluster_name)

    def check_keys(
        self, part: str, body: Mapping[str, object], allowed: frozenset[str]
    ) -> None:
        for key in sorted(body):
            # `insecure-skip-tls-verify: false` and empty values say nothing.
            if key not in allowed and body[key]:
                raise self.refused(f"{part}: {key[:64]!a} is not accepted")

    def server(self, cluster: Mapping[str, object]) -> str:
        text = _text(cluster.get("server"))
        try:
            url = urlsplit(text)
            port = url.port
        except ValueError:
            raise self.refused("server: not a URL") from None
        plain = not (url.username or url.password or url.query or url.fragment)
        if url.scheme != "https" or not url.hostname or not plain or port == 0:
            raise self.refused("server: expected https://HOST:PORT")
        return text.rstrip("/")

    def token(self, user: Mapping[str, object]) -> str:
        token = _text(user.get("token"))
        if not token and user.get("tokenFile"):
            path = _text(user.get("tokenFile"))
            token = self.file(path, "tokenFile", ("users", self.user_name)).strip()
        if token and not (token.isascii() and token.isprintable() and " " not in token):
            raise self.refused("the token has characters that no token has")
        return token

    def pem(self, body: Mapping[str, object], name: str, owner: tuple[str, str]) -> str:
        inline = _text(body.get(f"{name}-data"))
        if inline:
            try:
                data = base64.b64decode("".join(inline.split()), validate=True)
                return data.decode("ascii")
            except (binascii.Error, UnicodeDecodeError):
                raise self.refused(f"{name}-data: not a PEM text in base64") from None
        path = _text(body.get(name))
        return self.file(path, name, owner) if path else ""

    def file(self, path: str, name: str, owner: tuple[str, str]) -> str:
        folder = self.config.folders.get(owner)
        if folder is None:
            raise self.refused(f"{name}: files are not accepted here, only {name}-data")
        try:
            return _read(folder / path).decode("ascii")
        except (OSError, ValueError):
            raise self.refused(f"{name}: the file cannot be read") from None

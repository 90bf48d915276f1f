"""The entries of kubeconfigs, and one context of them on its way to Credentials; pure.

Only a file on our disk may name other files, and who read it gives a function that reads those.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from reconciler import yamlio
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
from reconciler.model.access import Credentials, Plugin
from reconciler.settings_inventories import Allow

Owner = tuple[str, str]
"""Part (`clusters`, `users`) and name of an entry."""
Read = Callable[[Owner, str], str]
"""Reads a file that an entry names. Raises OSError, ValueError."""

_PARTS = ("contexts", "clusters", "users")
_CLUSTER_KEYS = frozenset(
    {
        "server",
        "certificate-authority",
        "certificate-authority-data",
        "tls-server-name",
        "disable-compression",
        "extensions",
        "proxy-url",
        "insecure-skip-tls-verify",
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
        "exec",
        "extensions",
    }
)
_FILES = {
    "certificate-authority": "certificate-authority-data",
    "client-certificate": "client-certificate-data",
    "client-key": "client-key-data",
    "tokenFile": "token",
}
_EXEC_EXTENSION = "client.authentication.k8s.io/exec"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubeconfig:
    """A kubeconfig that was read: entries by name, the first of several files wins.

    `read` reads files that an entry names; texts that came from an object have none and may not
    name files.
    """

    where: str
    current: str
    contexts: Mapping[str, Json]
    clusters: Mapping[str, Json]
    users: Mapping[str, Json]
    read: Read | None = None

    def matching(self, globs: tuple[str, ...]) -> tuple[str, ...]:
        """Names of contexts that match one of the globs, sorted."""
        return tuple(
            sorted(
                name
                for name in self.contexts
                if any(fnmatch.fnmatchcase(name, glob) for glob in globs)
            )
        )

    def credentials(self, context: str = "", allow: Allow = NOTHING) -> Credentials:
        """Credentials of a context; the current one for an empty name.

        Raises RefusedKubeconfig, naming the construct that is not accepted.
        """
        return _Reader(self, context or self.current).credentials(allow)


def merged(texts: Sequence[tuple[str, bytes]], where: str) -> Kubeconfig:
    """One kubeconfig of several texts, each with its name. Raises RefusedKubeconfig."""
    current = ""
    found: dict[str, dict[str, Json]] = {part: {} for part in _PARTS}
    for name, data in texts:
        document = _document(name, data)
        current = current or _text(document.get("current-context"))
        for part in _PARTS:
            for entry, body in entries(document, part, name):
                found[part].setdefault(entry, body)
    contexts, clusters, users = (found[part] for part in _PARTS)
    return Kubeconfig(
        where=where, current=current, contexts=contexts, clusters=clusters, users=users
    )


def entries_of(data: bytes, where: str) -> frozenset[Owner]:
    """The parts and names of all entries of a text. Raises RefusedKubeconfig."""
    document = _document(where, data)
    return frozenset(
        (part, name) for part in _PARTS for name, _ in entries(document, part, where)
    )


def _document(where: str, data: bytes) -> Json:
    if len(data) > MAX_TEXT:
        raise RefusedKubeconfig(f"more than {MAX_TEXT} bytes", where)
    try:
        document = yamlio.load(data)
    except yamlio.Unreadable as exc:
        # The parser's words can quote the line, and that line can be a credential.
        place = f"{where}:{exc.line}:{exc.column}"
        what = "not one plain YAML mapping (no anchors, no tags, no key twice)"
        raise RefusedKubeconfig(what, place) from None
    if not isinstance(document, Mapping):
        raise RefusedKubeconfig("not a kubeconfig", where)
    return document


def entries(document: Json, part: str, where: str) -> list[tuple[str, Json]]:
    """(name, body) of the entries of one part. Raises RefusedKubeconfig."""
    listed = document.get(part) or []
    if not isinstance(listed, list):
        raise RefusedKubeconfig(f"{part}: expected a list", where)
    found = []
    for item in listed:
        body = item.get(part[:-1]) if isinstance(item, Mapping) else None
        name = item.get("name") if isinstance(item, Mapping) else None
        if not isinstance(name, str) or not isinstance(body, Mapping | None):
            raise RefusedKubeconfig(f"{part}: expected name and {part[:-1]}", where)
        found.append((name, body or {}))
    return found


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


class _Reader:
    """One context of a kubeconfig on its way to Credentials."""

    def __init__(self, config: Kubeconfig, context: str) -> None:
        self.config = config
        self.where = f"{config.where}: context {context[:253]!a}"
        found = config.contexts.get(context)
        if found is None:
            raise self.refused("there is no such context")
        self.cluster_name = _text(found.get("cluster"))
        self.user_name = _text(found.get("user"))
        self.cluster = config.clusters.get(self.cluster_name)
        self.user = config.users.get(self.user_name)

    def refused(self, what: str) -> RefusedKubeconfig:
        return RefusedKubeconfig(what, self.where)

    def credentials(self, allow: Allow) -> Credentials:
        cluster, user, where = self.cluster, self.user, self.where
        if cluster is None or user is None:
            raise self.refused("its cluster or its user is not in the file")
        check_keys(cluster, _CLUSTER_KEYS, where, "cluster")
        check_keys(user, _USER_KEYS, where, "user")
        if self.config.read is None:
            self.check_files(cluster, user)
        key = ("users", self.user_name)
        claimed = Claimed(
            server=text_in(cluster, "server", where),
            ca=self.pem(
                cluster, "certificate-authority", ("clusters", self.cluster_name)
            ),
            tls_server_name=text_in(cluster, "tls-server-name", where),
            token=self.token(user),
            client_certificate=self.pem(user, "client-certificate", key),
            client_key=self.pem(user, "client-key", key),
            plugin=self.plugin(cluster, user, allow),
            proxy=text_in(cluster, "proxy-url", where),
            insecure=switch_in(cluster, "insecure-skip-tls-verify", where),
        )
        return accepted(claimed, allow, where)

    def check_files(self, cluster: Json, user: Json) -> None:
        """Whoever wrote a text must not make us read our own disk, used or not."""
        for name, instead in _FILES.items():
            if cluster.get(name) or user.get(name):
                what = f"{name}: files are not accepted here, only {instead}"
                raise self.refused(what)

    def plugin(self, cluster: Json, user: Json, allow: Allow) -> Plugin | None:
        body = user.get("exec")
        if not body:
            return None
        if not isinstance(body, Mapping):
            raise self.refused("exec: expected a mapping")
        found = plugin_in(body, allow, self.where)
        if not found.cluster_info:
            return found
        extensions = cluster.get("extensions")
        for each in extensions if isinstance(extensions, list) else []:
            if isinstance(each, Mapping) and each.get("name") == _EXEC_EXTENSION:
                return replace(found, config=json.dumps(each.get("extension")))
        return found

    def token(self, user: Json) -> str:
        token = text_in(user, "token", self.where)
        path = text_in(user, "tokenFile", self.where)
        if not token and path:
            return self.file(path, "tokenFile", ("users", self.user_name)).strip()
        return token

    def pem(self, body: Json, name: str, owner: Owner) -> str:
        inline = pem_in(body, f"{name}-data", self.where)
        path = text_in(body, name, self.where)
        return self.file(path, name, owner) if path and not inline else inline

    def file(self, path: str, name: str, owner: Owner) -> str:
        try:
            return self.config.read(owner, path) if self.config.read else ""
        except (OSError, ValueError):
            raise self.refused(f"{name}: the file cannot be read") from None

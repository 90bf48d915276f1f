"""Kubeconfigs from files, and `in-cluster`: what is accepted is judged elsewhere (reads files).

A kubeconfig can start programs, open files, send tokens elsewhere and switch checks off. Only
what names a server and proves an identity is accepted; anything else is refused by its name.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from reconciler.kubeaccess import MAX_TEXT, Claimed, accepted
from reconciler.kubeaccess import NOTHING as _NOTHING
from reconciler.kubeaccess import RefusedKubeconfig as RefusedKubeconfig
from reconciler.kubeentries import Kubeconfig as Kubeconfig
from reconciler.kubeentries import Owner, Read, entries_of, merged
from reconciler.model.access import Credentials as Credentials
from reconciler.model.clusters import Why

IN_CLUSTER = "in-cluster"
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def load_kubeconfig(source: Path | str | None) -> Kubeconfig:
    """A kubeconfig from a path, from a text, or from where kubectl looks (`None`).

    Only files may name other files: a text comes from an object or a form, and whoever wrote
    it must not make us read our own disk. Raises RefusedKubeconfig.
    """
    if isinstance(source, str):
        return merged([("kubeconfig", source.encode())], "kubeconfig")
    paths = [source] if source else _default_paths()
    texts: list[tuple[Path, bytes]] = []
    for path in paths:
        try:
            texts.append((path, _read(path)))
        except FileNotFoundError:
            continue  # kubectl too takes what is there of a list of files
        except OSError as exc:
            raise RefusedKubeconfig(exc.strerror or "unreadable", str(path)) from None
    if not texts:
        names = os.pathsep.join(map(str, paths))
        raise RefusedKubeconfig("there is no such kubeconfig", names)
    where = os.pathsep.join(str(path) for path, _ in texts)
    named = [(str(path), data) for path, data in texts]
    return replace(merged(named, where), read=_beside(texts))


def _beside(texts: Sequence[tuple[Path, bytes]]) -> Read:
    """Reads files by names that are relative to the kubeconfig which has the entry."""
    folders: dict[Owner, Path] = {}
    for path, data in texts:
        for owner in entries_of(data, str(path)):
            folders.setdefault(owner, path.absolute().parent)

    def read(owner: Owner, path: str) -> str:
        return _read(folders[owner] / path).decode("ascii")

    return read


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
    claimed = Claimed(server=f"https://{shown}:{port}", ca=ca, token=token)
    return accepted(claimed, _NOTHING, IN_CLUSTER)


def _default_paths() -> list[Path]:
    named = os.environ.get("KUBECONFIG", "")
    listed = [Path(part) for part in named.split(os.pathsep) if part]
    return listed or [Path.home() / ".kube" / "config"]


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(MAX_TEXT + 1)
    if len(data) > MAX_TEXT:
        raise OSError(0, f"more than {MAX_TEXT} bytes")
    return data

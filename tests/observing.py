"""Clusters in a directory, written file by file, for tests of observing."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from reconciler import yamlio
from reconciler.model.clusters import ClusterObjects, ClusterView, Snapshot, Unknown
from reconciler.observe import observe
from tests import builders

ISTIO = "networking.istio.io/v1"


def namespace(uid: str | None = "uid-eu1") -> dict[str, Any]:
    metadata = {"name": "kube-system"} | ({"uid": uid} if uid else {})
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def cluster(**body: Any) -> dict[str, Any]:
    return {"apiVersion": "wharfinger.dev/v1alpha1", "kind": "Cluster", **body}


def virtual_service(name: str = "db", **metadata: Any) -> dict[str, Any]:
    annotations = {"wharfinger.dev/expose": "tcp"}
    metadata = {
        "name": name,
        "namespace": "shop",
        "annotations": annotations,
        **metadata,
    }
    spec = {"hosts": [name], "tcp": [builders.tcp_route(builders.destination(name))]}
    return {"apiVersion": ISTIO, "kind": "VirtualService", "metadata": metadata, "spec": spec}  # fmt: skip


def service(name: str = "db") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"type": "NodePort", "ports": [{"port": 5432, "nodePort": 30000}]},
    }


class Lab:
    """A directory inventory in a temporary folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, *objects: Any) -> Path:
        """A file of documents; JSON when its name says so; bytes and text as they are."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        match objects:
            case (bytes() as raw,):
                file.write_bytes(raw)
            case (str() as text,):
                file.write_text(text)
            case (single,) if file.suffix == ".json":
                file.write_text(json.dumps(single))
            case _:
                file.write_text(yamlio.dump_all(objects))
        return file

    def snapshot(
        self, only: frozenset[str] | None = None, **inventory: Any
    ) -> Snapshot:
        lab = {"name": "lab", "directory": {"path": str(self.root)}, **inventory}
        settings = builders.settings(inventories=[lab])
        return asyncio.run(observe(settings, only=only))

    def view(self, name: str = "eu1") -> ClusterView:
        found = {each.entry.name: each for each in self.snapshot().clusters}
        return found[name]

    def objects(self, name: str = "eu1") -> ClusterObjects:
        found = self.view(name).objects
        assert isinstance(found, ClusterObjects), found
        return found

    def unknown(self, name: str = "eu1") -> Unknown:
        found = self.view(name).objects
        assert isinstance(found, Unknown), found
        return found


def names(objects: ClusterObjects) -> list[str]:
    return [f"{each.namespace}/{each.name}" for each in objects.virtual_services]

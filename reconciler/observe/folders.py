"""A directory of clusters -> views (reads files). It behaves as a real API server does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reconciler.directory import Placed, read_folder
from reconciler.model.clusters import (
    ApiServer,
    ClusterEntry,
    ClusterObjects,
    ClusterState,
    ClusterView,
    Unknown,
    Why,
)
from reconciler.names import is_cluster_name
from reconciler.observe import parse
from reconciler.settings import Inventory

OURS = "wharfinger.dev/v1alpha1"
ISTIO = frozenset(
    f"networking.istio.io/{version}" for version in ("v1", "v1beta1", "v1alpha3")
)


def read_directory(inventory: Inventory) -> tuple[ClusterView, ...] | Unknown:
    """All clusters of a directory inventory; unknown when the directory cannot be read."""
    if inventory.directory is None:
        raise AssertionError("not a directory inventory")
    root = Path(inventory.directory.path)
    try:
        folders = sorted(
            each
            for each in root.iterdir()
            if each.is_dir() and not each.name.startswith(".")
        )
    except OSError as exc:
        message = f"{root}: {exc.strerror or 'cannot be read'}"
        return Unknown(why=Why.UNREADABLE, message=message)
    return tuple(_view(folder, inventory) for folder in folders)


def _view(folder: Path, inventory: Inventory) -> ClusterView:
    name = inventory.names.get(folder.name, folder.name)
    entry = ClusterEntry(name=name, inventory=inventory.name)
    if not is_cluster_name(name):
        message = (
            f"{folder.name[:80]!r} is no name for a cluster here; map it under names"
        )
        return ClusterView(
            entry=entry, objects=Unknown(why=Why.UNREADABLE, message=message)
        )
    objects = read_folder(folder)
    if isinstance(objects, Unknown):
        return ClusterView(entry=entry, objects=objects)
    return _known(entry, objects)


def _known(entry: ClusterEntry, objects: tuple[Placed, ...]) -> ClusterView:
    described = _entry(entry, objects)
    if isinstance(described, Unknown):
        return ClusterView(entry=entry, objects=described)
    if not described.cluster_id:
        message = "neither a Namespace kube-system with a uid nor a Cluster document with an id"
        unknown = Unknown(why=Why.NO_ID, message=message)
        return ClusterView(entry=described, objects=unknown)
    return ClusterView(entry=described, objects=_objects(described, objects))


def _entry(entry: ClusterEntry, objects: tuple[Placed, ...]) -> ClusterEntry | Unknown:
    documents = [
        each.body
        for each in objects
        if each.kind == "Cluster" and each.body["apiVersion"] == OURS
    ]
    if len(documents) > 1:
        return Unknown(why=Why.UNREADABLE, message="more than one Cluster document")
    said: dict[str, Any] = {}
    for body in documents:
        metadata = parse.mapping(body.get("metadata"))
        said = {"id": metadata.get("uid"), **body, **parse.mapping(body.get("spec"))}
    servers = _servers(said.get("apiServers"))
    if servers is None:
        message = "Cluster.apiServers must be a list of {host, port}"
        return Unknown(why=Why.UNREADABLE, message=message)
    state = said.get("state", ClusterState.READY)
    if state not in set(ClusterState):
        message = f"Cluster.state must be one of {', '.join(ClusterState)}"
        return Unknown(why=Why.UNREADABLE, message=message)
    names = said.get("certificateNames")
    return ClusterEntry(
        name=entry.name,
        inventory=entry.inventory,
        cluster_id=_system_uid(objects) or parse.text(said.get("id")),
        state=ClusterState(state),
        api_servers=servers,
        ca_bundle=parse.text(said.get("caBundle")),
        certificate_names=tuple(sorted(map(parse.text, names)))
        if isinstance(names, list)
        else None,
    )


def _system_uid(objects: tuple[Placed, ...]) -> str:
    for each in objects:
        metadata = each.body["metadata"]
        if each.kind == "Namespace" and metadata["name"] == "kube-system":
            return parse.text(metadata.get("uid"))
    return ""


def _servers(value: object) -> tuple[ApiServer, ...] | None:
    found = []
    for each in parse.items(value):
        body = parse.mapping(each)
        host, port = parse.text(body.get("host")), parse.number(body.get("port"))
        if not host or not 0 < port < 65536:
            return None
        found.append(ApiServer(host=host, port=port))
    return tuple(sorted(found)) if value is None or isinstance(value, list) else None


def _objects(
    entry: ClusterEntry, objects: tuple[Placed, ...]
) -> ClusterObjects | Unknown:
    def of(kind: str, versions: frozenset[str]) -> list[parse.Json]:
        return [
            each.body
            for each in objects
            if each.kind == kind and each.body["apiVersion"] in versions
        ]

    core = frozenset({"v1"})
    pods = dict(map(parse.pod_labels, of("Pod", core)))
    slices = of("EndpointSlice", frozenset({"discovery.k8s.io/v1"}))
    services = tuple(
        parse.virtual_service(each) for each in of("VirtualService", ISTIO)
    )
    return ClusterObjects(
        virtual_services=tuple(
            sorted(services, key=lambda each: (each.namespace, each.name))
        ),
        services=tuple(map(parse.service, of("Service", core))),
        nodes=tuple(map(parse.node, of("Node", core))),
        endpoint_slices=tuple(parse.endpoint_slice(each, pods) for each in slices),
        destination_rules=tuple(
            map(parse.destination_rule, of("DestinationRule", ISTIO))
        ),
        one_look_is_proof=True,
    )

"""A directory of clusters -> views (reads files). It behaves as a real API server does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from reconciler.directory import Placed, read_folder
from reconciler.fingerprints import Fingerprint, folders_of
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
from reconciler.undisturbed import undisturbed

OURS = "wharfinger.dev/v1alpha1"
ISTIO = frozenset(
    f"networking.istio.io/{version}" for version in ("v1", "v1beta1", "v1alpha3")
)


def read_directory(
    inventory: Inventory, only: frozenset[str] | None = None
) -> tuple[ClusterView, ...] | Unknown:
    """All clusters of a directory, or those in `only`; unknown when it cannot be read.

    A directory without folders is a complete read: the clusters that were there vanished.
    """
    if inventory.directory is None:
        raise AssertionError("not a directory inventory")
    root = Path(inventory.directory.path)
    try:
        folders = folders_of(root)
    except OSError as exc:
        message = f"{root}: {exc.strerror or 'cannot be read'}"
        return Unknown(why=Why.UNREADABLE, message=message)
    names = {each: inventory.names.get(each.name, each.name) for each in folders}
    with undisturbed():
        return tuple(
            _view(folder, name, inventory)
            for folder, name in names.items()
            if only is None or name in only
        )


def read_cluster(folder: Path, inventory: Inventory) -> ClusterView:
    """The cluster of one folder."""
    return _view(folder, inventory.names.get(folder.name, folder.name), inventory)


def _view(folder: Path, name: str, inventory: Inventory) -> ClusterView:
    if not is_cluster_name(name):
        return parse.refused_name(name, inventory.name)
    entry = ClusterEntry(name=name, inventory=inventory.name)
    seen = Fingerprint(folder)
    objects = read_folder(folder, seen.add)
    if isinstance(objects, Unknown):
        return ClusterView(entry=entry, objects=objects)
    return replace(_known(entry, objects), fingerprint=str(seen))


def _known(entry: ClusterEntry, objects: tuple[Placed, ...]) -> ClusterView:
    described = _entry(entry, objects)
    if isinstance(described, Unknown):
        return ClusterView(entry=entry, objects=described)
    if not described.cluster_id:
        message = "neither a Namespace kube-system with a uid nor a Cluster document with an id"
        unknown = Unknown(why=Why.NO_ID, message=message)
        return ClusterView(entry=described, objects=unknown)
    return ClusterView(entry=described, objects=_objects(objects))


def _entry(entry: ClusterEntry, objects: tuple[Placed, ...]) -> ClusterEntry | Unknown:
    documents = [
        each.body
        for each in objects
        if each.kind == "Cluster" and each.body["apiVersion"] == OURS
    ]
    if len(documents) > 1:
        return _unreadable("there is more than one Cluster document")
    said = _said(documents[0]) if documents else {}
    servers, state = _servers(said.get("apiServers")), _state(said.get("state"))
    names, bundle = said.get("certificateNames"), said.get("caBundle")
    if servers is None:
        return _unreadable("Cluster.apiServers must be a list of {host, port}")
    if state is None:
        return _unreadable(f"Cluster.state must be one of {', '.join(ClusterState)}")
    if not isinstance(names, list | None) or not isinstance(bundle, str | None):
        return _unreadable(
            "Cluster.certificateNames must be a list, caBundle must be text"
        )
    said_id = said.get("id")
    if said_id is not None and not parse.cluster_id(said_id):
        return _unreadable("Cluster.id must be a text such as a UID")
    return replace(
        entry,
        cluster_id=_system_uid(objects) or parse.cluster_id(said_id),
        state=state,
        api_servers=servers,
        ca_bundle=bundle or "",
        certificate_names=parse.certificate_names(names),
    )


def _said(body: parse.Json) -> dict[str, Any]:
    """What a Cluster document says: at its top, or under `spec`, which counts more."""
    metadata = parse.mapping(body.get("metadata"))
    deleted = metadata.get("deletionTimestamp") is not None
    said = {"id": metadata.get("uid"), **body, **parse.mapping(body.get("spec"))}
    return {**said, "state": ClusterState.DELETED} if deleted else said


def _state(value: object) -> ClusterState | None:
    if value is None:
        return ClusterState.READY
    return next((state for state in ClusterState if state == value), None)


def _unreadable(message: str) -> Unknown:
    return Unknown(why=Why.UNREADABLE, message=message)


def _system_uid(objects: tuple[Placed, ...]) -> str:
    for each in objects:
        metadata = each.body["metadata"]
        if each.key == ("/Namespace", "", "kube-system"):
            return parse.cluster_id(metadata.get("uid"))
    return ""


def _servers(value: object) -> tuple[ApiServer, ...] | None:
    if not isinstance(value, list | None):
        return None
    found = set()
    for each in value or []:
        body = parse.mapping(each)
        host, port = parse.text(body.get("host")), parse.number(body.get("port"))
        if not host or not 0 < port < 65536:
            return None
        found.add(ApiServer(host=host, port=port))
    return tuple(sorted(found))


def _unserved(objects: tuple[Placed, ...]) -> Placed | None:
    """An object that no API server would take: left out, it would count as absent."""
    groups = {version.partition("/")[0] for version in ISTIO}
    mine = (each for each in objects if each.group in groups)
    kinds = ("VirtualService", "DestinationRule")
    return next(
        (
            each
            for each in mine
            if each.kind in kinds and each.body["apiVersion"] not in ISTIO
        ),
        None,
    )


def _objects(objects: tuple[Placed, ...]) -> ClusterObjects | Unknown:
    if (odd := _unserved(objects)) is not None:
        version = odd.body["apiVersion"][:80]
        return _unreadable(f"{odd.file}: {odd}: {version!a} is no known version")

    def of(kind: str, versions: frozenset[str]) -> list[parse.Json]:
        found = [each for each in objects if each.kind == kind]
        found.sort(key=lambda each: each.key)
        return [each.body for each in found if each.body["apiVersion"] in versions]

    core = frozenset({"v1"})
    pods = dict(map(parse.pod_labels, of("Pod", core)))
    slices = of("EndpointSlice", frozenset({"discovery.k8s.io/v1"}))
    try:
        return ClusterObjects(
            virtual_services=tuple(
                map(parse.virtual_service, of("VirtualService", ISTIO))
            ),
            services=tuple(map(parse.service, of("Service", core))),
            nodes=tuple(map(parse.node, of("Node", core))),
            endpoint_slices=tuple(parse.endpoint_slice(each, pods) for each in slices),
            destination_rules=tuple(
                map(parse.destination_rule, of("DestinationRule", ISTIO))
            ),
            one_look_is_proof=True,
        )
    except ValueError as exc:
        return _unreadable(str(exc))

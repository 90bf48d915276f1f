"""Raw API objects -> values; pure. The same for an API server and for a directory.

A tenant's odd object must never make its whole cluster unknown: what is malformed inside an
object becomes an empty or harmless value, and `claim` rejects what asks for it. Only a broken
identity (no name, no namespace where there must be one) raises ValueError, and so do
annotations that are no mapping: "not exposed" is proof of absence and must never be a guess.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from reconciler.model.clusters import (
    ClusterEntry,
    ClusterView,
    DestinationRule,
    Endpoint,
    EndpointSlice,
    Node,
    Service,
    ServicePort,
    Unknown,
    VirtualService,
    Why,
)
from reconciler.names import is_dns_name

Json = Mapping[str, Any]
ROUTES = ("tcp", "tls", "http")  # what of a VirtualService's spec anybody reads
SERVICE_NAME = "kubernetes.io/service-name"
_ID = re.compile(r"[A-Za-z0-9][-A-Za-z0-9._:/@]{0,127}\Z")


def mapping(value: object) -> Json:
    """The mapping, an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def items(value: object) -> list[Any]:
    """The list, an empty one for anything else."""
    return value if isinstance(value, list) else []


def text(value: object) -> str:
    """The text, an empty one for anything else."""
    return value if isinstance(value, str) else ""


def number(value: object) -> int:
    """The whole number, 0 for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def identity(body: Json, *, namespaced: bool) -> tuple[str, str]:
    """(namespace, name) of an object. Raises ValueError when it has none."""
    metadata = mapping(body.get("metadata"))
    name = text(metadata.get("name"))
    namespace = text(metadata.get("namespace")) if namespaced else ""
    if not name or (namespaced and not namespace):
        raise ValueError("an object without a name or a namespace")
    return namespace, name


def virtual_service(body: Json) -> VirtualService:
    """One VirtualService; the routes of an exposed one stay raw, the rest of it is left behind."""
    namespace, name = identity(body, namespaced=True)
    metadata = mapping(body.get("metadata"))
    annotations = metadata.get("annotations")
    if not isinstance(annotations, Mapping | None):
        raise ValueError("metadata.annotations of an object is no mapping")
    exposed = annotations is not None and "wharfinger.dev/expose" in annotations
    spec = mapping(body.get("spec")) if exposed else {}
    return VirtualService(
        namespace=namespace,
        name=name,
        uid=text(metadata.get("uid")),
        resource_version=text(metadata.get("resourceVersion")),
        generation=number(metadata.get("generation")),
        deleting=metadata.get("deletionTimestamp") is not None,
        annotations=dict(annotations or {}),
        spec={kind: spec[kind] for kind in ROUTES if kind in spec},
    )


def service(body: Json) -> Service:
    """One Service with the API's defaults filled in."""
    namespace, name = identity(body, namespaced=True)
    spec = mapping(body.get("spec"))
    balancer = mapping(mapping(body.get("status")).get("loadBalancer"))
    return Service(
        namespace=namespace,
        name=name,
        type=text(spec.get("type")) or "ClusterIP",
        headless=spec.get("clusterIP") == "None",
        has_selector=bool(mapping(spec.get("selector"))),
        local_traffic_policy=spec.get("externalTrafficPolicy") == "Local",
        ports=tuple(_service_port(mapping(port)) for port in items(spec.get("ports"))),
        ingress=tuple(
            address
            for each in map(mapping, items(balancer.get("ingress")))
            for address in (text(each.get("ip")) or text(each.get("hostname")),)
            if address
        ),
    )


def _service_port(port: Json) -> ServicePort:
    return ServicePort(
        name=text(port.get("name")),
        port=number(port.get("port")),
        node_port=number(port.get("nodePort")),
        protocol=text(port.get("protocol")) or "TCP",
    )


def node(body: Json) -> Node:
    """One Node with its Ready condition and internal addresses."""
    _, name = identity(body, namespaced=False)
    status = mapping(body.get("status"))
    ready = next(
        (
            condition
            for condition in map(mapping, items(status.get("conditions")))
            if condition.get("type") == "Ready"
        ),
        {},
    )
    return Node(
        name=name,
        ready=ready.get("status") == "True",
        ready_since=moment(ready.get("lastTransitionTime")),
        internal_ips=tuple(
            text(address.get("address"))
            for address in map(mapping, items(status.get("addresses")))
            if address.get("type") == "InternalIP"
        ),
    )


def moment(value: object) -> datetime | None:
    """An RFC 3339 time, UTC; `None` for anything else."""
    try:
        found = datetime.fromisoformat(text(value))
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # the year 1 has no earlier day to move to
        return None


PodLabels = Mapping[tuple[str, str], tuple[tuple[str, str], ...]]


def endpoint_slice(body: Json, pods: PodLabels | None = None) -> EndpointSlice:
    """One EndpointSlice; `pods` are labels by (namespace, name), `None` when not looked at.

    An endpoint whose pod is not among them has no labels, so that it is in no subset.
    """
    namespace, _ = identity(body, namespaced=True)
    labels = mapping(mapping(body.get("metadata")).get("labels"))
    return EndpointSlice(
        namespace=namespace,
        service=text(labels.get(SERVICE_NAME)),
        ports=tuple(
            (text(port.get("name")), number(port.get("port")))
            for port in map(mapping, items(body.get("ports")))
            if (text(port.get("protocol")) or "TCP") == "TCP"
        ),
        endpoints=tuple(
            _endpoint(mapping(each), namespace, pods)
            for each in items(body.get("endpoints"))
        ),
    )


def _endpoint(each: Json, namespace: str, pods: PodLabels | None) -> Endpoint:
    target = mapping(each.get("targetRef"))
    conditions = mapping(each.get("conditions"))
    labels = None
    if pods is not None:
        name = text(target.get("name")) if target.get("kind") == "Pod" else ""
        labels = pods.get((namespace, name), ())
    return Endpoint(
        addresses=tuple(map(text, items(each.get("addresses")))),
        ready=conditions.get("ready") is not False,  # absent means ready
        node_name=text(each.get("nodeName")),
        pod_labels=labels,
    )


def endpoint_pods(body: Json) -> tuple[str, ...]:
    """The names of the pods behind the endpoints of an EndpointSlice, empty where none is."""
    targets = (
        mapping(mapping(each).get("targetRef")) for each in items(body.get("endpoints"))
    )
    return tuple(
        text(each.get("name")) if each.get("kind") == "Pod" else "" for each in targets
    )


def pod_labels(body: Json) -> tuple[tuple[str, str], tuple[tuple[str, str], ...]]:
    """((namespace, name), sorted labels) of a Pod."""
    labels = mapping(mapping(body.get("metadata")).get("labels"))
    return identity(body, namespaced=True), _labels(labels)


def _labels(labels: Json) -> tuple[tuple[str, str], ...]:
    return tuple(
        sorted((key, value) for key, value in labels.items() if isinstance(value, str))
    )


def destination_rule(body: Json) -> DestinationRule:
    """One DestinationRule with its subsets."""
    namespace, name = identity(body, namespaced=True)
    spec = mapping(body.get("spec"))
    return DestinationRule(
        namespace=namespace,
        name=name,
        host=text(spec.get("host")),
        subsets=tuple(
            (text(subset.get("name")), _labels(mapping(subset.get("labels"))))
            for subset in map(mapping, items(spec.get("subsets")))
        ),
    )


def needs_pods(services: Iterable[VirtualService]) -> bool:
    """Whether an exposed VirtualService asks for pods of a subset: then labels are needed."""
    return any(
        each.annotations.get("wharfinger.dev/backend") == "pod"
        and "wharfinger.dev/expose" in each.annotations
        and any(map(_names_subset, _destinations(each.spec)))
        for each in services
    )


def _destinations(spec: Json) -> Iterator[Json]:
    for kind in ROUTES:
        for entry in map(mapping, items(spec.get(kind))):
            for route in map(mapping, items(entry.get("route"))):
                yield mapping(route.get("destination"))


def _names_subset(destination: Json) -> bool:
    return bool(destination.get("subset"))


def refused_name(name: str, inventory: str) -> ClusterView:
    """The view of a cluster whose name cannot be used here; other clusters go on."""
    shown = ascii(name[:80])[1:-1]
    message = f"{shown} is no name for a cluster here; map it under names"
    return ClusterView(
        entry=ClusterEntry(name=shown, inventory=inventory),
        objects=Unknown(why=Why.UNREADABLE, message=message),
    )


def cluster_id(value: object) -> str:
    """A cluster's id, empty for what is none: it is written into files and messages."""
    return value if isinstance(value, str) and _ID.match(value) else ""


def certificate_names(value: object) -> tuple[str, ...] | None:
    """DNS names (`*.` too) and IP addresses, sorted; others are left out, no list is None."""
    if not isinstance(value, list | tuple):
        return None
    names = {text(each).lower() for each in value}
    return tuple(sorted(filter(_is_certificate_name, names)))


def _is_certificate_name(name: str) -> bool:
    if is_dns_name(name.removeprefix("*.")):
        return True
    try:
        return bool(ipaddress.ip_address(name)) and "%" not in name
    except ValueError:
        return False

"""Raw API objects -> values; pure. The same for an API server and for a directory.

A tenant's odd object must never make its whole cluster unknown: what is malformed inside an
object becomes an empty or harmless value, and `claim` rejects what asks for it. Only a broken
identity (no name, no namespace where there must be one) raises ValueError.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from reconciler.model.clusters import (
    DestinationRule,
    Endpoint,
    EndpointSlice,
    Node,
    Service,
    ServicePort,
    VirtualService,
)

Json = Mapping[str, Any]
SERVICE_NAME = "kubernetes.io/service-name"


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
    """One VirtualService; its spec stays raw."""
    namespace, name = identity(body, namespaced=True)
    metadata = mapping(body.get("metadata"))
    return VirtualService(
        namespace=namespace,
        name=name,
        uid=text(metadata.get("uid")),
        resource_version=text(metadata.get("resourceVersion")),
        generation=number(metadata.get("generation")),
        deleting=metadata.get("deletionTimestamp") is not None,
        annotations=dict(mapping(metadata.get("annotations"))),
        spec=mapping(body.get("spec")),
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
            _ingress(mapping(each)) for each in items(balancer.get("ingress"))
        ),
    )


def _service_port(port: Json) -> ServicePort:
    return ServicePort(
        name=text(port.get("name")),
        port=number(port.get("port")),
        node_port=number(port.get("nodePort")),
        protocol=text(port.get("protocol")) or "TCP",
    )


def _ingress(each: Json) -> str:
    return text(each.get("ip")) or text(each.get("hostname"))


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
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


PodLabels = Mapping[tuple[str, str], tuple[tuple[str, str], ...]]


def endpoint_slice(body: Json, pods: PodLabels | None = None) -> EndpointSlice:
    """One EndpointSlice; `pods` are labels by (namespace, name), `None` when not looked at."""
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
    if pods is not None and target.get("kind") == "Pod":
        labels = pods.get((namespace, text(target.get("name"))))
    return Endpoint(
        addresses=tuple(map(text, items(each.get("addresses")))),
        ready=conditions.get("ready") is not False,  # absent means ready
        node_name=text(each.get("nodeName")),
        pod_labels=labels,
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
    """Whether an exposed VirtualService asks for pods, so that subsets need their labels."""
    return any(
        each.annotations.get("wharfinger.dev/backend") == "pod"
        and "wharfinger.dev/expose" in each.annotations
        for each in services
    )

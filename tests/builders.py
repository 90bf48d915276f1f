"""Small builders of observed objects and settings with defaults, for tests of any stage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from reconciler.model.clusters import (
    ApiServer,
    ClusterEntry,
    ClusterObjects,
    ClusterView,
    DestinationRule,
    Endpoint,
    EndpointSlice,
    Node,
    Service,
    ServicePort,
    VirtualService,
)
from reconciler.settings import Settings

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)
PREFIX = "wharfinger.dev/"


def tenant(**overrides: object) -> dict[str, object]:
    """A tenants entry for all clusters: 10.20.0.0/16, `.elb.example.com`, SNI under `.apps`."""
    base: dict[str, object] = {
        "clusters": ["*"],
        "gateways": ["public"],
        "endpoints": ["10.20.0.0/16", ".elb.example.com"],
        "hosts": [".apps.example.com"],
    }
    return {**base, **overrides}


def settings(*tenants: Mapping[str, object], **overrides: object) -> Settings:
    """Settings with the gateways `public` and `private`; `overrides` are top-level keys."""
    base: dict[str, object] = {
        "apiVersion": "wharfinger.dev/v1alpha1",
        "kind": "Settings",
        "domain": "ingress.example.com",
        "gateways": [
            {
                "name": name,
                "renderer": "envoy",
                "namespace": "ingress",
                "ports": {"range": "20000-20099"},
            }
            for name in ("public", "private")
        ],
        "inventories": [{"name": "lab", "directory": {"path": "/clusters"}}],
        "tenants": [dict(each) for each in tenants] or [tenant()],
    }
    return Settings.model_validate({**base, **overrides})


def destination(
    host: str = "db", port: int | None = 5432, **rest: object
) -> dict[str, object]:
    """One element of `route`; `weight` beside the destination, `subset` inside it."""
    inner: dict[str, object] = {"host": host}
    if port is not None:
        inner["port"] = {"number": port}
    if "subset" in rest:
        inner["subset"] = rest.pop("subset")
    return {"destination": inner, **rest}


def tcp_route(
    *destinations: Mapping[str, object], port: int | None = None
) -> dict[str, object]:
    """One element of `spec.tcp`."""
    entry: dict[str, object] = {"route": list(destinations) or [destination()]}
    if port is not None:
        entry["match"] = [{"port": port}]
    return entry


def tls_route(
    *hosts: str, to: Sequence[Mapping[str, object]] = (), port: int = 443
) -> dict[str, object]:
    """One element of `spec.tls`."""
    return {
        "match": [{"port": port, "sniHosts": list(hosts)}],
        "route": list(to) or [destination()],
    }


def annotations(values: Mapping[str, str]) -> dict[str, str]:
    """Annotations by their short names: `request-port` -> `wharfinger.dev/request-port`."""
    return {key if "/" in key else PREFIX + key: value for key, value in values.items()}


def virtual_service(
    name: str = "orders",
    *,
    namespace: str = "shop",
    annotated: Mapping[str, str] | None = None,
    spec: Mapping[str, object] | None = None,
    deleting: bool = False,
) -> VirtualService:
    """An exposed VirtualService with one TCP route to `db:5432` unless told otherwise."""
    return VirtualService(
        namespace=namespace,
        name=name,
        uid=f"uid-{namespace}-{name}",
        resource_version="7",
        generation=3,
        deleting=deleting,
        annotations=annotations({"expose": "tcp"} if annotated is None else annotated),
        spec={"hosts": ["*"], "tcp": [tcp_route()]} if spec is None else spec,
    )


def service_port(
    port: int = 5432, *, node_port: int = 31000, name: str = "", protocol: str = "TCP"
) -> ServicePort:
    """One port of a Service."""
    return ServicePort(name=name, port=port, node_port=node_port, protocol=protocol)


def service(name: str = "db", **overrides: object) -> Service:
    """A NodePort Service `shop/db` with port 5432 at node port 31000; overrides are fields."""
    base: dict[str, object] = {
        "namespace": "shop",
        "name": name,
        "type": "NodePort",
        "headless": False,
        "has_selector": True,
        "local_traffic_policy": False,
        "ports": (service_port(),),
        "ingress": (),
    }
    return Service(**{**base, **overrides})  # type: ignore[arg-type]


def balanced(*ingress: str, name: str = "db", **overrides: object) -> Service:
    """A LoadBalancer Service with the given addresses."""
    return service(name, type="LoadBalancer", ingress=ingress, **overrides)


def node(
    name: str = "n1",
    *ips: str,
    ready: bool = True,
    since: datetime | None = LONG_AGO,
) -> Node:
    """A node; its address is 10.20.0.<digits of the name> unless given."""
    digits = "".join(each for each in name if each.isdigit()) or "1"
    return Node(
        name=name,
        ready=ready,
        ready_since=since,
        internal_ips=ips or (f"10.20.0.{digits}",),
    )


def nodes(count: int) -> tuple[Node, ...]:
    """Ready nodes n1 to n<count>."""
    return tuple(node(f"n{index + 1}") for index in range(count))


def endpoint(
    address: str,
    *,
    ready: bool = True,
    on: str = "n1",
    labels: Mapping[str, str] | None = None,
) -> Endpoint:
    """One endpoint; `labels` are those of its pod."""
    pod_labels = None if labels is None else tuple(sorted(labels.items()))
    return Endpoint(
        addresses=(address,), ready=ready, node_name=on, pod_labels=pod_labels
    )


def endpoint_slice(
    *endpoints: Endpoint,
    name: str = "db",
    ports: Iterable[tuple[str, int]] = (("", 5432),),
) -> EndpointSlice:
    """A slice of the Service `shop/<name>`."""
    return EndpointSlice(
        namespace="shop", service=name, ports=tuple(ports), endpoints=endpoints
    )


def destination_rule(
    host: str = "db",
    subsets: Mapping[str, Mapping[str, str]] | None = None,
    *,
    namespace: str = "shop",
) -> DestinationRule:
    """A DestinationRule with subsets by name."""
    return DestinationRule(
        namespace=namespace,
        name="rule",
        host=host,
        subsets=tuple(
            (name, tuple(sorted(labels.items())))
            for name, labels in (subsets or {}).items()
        ),
    )


def view(
    *objects: VirtualService | Service | Node | EndpointSlice | DestinationRule,
    cluster: str = "eu1",
    api_servers: Iterable[tuple[str, int]] = (),
    certificate_names: tuple[str, ...] | None = None,
) -> ClusterView:
    """A complete read of a cluster. Objects are kept in the order that is given."""
    return ClusterView(
        entry=ClusterEntry(
            name=cluster,
            inventory="lab",
            cluster_id=f"id-{cluster}",
            api_servers=tuple(ApiServer(host=h, port=p) for h, p in api_servers),
            certificate_names=certificate_names,
        ),
        objects=ClusterObjects(
            virtual_services=tuple(o for o in objects if isinstance(o, VirtualService)),
            services=tuple(o for o in objects if isinstance(o, Service)),
            nodes=tuple(o for o in objects if isinstance(o, Node)),
            endpoint_slices=tuple(o for o in objects if isinstance(o, EndpointSlice)),
            destination_rules=tuple(
                o for o in objects if isinstance(o, DestinationRule)
            ),
        ),
    )

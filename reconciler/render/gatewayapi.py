"""The Gateway API core that Envoy Gateway and Istio share: ListenerSet, TCPRoute, TLSRoute; pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from reconciler.model.units import PlacedRoute, Placement
from reconciler.names import object_name
from reconciler.render.shapes import TLS_LISTENER, Doc, kubernetes
from reconciler.settings import Gateway

GROUP = "gateway.networking.k8s.io"
V1 = f"{GROUP}/v1"

BackendRefs = Callable[[Placement, PlacedRoute], Sequence[Doc]]


def core(placement: Placement, gateway: Gateway, backends: BackendRefs) -> list[Doc]:
    """The listeners and routes of a unit; one listener per port, draining ones included."""
    documents: list[Doc] = []
    ports = [port for route in placement.routes for port in route.ports]
    if ports:
        documents.append(_listener_set(placement, gateway, ports))
    for route in placement.routes:
        documents.append(_route(placement, gateway, route, backends(placement, route)))
    return documents


def route_name(placement: Placement, route: PlacedRoute) -> str:
    """The name of a route's TCPRoute or TLSRoute."""
    return object_name(placement.wish.unit, route.wish.name)


def set_name(placement: Placement) -> str:
    """The name of the unit's ListenerSet."""
    return object_name(placement.wish.unit)


def route_kind(route: PlacedRoute) -> str:
    """`TCPRoute` for ports of its own, `TLSRoute` for SNI on the shared port."""
    return "TCPRoute" if route.ports else "TLSRoute"


def _listener_set(placement: Placement, gateway: Gateway, ports: list[int]) -> Doc:
    document = kubernetes(V1, "ListenerSet", set_name(placement), gateway.namespace)
    document["spec"] = {
        "parentRef": {"group": GROUP, "kind": "Gateway", "name": gateway.name},
        "listeners": [
            {
                "name": f"tcp-{port}",
                "port": port,
                "protocol": "TCP",
                "allowedRoutes": {
                    "namespaces": {"from": "Same"},
                    "kinds": [{"group": GROUP, "kind": "TCPRoute"}],
                },
            }
            for port in ports
        ],
    }
    return document


def _route(
    placement: Placement, gateway: Gateway, route: PlacedRoute, backends: Sequence[Doc]
) -> Doc:
    document = kubernetes(
        V1, route_kind(route), route_name(placement, route), gateway.namespace
    )
    spec: Doc = {"parentRefs": _parents(placement, gateway, route)}
    if not route.ports:
        spec["hostnames"] = list(route.wish.hosts)
    spec["rules"] = [{"backendRefs": list(backends)}]
    document["spec"] = spec
    return document


def _parents(placement: Placement, gateway: Gateway, route: PlacedRoute) -> list[Doc]:
    if not route.ports:
        return [
            {
                "group": GROUP,
                "kind": "Gateway",
                "name": gateway.name,
                "sectionName": TLS_LISTENER,
            }
        ]
    return [
        {
            "group": GROUP,
            "kind": "ListenerSet",
            "name": set_name(placement),
            "sectionName": f"tcp-{port}",
        }
        for port in route.ports
    ]


def gateway_document(gateway: Gateway, class_name: str) -> Doc:
    """The Gateway: the shared TLS listener, and ListenerSets of its own namespace."""
    document = kubernetes(V1, "Gateway", gateway.name, gateway.namespace)
    document["spec"] = {
        "gatewayClassName": class_name,
        "allowedListeners": {"namespaces": {"from": "Same"}},
        "listeners": [
            {
                "name": TLS_LISTENER,
                "port": gateway.tls_port,
                "protocol": "TLS",
                "tls": {"mode": "Passthrough"},
                "allowedRoutes": {
                    "namespaces": {"from": "Same"},
                    "kinds": [{"group": GROUP, "kind": "TLSRoute"}],
                },
            }
        ],
    }
    return document

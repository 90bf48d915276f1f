"""The Gateway API core that Envoy Gateway and Istio share: ListenerSet, TCPRoute, TLSRoute; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from reconciler.model.units import PlacedRoute, Placement
from reconciler.names import object_name
from reconciler.render.shapes import TLS_LISTENER, Doc, kubernetes
from reconciler.settings import Gateway
from reconciler.yamlio import Fixed

GROUP = "gateway.networking.k8s.io"
V1 = f"{GROUP}/v1"
_TCP_ROUTES = Fixed(
    {
        "namespaces": {"from": "Same"},
        "kinds": [{"group": GROUP, "kind": "TCPRoute"}],
    }
)
MAX_LISTENERS = 64  # of a ListenerSet

BackendRefs = Callable[[Placement, PlacedRoute], Sequence[Doc]]


def core(placement: Placement, gateway: Gateway, backends: BackendRefs) -> list[Doc]:
    """The listeners and routes of a unit; one listener per port, draining ones included."""
    sets = _sets(placement)
    documents = [_listener_set(name, gateway, ports) for name, ports in sets]
    where = {port: name for name, ports in sets for port in ports}
    for route in placement.routes:
        made = kubernetes(
            V1, route_kind(route), route_name(placement, route), gateway.namespace
        )
        made["spec"] = _route(
            route, _parents(gateway, route, where), backends(placement, route)
        )
        documents.append(made)
    return documents


def _sets(placement: Placement) -> list[tuple[str, list[int]]]:
    """Name and ports of each ListenerSet: one, but for a unit of very many ports."""
    unit = placement.wish.unit
    ports = sorted(port for route in placement.routes for port in route.ports)
    return [
        (
            object_name(unit, *(["listeners", str(index)] if index else [])),
            ports[index * MAX_LISTENERS : (index + 1) * MAX_LISTENERS],
        )
        for index in range(-(-len(ports) // MAX_LISTENERS))
    ]


def route_name(placement: Placement, route: PlacedRoute) -> str:
    """The name of a route's TCPRoute or TLSRoute."""
    return object_name(placement.wish.unit, route.wish.name)


def set_names(placement: Placement) -> list[str]:
    """The names of the unit's ListenerSets."""
    return [name for name, _ in _sets(placement)]


def route_kind(route: PlacedRoute) -> str:
    """`TCPRoute` for ports of its own, `TLSRoute` for SNI on the shared port."""
    return "TCPRoute" if route.ports else "TLSRoute"


def _listener_set(name: str, gateway: Gateway, ports: list[int]) -> Doc:
    document = kubernetes(V1, "ListenerSet", name, gateway.namespace)
    document["spec"] = {
        "parentRef": {"group": GROUP, "kind": "Gateway", "name": gateway.name},
        "listeners": [
            {
                "name": f"tcp-{port}",
                "port": port,
                "protocol": "TCP",
                "allowedRoutes": _TCP_ROUTES,
            }
            for port in ports
        ],
    }
    return document


def _route(route: PlacedRoute, parents: list[Doc], backends: Sequence[Doc]) -> Doc:
    spec: Doc = {"parentRefs": parents}
    if not route.ports:
        spec["hostnames"] = list(route.wish.hosts)
    spec["rules"] = [{"backendRefs": list(backends)}]
    return spec


def _parents(
    gateway: Gateway, route: PlacedRoute, where: Mapping[int, str]
) -> list[Doc]:
    """What a route is attached to; `where` names the ListenerSet of each port."""
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
            "name": where[port],
            "sectionName": f"tcp-{port}",
        }
        for port in sorted(route.ports)
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

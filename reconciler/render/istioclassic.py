"""Istio's own API for existing ingress gateways; pure.

One Gateway and one VirtualService per unit and port: istiod looks for a port's route among the
VirtualServices of its Gateway, which one big Gateway would make quadratic.
"""

from __future__ import annotations

from reconciler.model.units import PlacedRoute, Placement, UnitAddresses
from reconciler.names import object_name
from reconciler.render import istioparts
from reconciler.render.istioparts import NETWORKING, PORT
from reconciler.render.shapes import Doc, kubernetes
from reconciler.settings import Gateway


def wish_documents(placement: Placement, gateway: Gateway) -> list[Doc]:
    """Policies, Gateways and VirtualServices of a unit, in the order in which they are to be applied.

    A Gateway whose AuthorizationPolicy comes after it is open to everybody until then.
    """
    name = object_name(placement.wish.unit)
    documents = [
        *istioparts.rules(placement, gateway),
        *istioparts.client_rules(placement, gateway, name),
    ]
    for route in placement.routes:
        for port in sorted(route.ports):
            documents += _port(placement, gateway, route, port)
        if not route.ports:
            documents.append(_sni(placement, gateway, route))
    return documents


def _destinations(
    placement: Placement, gateway: Gateway, route: PlacedRoute
) -> list[Doc]:
    return [
        {
            "destination": {"host": host, "port": {"number": PORT}},
            "weight": weight,
        }
        for host, weight in istioparts.hosts(placement, route, gateway)
    ]


def _port(
    placement: Placement, gateway: Gateway, route: PlacedRoute, port: int
) -> list[Doc]:
    name = object_name(placement.wish.unit, str(port))
    host = f"{name}.tcp.internal"
    listener = kubernetes(NETWORKING, "Gateway", name, gateway.namespace)
    listener["spec"] = {
        "selector": istioparts.selector(gateway),
        "servers": [
            {
                "name": f"tcp-{port}",
                "port": {"number": port, "name": f"tcp-{port}", "protocol": "TCP"},
                "hosts": [f"./{host}"],
            }
        ],
    }
    routes = kubernetes(NETWORKING, "VirtualService", name, gateway.namespace)
    routes["spec"] = {
        "hosts": [host],
        "gateways": [f"{gateway.namespace}/{name}"],
        "exportTo": ["."],
        "tcp": [
            {
                "match": [{"port": port}],
                "route": _destinations(placement, gateway, route),
            }
        ],
    }
    return [listener, routes]


def _sni(placement: Placement, gateway: Gateway, route: PlacedRoute) -> Doc:
    name = object_name(placement.wish.unit, route.wish.name)
    document = kubernetes(NETWORKING, "VirtualService", name, gateway.namespace)
    document["spec"] = {
        "hosts": list(route.wish.hosts),
        "gateways": [f"{gateway.namespace}/{gateway.name}"],
        "exportTo": ["."],
        "tls": [
            {
                "match": [
                    {"port": gateway.tls_port, "sniHosts": list(route.wish.hosts)}
                ],
                "route": _destinations(placement, gateway, route),
            }
        ],
    }
    return document


def endpoint_documents(addresses: UnitAddresses, gateway: Gateway) -> list[Doc]:
    """The ServiceEntries of a unit."""
    return istioparts.entries(addresses, gateway)


def gateway_documents(gateway: Gateway) -> list[Doc]:
    """The Gateway of the shared TLS port."""
    document = kubernetes(NETWORKING, "Gateway", gateway.name, gateway.namespace)
    document["spec"] = {
        "selector": istioparts.selector(gateway),
        "servers": [
            {
                "name": "tls",
                "port": {"number": gateway.tls_port, "name": "tls", "protocol": "TLS"},
                "hosts": ["*"],
                "tls": {"mode": "PASSTHROUGH"},
            }
        ],
    }
    return [document]

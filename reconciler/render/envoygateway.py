"""The Envoy Gateway dialect: Backends and policies around the Gateway API core; pure.

Envoy Gateway puts all backendRefs of a route into one Envoy cluster with weighted localities.
Health checks make it fail over between them, so they are left out where shares must not move.
"""

from __future__ import annotations

import ipaddress

from reconciler.model.units import (
    Address,
    LocatedRoute,
    PlacedRoute,
    Placement,
    UnitAddresses,
    UnitKind,
    Wish,
)
from reconciler.render import gatewayapi
from reconciler.render.shapes import (
    CONNECT_TIMEOUT_SECONDS,
    IDLE_SECONDS,
    MAX_CONNECTIONS,
    PANIC,
    Doc,
    kubernetes,
    may_take_over,
    pool_name,
    reference,
)
from reconciler.settings import Gateway
from reconciler.yamlio import Fixed

GROUP = "gateway.envoyproxy.io"
VERSION = f"{GROUP}/v1alpha1"
CONTROLLER = f"{GROUP}/gatewayclass-controller"
# A Backend needs an endpoint. Nobody can connect to this one and the attempt fails at once, so
# a destination without addresses fails its share like one that is down. Without a Backend the
# route would be refused, or its share would go to the other destinations.
NOWHERE = "255.255.255.255"
# Among names it has to be a name, and Envoy Gateway takes no address for one. Here the share
# does go to the others, as with every name that does not resolve.
NO_NAME = "nowhere.invalid"
# The first failed connection takes an address out, the next good check brings it back.
HEALTH_CHECK = Fixed(
    {
        "panicThreshold": PANIC,
        "active": {
            "type": "TCP",
            "tcp": {},
            "timeout": "2s",
            "interval": "5s",
            "unhealthyThreshold": 2,
            "healthyThreshold": 1,
        },
        "passive": {
            "splitExternalLocalOriginErrors": True,
            "consecutiveLocalOriginFailures": 1,
            "interval": "1s",
            "baseEjectionTime": "10s",
            "maxEjectionPercent": 100,
        },
    }
)
_CONNECT = Fixed({"tcp": {"connectTimeout": f"{CONNECT_TIMEOUT_SECONDS}s"}})
_KEEPALIVE = Fixed({"probes": 3, "idleTime": "300s", "interval": "30s"})
_CIRCUIT_BREAKER = Fixed(
    {"maxConnections": MAX_CONNECTIONS, "maxPendingRequests": MAX_CONNECTIONS}
)


def unsupported(wish: Wish) -> str | None:
    """What of a policy Envoy Gateway cannot do."""
    policy = wish.policy
    if wish.kind is not UnitKind.TLS:
        return None
    if policy.allow_cidrs:  # a SecurityPolicy cannot target a TLSRoute
        return "Envoy Gateway cannot limit clients per SNI host; allow-cidrs works with expose: tcp"
    if policy.idle_timeout_seconds or policy.max_connections:
        return "the TLS port is shared; idle-timeout and max-connections work with expose: tcp"
    return None


def wish_documents(placement: Placement, gateway: Gateway) -> list[Doc]:
    """Policies, listeners and routes of a unit, in the order in which they are to be applied.

    A route whose SecurityPolicy comes after it is open to everybody until then. One whose
    BackendTrafficPolicy does is built twice: the second time Envoy waits 15 s for endpoints that
    Envoy Gateway does not send again, and takes no other new route meanwhile.
    """
    documents: list[Doc] = []
    for route in placement.routes:
        documents.append(_traffic_policy(placement, gateway, route))
        if placement.wish.policy.allow_cidrs:
            documents.append(_security_policy(placement, gateway, route))
    policy = placement.wish.policy
    if policy.idle_timeout_seconds or policy.max_connections:
        documents.append(_client_policy(placement, gateway))
    return documents + gatewayapi.core(placement, gateway, _backends)


def _backends(placement: Placement, route: PlacedRoute) -> list[Doc]:
    return [
        {
            "group": GROUP,
            "kind": "Backend",
            "name": pool_name(placement.wish.unit, route.wish.name, each),
            "weight": each.weight,
        }
        for each in route.wish.destinations
    ]


def _traffic_policy(placement: Placement, gateway: Gateway, route: PlacedRoute) -> Doc:
    name = gatewayapi.route_name(placement, route)
    document = kubernetes(VERSION, "BackendTrafficPolicy", name, gateway.namespace)
    kind = gatewayapi.route_kind(route)
    spec: Doc = {
        "targetRefs": [reference(gatewayapi.GROUP, kind, name)],
        "timeout": _CONNECT,
        "tcpKeepalive": _KEEPALIVE,
        "circuitBreaker": _CIRCUIT_BREAKER,
    }
    if placement.wish.policy.proxy_protocol is not None:
        version = placement.wish.policy.proxy_protocol.value.upper()
        spec["proxyProtocol"] = {"version": version}
    if may_take_over(placement, route):
        spec["healthCheck"] = HEALTH_CHECK
    document["spec"] = spec
    return document


def _security_policy(placement: Placement, gateway: Gateway, route: PlacedRoute) -> Doc:
    """Who may connect. Envoy's filter judges a client by its first byte: one that is not
    allowed is cut off with it, but may hear a workload that speaks first.
    """
    name = gatewayapi.route_name(placement, route)
    document = kubernetes(VERSION, "SecurityPolicy", name, gateway.namespace)
    document["spec"] = {
        "targetRefs": [reference(gatewayapi.GROUP, "TCPRoute", name)],
        "authorization": {
            "defaultAction": "Deny",
            "rules": [
                {
                    "name": "allow-cidrs",
                    "action": "Allow",
                    "principal": {
                        "clientCIDRs": list(placement.wish.policy.allow_cidrs)
                    },
                }
            ],
        },
    }
    return document


def _client_policy(placement: Placement, gateway: Gateway) -> Doc:
    names = gatewayapi.set_names(placement)
    policy = placement.wish.policy
    document = kubernetes(VERSION, "ClientTrafficPolicy", names[0], gateway.namespace)
    spec: Doc = {
        "targetRefs": [
            reference(gatewayapi.GROUP, "ListenerSet", name) for name in names
        ],
        "tcpKeepalive": _KEEPALIVE,
        "timeout": {
            "tcp": {"idleTimeout": f"{policy.idle_timeout_seconds or IDLE_SECONDS}s"}
        },
    }
    if policy.max_connections:
        spec["connection"] = {"connectionLimit": {"value": policy.max_connections}}
    document["spec"] = spec
    return document


def endpoint_documents(addresses: UnitAddresses, gateway: Gateway) -> list[Doc]:
    """One Backend per destination."""
    documents: list[Doc] = []
    for route in addresses.routes:
        nowhere = _target(_nowhere(route))
        for located in route.located:
            name = pool_name(addresses.unit, route.name, located.destination)
            document = kubernetes(VERSION, "Backend", name, gateway.namespace)
            found = [_target(each) for each in located.addresses]
            document["spec"] = {"endpoints": found or [nowhere]}
            documents.append(document)
    return documents


def _nowhere(route: LocatedRoute) -> Address:
    """An address of the route's kind: Envoy Gateway judges a route by its first destination."""
    found = [each for located in route.located for each in located.addresses]
    is_ip = all(each.is_ip for each in found)
    return Address(host=NOWHERE if is_ip else NO_NAME, port=1, is_ip=is_ip)


def _target(address: Address) -> Doc:
    if address.is_ip:
        return {"ip": {"address": _written_out(address.host), "port": address.port}}
    return {"fqdn": {"hostname": address.host, "port": address.port}}


def _written_out(literal: str) -> str:
    """An IPv6 address without `::`: the CRD refuses some short forms, as `fd00::1:2:3`."""
    if ":" not in literal:
        return literal
    groups = ipaddress.ip_address(literal).exploded.split(":")
    return ":".join(format(int(each, 16), "x") for each in groups)


def gateway_documents(gateway: Gateway) -> list[Doc]:
    """The GatewayClass (unless named in the settings), the Gateway and its client policy."""
    class_name = gateway.gateway_class or f"wharfinger-{gateway.name}"
    documents: list[Doc] = []
    if gateway.gateway_class is None:
        made = kubernetes(gatewayapi.V1, "GatewayClass", class_name)
        made["spec"] = {"controllerName": CONTROLLER}
        documents.append(made)
    documents.append(gatewayapi.gateway_document(gateway, class_name))
    policy = kubernetes(VERSION, "ClientTrafficPolicy", gateway.name, gateway.namespace)
    policy["spec"] = {
        "targetRefs": [reference(gatewayapi.GROUP, "Gateway", gateway.name)],
        "tcpKeepalive": _KEEPALIVE,
        "timeout": {"tcp": {"idleTimeout": f"{IDLE_SECONDS}s"}},
    }
    documents.append(policy)
    return documents

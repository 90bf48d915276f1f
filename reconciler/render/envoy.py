"""Plain Envoy: per-unit listeners, filter chains and clusters that `envoy-sync` joins; pure.

A wish file is one document: `listeners` (a port each), `chains` (SNI hosts of the shared TLS
port) and `clusters` without addresses. The addresses file is one document with `assignments`
by cluster. All are Envoy's own v3 messages in YAML.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.model.units import (
    PlacedRoute,
    Placement,
    Policy,
    ProxyProtocol,
    UnitAddresses,
    UnitKind,
    Wish,
)
from reconciler.names import object_name
from reconciler.render.shapes import (
    CONNECT_TIMEOUT_SECONDS,
    IDLE_SECONDS,
    MAX_CONNECTIONS,
    Doc,
    Pool,
    is_checked,
    pools,
    weighted,
)

_FILTERS = "type.googleapis.com/envoy.extensions.filters.network"


def unsupported(wish: Wish) -> str | None:
    """What of a policy cannot be done: limits of a listener that many hosts share."""
    if wish.kind is UnitKind.TLS and wish.policy.max_connections:
        return "the TLS port is shared; max-connections works with expose: tcp"
    return None


def wish_documents(placement: Placement) -> list[Doc]:
    """The unit's listeners, chains and clusters."""
    listeners = [
        _listener(placement, route, port)
        for route in placement.routes
        for port in route.ports
    ]
    chains = [_chain(placement, route) for route in placement.routes if not route.ports]
    clusters = [
        _cluster(placement, route, name)
        for route in placement.routes
        for name in dict.fromkeys(
            name for name, weight in weighted(placement, route) if weight > 0
        )
    ]
    document: Doc = {}
    if listeners:
        document["listeners"] = listeners
    if chains:
        document["chains"] = chains
    document["clusters"] = clusters
    return [document]


def _listener(placement: Placement, route: PlacedRoute, port: int) -> Doc:
    return {
        "name": f"tcp-{port}",
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": port}},
        "metadata": _shares(placement, route),
        "filter_chains": [{"filters": _filters(placement, route, str(port))}],
    }


def _chain(placement: Placement, route: PlacedRoute) -> Doc:
    name = object_name(placement.wish.unit, route.wish.name)
    return {
        "name": name,
        "filter_chain_match": {"server_names": list(route.wish.hosts)},
        "metadata": _shares(placement, route),
        "filters": _filters(placement, route, name),
    }


def _shares(placement: Placement, route: PlacedRoute) -> Doc:
    """Weights as they were written; where one cluster holds all, nothing else shows them."""
    shares = [
        {"cluster": name, "destination": each.key, "weight": each.weight}
        for (name, _), each in zip(
            weighted(placement, route), route.wish.destinations, strict=True
        )
    ]
    return {"filter_metadata": {"wharfinger.dev": {"shares": shares}}}


def _filters(placement: Placement, route: PlacedRoute, stat: str) -> list[Doc]:
    policy = placement.wish.policy
    filters: list[Doc] = []
    if policy.allow_cidrs:
        filters.append(_client_rule(policy, stat))
    if policy.max_connections:
        filters.append(
            {
                "name": "limit",
                "typed_config": {
                    "@type": f"{_FILTERS}.connection_limit.v3.ConnectionLimit",
                    "stat_prefix": stat,
                    "max_connections": policy.max_connections,
                },
            }
        )
    proxy: Doc = {
        "@type": f"{_FILTERS}.tcp_proxy.v3.TcpProxy",
        "stat_prefix": stat,
        "idle_timeout": f"{policy.idle_timeout_seconds or IDLE_SECONDS}s",
    }
    live = [(name, weight) for name, weight in weighted(placement, route) if weight > 0]
    if len({name for name, _ in live}) == 1:
        proxy["cluster"] = live[0][0]
    else:
        proxy["weighted_clusters"] = {
            "clusters": [{"name": name, "weight": weight} for name, weight in live]
        }
    filters.append({"name": "tcp", "typed_config": proxy})
    return filters


def _client_rule(policy: Policy, stat: str) -> Doc:
    principals = []
    for cidr in policy.allow_cidrs:
        address, _, length = cidr.partition("/")
        principals.append(
            {"remote_ip": {"address_prefix": address, "prefix_len": int(length)}}
        )
    return {
        "name": "clients",
        "typed_config": {
            "@type": f"{_FILTERS}.rbac.v3.RBAC",
            "stat_prefix": stat,
            "rules": {
                "action": "ALLOW",
                "policies": {
                    "allow-cidrs": {
                        "permissions": [{"any": True}],
                        "principals": principals,
                    }
                },
            },
        },
    }


def _cluster(placement: Placement, route: PlacedRoute, name: str) -> Doc:
    policy = placement.wish.policy
    threshold: Mapping[str, object] = {
        "max_connections": MAX_CONNECTIONS,
        "max_pending_requests": MAX_CONNECTIONS,
    }
    cluster: Doc = {
        "name": name,
        "connect_timeout": f"{CONNECT_TIMEOUT_SECONDS}s",
        "circuit_breakers": {"thresholds": [threshold]},
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "upstream_connection_options": {
            "tcp_keepalive": {
                "keepalive_probes": 3,
                "keepalive_time": 300,
                "keepalive_interval": 30,
            }
        },
    }
    if is_checked(placement, route):
        cluster["health_checks"] = [
            {
                "timeout": "2s",
                "interval": "5s",
                "no_traffic_interval": "5s",
                "unhealthy_interval": "1s",
                "unhealthy_threshold": 1,
                "healthy_threshold": 1,
                "tcp_health_check": {},
            }
        ]
    if policy.proxy_protocol is not None:
        cluster["transport_socket"] = _proxy_protocol(policy.proxy_protocol)
    return cluster


def _proxy_protocol(version: ProxyProtocol) -> Doc:
    sockets = "type.googleapis.com/envoy.extensions.transport_sockets"
    return {
        "name": "proxy-protocol",
        "typed_config": {
            "@type": f"{sockets}.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
            "config": {"version": version.value.upper()},
            "transport_socket": {
                "name": "raw",
                "typed_config": {"@type": f"{sockets}.raw_buffer.v3.RawBuffer"},
            },
        },
    }


def endpoint_documents(addresses: UnitAddresses) -> list[Doc]:
    """The addresses of every cluster of a unit."""
    assignments = [
        _assignment(pool)
        for route in addresses.routes
        for pool in pools(addresses.unit, route, addresses.failover)
    ]
    return [{"assignments": assignments}]


def _assignment(pool: Pool) -> Doc:
    weights = {weight for _, _, weight in pool.members}
    return {
        "cluster": pool.name,
        "type": "STATIC" if pool.is_ip else "STRICT_DNS",
        "endpoints": [
            {
                "endpoint": {
                    "address": {"socket_address": {"address": host, "port_value": port}}
                },
                **({"load_balancing_weight": weight} if len(weights) > 1 else {}),
            }
            for host, port, weight in pool.members
        ],
    }

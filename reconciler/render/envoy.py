"""Plain Envoy: per-unit listeners, filter chains and clusters that `envoy-sync` joins; pure.

A wish file is one document: `listeners` (a port each), `chains` (SNI hosts of the shared TLS
port) and `clusters` without addresses. The addresses file is one document with `assignments`
by cluster. All are Envoy's own v3 messages in YAML.
"""

from __future__ import annotations

from reconciler.model.units import (
    PlacedRoute,
    Placement,
    ProxyProtocol,
    UnitAddresses,
    Wish,
)
from reconciler.names import object_name
from reconciler.render.shapes import (
    CONNECT_TIMEOUT_SECONDS,
    IDLE_SECONDS,
    MAX_CONNECTIONS,
    PANIC,
    Doc,
    Pool,
    Share,
    pools,
    weighted,
)

_FILTERS = "type.googleapis.com/envoy.extensions.filters.network"
_SOCKETS = "type.googleapis.com/envoy.extensions.transport_sockets"


def unsupported(wish: Wish) -> str | None:
    """Nothing: every policy is a matter of the unit's own filter chain and clusters."""
    return None


def wish_documents(placement: Placement) -> list[Doc]:
    """The unit's listeners, chains and clusters."""
    listeners = [
        _listener(placement, route, port)
        for route in placement.routes
        for port in sorted(route.ports)
    ]
    chains = [_chain(placement, route) for route in placement.routes if not route.ports]
    names = dict.fromkeys(
        name
        for route in placement.routes
        for name, weight in weighted(placement, route)
        if weight > 0
    )
    document: Doc = {}
    if listeners:
        document["listeners"] = listeners
    if chains:
        document["chains"] = chains
    document["clusters"] = [_cluster(placement, name) for name in names]
    return [document]


def _listener(placement: Placement, route: PlacedRoute, port: int) -> Doc:
    chain: Doc = _shares(placement, route)
    if match := _clients(placement):
        chain["filter_chain_match"] = match
    chain["filters"] = _filters(placement, route, str(port))
    return {
        "name": f"tcp-{port}",
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": port}},
        "filter_chains": [chain],
    }


def _chain(placement: Placement, route: PlacedRoute) -> Doc:
    name = object_name(placement.wish.unit, route.wish.name)
    return {
        "name": name,
        **_shares(placement, route),
        "filter_chain_match": {
            "server_names": list(route.wish.hosts),
            **_clients(placement),
        },
        "filters": _filters(placement, route, name),
    }


def _clients(placement: Placement) -> Doc:
    """Who may connect. A client that no chain matches is closed before it hears a byte.

    An RBAC filter would only judge a client's first byte, after the workload's greeting.
    """
    ranges = []
    for cidr in placement.wish.policy.allow_cidrs:
        address, _, length = cidr.partition("/")
        ranges.append({"address_prefix": address, "prefix_len": int(length)})
    return {"source_prefix_ranges": ranges} if ranges else {}


def _shares(placement: Placement, route: PlacedRoute) -> Doc:
    """Weights as they were written, where Envoy's own fields do not show them.

    That is where one cluster holds all of a route, and for weight 0, which Envoy refuses.
    """
    pairs = list(zip(route.wish.destinations, weighted(placement, route), strict=True))
    split = len({name for _, (name, weight) in pairs if weight > 0}) > 1
    shares = [
        {"destination": each.key, "cluster": name, "weight": weight}
        for each, (name, weight) in pairs
        if not split or weight == 0
    ]
    if not shares:
        return {}
    return {"metadata": {"filter_metadata": {"wharfinger.dev": {"shares": shares}}}}


def _filters(placement: Placement, route: PlacedRoute, stat: str) -> list[Doc]:
    policy = placement.wish.policy
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
    last: Doc = {"name": "tcp", "typed_config": proxy}
    if policy.max_connections is None:
        return [last]
    limit: Doc = {
        "@type": f"{_FILTERS}.connection_limit.v3.ConnectionLimit",
        "stat_prefix": stat,
        "max_connections": policy.max_connections,
    }
    return [{"name": "limit", "typed_config": limit}, last]


def _cluster(placement: Placement, name: str) -> Doc:
    """One pool. Its health moves no shares: those are between clusters, or wanted to move."""
    policy = placement.wish.policy
    cluster: Doc = {
        "name": name,
        "connect_timeout": f"{CONNECT_TIMEOUT_SECONDS}s",
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": MAX_CONNECTIONS,
                    "max_pending_requests": MAX_CONNECTIONS,
                }
            ]
        },
        "common_lb_config": {
            "healthy_panic_threshold": {"value": PANIC},
            "locality_weighted_lb_config": {},
        },
        "health_checks": [
            {
                "timeout": "2s",
                "interval": "5s",
                "no_traffic_interval": "5s",
                "unhealthy_threshold": 2,
                "healthy_threshold": 1,
                "tcp_health_check": {},
            }
        ],
        "outlier_detection": {
            "split_external_local_origin_errors": True,
            "consecutive_local_origin_failure": 1,
            "interval": "1s",
            "base_ejection_time": "10s",
            "max_ejection_percent": 100,
        },
        "upstream_connection_options": {
            "tcp_keepalive": {
                "keepalive_probes": 3,
                "keepalive_time": 300,
                "keepalive_interval": 30,
            }
        },
    }
    if policy.proxy_protocol is not None:
        cluster["transport_socket"] = _proxy_protocol(policy.proxy_protocol)
    return cluster


def _proxy_protocol(version: ProxyProtocol) -> Doc:
    return {
        "name": "proxy-protocol",
        "typed_config": {
            "@type": f"{_SOCKETS}.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
            "config": {"version": version.value.upper()},
            "transport_socket": {
                "name": "raw",
                "typed_config": {"@type": f"{_SOCKETS}.raw_buffer.v3.RawBuffer"},
            },
        },
    }


def endpoint_documents(addresses: UnitAddresses) -> list[Doc]:
    """The addresses of every cluster of a unit, a locality per destination."""
    assignments = [
        _assignment(pool)
        for route in addresses.routes
        for pool in pools(addresses.unit, route, addresses.failover)
    ]
    return [{"assignments": assignments}]


def _assignment(pool: Pool) -> Doc:
    return {
        "cluster": pool.name,
        "type": "STATIC" if pool.is_ip else "STRICT_DNS",
        "endpoints": [_locality(index, each) for index, each in enumerate(pool.shares)],
    }


def _locality(index: int, share: Share) -> Doc:
    return {
        # Envoy joins localities of the same name, so each needs one of its own.
        "locality": {"sub_zone": str(index)},
        "load_balancing_weight": share.weight or 1,
        "lb_endpoints": [
            {
                "endpoint": {
                    "address": {
                        "socket_address": {
                            "address": each.host,
                            "port_value": each.port,
                        }
                    }
                }
            }
            for each in share.addresses
        ],
    }

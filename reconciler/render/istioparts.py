"""What both Istio renderers share: ServiceEntries, DestinationRules, client rules; pure.

Istio splits a route between clusters and never fails over between them. So `failover: any` is
one ServiceEntry with all addresses, weighted; outlier detection takes the place of active
health checks, which Istio has none of for a ServiceEntry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import gcd, lcm

from reconciler.model.units import (
    PlacedRoute,
    Placement,
    UnitAddresses,
    Wish,
)
from reconciler.render.shapes import (
    CONNECT_TIMEOUT_SECONDS,
    IDLE_SECONDS,
    MAX_CONNECTIONS,
    PANIC,
    Doc,
    Pool,
    kubernetes,
    pools,
    weighted,
)
from reconciler.settings import Gateway

NETWORKING = "networking.istio.io/v1"
SECURITY = "security.istio.io/v1"
PORT = 5000  # the port of every ServiceEntry; endpoints have their own
# Nothing checks an address that was put out: when its time is over, the connections that find
# it still down fail. Each time it is put out for longer.
EJECTION = "30s"
MAX_TOTAL_WEIGHT = 1 << 31  # Envoy adds the weights of a locality up in 32 bits


def unsupported(wish: Wish) -> str | None:
    """What of a policy Istio cannot do without patching Envoy's configuration."""
    policy = wish.policy
    if policy.max_connections:
        return (
            "Istio has no limit of connections per listener; leave max-connections out"
        )
    return None


def pool_host(name: str, gateway: Gateway) -> str:
    """The name by which routes refer to a ServiceEntry; nobody resolves it."""
    return f"{name}.{gateway.namespace}.internal"


def hosts(
    placement: Placement, route: PlacedRoute, gateway: Gateway
) -> Iterator[tuple[str, int]]:
    """(ServiceEntry host, weight as written) of each destination of a route."""
    for name, weight in weighted(placement, route):
        yield pool_host(name, gateway), weight


def entries(addresses: UnitAddresses, gateway: Gateway) -> list[Doc]:
    """The ServiceEntries of a unit: where its pools are."""
    return [
        _entry(pool, gateway)
        for route in addresses.routes
        for pool in pools(addresses.unit, route, addresses.failover)
    ]


def _entry(pool: Pool, gateway: Gateway) -> Doc:
    document = kubernetes(NETWORKING, "ServiceEntry", pool.name, gateway.namespace)
    weights = endpoint_weights(pool)
    document["spec"] = {
        "hosts": [pool_host(pool.name, gateway)],
        "exportTo": ["."],
        "location": "MESH_EXTERNAL",
        "resolution": "STATIC" if pool.is_ip else "DNS",
        "ports": [{"number": PORT, "name": "tcp", "protocol": "TCP"}],
        "endpoints": [
            {
                "address": each.host,
                "ports": {"tcp": each.port},
                **({"weight": weight} if len(pool.shares) > 1 else {}),
            }
            for share, weight in zip(pool.shares, weights, strict=True)
            for each in share.addresses
        ],
    }
    return document


def endpoint_weights(pool: Pool) -> tuple[int, ...]:
    """The weight of each address of each share, so that shares are in proportion.

    Exact but where the numbers would not fit: then off by less than one in a thousand.
    """
    held = [(share.weight, len(share.addresses)) for share in pool.shares]
    counts = lcm(*(count for _, count in held if count))
    exact = [weight * counts // count if count else 0 for weight, count in held]
    common = gcd(*exact) or 1
    exact = [each // common for each in exact]
    total = sum(each * count for each, (_, count) in zip(exact, held, strict=True))
    if total <= MAX_TOTAL_WEIGHT:
        return tuple(exact)
    return tuple(max(1, each * MAX_TOTAL_WEIGHT // (2 * total)) for each in exact)


def rules(placement: Placement, gateway: Gateway) -> list[Doc]:
    """One DestinationRule per pool of a unit: timeouts, limits, outlier detection."""
    names = dict.fromkeys(
        name for route in placement.routes for name, _ in weighted(placement, route)
    )
    return [_rule(placement, gateway, name) for name in names]


def _rule(placement: Placement, gateway: Gateway, name: str) -> Doc:
    policy = placement.wish.policy
    document = kubernetes(NETWORKING, "DestinationRule", name, gateway.namespace)
    traffic: Doc = {
        "tls": {"mode": "DISABLE"},
        "connectionPool": {
            "tcp": {
                "connectTimeout": f"{CONNECT_TIMEOUT_SECONDS}s",
                "maxConnections": MAX_CONNECTIONS,
                "idleTimeout": f"{policy.idle_timeout_seconds or IDLE_SECONDS}s",
                "tcpKeepalive": {"probes": 3, "time": "300s", "interval": "30s"},
            }
        },
        # Not the default, which looks at open connections and so moves weights.
        "loadBalancer": {"simple": "ROUND_ROBIN"},
        "outlierDetection": {
            "splitExternalLocalOriginErrors": True,
            "consecutiveLocalOriginFailures": 1,
            "interval": "1s",
            "baseEjectionTime": EJECTION,
            "maxEjectionPercent": 100,
            "minHealthPercent": PANIC,
        },
    }
    if policy.proxy_protocol is not None:
        traffic["proxyProtocol"] = {"version": policy.proxy_protocol.value.upper()}
    document["spec"] = {
        "host": pool_host(name, gateway),
        "exportTo": ["."],
        "trafficPolicy": traffic,
    }
    return document


def client_rules(placement: Placement, gateway: Gateway, name: str) -> list[Doc]:
    """The policy that turns other clients away from the unit's ports and SNI hosts.

    It denies: one that allows would close the whole gateway to everybody else. As on Envoy
    Gateway a client that sends nothing may hear a workload that speaks first.
    """
    if not placement.wish.policy.allow_cidrs:
        return []
    others = {"source": {"notRemoteIpBlocks": list(placement.wish.policy.allow_cidrs)}}
    rules: list[Doc] = []
    if ports := sorted(port for route in placement.routes for port in route.ports):
        to = {"operation": {"ports": [str(port) for port in ports]}}
        rules.append({"from": [others], "to": [to]})
    hosts = [
        host
        for route in placement.routes
        if not route.ports
        for host in route.wish.hosts
    ]
    if hosts:
        when = {"key": "connection.sni", "values": hosts}
        rules.append({"from": [others], "when": [when]})
    document = kubernetes(SECURITY, "AuthorizationPolicy", name, gateway.namespace)
    document["spec"] = {
        "selector": {"matchLabels": selector(gateway)},
        "action": "DENY",
        "rules": rules,
    }
    return [document]


def selector(gateway: Gateway) -> Mapping[str, str]:
    """The labels of the gateway's proxies."""
    return dict(sorted(gateway.selector.items())) or {"istio": gateway.name}


def service_name(gateway: Gateway) -> str:
    """The Service of the gateway's proxies."""
    return (gateway.service or gateway.name).partition(".")[0]

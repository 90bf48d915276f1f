"""What both Istio renderers share: ServiceEntries, DestinationRules, the gateway's Service; pure.

Istio splits a route between clusters and never fails over between them. So `failover: any` is
one ServiceEntry with all addresses, weighted; outlier detection takes the place of active
health checks, which Istio has none of for a ServiceEntry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reconciler import yamlio
from reconciler.model.repository import FileWrite
from reconciler.model.units import (
    PlacedRoute,
    Placement,
    UnitAddresses,
    UnitKind,
    Wish,
)
from reconciler.render.shapes import (
    CONNECT_TIMEOUT_SECONDS,
    IDLE_SECONDS,
    MAX_CONNECTIONS,
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
BLOCK = 64


def unsupported(wish: Wish) -> str | None:
    """What of a policy Istio cannot do without patching Envoy's configuration."""
    policy = wish.policy
    if policy.max_connections:
        return (
            "Istio has no limit of connections per listener; leave max-connections out"
        )
    if wish.kind is UnitKind.TLS and policy.allow_cidrs:
        return "the TLS port is shared; allow-cidrs works with expose: tcp"
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
    weights = {weight for _, _, weight in pool.members}
    document["spec"] = {
        "hosts": [pool_host(pool.name, gateway)],
        "exportTo": ["."],
        "location": "MESH_EXTERNAL",
        "resolution": "STATIC" if pool.is_ip else "DNS",
        "ports": [{"number": PORT, "name": "tcp", "protocol": "TCP"}],
        "endpoints": [
            {
                "address": host,
                "ports": {"tcp": port},
                **({"weight": weight} if len(weights) > 1 else {}),
            }
            for host, port, weight in pool.members
        ],
    }
    return document


def rules(placement: Placement, gateway: Gateway) -> list[Doc]:
    """One DestinationRule per pool of a unit: timeouts, limits, outlier detection."""
    names = dict.fromkeys(
        name
        for route in placement.routes
        for name, weight in weighted(placement, route)
        if weight > 0
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
        "outlierDetection": {
            "splitExternalLocalOriginErrors": True,
            "consecutiveLocalOriginFailures": 1,
            "interval": "1s",
            "baseEjectionTime": "15s",
            "maxEjectionPercent": 100,
            "minHealthPercent": 0,
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
    """The policy that turns other clients away from the unit's ports."""
    ports = [port for route in placement.routes for port in route.ports]
    if not placement.wish.policy.allow_cidrs or not ports:
        return []
    document = kubernetes(SECURITY, "AuthorizationPolicy", name, gateway.namespace)
    document["spec"] = {
        "selector": {"matchLabels": selector(gateway)},
        "action": "DENY",
        "rules": [
            {
                "from": [
                    {
                        "source": {
                            "notRemoteIpBlocks": list(placement.wish.policy.allow_cidrs)
                        }
                    }
                ],
                "to": [{"operation": {"ports": [str(port) for port in ports]}}],
            }
        ],
    }
    return [document]


def selector(gateway: Gateway) -> Mapping[str, str]:
    """The labels of the gateway's proxies."""
    return dict(sorted(gateway.selector.items())) or {"istio": gateway.name}


def service_name(gateway: Gateway) -> str:
    """The Service of the gateway's proxies."""
    return (gateway.service or gateway.name).partition(".")[0]


def service_file(
    gateway: Gateway, ports: frozenset[int], current: Mapping[str, bytes]
) -> tuple[FileWrite, ...]:
    """The gateway's Service with ports opened in whole blocks, ahead of need.

    A listener whose port the Service lacks makes the whole Gateway unready, so a block is there
    before the first unit that needs it, and it is kept while one of its ports is in use.
    """
    path = f"manifests/{gateway.name}/service.yaml"
    blocks = sorted({port // BLOCK for port in ports})
    if blocks:
        blocks.append(blocks[-1] + 1)
    opened = [
        port
        for block in dict.fromkeys(blocks)
        for port in range(block * BLOCK, (block + 1) * BLOCK)
        if port < 65536
    ]
    numbers = sorted({gateway.tls_port, *opened})
    document = kubernetes("v1", "Service", service_name(gateway), gateway.namespace)
    document["spec"] = {
        "type": "LoadBalancer",
        "externalTrafficPolicy": "Local",
        "allocateLoadBalancerNodePorts": False,
        "selector": selector(gateway),
        "ports": [
            {
                "name": "tls" if number == gateway.tls_port else f"tcp-{number}",
                "port": number,
                "targetPort": number,
                "protocol": "TCP",
            }
            for number in numbers
        ],
    }
    data = yamlio.dump(document).encode()
    return () if current.get(path) == data else (FileWrite(path=path, data=data),)

"""Which exposure a Service's NodePort is, and which one an address with a port leads to; pure.

A Service belongs to the exposed VirtualService that names it as a destination. Where none does
yet, it is adopted for a VirtualService of its own name, with the one route of its one port.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from reconciler.adopt import Adoption
from reconciler.claim.routes import ONLY_ROUTE
from reconciler.model.claims import ClusterClaims, Wanted
from reconciler.model.clusters import ClusterObjects, ServicePort
from reconciler.model.units import Destination, UnitId

_NODE_PORT = ("NodePort", "LoadBalancer")
Key = tuple[str, str, int]  # namespace, Service, port


@dataclass(frozen=True, slots=True, kw_only=True)
class Leads:
    """Where a NodePort leads: the exposure and its route."""

    unit: UnitId
    route: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """All NodePorts of the clusters that were read, by node address and port."""

    by_address: Mapping[tuple[str, int], Leads]
    node_ports: tuple[tuple[int, Leads], ...]


def lookup(clusters: Iterable[ClusterClaims]) -> Lookup:
    """What the observed clusters have."""
    by_address: dict[tuple[str, int], Leads] = {}
    every: list[tuple[int, Leads]] = []
    for claims in clusters:
        objects = claims.view.objects
        if not isinstance(objects, ClusterObjects):
            continue
        addresses = [ip for node in objects.nodes for ip in node.internal_ips]
        for port, leads in _of_cluster(claims, objects):
            every.append((port, leads))
            by_address |= {(ip, port): leads for ip in addresses}
    return Lookup(by_address=by_address, node_ports=tuple(every))


def node_ports(found: Lookup) -> list[Adoption]:
    """Each NodePort as a port of the gateway."""
    return [
        Adoption(
            port=port,
            unit=leads.unit,
            route=leads.route,
            where=f"NodePort {port} of {leads.unit}",
        )
        for port, leads in found.node_ports
    ]


def _of_cluster(
    claims: ClusterClaims, objects: ClusterObjects
) -> Iterator[tuple[int, Leads]]:
    named = _exposed(claims)
    for service in objects.services:
        if service.type not in _NODE_PORT:
            continue
        usable = [each for each in service.ports if _is_tcp(each)]
        for port in usable:
            key = (service.namespace, service.name, port.port)
            yield port.node_port, named.get(key) or _assumed(claims, key, len(usable))


def _is_tcp(port: ServicePort) -> bool:
    return port.node_port > 0 and port.protocol in ("", "TCP")


def _assumed(claims: ClusterClaims, key: Key, ports: int) -> Leads:
    namespace, name, port = key
    unit = UnitId(cluster=claims.view.entry.name, namespace=namespace, name=name)
    return Leads(unit=unit, route=ONLY_ROUTE if ports == 1 else str(port))


def _exposed(claims: ClusterClaims) -> dict[Key, Leads]:
    """Destinations of exposures; one that several routes share is the first one's."""
    found: dict[Key, Leads] = {}
    for claim in claims.claims:
        if isinstance(claim.outcome, Wanted):
            for route in claim.outcome.wish.routes:
                _note(
                    found, route.destinations, Leads(unit=claim.unit, route=route.name)
                )
    return found


def _note(
    found: dict[Key, Leads], destinations: Iterable[Destination], leads: Leads
) -> None:
    for each in destinations:
        found.setdefault(_key(each), leads)


def _key(destination: Destination) -> Key:
    return (destination.namespace, destination.service, destination.port)

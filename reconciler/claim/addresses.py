"""Where a destination is right now: addresses of nodes, load balancers and pods; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from reconciler.claim.faults import Refused, shown
from reconciler.claim.services import Catalogue
from reconciler.claim.sticky import Possible, keep_or_refill
from reconciler.codes import Code
from reconciler.model.clusters import Node, Service
from reconciler.model.units import Address, Backend, Destination, Located, UnitId
from reconciler.settings import Tenant
from reconciler.tenants import address_refusal, parse_ip


@dataclass(frozen=True, slots=True, kw_only=True)
class Looking:
    """What addresses depend on besides the destination."""

    unit: UnitId
    tenant: Tenant
    found: Catalogue
    now: datetime
    grace: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A destination with its addresses, and what was left out of them, in words."""

    located: Located
    left_out: tuple[str, ...] = ()


def locate(
    destination: Destination, current: Sequence[Address], looking: Looking
) -> Found:
    """The addresses of one destination; `current` are its addresses at HEAD.

    Raises Refused when a forbidden address rejects the unit.
    """
    service = looking.found.services.get((destination.namespace, destination.service))
    if service is None:
        return Found(located=Located(destination=destination))
    _check_volatile(destination, service, looking.tenant)
    match destination.backend:
        case Backend.LOAD_BALANCER:
            return Found(
                located=Located(
                    destination=destination,
                    addresses=_balancers(destination, service, looking.tenant),
                )
            )
        case Backend.NODE_PORT:
            possible = list(_nodes(destination, service, looking))
        case _:
            possible = list(_pods(destination, service, looking))
    return _sticky(destination, current, possible, looking)


def _check_volatile(destination: Destination, service: Service, tenant: Tenant) -> None:
    local = destination.backend is Backend.NODE_PORT and service.local_traffic_policy
    if (local or destination.backend is Backend.POD) and not tenant.volatile_backends:
        what = "externalTrafficPolicy: Local" if local else "backend pod"
        raise Refused(
            Code.VOLATILE_BACKENDS,
            f"{destination.key}: addresses with {what} change with every rollout; "
            "the platform team must set volatileBackends for the tenant",
        )


def _sticky(
    destination: Destination,
    current: Sequence[Address],
    possible: list[Possible],
    looking: Looking,
) -> Found:
    allowed: list[Possible] = []
    left_out: list[str] = []
    for each in possible:
        address = each.address
        refusal = address_refusal(looking.tenant, address.host, address.is_ip)
        if refusal is None:
            allowed.append(each)
        else:
            left_out.append(refusal)
    if possible and not allowed:
        raise Refused(Code.ENDPOINT_NOT_ALLOWED, f"{destination.key}: {left_out[0]}")
    addresses = keep_or_refill(looking.unit, destination.key, current, allowed)
    return Found(
        located=Located(destination=destination, addresses=addresses),
        left_out=tuple(sorted(set(left_out))),
    )


def _balancers(
    destination: Destination, service: Service, tenant: Tenant
) -> tuple[Address, ...]:
    found = set()
    for text in service.ingress:
        address = _address(text, destination.port)
        refusal = (
            f"{shown(text)} is no address"
            if address is None
            else address_refusal(tenant, address.host, address.is_ip)
        )
        if address is None or refusal is not None:
            raise Refused(Code.ENDPOINT_NOT_ALLOWED, f"{destination.key}: {refusal}")
        found.add(address)
    return tuple(sorted(found))


def _address(text: str, port: int) -> Address | None:
    """A canonical address; what is neither a plain literal nor a DNS name is none."""
    literal = parse_ip(text)
    if literal is not None:
        return Address(host=str(literal), port=port)
    if ":" in text or not text.isascii() or text != text.lower():
        return None
    return Address(host=text, port=port, is_ip=False)


def _nodes(
    destination: Destination, service: Service, looking: Looking
) -> Iterator[Possible]:
    node_port = next(
        (
            each.node_port
            for each in service.ports
            if each.port == destination.port and each.protocol == "TCP"
        ),
        0,
    )
    if node_port == 0:
        return
    with_endpoint = _nodes_with_endpoint(service, looking.found)
    for node in looking.found.objects.nodes:
        if service.local_traffic_policy and node.name not in with_endpoint:
            continue
        address = _node_address(node, node_port)
        if address is not None:
            yield Possible(
                address=address, ready=node.ready, lingers=_lingers(node, looking)
            )


def _node_address(node: Node, port: int) -> Address | None:
    for text in node.internal_ips:
        literal = parse_ip(text)
        if literal is not None:
            return Address(host=str(literal), port=port)
    return None


def _lingers(node: Node, looking: Looking) -> bool:
    if node.ready or node.ready_since is None:
        return False
    return looking.now - node.ready_since <= looking.grace


def _nodes_with_endpoint(service: Service, found: Catalogue) -> frozenset[str]:
    slices = found.slices.get((service.namespace, service.name), ())
    return frozenset(
        endpoint.node_name
        for each in slices
        for endpoint in each.endpoints
        if endpoint.ready and endpoint.node_name
    )


def _pods(
    destination: Destination, service: Service, looking: Looking
) -> Iterator[Possible]:
    name = next(
        (
            each.name
            for each in service.ports
            if each.port == destination.port and each.protocol == "TCP"
        ),
        None,
    )
    labels = _subset_labels(destination, looking.found)
    for each in looking.found.slices.get((service.namespace, service.name), ()):
        ports = [number for port, number in each.ports if port == name]
        for endpoint in each.endpoints:
            if not ports or not _has_labels(endpoint.pod_labels, labels):
                continue
            for text in endpoint.addresses[:1]:
                literal = parse_ip(text)
                if literal is not None and endpoint.ready:
                    yield Possible(
                        address=Address(host=str(literal), port=ports[0]), ready=True
                    )


def _subset_labels(
    destination: Destination, found: Catalogue
) -> frozenset[tuple[str, str]]:
    """The labels of the destination's subset, from its DestinationRule. Raises Refused."""
    if not destination.subset:
        return frozenset()
    full = f"{destination.service}.{destination.namespace}.svc.cluster.local"
    for rule in found.objects.destination_rules:
        host = rule.host
        if host.count(".") == 0:
            host = f"{host}.{rule.namespace}.svc.cluster.local"
        elif host.count(".") == 1:
            host = f"{host}.svc.cluster.local"
        elif host.endswith(".svc"):
            host = f"{host}.cluster.local"
        if host == full:
            for name, labels in rule.subsets:
                if name == destination.subset:
                    return frozenset(labels)
    raise Refused(
        Code.SUBSET_UNSUPPORTED,
        f"{destination.key}: no DestinationRule for {full} has the subset",
    )


def _has_labels(
    pod: tuple[tuple[str, str], ...] | None, wanted: frozenset[tuple[str, str]]
) -> bool:
    return not wanted or (pod is not None and wanted <= set(pod))

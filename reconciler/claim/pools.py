"""Everything that exists behind a destination right now, with its standing; pure.

A forbidden node or pod is left out and reported; one forbidden load-balancer address refuses
the unit, because what a cluster reports there anybody in it may have written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from reconciler.claim.destinations import find_port
from reconciler.claim.index import NODES, Index, Key, Kind, Labels, Named
from reconciler.claim.refusals import Refused, quoted
from reconciler.claim.sticky import Pool, Standing, pool
from reconciler.codes import Code
from reconciler.model.clusters import Endpoint, EndpointSlice, Node
from reconciler.model.units import Address, Backend, Destination
from reconciler.settings import Tenant
from reconciler.tenants import address_refusal, canonical_host

NOTHING = Pool(members={}, ready=())

_Key = tuple[str, str, int, str, str, str]


@dataclass(slots=True, kw_only=True)
class Pools:
    """Pools of one cluster. They are the same for all units, so each is made once.

    A pool of nodes has 0 for every port: all node ports share it (see `port`). `reads` collects
    what was read, also where a pool was made for somebody else before.
    """

    look: Index
    tenant: Tenant
    now: datetime
    grace: timedelta
    reads: set[Key] = field(default_factory=set, repr=False)
    _made: dict[_Key, Pool] = field(default_factory=dict, repr=False)

    def of(self, destination: Destination, namespace: str) -> Pool:
        """The pool of a destination; `namespace` is the VirtualService's. Raises Refused."""
        local = self._local(destination)
        self.reads.update(_reads(destination, local))
        shared = destination.backend is Backend.NODE_PORT and not local
        key = (
            ("", "", 0, destination.backend, "", "")
            if shared
            else (
                destination.namespace,
                destination.service,
                destination.port,
                destination.backend,
                destination.subset,
                namespace,
            )
        )
        if key not in self._made:
            self._made[key] = self._make(destination, namespace)
        made = self._made[key]
        if made.left_out and not made.members:
            reason = f"{made.left_out[0]}; the platform team can list it under the tenant's endpoints"
            raise Refused(
                Code.ENDPOINT_NOT_ALLOWED, f"Service {destination.key}", reason
            )
        return made

    def reads_taken(self) -> set[Key]:
        """What was read since this was asked last."""
        taken, self.reads = self.reads, set()
        return taken

    def port(self, destination: Destination) -> int:
        """The node port behind a destination, 0 where there is none."""
        service = self.look.service((destination.namespace, destination.service))
        port = find_port(service, destination.port) if service is not None else None
        return port.node_port if port is not None else 0

    def _local(self, destination: Destination) -> bool:
        service = self.look.service((destination.namespace, destination.service))
        return service is not None and service.local_traffic_policy

    def _make(self, destination: Destination, namespace: str) -> Pool:
        name = (destination.namespace, destination.service)
        match destination.backend:
            case Backend.NODE_PORT:
                local = self._local(destination)
                return self._nodes(self._serving_nodes(name) if local else None)
            case Backend.LOAD_BALANCER:
                return self._balancer(destination)
            case Backend.POD:
                return self._pods(destination, namespace)
            case Backend.API_SERVER:
                raise AssertionError("API servers come from the inventory")
            case Backend.ROUTER:  # the cluster was a foundation, or says that it was
                return NOTHING

    def _serving_nodes(self, name: Named) -> frozenset[Named]:
        return frozenset(
            ("", endpoint.node_name)
            for each in self.look.slices.get(name)
            for endpoint in each.endpoints
            if endpoint.ready
        )

    def _nodes(self, only: frozenset[Named] | None) -> Pool:
        found: list[tuple[Address, Standing]] = []
        left_out: list[str] = []
        names = self.look.nodes.names() if only is None else only
        for node in (node for name in names for node in self.look.nodes.get(name)):
            standing = self._standing(node)
            for text in node.internal_ips:
                address = self._permitted(
                    text, 0, f"node {quoted(node.name)}", left_out
                )
                if address is None:
                    continue
                found.append((address, standing))
                if standing is Standing.READY:
                    standing = Standing.SPARE
        return pool(found, left_out)

    def _standing(self, node: Node) -> Standing:
        if node.ready:
            return Standing.READY
        left = left_of_grace(node, self.now, self.grace)
        return Standing.EXPIRED if left is None else Standing.LASTING

    def _permitted(
        self, text: str, port: int, whose: str, left_out: list[str]
    ) -> Address | None:
        """The address of a node or pod, or a word about why it is not used."""
        host = canonical_host(text)
        if host is None or not host[1]:
            left_out.append(f"{whose}: {quoted(text)} is no plain IP address")
            return None
        refusal = address_refusal(self.tenant, host[0], True)
        if refusal:
            left_out.append(f"{whose}: {refusal}")
            return None
        return Address(host=host[0], port=port)

    def _balancer(self, destination: Destination) -> Pool:
        service = self.look.service((destination.namespace, destination.service))
        usable = (
            service is not None
            and service.type == "LoadBalancer"
            and find_port(service, destination.port) is not None
        )
        if service is None or not usable:
            return NOTHING
        where = f"Service {destination.key}"
        return pool(
            (self._balanced(text, destination.port, where), Standing.READY)
            for text in service.ingress
        )

    def _balanced(self, text: str, port: int, where: str) -> Address:
        host = canonical_host(text)
        refusal = (
            "it is neither a plain IP address nor a DNS name"
            if host is None
            else address_refusal(self.tenant, *host)
        )
        if host is None or refusal:
            reason = f"load-balancer address {quoted(text)}: {refusal}; the platform team can list it under the tenant's endpoints"
            raise Refused(Code.ENDPOINT_NOT_ALLOWED, where, reason)
        return Address(host=host[0], port=port, is_ip=host[1])

    def _pods(self, destination: Destination, namespace: str) -> Pool:
        name = (destination.namespace, destination.service)
        service = self.look.service(name)
        port = find_port(service, destination.port) if service is not None else None
        if port is None:
            return NOTHING
        labels = self._labels(destination, namespace)
        left_out: list[str] = []
        found = [
            (address, Standing.READY)
            for endpoint, number in self._endpoints(name, port.name)
            if _has(endpoint, labels, destination)
            for text in endpoint.addresses[:1]  # further ones are the same pod
            for address in (self._permitted(text, number, "pod", left_out),)
            if address is not None
        ]
        return pool(found, left_out)

    def _endpoints(self, name: Named, port: str) -> Iterator[tuple[Endpoint, int]]:
        """Ready endpoints with the port that the Service's port leads to."""
        for each in self.look.slices.get(name):
            number = _slice_port(each, port)
            if number:
                yield from ((one, number) for one in each.endpoints if one.ready)

    def _labels(self, destination: Destination, namespace: str) -> Labels:
        if not destination.subset:
            return ()
        name = (destination.namespace, destination.service)
        labels = self.look.subset(name, destination.subset, namespace)
        if labels is None:
            what = f"no DestinationRule has the subset {quoted(destination.subset)}"
            raise Refused(Code.SUBSET_UNSUPPORTED, f"Service {destination.key}", what)
        return labels


def left_of_grace(node: Node, now: datetime, grace: timedelta) -> timedelta | None:
    """How long an unready node may still be used; `None` when its grace is over.

    One that does not say since when counts as unready for long.
    """
    if node.ready_since is None or now - node.ready_since > grace:
        return None
    return grace - (now - node.ready_since)


def _reads(destination: Destination, local: bool) -> tuple[Key, ...]:
    namespace, name = destination.namespace, destination.service
    service: Key = (Kind.SERVICE, namespace, name)
    slices: Key = (Kind.SLICES, namespace, name)
    match destination.backend:
        case Backend.NODE_PORT:
            return (service, NODES, slices) if local else (service, NODES)
        case Backend.POD if destination.subset:
            return (service, slices, (Kind.RULES, namespace, name))
        case Backend.POD:
            return (service, slices)
        case _:
            return (service,)


def _slice_port(each: EndpointSlice, port: str) -> int:
    found = sorted(number for name, number in each.ports if name == port)
    return found[0] if found and 0 < found[0] < 65536 else 0


def _has(endpoint: Endpoint, labels: Labels, destination: Destination) -> bool:
    if not labels:
        return True
    if endpoint.pod_labels is None:
        what = "the labels of its pods are not known, so its subset is not either"
        raise Refused(Code.SUBSET_UNSUPPORTED, f"Service {destination.key}", what)
    return set(labels) <= set(endpoint.pod_labels)

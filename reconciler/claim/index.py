"""One cluster's objects by what they are looked up for; pure.

Whatever the order in which objects were listed, the answers are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reconciler.claim.targets import resolve
from reconciler.model.clusters import (
    ClusterObjects,
    DestinationRule,
    EndpointSlice,
    Node,
    Service,
)

Named = tuple[str, str]
"""(namespace, name)."""

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """Services, slices by Service, nodes, and DestinationRules by the Service they speak of."""

    services: Mapping[Named, Service]
    slices: Mapping[Named, tuple[EndpointSlice, ...]]
    nodes: tuple[Node, ...]
    rules: Mapping[Named, tuple[DestinationRule, ...]]

    def subset(self, service: Named, name: str, namespace: str) -> Labels | None:
        """Labels of a subset; `namespace` is the VirtualService's. `None`: no such subset.

        As in Istio a rule beside the client goes before one beside the Service.
        """
        rules = self.rules.get(service, ())
        for where in (namespace, service[0]):
            for rule in rules:
                labels = dict(rule.subsets).get(name)
                if rule.namespace == where and labels is not None:
                    return labels
        return None


def index(objects: ClusterObjects) -> Index:
    """The objects of one complete read."""
    services: dict[Named, Service] = {}
    for service in objects.services:
        key = (service.namespace, service.name)
        known = services.get(key)
        if known is None or _order(service) < _order(known):  # a liar listed it twice
            services[key] = service
    slices: dict[Named, list[EndpointSlice]] = {}
    for each in objects.endpoint_slices:
        slices.setdefault((each.namespace, each.service), []).append(each)
    return Index(
        services=services,
        slices={key: tuple(found) for key, found in slices.items()},
        nodes=objects.nodes,
        rules=_rules(objects.destination_rules),
    )


def _order(service: Service) -> tuple[object, ...]:
    ports = tuple(
        (each.name, each.port, each.node_port, each.protocol) for each in service.ports
    )
    flags = (service.headless, service.has_selector, service.local_traffic_policy)
    return (service.type, *flags, ports, service.ingress)


def _rules(
    rules: Iterable[DestinationRule],
) -> dict[Named, tuple[DestinationRule, ...]]:
    found: dict[Named, list[DestinationRule]] = {}
    for rule in rules:
        service = resolve(rule.host, rule.namespace)
        if service is not None:
            found.setdefault(service, []).append(rule)
    return {
        service: tuple(sorted(each, key=lambda rule: (rule.namespace, rule.name)))
        for service, each in found.items()
    }

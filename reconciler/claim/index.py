"""One cluster's objects by what they are looked up for, kept up to date one by one; pure.

Whatever the order in which objects came, the answers are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Generic, TypeVar

from reconciler.claim.targets import resolve
from reconciler.model.clusters import (
    ClusterObjects,
    DestinationRule,
    EndpointSlice,
    Node,
    Service,
    VirtualService,
)
from reconciler.model.updates import Object

Named = tuple[str, str]
"""(namespace, name)."""

Labels = tuple[tuple[str, str], ...]


class Kind(StrEnum):
    """What can be read of a cluster; each changes by itself."""

    SERVICE = "service"
    SLICES = "slices"  # of a Service
    RULES = "rules"  # DestinationRules of a Service
    NODES = "nodes"  # all of them


Key = tuple[Kind, str, str]
"""What is read, with the namespace and the name of the Service."""

NAMELESS = "(none)"  # never a valid name, so it meets no unit
NODES: Key = (Kind.NODES, "", "")
_NOWHERE = ("", "")  # no Service has this name

T = TypeVar("T")


class Table(Generic[T]):
    """Objects by name. Two of one name are a liar's; they are in the order of `order`."""

    def __init__(
        self,
        name: Callable[[T], Named],
        order: Callable[[T], tuple[object, ...]] | None = None,
    ) -> None:
        self._name = name
        self._order = order
        self._found: dict[Named, tuple[T, ...]] = {}

    def __iter__(self) -> Iterator[T]:
        """All objects, sorted by name."""
        for name in sorted(self._found):
            yield from self._found[name]

    def names(self) -> Iterator[Named]:
        """Names of what there is, in no order."""
        return iter(self._found)

    def get(self, name: Named) -> tuple[T, ...]:
        """All objects of this name."""
        return self._found.get(name, ())

    def put(self, value: T) -> None:
        """One object more."""
        name = self._name(value)
        known = self._found.get(name)
        if known is None:
            self._found[name] = (value,)
            return
        both = (*known, value)
        order = self._order
        self._found[name] = both if order is None else tuple(sorted(both, key=order))

    def drop(self, value: T) -> None:
        """One object less, which must be there."""
        name = self._name(value)
        known = self._found.get(name, ())
        if value not in known:
            raise AssertionError(f"{name} is not as whoever saw it change says")
        at = known.index(value)
        rest = (*known[:at], *known[at + 1 :])
        if rest:
            self._found[name] = rest
        else:
            del self._found[name]


class Index:
    """VirtualServices, Services, slices by Service, nodes, and rules by the Service they speak of."""

    def __init__(self, objects: ClusterObjects) -> None:
        self.sources = Table(source_name, _source_order)
        self.services = Table(_named, _service_order)
        self.slices = Table(_served_name)
        self.nodes = Table(_node_name)
        self.rules = Table(_ruled, _rule_order)
        self.unready: set[Named] = set()
        for source in objects.virtual_services:
            self.sources.put(source)
        for service in objects.services:
            self.services.put(service)
        for each in objects.endpoint_slices:
            self.slices.put(each)
        for rule in objects.destination_rules:
            self.rules.put(rule)
        for node in objects.nodes:
            self.nodes.put(node)
            self._note_readiness(node)

    def put(self, value: Object) -> None:
        """One object more."""
        match value:
            case VirtualService():
                self.sources.put(value)
            case Service():
                self.services.put(value)
            case EndpointSlice():
                self.slices.put(value)
            case DestinationRule():
                self.rules.put(value)
            case Node():
                self.nodes.put(value)
                self._note_readiness(value)

    def drop(self, value: Object) -> None:
        """One object less, which must be there."""
        match value:
            case VirtualService():
                self.sources.drop(value)
            case Service():
                self.services.drop(value)
            case EndpointSlice():
                self.slices.drop(value)
            case DestinationRule():
                self.rules.drop(value)
            case Node():
                self.nodes.drop(value)
                self._note_readiness(value)

    def service(self, name: Named) -> Service | None:
        """The Service of this name; of several that a liar listed, one and the same."""
        found = self.services.get(name)
        return found[0] if found else None

    def subset(self, service: Named, name: str, namespace: str) -> Labels | None:
        """Labels of a subset; `namespace` is the VirtualService's. `None`: no such subset.

        As in Istio a rule beside the client goes before one beside the Service.
        """
        rules = self.rules.get(service)
        for where in (namespace, service[0]):
            for rule in rules:
                labels = dict(rule.subsets).get(name)
                if rule.namespace == where and labels is not None:
                    return labels
        return None

    def objects(self, one_look_is_proof: bool) -> ClusterObjects:
        """Everything, as one complete read would say it."""
        rules = sorted(self.rules, key=lambda each: (each.namespace, each.name))
        return ClusterObjects(
            virtual_services=tuple(self.sources),
            services=tuple(self.services),
            nodes=tuple(self.nodes),
            endpoint_slices=tuple(self.slices),
            destination_rules=tuple(rules),
            one_look_is_proof=one_look_is_proof,
        )

    def _note_readiness(self, node: Node) -> None:
        name = _node_name(node)
        if all(each.ready for each in self.nodes.get(name)):
            self.unready.discard(name)
        else:
            self.unready.add(name)


def read_as(value: Service | EndpointSlice | DestinationRule | Node) -> Key:
    """As what an object is read."""
    match value:
        case Service():
            return (Kind.SERVICE, *_named(value))
        case EndpointSlice():
            return (Kind.SLICES, *_served_name(value))
        case DestinationRule():
            return (Kind.RULES, *_ruled(value))
        case Node():
            return NODES


def source_name(source: VirtualService) -> Named:
    """The name of its unit. It comes from a body that nobody vouches for."""
    return (source.namespace or NAMELESS, source.name or NAMELESS)


def _named(service: Service) -> Named:
    return (service.namespace, service.name)


def _served_name(value: EndpointSlice) -> Named:
    return (value.namespace, value.service)


def _node_name(node: Node) -> Named:
    return ("", node.name)


def _ruled(rule: DestinationRule) -> Named:
    return resolve(rule.host, rule.namespace) or _NOWHERE


def _source_order(source: VirtualService) -> tuple[object, ...]:
    """Tells apart all that a rejection shows, so that the same one of two is shown always."""
    shown = sorted((key, _shown(value)) for key, value in source.annotations.items())
    return (
        *(source.uid, source.resource_version, source.generation, source.deleting),
        shown,
    )


def _shown(value: object) -> str:
    """Values have not been checked: they may be any JSON, as deep as a stranger likes."""
    return value if isinstance(value, str) else type(value).__name__


def _service_order(service: Service) -> tuple[object, ...]:
    ports = tuple(
        (each.name, each.port, each.node_port, each.protocol) for each in service.ports
    )
    flags = (service.headless, service.has_selector, service.local_traffic_policy)
    return (service.type, *flags, ports, service.ingress)


def _rule_order(rule: DestinationRule) -> tuple[object, ...]:
    return (rule.namespace, rule.name, rule.host, rule.subsets)

"""Hand-made gateways as `kubectl get -o yaml` prints them: their ports and where they lead; pure.

Gateway API (Gateway, ListenerSet, TCPRoute, and Envoy Gateway's Backend), Istio's Gateway with
VirtualService and ServiceEntry, and plain Services and Endpoints. What a port leads to is followed as far as
addresses; what cannot be followed is a port that is open and belongs to nobody whom we know.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.adopt import Adoption
from reconciler.adopt.services import Lookup

Json = Mapping[str, Any]
Address = tuple[str, int]
_PRIVILEGED = 1024


@dataclass(slots=True, kw_only=True)
class _Found:
    """Open ports by where they were found, and the backends of each."""

    ports: dict[int, str] = field(default_factory=dict)
    leads: dict[int, set[Address]] = field(default_factory=dict)

    def open(self, port: object, where: str) -> None:
        if isinstance(port, int) and not isinstance(port, bool) and port >= _PRIVILEGED:
            self.ports.setdefault(port, where)

    def lead(self, port: int, addresses: Iterable[Address]) -> None:
        self.leads.setdefault(port, set()).update(addresses)


def open_ports(documents: Iterable[Json], found: Lookup) -> list[Adoption]:
    """All ports of these gateways, each for the exposure that all of its backends lead to."""
    objects = [each for each in documents if isinstance(each.get("kind"), str)]
    seen = _Found()
    _listeners(objects, seen)
    _tcp_routes(objects, seen)
    _istio(objects, seen)
    return [
        _adoption(port, where, seen, found)
        for port, where in sorted(seen.ports.items())
    ]


def _adoption(port: int, where: str, seen: _Found, found: Lookup) -> Adoption:
    leads = {found.by_address.get(each) for each in seen.leads.get(port, ())}
    only = leads.pop() if len(leads) == 1 else None
    if only is None:
        return Adoption(port=port, where=where)
    return Adoption(port=port, unit=only.unit, route=only.route, where=where)


def _listeners(objects: Iterable[Json], seen: _Found) -> None:
    for each in _of(objects, "Gateway", "ListenerSet"):
        for listener in _list(_map(each.get("spec")).get("listeners")):
            seen.open(_map(listener).get("port"), _name(each))
        for server in _list(_map(each.get("spec")).get("servers")):
            number = _map(_map(server).get("port")).get("number")
            seen.open(number, _name(each))
    for each in _of(objects, "Service"):
        spec = _map(each.get("spec"))
        if spec.get("type") != "LoadBalancer":
            continue
        for port in _list(spec.get("ports")):
            seen.open(_map(port).get("port"), _name(each))


def _tcp_routes(objects: list[Json], seen: _Found) -> None:
    backends = {_key(each): _backend(each) for each in _of(objects, "Backend")}
    ports = _ports_by_listener(objects)
    for route in _of(objects, "TCPRoute"):
        spec, space = _map(route.get("spec")), _key(route)[0]
        addresses = [
            address
            for rule in _list(spec.get("rules"))
            for ref in _list(_map(rule).get("backendRefs"))
            for address in backends.get((space, str(_map(ref).get("name"))), ())
        ]
        for parent in map(_map, _list(spec.get("parentRefs"))):
            for port in _parents(parent, space, ports):
                seen.lead(port, addresses)


def _ports_by_listener(objects: list[Json]) -> dict[tuple[str, str, str], int]:
    """(namespace, object, listener) -> port."""
    return {
        (*_key(each), str(_map(listener).get("name"))): _map(listener)["port"]
        for each in _of(objects, "Gateway", "ListenerSet")
        for listener in _list(_map(each.get("spec")).get("listeners"))
        if isinstance(_map(listener).get("port"), int)
    }


def _parents(
    parent: Json, space: str, ports: Mapping[tuple[str, str, str], int]
) -> Iterator[int]:
    at = (str(parent.get("namespace") or space), str(parent.get("name")))
    section, number = parent.get("sectionName"), parent.get("port")
    for (*where, listener), port in ports.items():
        is_meant = (section in (None, listener)) and number in (None, port)
        if tuple(where) == at and is_meant:
            yield port


def _backend(each: Json) -> list[Address]:
    found = []
    for endpoint in _list(_map(each.get("spec")).get("endpoints")):
        ip = _map(_map(endpoint).get("ip"))
        if isinstance(ip.get("address"), str) and isinstance(ip.get("port"), int):
            found.append((ip["address"], ip["port"]))
    return found


def _istio(objects: list[Json], seen: _Found) -> None:
    """VirtualServices of hand-made gateways: `match.port` and the ServiceEntry's endpoints."""
    entries = {
        host: _endpoints(each)
        for each in _of(objects, "ServiceEntry")
        for host in _list(_map(each.get("spec")).get("hosts"))
        if isinstance(host, str)
    }
    for each in _of(objects, "VirtualService"):
        for route in map(_map, _list(_map(each.get("spec")).get("tcp"))):
            _istio_route(route, entries, seen)


def _istio_route(
    route: Json, entries: Mapping[str, list[Address]], seen: _Found
) -> None:
    addresses = [
        address
        for split in _list(route.get("route"))
        for address in _destination(_map(split), entries)
    ]
    for match in map(_map, _list(route.get("match"))):
        if isinstance(match.get("port"), int):
            seen.lead(match["port"], addresses)


def _destination(split: Json, entries: Mapping[str, list[Address]]) -> list[Address]:
    destination = _map(split.get("destination"))
    host = destination.get("host")
    return entries.get(host, []) if isinstance(host, str) else []


def _endpoints(each: Json) -> list[Address]:
    spec = _map(each.get("spec"))
    numbers = {
        _map(port).get("name"): _map(port).get("targetPort") or _map(port).get("number")
        for port in _list(spec.get("ports"))
    }
    found = []
    for endpoint in map(_map, _list(spec.get("endpoints"))):
        named = _map(endpoint.get("ports"))
        for name, number in numbers.items():
            port = named.get(str(name), number)
            address = endpoint.get("address")
            if isinstance(address, str) and isinstance(port, int):
                found.append((address, port))
    return found


def _of(objects: Iterable[Json], *kinds: str) -> Iterator[Json]:
    return (each for each in objects if each.get("kind") in kinds)


def _key(each: Json) -> tuple[str, str]:
    metadata = _map(each.get("metadata"))
    return str(metadata.get("namespace") or "default"), str(metadata.get("name"))


def _name(each: Json) -> str:
    namespace, name = _key(each)
    return f"{each.get('kind')} {namespace}/{name}"


def _map(value: object) -> Json:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []

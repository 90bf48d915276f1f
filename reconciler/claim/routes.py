"""Decodes the routes of a VirtualService's spec; pure. The spec is untrusted JSON.

A route's name must not depend on its place in the list: an inserted entry would swap the ports
of two workloads. So it is the entry's only match port, or `tcp` for a single entry without one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.claim.faults import Refused, shown
from reconciler.codes import Code
from reconciler.model.units import UnitKind
from reconciler.names import is_dns_name, is_label

MAX_DESTINATIONS = 16
MAX_WEIGHT = 1_000_000
MAX_ROUTES = 64
ONLY = "tcp"


@dataclass(frozen=True, slots=True, kw_only=True)
class RawDestination:
    """One destination as it was written: where in the spec, host, port (0: none), weight."""

    where: str
    host: str
    port: int
    subset: str
    weight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRoute:
    """One route as it was written; `hosts` are SNI hosts, sorted."""

    name: str
    where: str
    destinations: tuple[RawDestination, ...]
    hosts: tuple[str, ...] = ()


def decode_routes(spec: Mapping[str, object], kind: UnitKind) -> tuple[RawRoute, ...]:
    """The routes in order of their names. Raises Refused."""
    if kind is UnitKind.TLS:
        return _tls(_list(spec, "tls"))
    if spec.get("tcp"):
        return _tcp(_list(spec, "tcp"))
    if spec.get("http"):
        return (_http(_list(spec, "http")),)
    raise Refused(
        Code.NO_ROUTE, "the VirtualService has neither spec.tcp nor spec.http to expose"
    )


def _list(spec: Mapping[str, object], field: str) -> list[Mapping[str, object]]:
    where = f"spec.{field}"
    value = spec.get(field)
    if value is None or value == []:
        raise Refused(Code.NO_ROUTE, f"the VirtualService has no {where} to expose")
    return _mappings(value, where, MAX_ROUTES)


def _mappings(value: object, where: str, most: int) -> list[Mapping[str, object]]:
    if not isinstance(value, list) or not value:
        raise Refused(Code.MALFORMED_OBJECT, f"{where} must be a list with entries")
    if len(value) > most:
        raise Refused(Code.MALFORMED_OBJECT, f"{where} has more than {most} entries")
    for index, item in enumerate(value):
        if not isinstance(item, Mapping):
            raise Refused(Code.MALFORMED_OBJECT, f"{where}[{index}] must be a mapping")
    return value


def _tcp(entries: list[Mapping[str, object]]) -> tuple[RawRoute, ...]:
    found = []
    for index, entry in enumerate(entries):
        where = f"spec.tcp[{index}]"
        ports = _match_ports(entry, where)
        if len(ports) == 1 and None not in ports:
            name = str(next(iter(ports)))
        elif len(entries) == 1:
            name = ONLY
        else:
            raise Refused(
                Code.AMBIGUOUS_ROUTES,
                f"{where} needs exactly one match port: with several tcp entries the port names the route",
            )
        found.append(
            RawRoute(name=name, where=where, destinations=_destinations(entry, where))
        )
    return _distinct(found)


def _match_ports(entry: Mapping[str, object], where: str) -> set[int | None]:
    """The ports of all matches; `None` for a match without one and for no match at all."""
    if not entry.get("match"):
        return {None}
    ports: set[int | None] = set()
    for index, match in enumerate(_mappings(entry["match"], f"{where}.match", 256)):
        port = match.get("port")
        if port is None:
            ports.add(None)
        elif _is_port(port):
            ports.add(int(str(port)))
        else:
            raise Refused(
                Code.MALFORMED_OBJECT, f"{where}.match[{index}].port is no port"
            )
    return ports


def _distinct(routes: list[RawRoute]) -> tuple[RawRoute, ...]:
    names = [route.name for route in routes]
    for route in routes:
        if names.count(route.name) > 1:
            raise Refused(
                Code.AMBIGUOUS_ROUTES,
                f"{route.where} has the name {route.name} of another route; match another port",
            )
    return tuple(sorted(routes, key=lambda route: route.name))


def _http(entries: list[Mapping[str, object]]) -> RawRoute:
    """All http entries as one TCP route, which they are only when they all do the same."""
    for index, entry in enumerate(entries):
        extra = sorted(set(entry) - {"match", "route", "name"})
        if extra:
            raise Refused(
                Code.HTTP_NOT_UNIFORM,
                f"spec.http[{index}].{shown(extra[0])[1:-1]} cannot be done for a TCP port",
            )
    decoded = [
        _destinations(entry, f"spec.http[{index}]")
        for index, entry in enumerate(entries)
    ]
    first = _content(decoded[0])
    for index, each in enumerate(decoded):
        if _content(each) != first:
            raise Refused(
                Code.HTTP_NOT_UNIFORM,
                f"spec.http[{index}] has other destinations or weights than spec.http[0]; a TCP port cannot tell them apart",
            )
    return RawRoute(name=ONLY, where="spec.http[0]", destinations=decoded[0])


def _content(destinations: tuple[RawDestination, ...]) -> object:
    return sorted(
        (each.host, each.port, each.subset, each.weight) for each in destinations
    )


def _tls(entries: list[Mapping[str, object]]) -> tuple[RawRoute, ...]:
    found = []
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        where = f"spec.tls[{index}]"
        hosts = _sni_hosts(entry, where)
        for host in hosts:
            if host in seen:
                raise Refused(
                    Code.AMBIGUOUS_ROUTES,
                    f"{where} names {host}, as another entry does",
                )
        seen.update(hosts)
        found.append(
            RawRoute(
                name="tls" if len(entries) == 1 else hosts[0],
                where=where,
                destinations=_destinations(entry, where),
                hosts=hosts,
            )
        )
    return _distinct(found)


def _sni_hosts(entry: Mapping[str, object], where: str) -> tuple[str, ...]:
    found: set[str] = set()
    for index, match in enumerate(_mappings(entry.get("match"), f"{where}.match", 64)):
        at = f"{where}.match[{index}].sniHosts"
        hosts = match.get("sniHosts")
        if not isinstance(hosts, list) or not hosts or len(hosts) > 64:
            raise Refused(Code.INVALID_HOST, f"{at} must be a list of 1 to 64 hosts")
        for host in hosts:
            if not _is_host(host):
                raise Refused(
                    Code.INVALID_HOST,
                    f"{at} has {shown(host)}, expected an exact DNS name in lower case",
                )
            found.add(str(host))
    return tuple(sorted(found))


def _is_host(host: object) -> bool:
    return (
        isinstance(host, str)
        and is_dns_name(host)
        and "." in host
        and not host.rpartition(".")[2].isdecimal()
    )


def _destinations(
    entry: Mapping[str, object], where: str
) -> tuple[RawDestination, ...]:
    items = entry.get("route")
    if isinstance(items, list) and len(items) > MAX_DESTINATIONS:
        raise Refused(
            Code.TOO_MANY_DESTINATIONS,
            f"{where}.route has more than {MAX_DESTINATIONS} destinations",
        )
    routes = _mappings(items, f"{where}.route", MAX_DESTINATIONS)
    found = tuple(
        _destination(route, f"{where}.route[{index}]", len(routes) == 1)
        for index, route in enumerate(routes)
    )
    if sum(each.weight for each in found) == 0:
        raise Refused(
            Code.INVALID_WEIGHTS,
            f"{where}: the weights sum up to 0, no connection could go anywhere",
        )
    return found


def _destination(route: Mapping[str, object], where: str, only: bool) -> RawDestination:
    extra = sorted(set(route) - {"destination", "weight", "headers"})
    if extra or route.get("headers"):
        raise Refused(
            Code.MALFORMED_OBJECT,
            f"{where}: only destination and weight are possible here",
        )
    target = route.get("destination")
    if not isinstance(target, Mapping):
        raise Refused(
            Code.INVALID_DESTINATION, f"{where}.destination must be a mapping"
        )
    host, subset = target.get("host"), target.get("subset", "")
    if not isinstance(host, str) or not is_dns_name(host):
        raise Refused(
            Code.INVALID_DESTINATION,
            f"{where}.destination.host is {shown(host)}, expected the DNS name of a Service",
        )
    if not isinstance(subset, str) or (subset and not is_label(subset)):
        raise Refused(
            Code.INVALID_DESTINATION, f"{where}.destination.subset is no name"
        )
    return RawDestination(
        where=f"{where}.destination",
        host=host,
        port=_destination_port(target, where),
        subset=subset,
        weight=_weight(route, where, only),
    )


def _destination_port(target: Mapping[str, object], where: str) -> int:
    port = target.get("port")
    if port is None:
        return 0
    number = port.get("number") if isinstance(port, Mapping) else None
    if not _is_port(number):
        raise Refused(
            Code.INVALID_DESTINATION, f"{where}.destination.port.number must be a port"
        )
    return int(str(number))


def _weight(route: Mapping[str, object], where: str, only: bool) -> int:
    """As Istio: an absent weight is everything for an only destination, 0 among several."""
    weight = route.get("weight")
    if weight is None:
        return 1 if only else 0
    if (
        not isinstance(weight, int)
        or isinstance(weight, bool)
        or not 0 <= weight <= MAX_WEIGHT
    ):
        raise Refused(
            Code.INVALID_WEIGHTS,
            f"{where}.weight is {shown(weight)}, expected a whole number 0..{MAX_WEIGHT}",
        )
    return weight


def _is_port(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536

"""The head of a wish file: a placement in lines that people read and we read back; pure.

Below the first line (`headers.py`) stand its gateway, every route with its destinations, and its
policy, so that a file can be rendered again without its cluster and a reviewer needs no YAML:

    # eu1 shop/orders -> tcp.example.com:20018, tcp.example.com:20017 (draining) wish 3f9a6c2e
    # tcp on gateway public
    # route tcp on 20018 draining 20017
    #   to shop/orders-blue:5432 weight 90
    #   to shop/orders-green:5432 weight 10
    # policy: failover none; backend auto; idle-timeout 600s

Two placements never have the same lines, but for the kind of backend that `auto` found: it is
observed, and no renderer writes it into a wish.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile

from reconciler.headers import parse_wish_header, wish_digest
from reconciler.model.units import (
    Backend,
    Destination,
    Failover,
    PlacedRoute,
    Placement,
    Policy,
    ProxyProtocol,
    RouteWish,
    UnitId,
    UnitKind,
    Wish,
)
from reconciler.names import KINDS, is_dns_name, is_sni_host

UNKNOWN_BACKEND = Backend.NODE_PORT  # what a parsed placement has where `auto` chose
MAX_WEIGHT = 1_000_000
_MAX_LINES = 4096
_NOT_HERE = " not on this gateway"
_API = "the API servers"

_KIND = re.compile(r"# (tcp|tls|api) on gateway ([a-z0-9-]{1,63})\Z")
_ROUTE = re.compile(
    r"# route ([a-z0-9.-]{1,253})(?: for ([a-z0-9.,*-]+))?(?: on ([0-9 ]+?))?"
    rf"(?: draining ([0-9 ]+))?({_NOT_HERE})?\Z"
)
_DESTINATION = re.compile(
    rf"#   to (?:{_API}|([a-z0-9-]+)/([a-z0-9.-]+):([0-9]{{1,5}})(?:@([a-z0-9-]+))?)"
    r" weight ([0-9]{1,7})\Z"
)
_POLICY = re.compile(
    r"# policy: failover (none|any); backend (auto|node-port|load-balancer|pod)"
    r"(?:; allow-cidrs ([0-9a-f.:/ ]+))?(?:; proxy-protocol (v1|v2))?"
    r"(?:; idle-timeout ([0-9]{1,9})s)?(?:; max-connections ([0-9]{1,18}))?\Z"
)


def wish_lines(placement: Placement) -> str:
    """The lines below the first one, each ended by a newline."""
    return "".join(f"{line}\n" for line in _lines(placement))


def parse_wish(data: bytes) -> Placement | None:
    """The placement that a wish file says it was made of; `None` where its head is not ours.

    The digest is the one of the first line, true or not (see `digest_of`).
    """
    raw = data.split(b"\n", _MAX_LINES)[:_MAX_LINES]
    head = [line.decode("ascii", "replace") for line in takewhile(_is_comment, raw)]
    header = parse_wish_header(data)
    if header is None or len(head) < 4:
        return None
    kind, policy = _KIND.match(head[1]), _policy(head[-1])
    if kind is None or policy is None:
        return None
    routes = _routes(head[2:-1], _backend(header.unit, policy))
    if routes is None:
        return None
    placement = Placement(
        gateway=kind[2],
        wish=Wish(
            unit=header.unit,
            kind=UnitKind(kind[1]),
            routes=tuple(route.wish for route in routes),
            policy=policy,
        ),
        routes=tuple(route for route in routes if route.ports or route.wish.hosts),
        digest=header.digest,
    )
    # One spelling only: what another one hides is not what a reviewer reads.
    exact = list(_lines(placement)) == head[1:]
    return placement if exact and _is_possible(placement) else None


def digest_of(placement: Placement) -> str:
    """The digest that the first line must have for this placement."""
    ports = tuple(
        (route.wish.name, port)
        for route in placement.routes
        for port in route.ports
        if port not in route.draining
    )
    return wish_digest(placement.wish, placement.gateway, ports)


def _is_possible(placement: Placement) -> bool:
    """Whether the planner could have made it, so that every renderer can render it."""
    wish = placement.wish
    api = wish.kind is UnitKind.API
    if api != wish.unit.is_api or (api and wish.policy != Policy()):
        return False
    ports = [port for route in placement.routes for port in route.ports]
    if not placement.routes or len(set(ports)) != len(ports):
        return False
    if not all(0 < port < 65536 for port in ports):
        return False
    if any(route.ports and route.wish.hosts for route in placement.routes):
        return False
    return all(map(_is_network, wish.policy.allow_cidrs)) and all(
        _is_possible_route(route, wish.kind) for route in wish.routes
    )


def _is_possible_route(route: RouteWish, kind: UnitKind) -> bool:
    names = [each.service for each in route.destinations]
    if kind is UnitKind.API:
        names = []
    elif (kind is UnitKind.TLS) != bool(route.hosts):
        return False
    keys = {each.key for each in route.destinations}
    weights = [each.weight for each in route.destinations]
    api = [each.backend is Backend.API_SERVER for each in route.destinations]
    return (
        len(keys) == len(weights)
        and sum(weights) > 0
        and max(weights) <= MAX_WEIGHT
        and all(each is (kind is UnitKind.API) for each in api)
        and all(map(is_dns_name, (route.name, *names)))
        and all(map(is_sni_host, route.hosts))
        and all(0 <= each.port < 65536 for each in route.destinations)
    )


def _is_network(text: str) -> bool:
    try:
        return str(ipaddress.ip_network(text)) == text
    except ValueError:
        return False


def _is_comment(line: bytes) -> bool:
    return line.startswith(b"#")


def _lines(placement: Placement) -> Iterator[str]:
    wish = placement.wish
    yield f"# {wish.kind} on gateway {placement.gateway}"
    placed = {route.wish.name: route for route in placement.routes}
    for route in wish.routes:
        yield f"# route {route.name}{_where(route, placed.get(route.name))}"
        for each in route.destinations:
            key = _API if each.backend is Backend.API_SERVER else each.key
            yield f"#   to {key} weight {each.weight}"
    yield f"# policy: {'; '.join(_terms(wish.policy))}"


def _where(route: RouteWish, placed: PlacedRoute | None) -> str:
    hosts = [",".join(route.hosts)] if route.hosts else []
    if placed is None:
        return f"{_words('for', hosts)}{_NOT_HERE}"
    active = [port for port in placed.ports if port not in placed.draining]
    parts = (("for", hosts), ("on", active), ("draining", placed.draining))
    return "".join(_words(word, values) for word, values in parts)


def _words(word: str, values: Iterable[object]) -> str:
    text = " ".join(map(str, values))
    return f" {word} {text}" if text else ""


def _terms(policy: Policy) -> Iterator[str]:
    yield f"failover {policy.failover}"
    yield f"backend {policy.backend}"
    if policy.allow_cidrs:
        yield f"allow-cidrs {' '.join(policy.allow_cidrs)}"
    if policy.proxy_protocol is not None:
        yield f"proxy-protocol {policy.proxy_protocol}"
    if policy.idle_timeout_seconds is not None:
        yield f"idle-timeout {policy.idle_timeout_seconds}s"
    if policy.max_connections is not None:
        yield f"max-connections {policy.max_connections}"


def _policy(line: str) -> Policy | None:
    match = _POLICY.match(line)
    if match is None:
        return None
    failover, backend, cidrs, version, idle, connections = match.groups()
    return Policy(
        failover=Failover(failover),
        backend=backend,
        allow_cidrs=tuple((cidrs or "").split()),
        proxy_protocol=None if version is None else ProxyProtocol(version),
        idle_timeout_seconds=None if idle is None else int(idle),
        max_connections=None if connections is None else int(connections),
    )


def _routes(lines: Sequence[str], backend: Backend) -> list[PlacedRoute] | None:
    """Routes in the order of the lines; `None` for a line that is none of ours."""
    found: list[tuple[re.Match[str], list[Destination]]] = []
    for line in lines:
        route, destination = _ROUTE.match(line), _DESTINATION.match(line)
        if route is not None:
            found.append((route, []))
        elif destination is not None and found:
            found[-1][1].append(_destination(destination, backend))
        else:
            return None
    if len({route[1] for route, _ in found}) != len(found):
        return None
    return [_route(route, tuple(destinations)) for route, destinations in found]


def _route(match: re.Match[str], destinations: tuple[Destination, ...]) -> PlacedRoute:
    name, hosts, active, draining, _ = match.groups()
    old = _numbers(draining)
    return PlacedRoute(
        wish=RouteWish(
            name=name,
            destinations=destinations,
            hosts=tuple(hosts.split(",")) if hosts else (),
        ),
        ports=_numbers(active) + old,
        draining=old,
    )


def _numbers(text: str | None) -> tuple[int, ...]:
    # Beyond five digits it is no port; kept short, so that int() stays cheap.
    return tuple(int(each[:6]) for each in (text or "").split())


def _backend(unit: UnitId, policy: Policy) -> Backend:
    """Where a unit's destinations have their addresses from, as far as its wish tells."""
    if unit.namespace in KINDS:
        return Backend.ROUTER
    return UNKNOWN_BACKEND if policy.backend == "auto" else Backend(policy.backend)


def _destination(match: re.Match[str], backend: Backend) -> Destination:
    namespace, service, port, subset, weight = match.groups()
    if service is None:
        backend = Backend.API_SERVER
    return Destination(
        namespace=namespace or "",
        service=service or "",
        port=int(port or 0),
        backend=backend,
        weight=int(weight),
        subset=subset or "",
    )

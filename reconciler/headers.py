"""First lines of unit files: what plan, hold and render say to each other through Git; pure.

A wish file starts with one line that names what is served and the digest of the wish:

    # eu1 shop/orders -> tcp.example.com:20017 wish 3f9a6c2e

The lines below it (`wishes.py`) hold the rest of the wish. An addresses file starts with lines that hold everything needed to render it again, so that a
held unit can follow its cluster without its VirtualService, and the sticky set needs no YAML:

    # eu1 shop/orders addresses failover none
    # 5432 shop/orders-blue:5432 node-port weight 90 -> 10.20.0.1:31001 10.20.0.2:31001
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from dataclasses import dataclass

from reconciler.model.units import (
    Address,
    Backend,
    Destination,
    Failover,
    Located,
    LocatedRoute,
    Placement,
    UnitAddresses,
    UnitId,
    Wish,
)
from reconciler.names import is_dns_name

_NAMESPACE = r"(?:[a-z0-9-]+|cf\.(?:domain|tcp))"
_WISH = re.compile(
    rf"# ([a-z0-9-]+) (api|{_NAMESPACE}/[a-z0-9.-]+) "
    r"-> (\S+(?: \(draining\))?(?:, \S+(?: \(draining\))?)*) wish ([0-9a-f]{8})\Z"
)
_SERVED = re.compile(r"((?:\*\.)?[a-z0-9.-]+):([1-9][0-9]{0,4})( \(draining\))?\Z")
_ADDRESSES = re.compile(
    rf"# ([a-z0-9-]+) (api|{_NAMESPACE}/[a-z0-9.-]+) addresses failover (none|any)\Z"
)
_DESTINATION = re.compile(
    r"# ([a-z0-9.-]+) ([a-z0-9-]*)/([a-z0-9.-]*):([0-9]{1,5})(?:@([A-Za-z0-9._-]+))? "
    r"(node-port|load-balancer|pod|api-server|router) weight ([0-9]{1,7}) ->((?: \S+)*)\Z"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One `host:port` of a wish header."""

    host: str
    port: int
    draining: bool = False

    def __str__(self) -> str:
        return f"{self.host}:{self.port}{' (draining)' if self.draining else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WishHeader:
    """The parsed first line of a wish file. `digest` is 8 hex digits."""

    unit: UnitId
    served: tuple[Served, ...]
    digest: str

    def __str__(self) -> str:
        served = ", ".join(map(str, self.served))
        return f"# {_subject(self.unit)} -> {served} wish {self.digest}"


def _subject(unit: UnitId) -> str:
    rest = "api" if unit.is_api else f"{unit.namespace}/{unit.name}"
    return f"{unit.cluster} {rest}"


def _unit(cluster: str, rest: str) -> UnitId:
    if rest == "api":
        return UnitId(cluster=cluster)
    namespace, _, name = rest.partition("/")
    return UnitId(cluster=cluster, namespace=namespace, name=name)


def wish_digest(wish: Wish, gateway: str, ports: tuple[tuple[str, int], ...]) -> str:
    """8 hex digits over what people decide: the wish, its gateway and its active ports.

    Not over addresses, draining ports, gateway defaults, renderer or version. `ports` are
    (route, port). The kind of backend that `auto` found is left out: it is observed.
    """
    content = {
        "unit": [wish.unit.cluster, wish.unit.namespace, wish.unit.name],
        "kind": wish.kind,
        "gateway": gateway,
        "ports": sorted([route, port] for route, port in ports),
        "routes": [
            {
                "name": route.name,
                "hosts": list(route.hosts),
                "destinations": [
                    [each.key, each.weight] for each in route.destinations
                ],
            }
            for route in wish.routes
        ],
        "policy": {
            "failover": wish.policy.failover,
            "backend": wish.policy.backend,
            "allowCidrs": list(wish.policy.allow_cidrs),
            "proxyProtocol": wish.policy.proxy_protocol,
            "idleTimeout": wish.policy.idle_timeout_seconds,
            "maxConnections": wish.policy.max_connections,
        },
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def wish_header(placement: Placement, host: str, tls_port: int) -> WishHeader:
    """The header of a placement; `host` is what clients dial for a port of its gateway."""
    served = tuple(
        each
        for route in placement.routes
        for each in (
            *(
                Served(host=host, port=port, draining=port in route.draining)
                for port in route.ports
            ),
            *(
                Served(host=sni, port=tls_port)
                for sni in (route.wish.hosts if not route.ports else ())
            ),
        )
    )
    return WishHeader(unit=placement.wish.unit, served=served, digest=placement.digest)


def first_line(data: bytes) -> str:
    """The first line of a file as text; bytes that are no ASCII never match anything."""
    return data.split(b"\n", 1)[0][:65536].decode("ascii", "replace").rstrip("\r")


def parse_wish_header(data: bytes) -> WishHeader | None:
    """The header of a wish file, `None` where the first line is not exactly one."""
    match = _WISH.match(first_line(data))
    if match is None:
        return None
    cluster, rest, served_text, digest = match.groups()
    served = []
    for item in served_text.split(", "):
        part = _SERVED.match(item)
        if part is None:
            return None
        served.append(
            Served(host=part[1], port=int(part[2]), draining=part[3] is not None)
        )
    return WishHeader(unit=_unit(cluster, rest), served=tuple(served), digest=digest)


def addresses_header(addresses: UnitAddresses) -> str:
    """The leading comment lines of an addresses file, each ended by a newline."""
    lines = [f"# {_subject(addresses.unit)} addresses failover {addresses.failover}"]
    for route in addresses.routes:
        for located in route.located:
            where = located.destination
            found = "".join(f" {each}" for each in located.addresses)
            lines.append(
                f"# {route.name} {where.key} {where.backend} weight {where.weight} ->{found}"
            )
    return "".join(f"{line}\n" for line in lines)


def parse_addresses(data: bytes) -> UnitAddresses | None:
    """What an addresses file says of itself, `None` where its head is not exactly ours."""
    head = []
    for raw in data.split(b"\n"):
        if not raw.startswith(b"# "):
            break
        head.append(raw.decode("ascii", "replace"))
    match = _ADDRESSES.match(head[0]) if head else None
    if match is None:
        return None
    routes: dict[str, list[Located]] = {}
    for line in head[1:]:
        parsed = _parse_destination(line)
        if parsed is None:
            return None
        routes.setdefault(parsed[0], []).append(parsed[1])
    return UnitAddresses(
        unit=_unit(match[1], match[2]),
        failover=Failover(match[3]),
        routes=tuple(
            LocatedRoute(name=name, located=tuple(located))
            for name, located in routes.items()
        ),
    )


def _parse_destination(line: str) -> tuple[str, Located] | None:
    match = _DESTINATION.match(line)
    if match is None:
        return None
    addresses = tuple(map(_parse_address, match[8].split()))
    if any(address is None for address in addresses):
        return None
    destination = Destination(
        namespace=match[2],
        service=match[3],
        port=int(match[4]),
        subset=match[5] or "",
        backend=Backend(match[6]),
        weight=int(match[7]),
    )
    found = tuple(address for address in addresses if address is not None)
    return match[1], Located(destination=destination, addresses=found)


def _parse_address(text: str) -> Address | None:
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or len(port) > 5 or not 0 < int(port) < 65536:
        return None
    if "%" in text:  # a zone id would pass for an address, with any text in it
        return None
    host = host.removeprefix("[").removesuffix("]")
    try:
        literal = str(ipaddress.ip_address(host))
    except ValueError:
        valid = is_dns_name(host)
        return Address(host=host, port=int(port), is_ip=False) if valid else None
    return Address(host=literal, port=int(port))


def wish_moved(current: bytes | None, wanted: bytes | None) -> bool:
    """Whether the wish itself differs: digest or draining ports, not host or rendering."""
    if current is None or wanted is None:
        return True
    before, after = parse_wish_header(current), parse_wish_header(wanted)
    if before is None or after is None or before.digest != after.digest:
        return True
    ports = [
        sorted((each.port, each.draining) for each in header.served)
        for header in (before, after)
    ]
    return ports[0] != ports[1]

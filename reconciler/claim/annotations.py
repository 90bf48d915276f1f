"""Reads our annotations of a VirtualService, exactly as written; pure.

Nothing is trimmed or case-folded: an empty or malformed value is a rejection, never absence.
An unknown key under our prefix is a rejection too, because a typo must not be silent.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from reconciler.claim.refusals import Refused, did_you_mean, quoted
from reconciler.codes import Code
from reconciler.model.units import Failover, Policy, ProxyProtocol, UnitKind
from reconciler.names import is_label

PREFIX = "wharfinger.dev/"
EXPOSE = "expose"
INPUT = frozenset(
    {
        EXPOSE,
        "gateway",
        "request-port",
        "failover",
        "backend",
        "allow-cidrs",
        "proxy-protocol",
        "idle-timeout",
        "max-connections",
    }
)
WRITTEN = frozenset(
    {"state", "message", "host", "port", "endpoints", "commit", "observed-generation"}
)
_KNOWN = frozenset(PREFIX + name for name in INPUT | WRITTEN)
_KEYS = tuple((PREFIX + name, name) for name in sorted(INPUT))
BACKENDS = ("auto", "node-port", "load-balancer", "pod")

MAX_BYTES = 4096
MAX_CIDRS = 64
MAX_CONNECTIONS = 1_000_000
MAX_IDLE_SECONDS = 30 * 24 * 3600

_DECIMAL = re.compile(r"[1-9][0-9]{0,9}\Z")
_DURATION = re.compile(
    r"(?:([1-9][0-9]{0,3})h)?(?:([1-9][0-9]{0,5})m)?(?:([1-9][0-9]{0,7})s)?\Z"
)
_CIDR = re.compile(r"[0-9A-Fa-f.:]{2,45}/[0-9]{1,3}\Z")
_ROUTE = re.compile(r"[a-z0-9.-]{1,253}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The annotations of one exposure. `requests` are (route, port), route empty if bare."""

    kind: UnitKind
    gateway: str
    requests: tuple[tuple[str, int], ...]
    policy: Policy


def is_exposed(annotations: Mapping[str, str]) -> bool:
    """Whether the object asks for anything at all; what it asks may still be wrong."""
    return PREFIX + EXPOSE in annotations


def is_written_back(annotations: Mapping[str, str]) -> bool:
    """Whether the object carries annotations that only we write."""
    return any(PREFIX + key in annotations for key in WRITTEN)


def check_keys(annotations: Mapping[str, str]) -> None:
    """Raises Refused for a key under our prefix that means nothing."""
    unknown = [
        key for key in annotations if key.startswith(PREFIX) and key not in _KNOWN
    ]
    if unknown:
        first = min(unknown)
        near = did_you_mean(first.removeprefix(PREFIX), INPUT, PREFIX)
        what = f"there is no such annotation{near}"
        raise Refused(Code.INVALID_ANNOTATION, f"annotation {quoted(first)}", what)


def read(annotations: Mapping[str, str]) -> Asked:
    """What an exposed object asks for. Raises Refused for the first fault."""
    check_keys(annotations)
    said = tuple(
        (name, _value(name, annotations[key]))
        for key, name in _KEYS
        if key in annotations
    )
    return _asked(said)


@lru_cache(maxsize=256)  # most exposures ask for the same; what is refused is not kept
def _asked(said: tuple[tuple[str, str], ...]) -> Asked:
    values = dict(said)
    kind = _kind(values[EXPOSE])
    return Asked(
        kind=kind,
        gateway=_gateway(values.get("gateway")),
        requests=_requests(values.get("request-port"), kind),
        policy=_policy(values),
    )


def requested(asked: Asked, names: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    """Asked ports by route. Raises Refused when a route is not there or not said."""
    listing = ", ".join(names[:8])
    where = f"{PREFIX}request-port"
    for route, port in asked.requests:
        if not route:
            if len(names) > 1:
                what = f"{port}: there are several routes ({listing}); write route=port for each"
                raise Refused(Code.INVALID_ANNOTATION, where, what)
            return ((names[0], port),)
        if route not in names:
            what = f"there is no route {quoted(route)}; there are {listing}"
            raise Refused(Code.UNKNOWN_ROUTE, where, what)
    return asked.requests


def wrong(name: str, value: object, what: str) -> Refused:
    """The rejection of an annotation's value."""
    return Refused(
        Code.INVALID_ANNOTATION, PREFIX + name, f"{quoted(value)}: expected {what}"
    )


def _value(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise wrong(name, value, "a string")
    if len(value) > MAX_BYTES or len(value.encode("utf-8", "replace")) > MAX_BYTES:
        raise wrong(name, value, f"at most {MAX_BYTES} bytes")
    return value


def _kind(value: str) -> UnitKind:
    if value in (UnitKind.TCP, UnitKind.TLS):
        return UnitKind(value)
    what = (
        f"{quoted(value)}: expected tcp or tls; remove the annotation to expose nothing"
    )
    raise Refused(Code.INVALID_EXPOSE, PREFIX + EXPOSE, what)


def _gateway(value: str | None) -> str:
    if value is None:
        return ""
    if not is_label(value):
        raise wrong("gateway", value, "the name of a gateway")
    return value


def _requests(value: str | None, kind: UnitKind) -> tuple[tuple[str, int], ...]:
    if value is None:
        return ()
    if kind is UnitKind.TLS:
        what = "no value: with expose tls all share the gateway's TLS port; remove it"
        raise wrong("request-port", value, what)
    if "=" not in value and "," not in value:
        return (("", _port(value, value)),)
    found: dict[str, int] = {}
    for part in value.split(","):
        route, equals, number = part.partition("=")
        if not equals or _ROUTE.match(route) is None:
            raise wrong(
                "request-port",
                value,
                "a port, or route=port pairs such as 5432=20017,6379=20018",
            )
        port = _port(number, value)
        if route in found or port in found.values():
            raise wrong("request-port", value, "every route and every port once")
        found[route] = port
    return tuple(sorted(found.items()))


def _port(number: str, value: str) -> int:
    if _DECIMAL.match(number) is None or int(number) > 65535:
        raise wrong("request-port", value, "ports 1 to 65535 in plain decimal")
    return int(number)


def _policy(values: Mapping[str, str]) -> Policy:
    return Policy(
        failover=Failover(_choice(values, "failover", tuple(Failover), "none")),
        backend=_choice(values, "backend", BACKENDS, "auto"),
        allow_cidrs=_cidrs(values.get("allow-cidrs")),
        proxy_protocol=ProxyProtocol(
            _choice(values, "proxy-protocol", tuple(ProxyProtocol), "")
        )
        if "proxy-protocol" in values
        else None,
        idle_timeout_seconds=_seconds(values.get("idle-timeout")),
        max_connections=_connections(values.get("max-connections")),
    )


def _choice(
    values: Mapping[str, str], name: str, choices: tuple[str, ...], default: str
) -> str:
    value = values.get(name, default)
    if value not in choices:
        raise wrong(name, value, f"one of {', '.join(choices)}")
    return value


def _cidrs(value: str | None) -> tuple[str, ...]:
    if value is None:
        return ()
    parts = value.split(",")
    if len(parts) > MAX_CIDRS:
        raise wrong("allow-cidrs", value, f"at most {MAX_CIDRS} CIDRs")
    networks = [_cidr(part, value) for part in parts]
    if len(set(networks)) != len(networks):
        raise wrong("allow-cidrs", value, "every CIDR once")
    ordered = sorted(
        networks,
        key=lambda each: (each.version, int(each.network_address), each.prefixlen),
    )
    return tuple(map(str, ordered))


def _cidr(part: str, value: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """One network in its only spelling: a second one for the same would look like a change."""
    try:
        if _CIDR.match(part) is None:  # a zone id would pass, with any text in it
            raise ValueError(part)
        network = ipaddress.ip_network(part, strict=False)
    except ValueError:
        what = "CIDRs such as 10.0.0.0/8 or 2001:db8::/32, separated by single commas"
        raise wrong("allow-cidrs", value, what) from None
    mapped = (
        isinstance(network, ipaddress.IPv6Network)
        and network.network_address.ipv4_mapped
    )
    if mapped:
        raise wrong("allow-cidrs", value, "IPv4 networks in their own form")
    if str(network) != part:
        raise wrong("allow-cidrs", value, f"{network} instead of {quoted(part)}")
    return network


def _seconds(value: str | None) -> int | None:
    if value is None:
        return None
    match = _DURATION.match(value) if value else None
    if match is not None:
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
        total = hours * 3600 + minutes * 60 + seconds
        if total <= MAX_IDLE_SECONDS:
            return total
    raise wrong("idle-timeout", value, "a duration such as 30s, 10m or 24h, up to 720h")


def _connections(value: str | None) -> int | None:
    if value is None:
        return None
    if _DECIMAL.match(value) is None or int(value) > MAX_CONNECTIONS:
        raise wrong("max-connections", value, f"a number from 1 to {MAX_CONNECTIONS}")
    return int(value)

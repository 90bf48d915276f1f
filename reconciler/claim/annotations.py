"""Decodes `wharfinger.dev/*` annotations; pure. Values are taken exactly, never trimmed."""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.claim.faults import Refused, shown
from reconciler.codes import Code
from reconciler.model.units import Failover, Policy, ProxyProtocol, UnitKind
from reconciler.names import is_label
from reconciler.settings import parse_duration

PREFIX = "wharfinger.dev/"
EXPOSE = PREFIX + "expose"
ASKED = frozenset(
    PREFIX + name
    for name in (
        "expose",
        "gateway",
        "request-port",
        "failover",
        "backend",
        "allow-cidrs",
        "proxy-protocol",
        "idle-timeout",
        "max-connections",
    )
)
WRITTEN = frozenset(
    PREFIX + name
    for name in (
        "state",
        "message",
        "host",
        "port",
        "endpoints",
        "commit",
        "observed-generation",
    )
)
BACKENDS = ("auto", "node-port", "load-balancer", "pod")
MAX_BYTES = 4096
MAX_CIDRS = 64
MAX_IDLE_SECONDS = 30 * 24 * 3600
MAX_CONNECTIONS = 1_000_000

_PORT = re.compile(r"[1-9][0-9]{0,4}\Z")
_COUNT = re.compile(r"[1-9][0-9]{0,6}\Z")
_ROUTE = re.compile(r"[a-z0-9.-]{1,253}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """All that annotations ask for. `ports` are (route, port); route is empty for a bare port."""

    kind: UnitKind
    gateway: str
    ports: tuple[tuple[str, int], ...]
    policy: Policy


def is_exposed(annotations: Mapping[str, str]) -> bool:
    """Whether the object asks to be exposed, well or badly."""
    return EXPOSE in annotations


def decode(annotations: Mapping[str, str]) -> Asked:
    """What the annotations ask for. Raises Refused at the first fault."""
    for key in sorted(annotations):
        if key.startswith(PREFIX):
            _check_key(key, annotations[key])
    kind = _one_of(annotations, EXPOSE, ("tcp", "tls"), Code.INVALID_EXPOSE)
    return Asked(
        kind=UnitKind(kind),
        gateway=_gateway(annotations),
        ports=_ports(annotations, kind),
        policy=Policy(
            failover=Failover(
                _one_of(
                    annotations, PREFIX + "failover", ("none", "any"), default="none"
                )
            ),
            backend=_one_of(annotations, PREFIX + "backend", BACKENDS, default="auto"),
            allow_cidrs=_cidrs(annotations),
            proxy_protocol=_proxy_protocol(annotations),
            idle_timeout_seconds=_idle_timeout(annotations),
            max_connections=_max_connections(annotations),
        ),
    )


def _check_key(key: str, value: object) -> None:
    if key in WRITTEN:
        return
    if key not in ASKED:
        near = difflib.get_close_matches(key, sorted(ASKED), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise Refused(
            Code.INVALID_ANNOTATION, f"{shown(key)} is no annotation of ours{hint}"
        )
    if not isinstance(value, str):
        raise Refused(Code.INVALID_ANNOTATION, f"{key} must be text, put it in quotes")
    if len(value) > MAX_BYTES:
        raise Refused(
            Code.INVALID_ANNOTATION, f"{key} is longer than {MAX_BYTES} characters"
        )


def _bad(key: str, value: str, expected: str, code: Code | None = None) -> Refused:
    return Refused(
        code or Code.INVALID_ANNOTATION, f"{key} is {shown(value)}, expected {expected}"
    )


def _one_of(
    annotations: Mapping[str, str],
    key: str,
    allowed: tuple[str, ...],
    code: Code | None = None,
    default: str = "",
) -> str:
    if key not in annotations and default:
        return default
    value = annotations[key]
    if value not in allowed:
        raise _bad(key, value, " or ".join(allowed), code)
    return value


def _gateway(annotations: Mapping[str, str]) -> str:
    key = PREFIX + "gateway"
    if key not in annotations:
        return ""
    value = annotations[key]
    if not is_label(value):
        raise _bad(key, value, "the name of a gateway")
    return value


def _ports(annotations: Mapping[str, str], kind: str) -> tuple[tuple[str, int], ...]:
    key = PREFIX + "request-port"
    if key not in annotations:
        return ()
    value = annotations[key]
    if kind == "tls":
        raise Refused(
            Code.INVALID_ANNOTATION,
            f"{key} cannot be used with expose: tls, whose port is shared",
        )
    expected = "a port such as 20017, or 5672=20017,15672=20018 by route name"
    if "=" not in value:
        return (("", _port(key, value, expected)),)
    found: dict[str, int] = {}
    for item in value.split(","):
        route, _, port = item.partition("=")
        if not _ROUTE.match(route) or route in found:
            raise _bad(key, value, expected)
        found[route] = _port(key, port, expected)
    if len(set(found.values())) != len(found):
        raise _bad(key, value, "a different port for each route")
    return tuple(sorted(found.items()))


def _port(key: str, text: str, expected: str) -> int:
    if not _PORT.match(text) or int(text) > 65535:
        raise _bad(key, text, expected)
    return int(text)


def _cidrs(annotations: Mapping[str, str]) -> tuple[str, ...]:
    key = PREFIX + "allow-cidrs"
    if key not in annotations:
        return ()
    items = annotations[key].split(",")
    if len(items) > MAX_CIDRS:
        raise Refused(
            Code.INVALID_ANNOTATION, f"{key} has more than {MAX_CIDRS} entries"
        )
    return tuple(sorted({_cidr(key, item) for item in items}))


def _cidr(key: str, text: str) -> str:
    try:
        network = ipaddress.ip_network(text, strict=True)
    except ValueError:
        network = None
    if network is None or str(network) != text:
        raise _bad(
            key, text, "CIDRs such as 198.51.100.0/24,2001:db8::/32, host bits zero"
        )
    return text


def _proxy_protocol(annotations: Mapping[str, str]) -> ProxyProtocol | None:
    key = PREFIX + "proxy-protocol"
    if key not in annotations:
        return None
    return ProxyProtocol(_one_of(annotations, key, ("v1", "v2")))


def _idle_timeout(annotations: Mapping[str, str]) -> int | None:
    key = PREFIX + "idle-timeout"
    if key not in annotations:
        return None
    expected = "a duration such as 30s, 10m or 24h, at most 720h"
    try:
        seconds = int(parse_duration(annotations[key]).total_seconds())
    except ValueError:
        raise _bad(key, annotations[key], expected) from None
    if not 0 < seconds <= MAX_IDLE_SECONDS:
        raise _bad(key, annotations[key], expected)
    return seconds


def _max_connections(annotations: Mapping[str, str]) -> int | None:
    key = PREFIX + "max-connections"
    if key not in annotations:
        return None
    value = annotations[key]
    if not _COUNT.match(value) or int(value) > MAX_CONNECTIONS:
        raise _bad(key, value, f"a number 1..{MAX_CONNECTIONS}")
    return int(value)

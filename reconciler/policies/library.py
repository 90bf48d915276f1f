"""The functions on IP addresses and networks that Kubernetes adds to CEL; pure.

Exactly as k8s.io/apiserver's `pkg/cel/library` has them, on Go's `net/netip`: no zones, no
IPv4-mapped IPv6 addresses, no leading zeros, host bits of a network are kept. Values of these
types are mappings with one key that no manifest has: Python values are all that the evaluator
hands through. `string(ip)` and `type(ip)` are therefore not what the API server has.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from functools import lru_cache

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Boxed = dict[str, str]

IP, CIDR = "net.IP", "net.CIDR"
_BITS = re.compile(r"(?:0|[1-9][0-9]{0,2})\Z")
_LINK_LOCAL_MULTICAST = tuple(map(ipaddress.ip_network, ("224.0.0.0/24", "ff02::/16")))
_BROADCAST = ipaddress.IPv4Address("255.255.255.255")


@lru_cache(maxsize=4096)
def _parse_ip(text: str) -> Ip:
    if "%" in text:
        raise ValueError(f"IP address {text!r} with zone value is not allowed")
    found = ipaddress.ip_address(text)
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        raise ValueError(f"IPv4-mapped IPv6 address {text!r} is not allowed")
    return found


@lru_cache(maxsize=4096)
def _parse_cidr(text: str) -> tuple[Ip, Network]:
    """The address as written, and the network around it."""
    address, slash, bits = text.rpartition("/")
    if not slash or _BITS.match(bits) is None:
        raise ValueError(f"network address parse error: {text!r}")
    return _parse_ip(address), ipaddress.ip_network(text, strict=False)


def _parses(kind: str, text: str) -> bool:
    try:
        _parse_ip(text) if kind == IP else _parse_cidr(text)
    except ValueError:
        return False
    return True


def _unboxed(value: object, kind: str) -> str:
    if not isinstance(value, Mapping) or kind not in value:
        raise ValueError(f"no such overload: expected {kind}")
    return str(value[kind])


def _ip(value: object) -> Ip:
    return _parse_ip(_unboxed(value, IP))


def _cidr(value: object) -> tuple[Ip, Network]:
    return _parse_cidr(_unboxed(value, CIDR))


def is_ip(text: str) -> bool:
    """`isIP('10.0.0.1')`."""
    return _parses(IP, text)


def ip(text: str) -> Boxed:
    """`ip('10.0.0.1')`; raises ValueError, an evaluation error, for what is none."""
    return {IP: str(_parse_ip(text))}


def ip_is_canonical(text: str) -> bool:
    """`ip.isCanonical('::1')`; raises ValueError for what is none."""
    return str(_parse_ip(text)) == text


def family(value: object) -> int:
    """`ip(...).family()`: 4 or 6."""
    return _ip(value).version


def is_unspecified(value: object) -> bool:
    """`ip(...).isUnspecified()`: `0.0.0.0` and `::`."""
    return int(_ip(value)) == 0


def is_loopback(value: object) -> bool:
    """`ip(...).isLoopback()`: 127.0.0.0/8 and `::1`."""
    return _ip(value).is_loopback


def is_link_local_unicast(value: object) -> bool:
    """`ip(...).isLinkLocalUnicast()`: 169.254.0.0/16 and fe80::/10."""
    return _ip(value).is_link_local


def is_link_local_multicast(value: object) -> bool:
    """`ip(...).isLinkLocalMulticast()`: 224.0.0.0/24 and ff02::/16."""
    found = _ip(value)
    if isinstance(found, ipaddress.IPv6Address):
        return int(found) >> 120 == 0xFF and int(found) >> 112 & 0xF == 2
    return found in _LINK_LOCAL_MULTICAST[0]


def is_global_unicast(value: object) -> bool:
    """`ip(...).isGlobalUnicast()`: as Go has it, private addresses included."""
    found = _ip(value)
    return not (
        int(found) == 0
        or found == _BROADCAST
        or found.is_loopback
        or found.is_multicast
        or found.is_link_local
    )


def is_cidr(text: str) -> bool:
    """`isCIDR('10.0.0.0/8')`; host bits may be set."""
    return _parses(CIDR, text)


def cidr(text: str) -> Boxed:
    """`cidr('10.0.0.0/8')`; raises ValueError for what is none."""
    address, network = _parse_cidr(text)
    return {CIDR: f"{address}/{network.prefixlen}"}


def contains_ip(value: object, other: object) -> bool:
    """`cidr(...).containsIP(ip or string)`; never across families."""
    _, network = _cidr(value)
    return (_parse_ip(other) if isinstance(other, str) else _ip(other)) in network


def contains_cidr(value: object, other: object) -> bool:
    """`cidr(...).containsCIDR(cidr or string)`."""
    _, network = _cidr(value)
    _, inner = _parse_cidr(other) if isinstance(other, str) else _cidr(other)
    return (
        network.version == inner.version
        and network.prefixlen <= inner.prefixlen
        and inner.network_address in network
    )


def prefix_length(value: object) -> int:
    """`cidr(...).prefixLength()`."""
    return _cidr(value)[1].prefixlen


def masked(value: object) -> Boxed:
    """`cidr(...).masked()`: without host bits."""
    return {CIDR: str(_cidr(value)[1])}


def address(value: object) -> Boxed:
    """`cidr(...).ip()`: the address as written."""
    return {IP: str(_cidr(value)[0])}

"""What a tenant may use: addresses, hosts and gateways; pure.

Addresses come from tenants' clusters and are hostile. Only plain literals are addresses; what
hides inside IPv4-mapped, NAT64 and 6to4 forms counts as the address inside. The tables are our
own: the standard library's `is_private` and friends changed between releases.

An entry of `endpoints` that lies wholly inside a special network (loopback, link-local, ...)
lists it exactly and so permits it; a wider one such as 0.0.0.0/0 does not. Without `endpoints`
a tenant has no limit but these.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

from reconciler.names import is_dns_name
from reconciler.settings import Settings, Tenant

IP = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NEVER = tuple(
    (ipaddress.ip_network(text), why)
    for text, why in (
        ("0.0.0.0/8", "unspecified"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved or broadcast"),
        ("::/128", "unspecified"),
        ("ff00::/8", "multicast"),
    )
)
_ONLY_IF_LISTED = tuple(
    (ipaddress.ip_network(text), why)
    for text, why in (
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local or a metadata service"),
        ("100.100.100.200/32", "a metadata service"),
        ("168.63.129.16/32", "a metadata service"),
        ("192.0.0.192/32", "a metadata service"),
        ("::1/128", "loopback"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("fd00:ec2::/32", "a metadata service"),
        ("fd20:ce::/32", "a metadata service"),
    )
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.ip_network("64:ff9b:1::/48")
_COMPATIBLE = ipaddress.ip_network("::/96")
_IPV4 = re.compile(r"(?:0|[1-9][0-9]{0,2})(?:\.(?:0|[1-9][0-9]{0,2})){3}\Z")
_LOOKS_LIKE_IP = re.compile(r"(?:0x[0-9a-f]+|[0-9]+)(?:\.(?:0x[0-9a-f]+|[0-9]+))*\Z")


def parse_ip(text: str) -> IP | None:
    """The address that a plain literal means, unwrapped; `None` for anything else."""
    if not text.isascii() or "%" in text or len(text) > 45:
        return None
    if ":" not in text and not _IPV4.match(text):
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return _inside(address)


def _inside(address: IP) -> IP:
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    number = int(address)
    wrapped = address in _NAT64 or address in _NAT64_LOCAL
    if wrapped or (address in _COMPATIBLE and number > 0xFFFF):
        return ipaddress.IPv4Address(number & 0xFFFFFFFF)
    return address


def address_refusal(tenant: Tenant | None, host: str, is_ip: bool) -> str | None:
    """Why a destination's address may not be used; `None` when it may.

    `tenant` is `None` for addresses of the platform's own inventory (API servers).
    """
    endpoints = tenant.endpoints if tenant is not None else ()
    return _ip_refusal(endpoints, host) if is_ip else _fqdn_refusal(endpoints, host)


def _ip_refusal(endpoints: tuple[str, ...], host: str) -> str | None:
    address = parse_ip(host)
    if address is None:
        return f"{_shown(host)} is no plain IP address"
    networks = [
        network for each in endpoints if (network := _network(each)) is not None
    ]
    for special, why in _NEVER:
        if address.version == special.version and address in special:
            return f"{host} is {why}"
    for special, why in _ONLY_IF_LISTED:
        if address.version == special.version and address in special:
            if not any(_lists(each, special, address) for each in networks):
                return f"{host} is {why}; it is permitted only where tenants.endpoints lists it exactly"
            return None
    if endpoints and not any(
        address.version == each.version and address in each for each in networks
    ):
        return f"{host} is outside of the tenant's endpoints"
    return None


def _lists(network: Network, special: Network, address: IP) -> bool:
    return (
        network.version == special.version
        and network.prefixlen >= special.prefixlen
        and network.network_address in special
        and address in network
    )


@lru_cache(maxsize=4096)
def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


def _fqdn_refusal(endpoints: tuple[str, ...], host: str) -> str | None:
    if not is_dns_name(host) or "." not in host or _LOOKS_LIKE_IP.match(host):
        return f"{_shown(host)} is no DNS name of two labels or more"
    if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        if not any(_under(host, each) for each in endpoints if _network(each) is None):
            return f"{host} names a private place; it is permitted only where tenants.endpoints lists it"
        return None
    if endpoints and not any(
        _under(host, each) for each in endpoints if _network(each) is None
    ):
        return f"{host} is under none of the tenant's endpoints"
    return None


def _under(host: str, suffix: str) -> bool:
    return (
        host.endswith(suffix)
        if suffix.startswith(".")
        else (host == suffix or host.endswith("." + suffix))
    )


def is_api_name(settings: Settings, host: str) -> bool:
    """Whether a host is of the pattern of clusters' APIs, also of clusters that are gone."""
    before, _, after = settings.apis.hostname.partition("{cluster}")
    before = before.replace("{domain}", settings.domain)
    after = after.replace("{domain}", settings.domain)
    middle = host[len(before) : len(host) - len(after)]
    return (
        host.startswith(before)
        and host.endswith(after)
        and len(host) > len(before) + len(after)
        and "." not in middle
    )


def host_refusal(settings: Settings, tenant: Tenant | None, host: str) -> str | None:
    """Why a tenant may not have an SNI host; `None` when it may."""
    if is_api_name(settings, host):
        return f"{_shown(host)} is a name for clusters' APIs"
    suffixes = tenant.hosts if tenant is not None else ()
    if not any(_under_host(host, each) for each in suffixes):
        allowed = ", ".join(suffixes) or "none"
        return f"{_shown(host)} is under none of the tenant's hosts ({allowed})"
    return None


def _under_host(host: str, suffix: str) -> bool:
    return host.endswith("." + suffix.removeprefix("."))


def _shown(text: str) -> str:
    """Hostile text for a message: ASCII, no control characters, short."""
    return repr(text[:80].encode("ascii", "backslashreplace").decode())[1:-1]

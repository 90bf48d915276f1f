"""What a tenant may use: gateways, SNI hosts and, above all, addresses; pure.

The planner and `check` ask the same questions of what HEAD has, so that settings which no
longer permit something remove it.

An address passes when it is no special one and lies in the tenant's `endpoints`:

* Special addresses come from the table below, never from `ipaddress.is_private` and friends:
  their answers changed between releases of Python.
* "Listed exactly" means: an entry of `endpoints` that lies wholly inside the special range,
  such as 127.0.0.1/32 or 127.0.0.0/8; 0.0.0.0/0 never opens loopback. Metadata services need
  their own /32 or /128.
* A tenants entry without `endpoints` has no limit but these special addresses and names that
  only mean something inside (`localhost`, `.internal`, `.local`): that keeps a minimal settings
  file useful. Whoever answers for a name decides where it leads, so list `endpoints` wherever
  clusters are not trusted. `endpoints: []` permits nothing.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache

from reconciler.names import is_dns_name, is_wildcard
from reconciler.settings import Settings, Tenant

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_IPV4 = re.compile(r"(?:0|[1-9][0-9]{0,2})(?:\.(?:0|[1-9][0-9]{0,2})){3}\Z")
_IPV6 = re.compile(r"[0-9A-Fa-f:.]{2,45}\Z")
_NUMBER = re.compile(
    r"(?:[0-9]+|0x[0-9a-f]*)\Z"
)  # how resolvers of browsers see "IPv4"
_LABEL_PATTERN = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"

_NEVER = tuple(
    (ipaddress.ip_network(network), what)
    for network, what in (
        ("0.0.0.0/8", "unspecified"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved or broadcast"),
        ("::/128", "unspecified"),
        ("ff00::/8", "multicast"),
    )
)
_ONLY_LISTED = tuple(  # the first that holds the address counts: narrow ones come first
    (ipaddress.ip_network(network), what)
    for network, what in (
        ("169.254.169.254/32", "a metadata service"),
        ("169.254.170.2/32", "a metadata service"),
        ("100.100.100.200/32", "a metadata service"),
        ("168.63.129.16/32", "a metadata service"),
        ("192.0.0.192/32", "a metadata service"),
        ("fd00:ec2::/32", "a metadata service"),
        ("fd20:ce::/32", "a metadata service"),
        ("fd00:42::42/128", "a metadata service"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("::1/128", "loopback"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("2001::/32", "a Teredo address, which hides another one"),
        ("64:ff9b:1::/48", "a translated address, which hides another one"),
    )
)
# IPv6 forms that stand for an IPv4 address: prefix and how far the address is from the right.
_WRAPPED = tuple(
    (ipaddress.IPv6Network(network), shift)
    for network, shift in (
        ("::ffff:0:0/96", 0),  # mapped
        ("::ffff:0:0:0/96", 0),  # translated
        ("64:ff9b::/96", 0),  # NAT64
        ("::/96", 0),  # compatible
        ("2002::/16", 80),  # 6to4
    )
)
_PRIVATE = (".localhost", ".local", ".internal")
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_LOOPBACK6 = 1  # `::` and `::1` are special themselves, not 0.0.0.0 and 0.0.0.1


@dataclass(frozen=True, slots=True)
class _Permitted:
    """Parsed `endpoints`; `anywhere` when a tenants entry has none."""

    networks: tuple[Network, ...]
    suffixes: tuple[str, ...]
    anywhere: bool


def canonical_host(text: str) -> tuple[str, bool] | None:
    """An address as it is dialled and whether it is an IP; `None` when it is neither.

    Only plain literals are IPs: no octal, hex, short or integer spelling, no zone. A mapped
    IPv4 address becomes the address inside. Names have at least two labels, in lower case.
    """
    literal = _literal(text)
    if literal is not None:
        mapped = isinstance(literal, ipaddress.IPv6Address) and literal in _MAPPED
        return str(_inside(literal) if mapped else literal), True
    name = text.lower() if text.isascii() else text
    return (name, False) if is_fqdn(name) else None


def is_fqdn(text: str) -> bool:
    """A DNS name of two or more labels that nobody can take for an IP address."""
    last = text.rpartition(".")[2]
    return is_dns_name(text) and "." in text and _NUMBER.match(last) is None


def address_refusal(tenant: Tenant, host: str, is_ip: bool) -> str | None:
    """Why traffic of this tenant may not go to an address; `None` when it may."""
    permitted = _permitted(tenant)
    if not is_ip:
        return _name_refusal(host, permitted)
    literal = _literal(host)
    if literal is None:
        return "it is no plain IP address"
    inside = _inside(literal)
    return _special_refusal(inside, permitted) or _unlisted_refusal(inside, permitted)


def api_server_refusal(tenant: Tenant | None, host: str, is_ip: bool) -> str | None:
    """Why an API server may not be at an address; `None` when it may.

    Inventories are the platform's own word, so `endpoints` do not limit API servers. Special
    addresses are refused all the same (a kubeconfig that says 127.0.0.1 would aim the gateway
    at itself) unless the cluster's tenants entry lists them exactly.
    """
    if not is_ip:
        return None if is_fqdn(host) else "it is no DNS name of two or more labels"
    literal = _literal(host)
    if literal is None:
        return "it is no plain IP address"
    nothing = _Permitted(networks=(), suffixes=(), anywhere=False)
    permitted = _permitted(tenant) if tenant is not None else nothing
    return _special_refusal(_inside(literal), permitted)


def host_refusal(settings: Settings, tenant: Tenant, host: str) -> str | None:
    """Why a tenant may not have an SNI host; `None` when it may. Without `hosts`: none.

    A wildcard (`*.apps.example.com`) must be under them as a whole.
    """
    below = host.removeprefix("*")  # `.apps.example.com` of a wildcard
    if not is_fqdn(below.removeprefix(".") if is_wildcard(host) else host):
        return "it is no DNS name in lower case of two or more labels"
    if is_wildcard(host) and _holds_api_names(settings, below):
        return f"{host} holds names of clusters' APIs"
    if is_api_name(settings, host):
        return f"{host} is a name of a cluster's API"
    own = [settings.host(gateway) for gateway in settings.gateways]
    if host in own or (is_wildcard(host) and any(o.endswith(below) for o in own)):
        return f"{host} is a gateway's own name"
    if not any(_under(host, suffix) for suffix in tenant.hosts):
        return (
            f"{host} is not under one of the tenant's hosts ({_listing(tenant.hosts)})"
        )
    return None


def is_api_name(settings: Settings, host: str) -> bool:
    """Whether a host has the form of the name of a cluster's API, whether it exists or not."""
    text = settings.apis.hostname.replace("{domain}", settings.domain)
    return re.fullmatch(_api_pattern(text), host) is not None


def _holds_api_names(settings: Settings, below: str) -> bool:
    """Whether any cluster's API, there or not, has a name that ends so (`.example.com`)."""
    text = settings.apis.hostname.replace("{domain}", settings.domain)
    labels = text.split(".")
    ends = (".".join(labels[cut:]) for cut in range(1, len(labels)))
    return any(re.fullmatch(_api_pattern(end), below.removeprefix(".")) for end in ends)


def gateway_permitted(tenant: Tenant, gateway: str) -> bool:
    """Whether the tenant may use a gateway of this name."""
    return gateway in tenant.gateways


@lru_cache(maxsize=64)
def _api_pattern(text: str) -> str:
    return _LABEL_PATTERN.join(map(re.escape, text.split("{cluster}")))


def _literal(text: str) -> Ip | None:
    if not (_IPV4.match(text) or (":" in text and _IPV6.match(text))):
        return None
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _inside(literal: Ip) -> Ip:
    """The IPv4 address that an IPv6 form stands for, else the address itself."""
    if isinstance(literal, ipaddress.IPv4Address):
        return literal
    if int(literal) <= _LOOPBACK6:
        return literal
    for network, shift in _WRAPPED:
        if literal in network:
            return ipaddress.IPv4Address((int(literal) >> shift) & 0xFFFFFFFF)
    return literal


def _special_refusal(address: Ip, permitted: _Permitted) -> str | None:
    for network, what in _NEVER:
        if address in network:
            return f"{address} is {what}, which is never an endpoint"
    for network, what in _ONLY_LISTED:
        if address in network:
            if _listed_within(address, network, permitted):
                return None
            return (
                f"{address} is {what}, which the tenant's endpoints must list exactly"
            )
    return None


def _listed_within(address: Ip, special: Network, permitted: _Permitted) -> bool:
    return any(
        address in network and _is_within(network, special)
        for network in permitted.networks
    )


def _is_within(network: Network, outer: Network) -> bool:
    return (
        network.version == outer.version
        and network.prefixlen >= outer.prefixlen
        and network.network_address in outer
    )


def _unlisted_refusal(address: Ip, permitted: _Permitted) -> str | None:
    if permitted.anywhere or any(address in each for each in permitted.networks):
        return None
    listing = _listing(tuple(map(str, permitted.networks)))
    return f"{address} is not in the tenant's endpoints ({listing})"


def _name_refusal(host: str, permitted: _Permitted) -> str | None:
    if not is_fqdn(host):
        return "it is no DNS name in lower case of two or more labels"
    if any(_under(host, suffix) for suffix in permitted.suffixes):
        return None
    if permitted.anywhere:
        return (
            f"{host} names a private place, which the tenant's endpoints must list"
            if host.endswith(_PRIVATE)
            else None
        )
    listing = _listing(permitted.suffixes)
    return f"{host} is under none of the domain suffixes in the tenant's endpoints ({listing})"


def _under(host: str, suffix: str) -> bool:
    """`.example.com` means below it; `example.com` means the name itself too."""
    return host.endswith("." + suffix.removeprefix(".")) or host == suffix


def _listing(items: tuple[str, ...]) -> str:
    shown = ", ".join(items[:4])
    return f"{shown}, ..." if len(items) > 4 else shown or "none"


def _permitted(tenant: Tenant) -> _Permitted:
    return _parsed(tenant.endpoints, "endpoints" not in tenant.model_fields_set)


@lru_cache(maxsize=256)
def _parsed(endpoints: tuple[str, ...], anywhere: bool) -> _Permitted:
    networks = tuple(
        ipaddress.ip_network(each) for each in endpoints if _is_network(each)
    )
    suffixes = tuple(each for each in endpoints if not _is_network(each))
    return _Permitted(networks=networks, suffixes=suffixes, anywhere=anywhere)


def _is_network(text: str) -> bool:
    return "/" in text

"""Finds the routes of a VirtualService's spec and names them; pure.

Names are stable: inserting an entry never renames another one.

* `tcp`: an entry's one `match[].port` in decimal, or `tcp` for a single entry without one.
* `http` exposed as tcp: one route `tcp`, when all entries say the same.
* `tls`: `tls` for a single entry, else the first of the entry's hosts, sorted. Hosts are unique
  within an exposure, so names are too; ports tell nothing, all entries match the same one.

`expose` chooses the section: the others serve other gateways or the mesh and are not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reconciler.claim.refusals import Refused, fields, is_whole, items, quoted, text
from reconciler.claim.targets import Target, read_targets
from reconciler.codes import Code
from reconciler.settings import Settings, Tenant
from reconciler.tenants import host_refusal, is_fqdn

MAX_ROUTES = 64  # listeners of one ListenerSet
MAX_HOSTS = 16  # hostnames of one TLSRoute
MAX_HOST_LENGTH = 200  # the host is a file's name in the ledger
ONLY_ROUTE = "tcp"
ONLY_TLS_ROUTE = "tls"

# Conditions on clients that a shared front door would silently drop.
_CONDITIONS = ("sourceLabels", "sourceSubnet", "sourceNamespace", "destinationSubnets")


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One route as written: its name, SNI hosts (sorted) and targets in order of their keys."""

    name: str
    targets: tuple[Target, ...]
    hosts: tuple[str, ...] = ()


def read_tcp(spec: Mapping[str, object], namespace: str) -> tuple[Route, ...]:
    """Routes of an object exposed as tcp, sorted by name. Raises Refused."""
    entries = items(spec.get("tcp"), "spec.tcp")
    if entries:
        return _tcp(entries, namespace)
    entries = items(spec.get("http"), "spec.http")
    if entries:
        return (_http(entries, namespace),)
    what = "has neither tcp nor http routes; add spec.tcp or remove the annotation"
    raise Refused(Code.NO_ROUTE, "spec", what)


def read_tls(
    spec: Mapping[str, object], namespace: str, settings: Settings, tenant: Tenant
) -> tuple[Route, ...]:
    """Routes of an object exposed as tls, sorted by name. Raises Refused."""
    entries = items(spec.get("tls"), "spec.tls")
    if not entries:
        what = "has no tls routes; add spec.tls with sniHosts, or expose it as tcp"
        raise Refused(Code.NO_ROUTE, "spec", what)
    _check_count(entries, "spec.tls")
    found = []
    seen: set[str] = set()
    for index, raw in enumerate(entries):
        where = f"spec.tls[{index}]"
        entry = fields(raw, where)
        hosts = _sni_hosts(entry, where)
        for host, place in hosts.items():
            _check_host(host, place, settings, tenant)
            if host in seen:
                what = f"{quoted(host)} is in another entry too; name each host once"
                raise Refused(Code.INVALID_HOST, place, what)
            seen.add(host)
        ordered = tuple(sorted(hosts))
        targets = read_targets(entry.get("route"), f"{where}.route", namespace)
        name = ordered[0] if len(entries) > 1 else ONLY_TLS_ROUTE
        found.append(Route(name=name, targets=targets, hosts=ordered))
    return tuple(sorted(found, key=lambda each: each.name))


def _tcp(entries: list[object], namespace: str) -> tuple[Route, ...]:
    _check_count(entries, "spec.tcp")
    found: dict[str, Route] = {}
    for index, raw in enumerate(entries):
        where = f"spec.tcp[{index}]"
        entry = fields(raw, where)
        name = _tcp_name(entry, where, len(entries))
        if name in found:
            what = (
                f"port {name} is matched by another entry too; give each entry its own"
            )
            raise Refused(Code.AMBIGUOUS_ROUTES, where, what)
        targets = read_targets(entry.get("route"), f"{where}.route", namespace)
        found[name] = Route(name=name, targets=targets)
    return tuple(sorted(found.values(), key=lambda each: each.name))


def _tcp_name(entry: Mapping[object, object], where: str, count: int) -> str:
    ports = {
        port
        for place, match in _matches(entry, where)
        for port in (_match_port(match, place),)
        if port is not None
    }
    if len(ports) == 1:
        return str(ports.pop())
    if count == 1:
        return ONLY_ROUTE
    what = "one of several routes needs exactly one match[].port, which names it"
    raise Refused(Code.AMBIGUOUS_ROUTES, where, what)


def _matches(
    entry: Mapping[object, object], where: str
) -> Iterable[tuple[str, Mapping[object, object]]]:
    for index, raw in enumerate(items(entry.get("match"), f"{where}.match")):
        place = f"{where}.match[{index}]"
        match = fields(raw, place)
        for key in _CONDITIONS:
            if match.get(key):
                what = "cannot be honoured here; remove it (wharfinger.dev/allow-cidrs limits clients)"
                raise Refused(Code.POLICY_UNSUPPORTED, f"{place}.{key}", what)
        yield place, match


def _match_port(match: Mapping[object, object], place: str) -> int | None:
    port = match.get("port")
    if port is None:
        return None
    if not isinstance(port, int) or not is_whole(port, 1, 65535):
        what = f"{quoted(port)}: expected a port number"
        raise Refused(Code.MALFORMED_OBJECT, f"{place}.port", what)
    return port


def _http(entries: list[object], namespace: str) -> Route:
    """All of a VirtualService's HTTP as one stream; only when no entry needs HTTP."""
    found: list[tuple[Target, ...]] = []
    for index, raw in enumerate(entries):
        where = f"spec.http[{index}]"
        entry = fields(raw, where)
        _check_plain(entry, where, {"name", "match", "route"})
        places = items(entry.get("route"), f"{where}.route")
        for at, each in enumerate(places):
            place = f"{where}.route[{at}]"
            _check_plain(fields(each, place), place, {"destination", "weight"})
        found.append(read_targets(places, f"{where}.route", namespace))
        if _said(found[-1]) != _said(found[0]):
            what = "its destinations or weights differ from spec.http[0]; one port cannot tell them apart"
            raise Refused(Code.HTTP_NOT_UNIFORM, where, what)
    return Route(name=ONLY_ROUTE, targets=found[0])


def _said(targets: tuple[Target, ...]) -> list[tuple[object, ...]]:
    return [
        (each.namespace, each.service, each.port, each.subset, each.weight)
        for each in targets
    ]


def _check_plain(entry: Mapping[object, object], where: str, allowed: set[str]) -> None:
    beyond = sorted(str(key) for key in entry if key not in allowed)
    if beyond:
        what = f"{quoted(beyond[0])} means nothing for plain connections; remove it or use spec.tcp"
        raise Refused(Code.HTTP_NOT_UNIFORM, where, what)


def _sni_hosts(entry: Mapping[object, object], where: str) -> dict[str, str]:
    """The entry's hosts and where each stands."""
    found: dict[str, str] = {}
    for place, match in _matches(entry, where):
        _match_port(match, place)
        hosts = items(match.get("sniHosts"), f"{place}.sniHosts")
        if not hosts:
            raise Refused(Code.INVALID_HOST, place, "needs sniHosts")
        for index, raw in enumerate(hosts):
            at = f"{place}.sniHosts[{index}]"
            found.setdefault(text(raw, at), at)
    if not found:
        raise Refused(Code.INVALID_HOST, f"{where}.match", "needs sniHosts")
    if len(found) > MAX_HOSTS:
        what = f"{len(found)} hosts; at most {MAX_HOSTS} in one entry"
        raise Refused(Code.INVALID_HOST, where, what)
    return found


def _check_host(host: str, where: str, settings: Settings, tenant: Tenant) -> None:
    if not is_fqdn(host) or len(host) > MAX_HOST_LENGTH:
        what = (
            f"{quoted(host)}: expected an exact DNS name in lower case, "
            f"no wildcard, no trailing dot, at most {MAX_HOST_LENGTH} characters"
        )
        raise Refused(Code.INVALID_HOST, where, what)
    refusal = host_refusal(settings, tenant, host)
    if refusal:
        raise Refused(Code.HOST_NOT_ALLOWED, where, refusal)


def _check_count(entries: list[object], where: str) -> None:
    if len(entries) > MAX_ROUTES:
        what = f"{len(entries)} routes; at most {MAX_ROUTES} in one exposure"
        raise Refused(Code.AMBIGUOUS_ROUTES, where, what)

"""Reads units for plain Envoy and joins them into one configuration; pure.

Files come from a repository that many can push to, so only what our renderer writes is taken:
known fields, known filters, a unit's own clusters. A unit that is anything else is refused, and
so is one that would meet another unit's port, host or cluster: Envoy would refuse them all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler import yamlio
from reconciler.settings import Gateway

Json = dict[str, Any]
_EXTENSIONS = "type.googleapis.com/envoy.extensions"
_INSPECTOR = f"{_EXTENSIONS}.filters.listener.tls_inspector.v3.TlsInspector"
_TYPES = frozenset(
    f"{_EXTENSIONS}.{each}"
    for each in (
        "filters.network.tcp_proxy.v3.TcpProxy",
        "filters.network.connection_limit.v3.ConnectionLimit",
        "transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
        "transport_sockets.raw_buffer.v3.RawBuffer",
    )
)
_LISTENER_FIELDS = frozenset({"name", "address", "filter_chains"})
_CHAIN_FIELDS = frozenset({"name", "metadata", "filter_chain_match", "filters"})
_CLUSTER_FIELDS = frozenset(
    {
        "name",
        "connect_timeout",
        "circuit_breakers",
        "common_lb_config",
        "health_checks",
        "outlier_detection",
        "upstream_connection_options",
        "transport_socket",
    }
)
_MALFORMED = (yamlio.Unreadable, KeyError, TypeError, ValueError, AttributeError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """One unit's Envoy resources. `clusters` have their addresses."""

    listeners: tuple[Json, ...] = ()
    chains: tuple[Json, ...] = ()
    clusters: tuple[Json, ...] = ()

    def ports(self) -> frozenset[int]:
        """The ports of its listeners."""
        return frozenset(map(_port, self.listeners))

    def hosts(self) -> frozenset[str]:
        """The SNI hosts of its chains."""
        names = (each["filter_chain_match"]["server_names"] for each in self.chains)
        return frozenset(name for each in names for name in each)


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """What Envoy gets of all units; `refused` are wish paths with the reason."""

    listeners: tuple[Json, ...]
    clusters: tuple[Json, ...]
    refused: Mapping[str, str] = field(default_factory=dict)


def read_units(
    files: Mapping[str, bytes], gateway: str
) -> tuple[dict[str, Resources], dict[str, str]]:
    """Resources of each unit of a gateway by wish path, and why the others have none."""
    prefix = f"manifests/{gateway}/"
    units: dict[str, Resources] = {}
    faults: dict[str, str] = {}
    for path in sorted(files):
        if not path.startswith(prefix) or path.count("/") < 3:
            continue
        if not path.endswith(".yaml") or path.endswith(".endpoints.yaml"):
            continue
        endpoints = path.removesuffix(".yaml") + ".endpoints.yaml"
        try:
            units[path] = _unit(files[path], files.get(endpoints, b""))
        except _MALFORMED as exc:
            faults[path] = f"not what Wharfinger renders: {exc}"[:300]
    return units, faults


def _unit(wish: bytes, endpoints: bytes) -> Resources:
    body: Any = yamlio.load(wish) or {}
    found: Any = yamlio.load(endpoints) or {}
    _only(body, frozenset({"listeners", "chains", "clusters"}))
    assignments = {each["cluster"]: each for each in found.get("assignments", [])}
    for cluster in body.get("clusters", []):
        _only(cluster, _CLUSTER_FIELDS)
    unit = Resources(
        listeners=tuple(body.get("listeners", [])),
        chains=tuple(body.get("chains", [])),
        clusters=tuple(
            _with_addresses(cluster, assignments.get(cluster["name"], {}))
            for cluster in body.get("clusters", [])
        ),
    )
    _check(unit)
    return unit


def _only(body: Mapping[str, object], known: frozenset[str]) -> None:
    if unknown := sorted(set(body) - known):
        raise ValueError(f"{unknown[0]} is no field of it")


def _with_addresses(cluster: Json, assignment: Json) -> Json:
    kind = assignment.get("type", "STATIC")
    if kind not in ("STATIC", "STRICT_DNS"):
        raise ValueError(f"{kind} is no kind of cluster")
    names = {"dns_lookup_family": "V4_PREFERRED", "respect_dns_ttl": True}
    return {
        **cluster,
        "type": kind,
        **(names if kind == "STRICT_DNS" else {}),
        "load_assignment": {
            "cluster_name": cluster["name"],
            "endpoints": assignment.get("endpoints", []),
        },
    }


def _check(unit: Resources) -> None:
    for listener in unit.listeners:
        _only(listener, _LISTENER_FIELDS)
        if not 0 < _port(listener) < 65536:
            raise ValueError(f"{_port(listener)} is no port")
    for chain in (*unit.chains, *_chains(unit)):
        _only(chain, _CHAIN_FIELDS)
    for chain in unit.chains:
        names = chain["filter_chain_match"]["server_names"]
        if not names or not all(isinstance(name, str) and name for name in names):
            raise ValueError("a chain without SNI hosts would take all of them")
    body = [*unit.listeners, *unit.chains, *unit.clusters]
    for kind in _values(body, "@type"):
        if kind not in _TYPES:
            raise ValueError(f"{kind} is no filter of it")
    known = {each["name"] for each in unit.clusters}
    if len(known) < len(unit.clusters) or len(unit.ports()) < len(unit.listeners):
        raise ValueError("a port or a cluster is there twice")
    filters = [each["filters"] for each in (*unit.chains, *_chains(unit))]
    used = {*_values(filters, "cluster")}
    used |= {each["name"] for split in _values(filters, "clusters") for each in split}
    if foreign := sorted(used - known):
        raise ValueError(f"{foreign[0]} is no cluster of it")


def _chains(unit: Resources) -> Iterator[Json]:
    for listener in unit.listeners:
        yield from listener["filter_chains"]


def _values(body: object, key: str) -> Iterator[Any]:
    """Every value of a key, however deep."""
    if isinstance(body, Mapping):
        if key in body:
            yield body[key]
        for each in body.values():
            yield from _values(each, key)
    elif isinstance(body, (list, tuple)):
        for each in body:
            yield from _values(each, key)


def _port(listener: Json) -> int:
    return int(listener["address"]["socket_address"]["port_value"])


def join(units: Mapping[str, Resources], gateway: Gateway, bind: str) -> Joined:
    """All units as one configuration. Of two that meet, the one that comes first is taken."""
    ports = {gateway.tls_port} if any(each.chains for each in units.values()) else set()
    hosts: set[str] = set()
    names: set[str] = set()
    taken: list[Resources] = []
    refused: dict[str, str] = {}
    for path, unit in units.items():
        clusters = [each["name"] for each in unit.clusters]
        if ports & unit.ports():
            refused[path] = f"port {min(ports & unit.ports())} is another's"
        elif hosts & unit.hosts():
            refused[path] = f"host {min(hosts & unit.hosts())} is another unit's"
        elif names & set(clusters):
            refused[path] = "a cluster of it is another unit's"
        else:
            ports |= unit.ports()
            hosts |= unit.hosts()
            names.update(clusters)
            taken.append(unit)
    listeners = [_bound(each, bind) for unit in taken for each in unit.listeners]
    chains = [each for unit in taken for each in unit.chains]
    if chains:
        listeners.append(_tls_listener(chains, gateway.tls_port, bind))
    clusters_of = (each for unit in taken for each in unit.clusters)
    return Joined(
        listeners=tuple(sorted(listeners, key=_port)),
        clusters=tuple(sorted(clusters_of, key=lambda each: str(each["name"]))),
        refused=refused,
    )


def _bound(listener: Json, bind: str) -> Json:
    return {**listener, "address": _address(bind, _port(listener))}


def _address(bind: str, port: int) -> Json:
    both = {"ipv4_compat": True} if bind == "::" else {}
    return {"socket_address": {"address": bind, "port_value": port, **both}}


def _tls_listener(chains: list[Json], port: int, bind: str) -> Json:
    """All SNI hosts on one port; who names none of them is closed, there is no default."""
    return {
        "name": "tls",
        "address": _address(bind, port),
        "listener_filters": [{"name": "tls", "typed_config": {"@type": _INSPECTOR}}],
        "filter_chains": chains,
    }

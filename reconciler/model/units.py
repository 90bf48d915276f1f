"""Who is who: units, owners, wishes, addresses and placements; pure values.

A *wish* is what people decided (it is reviewed, reverted and held); *addresses* are where
its destinations are right now (observed truth). They live in two files, so that a node that
comes or goes never looks like a decision.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class UnitId:
    """One exposure, or one cluster's API when `namespace` and `name` are empty.

    What a foundation serves has a key of `names.KINDS` for its namespace.
    """

    cluster: str
    namespace: str = ""
    name: str = ""

    @property
    def is_api(self) -> bool:
        return not self.name

    def __str__(self) -> str:
        return (
            self.cluster
            if self.is_api
            else f"{self.cluster}/{self.namespace}/{self.name}"
        )


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Owner:
    """Who holds a port or an SNI host. The identity is all but `cluster`, its display name."""

    cluster: str
    cluster_id: str
    namespace: str
    name: str
    route: str

    @property
    def unit(self) -> UnitId:
        return UnitId(cluster=self.cluster, namespace=self.namespace, name=self.name)

    @property
    def identity(self) -> tuple[str, str, str, str]:
        return (self.cluster_id, self.namespace, self.name, self.route)


class UnitKind(StrEnum):
    """How a unit is reached: a port per route, SNI on the shared TLS port, or a cluster's API."""

    TCP = "tcp"
    TLS = "tls"
    API = "api"


class Backend(StrEnum):
    """Where a destination's addresses come from."""

    NODE_PORT = "node-port"
    LOAD_BALANCER = "load-balancer"
    POD = "pod"
    API_SERVER = "api-server"
    ROUTER = "router"  # of a foundation, as the settings name them


class Failover(StrEnum):
    """What happens to the share of an unreachable destination: it fails, or others take over."""

    NONE = "none"
    ANY = "any"


class ProxyProtocol(StrEnum):
    """PROXY protocol version sent to the workload."""

    V1 = "v1"
    V2 = "v2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """One weighted destination of a route as people wrote it, resolved to a Service port.

    `port` is the Service's port, `weight` 0..1000000 exactly as written (1 when absent).
    For `Backend.API_SERVER` namespace and service are empty and the port is 0. For
    `Backend.ROUTER` they are `router` or `tcp-router`, and the foundation.
    """

    namespace: str
    service: str
    port: int
    backend: Backend
    weight: int = 1
    subset: str = ""

    @property
    def key(self) -> str:
        """`shop/orders:5432`, with `@subset` where there is one; unique within a route."""
        base = f"{self.namespace}/{self.service}:{self.port}"
        return f"{base}@{self.subset}" if self.subset else base


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Traffic policy of a unit; `None` and empty mean the gateway's defaults.

    `backend` is the annotation's value (`auto` when absent): a decision, unlike the kind of
    backend that `auto` found.
    """

    failover: Failover = Failover.NONE
    backend: str = "auto"
    allow_cidrs: tuple[str, ...] = ()
    proxy_protocol: ProxyProtocol | None = None
    idle_timeout_seconds: int | None = None
    max_connections: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteWish:
    """One route of an exposure. `hosts` are its SNI hosts, sorted; empty for a port route."""

    name: str
    destinations: tuple[Destination, ...]
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What people decided about one unit: routes in order of their names, and policy.

    `gateway` and ports are decided by the planner and are not in here.
    """

    unit: UnitId
    kind: UnitKind
    routes: tuple[RouteWish, ...]
    policy: Policy = Policy()


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Address:
    """One `host:port` behind a destination; `host` is a canonical IP literal or an FQDN."""

    host: str
    port: int
    is_ip: bool = True

    def __str__(self) -> str:
        return (
            f"[{self.host}]:{self.port}"
            if ":" in self.host
            else f"{self.host}:{self.port}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A destination together with its addresses, sorted; empty when none is left."""

    destination: Destination
    addresses: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LocatedRoute:
    """All destinations of one route with their addresses, in the order of the wish."""

    name: str
    located: tuple[Located, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitAddresses:
    """The content of a unit's addresses file, all that is needed to render it again.

    `failover` is part of it because one renderer must put weights next to addresses.
    """

    unit: UnitId
    failover: Failover
    routes: tuple[LocatedRoute, ...]


class PortState(StrEnum):
    """State of a ledger file: served, served until drained, tombstone, or kept by people."""

    ACTIVE = "active"
    DRAINING = "draining"
    RELEASED = "released"
    RESERVED = "reserved"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedRoute:
    """A route with the listeners that it has on one gateway.

    `ports` are served TCP ports, active first, then draining; an SNI route has none and is
    served for its `hosts` on the gateway's TLS port.
    """

    wish: RouteWish
    ports: tuple[int, ...] = ()
    draining: tuple[int, ...] = ()  # those of `ports` that are draining


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """A unit on one gateway: the input of a renderer. `digest` is the wish's, 8 hex digits."""

    gateway: str
    wish: Wish
    routes: tuple[PlacedRoute, ...]
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFiles:
    """The two files of a unit on one gateway, canonical bytes."""

    wish: bytes
    endpoints: bytes

"""Placements to render, by name: the cases of the golden files and of the real data planes (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from reconciler.headers import wish_digest
from reconciler.model.units import (
    Address,
    Backend,
    Destination,
    Failover,
    Located,
    LocatedRoute,
    PlacedRoute,
    Placement,
    Policy,
    ProxyProtocol,
    RouteWish,
    UnitAddresses,
    UnitId,
    UnitKind,
    Wish,
)
from reconciler.render import unsupported
from reconciler.settings import Gateway, Renderer, Settings

RENDERERS = tuple(Renderer)
UNIT = UnitId(cluster="eu1", namespace="shop", name="orders")


def settings(**overrides: object) -> Settings:
    """Settings with the one gateway `public`; `overrides` are fields of the gateway."""
    gateway = {
        "name": "public",
        "renderer": "envoy",
        "namespace": "ingress",
        "ports": {"range": "20000-20999"},
        **overrides,
    }
    return Settings.model_validate(
        {
            "apiVersion": "wharfinger.dev/v1alpha1",
            "kind": "Settings",
            "domain": "ingress.example.com",
            "gateways": [gateway],
            "inventories": [],
            "tenants": [],
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What a renderer is given, but for the gateway."""

    placement: Placement
    addresses: UnitAddresses

    def works_on(self, gateway: Gateway) -> bool:
        """Whether the gateway can do the policy of the case."""
        return unsupported(self.placement.wish, gateway) is None


def addresses(*texts: str) -> tuple[Address, ...]:
    """`10.20.0.1:31000`, `[fd00::1]:31000` or `lb.example.com:5432`, sorted."""
    found = []
    for text in texts:
        host, _, port = text.rpartition(":")
        literal = host.strip("[]")
        is_ip = ":" in literal or literal.replace(".", "").isdigit()
        found.append(Address(host=literal, port=int(port), is_ip=is_ip))
    return tuple(sorted(found))


def destination(service: str, weight: int = 1, *where: str) -> Located:
    """A destination in `shop`, port 5432, with its addresses."""
    return Located(
        destination=Destination(
            namespace="shop",
            service=service,
            port=5432,
            backend=Backend.NODE_PORT,
            weight=weight,
        ),
        addresses=addresses(*where),
    )


def api(*where: str) -> Located:
    """The API servers of a cluster."""
    made = Destination(namespace="", service="", port=0, backend=Backend.API_SERVER)
    return Located(destination=made, addresses=addresses(*where))


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A route of a case: ports (active and draining) or SNI hosts."""

    located: tuple[Located, ...]
    ports: tuple[int, ...] = ()
    draining: tuple[int, ...] = ()
    hosts: tuple[str, ...] = ()


def case(
    routes: Mapping[str, Route],
    *,
    unit: UnitId = UNIT,
    policy: Policy | None = None,
) -> Case:
    """A case of one unit; its kind follows from the unit and from whether it has ports."""
    policy = policy or Policy()
    wishes = tuple(
        RouteWish(
            name=name,
            destinations=tuple(each.destination for each in route.located),
            hosts=route.hosts,
        )
        for name, route in routes.items()
    )
    sni = any(route.hosts for route in routes.values())
    kind = UnitKind.API if unit.is_api else UnitKind.TLS if sni else UnitKind.TCP
    wish = Wish(unit=unit, kind=kind, routes=wishes, policy=policy)
    active = tuple((n, p) for n, r in routes.items() for p in r.ports)
    placed = tuple(
        PlacedRoute(
            wish=each,
            ports=(*routes[each.name].ports, *routes[each.name].draining),
            draining=routes[each.name].draining,
        )
        for each in wishes
    )
    return Case(
        placement=Placement(
            gateway="public",
            wish=wish,
            routes=placed,
            digest=wish_digest(wish, "public", active),
        ),
        addresses=UnitAddresses(
            unit=unit,
            failover=policy.failover,
            routes=tuple(
                LocatedRoute(name=name, located=route.located)
                for name, route in routes.items()
            ),
        ),
    )


def tcp(
    *located: Located, port: int = 20017, policy: Policy | None = None, name: str = ""
) -> Case:
    """A unit with one route on one port."""
    unit = replace(UNIT, name=name) if name else UNIT
    route = Route(located=located, ports=(port,))
    return case({"tcp": route}, unit=unit, policy=policy)


def tls(*located: Located, hosts: Iterable[str], policy: Policy | None = None) -> Case:
    """A unit with one route by SNI."""
    route = Route(located=located, hosts=tuple(sorted(hosts)))
    return case({"tls": route}, policy=policy)


def renamed(what: Case, name: str) -> Case:
    """The same case for another unit of the same namespace."""
    return for_unit(what, replace(what.placement.wish.unit, name=name))


def for_unit(what: Case, unit: UnitId) -> Case:
    """The same case for another unit."""
    wish = replace(what.placement.wish, unit=unit)
    return Case(
        placement=replace(what.placement, wish=wish),
        addresses=replace(what.addresses, unit=unit),
    )


def routers(foundation: str, weight: int, port: int, *where: str) -> Located:
    """The routers of a foundation, of TCP when the port is not 443."""
    made = Destination(
        namespace="router" if port == 443 else "tcp-router",
        service=foundation,
        port=port,
        backend=Backend.ROUTER,
        weight=weight,
    )
    return Located(destination=made, addresses=addresses(*where))


BLUE = destination("blue", 90, "10.20.0.1:31001", "10.20.0.2:31001")
GREEN = destination("green", 10, "10.20.0.1:31002")
NONE_LEFT = destination("green", 10)
ANY = Policy(failover=Failover.ANY)
POLICY = Policy(
    allow_cidrs=("10.0.0.0/8", "fd00:1::/32"),
    proxy_protocol=ProxyProtocol.V2,
    idle_timeout_seconds=600,
)
LONG = "a" * 60
API = UnitId(cluster="eu1")
API_SERVERS = ("10.20.0.11:6443", "10.20.0.12:6443")
NAMES = ("a-1.elb.example.com:5432", "a-2.elb.example.com:5432")

CASES: Mapping[str, Case] = {
    "tcp": tcp(destination("db", 1, "10.20.0.1:31000", "10.20.0.2:31000")),
    "weights": tcp(BLUE, GREEN, destination("old", 0, "10.20.0.1:31003")),
    "any": tcp(BLUE, GREEN, destination("old", 0, "10.20.0.1:31003"), policy=ANY),
    "one-live": tcp(destination("blue", 0, "10.20.0.1:31001"), GREEN),
    "two-routes": case(
        {
            "15672": Route(
                located=(destination("ui", 1, "10.20.0.1:31672"),), ports=(20018,)
            ),
            "5672": Route(
                located=(destination("mq", 1, "10.20.0.1:30672"),), ports=(20017,)
            ),
        }
    ),
    "draining": case(
        {"tcp": Route(located=(BLUE, GREEN), ports=(20018,), draining=(20017,))}
    ),
    "policies": tcp(BLUE, GREEN, policy=POLICY),
    "limit": tcp(BLUE, policy=Policy(max_connections=100)),
    "tls": tls(BLUE, GREEN, hosts=("a.apps.example.com", "b.apps.example.com")),
    "tls-any": tls(BLUE, GREEN, hosts=("a.apps.example.com",), policy=ANY),
    "tls-policies": tls(
        BLUE,
        hosts=("a.apps.example.com",),
        policy=Policy(proxy_protocol=ProxyProtocol.V1),
    ),
    "tls-clients": tls(BLUE, hosts=("a.apps.example.com",), policy=POLICY),
    "api-sni": case(
        {"api": Route(located=(api(*API_SERVERS),), hosts=("eu1.k8s.example.com",))},
        unit=API,
    ),
    "api-port": case(
        {"api": Route(located=(api(*API_SERVERS),), ports=(20001,))}, unit=API
    ),
    "foundation-domain": case(
        {
            "tls": Route(
                located=(
                    routers("blue", 90, 443, "10.30.0.10:443", "10.30.0.11:443"),
                    routers("green", 10, 443, "10.40.0.10:443"),
                ),
                hosts=("*.apps.example.com",),
            )
        },
        unit=UnitId(cluster="blue", namespace="cf.domain", name="apps.example.com"),
    ),
    "foundation-tcp": case(
        {
            "tcp": Route(
                located=(routers("blue", 1, 1024, "10.30.0.20:1024"),), ports=(20017,)
            )
        },
        unit=UnitId(cluster="blue", namespace="cf.tcp", name="tcp.example.com-1024"),
    ),
    "fqdn": tcp(destination("lb", 90, *NAMES), NONE_LEFT),
    "no-address": tcp(destination("db", 1)),
    "half-left": tcp(BLUE, NONE_LEFT),
    "half-left-any": tcp(BLUE, NONE_LEFT, policy=ANY),
    "ipv6": tcp(destination("db", 1, "[fd00:20::1:2:3]:31000", "[fd00:20::]:31000")),
    "long": case(
        {"tcp": Route(located=(destination(LONG, 1, *NAMES),), ports=(20999,))},
        unit=UnitId(cluster="c" * 63, namespace="n" * 63, name=f"{'v' * 61}." * 3 + "v"),
    ),
    "many-ports": case(
        {
            str(number): Route(
                located=(destination("db", 1, f"10.20.0.1:{30000 + number}"),),
                ports=(20000 + number,),
            )
            for number in range(100, 166)
        }
    ),
}  # fmt: skip

"""All claims of one cluster; pure. A fault in one object never changes another one's claim."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from reconciler.claim.addresses import follow, locate
from reconciler.claim.annotations import (
    PREFIX,
    Asked,
    check_keys,
    is_exposed,
    is_written_back,
    read,
)
from reconciler.claim.apis import claim_api
from reconciler.claim.destinations import destinations
from reconciler.claim.index import index
from reconciler.claim.pools import Pools
from reconciler.claim.refusals import Refused, quoted
from reconciler.claim.routes import Route, read_tcp, read_tls
from reconciler.codes import Code
from reconciler.model.claims import Claim, ClusterClaims, Rejection, Source, Wanted
from reconciler.model.clusters import ClusterView, Unknown, VirtualService
from reconciler.model.units import RouteWish, UnitAddresses, UnitId, UnitKind, Wish
from reconciler.names import is_dns_name, is_label
from reconciler.settings import Settings, Tenant
from reconciler.tenants import gateway_permitted

NAMELESS = "(none)"  # never a valid name, so it meets no unit
TWICE = Rejection(
    code=Code.MALFORMED_OBJECT,
    reason="this VirtualService is listed more than once; leave one of them",
)


def claim(
    view: ClusterView,
    settings: Settings,
    head: Mapping[UnitId, UnitAddresses],
    now: datetime,
) -> ClusterClaims:
    """What one cluster asks for. `head` are the addresses that HEAD has, by unit.

    Of a cluster that could not be read nothing is claimed and nothing follows.
    """
    objects = view.objects
    if isinstance(objects, Unknown):
        return ClusterClaims(view=view)
    cluster = view.entry.name
    tenant = settings.tenant(cluster)
    decoder = None
    if tenant is not None:
        pools = Pools(
            look=index(objects), tenant=tenant, now=now, grace=settings.guards.grace
        )
        decoder = _Decoder(settings=settings, tenant=tenant, pools=pools, head=head)
    found = _by_unit(cluster, objects.virtual_services)
    claims = []
    unexposed = []
    elsewhere = []
    for unit in sorted(found):
        sources = [_source(unit, each) for each in found[unit]]
        if all(_is_elsewhere(each, settings) for each in found[unit]):
            elsewhere.append(unit)
            continue
        if not any(_asks(each, unit in head) for each in found[unit]):
            unexposed.append(sources[0])
            continue
        outcome = _judged(unit, found[unit], decoder)
        claims.append(Claim(unit=unit, source=sources[0], outcome=outcome))
    return ClusterClaims(
        view=view,
        claims=tuple(claims),
        api=claim_api(view.entry, settings, head.get(UnitId(cluster=cluster))),
        unexposed=tuple(source.unit for source in unexposed),
        elsewhere=tuple(elsewhere),
        unexposed_sources=tuple(
            source for source in unexposed if is_written_back(source.annotations)
        ),
        follow=_followed(cluster, head, decoder),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decoder:
    """Turns one VirtualService into what is wanted."""

    settings: Settings
    tenant: Tenant
    pools: Pools
    head: Mapping[UnitId, UnitAddresses]

    def wanted(self, unit: UnitId, source: VirtualService) -> Wanted:
        """Raises Refused for the first fault."""
        asked = read(source.annotations)
        self._check_gateway(asked.gateway)
        routes = self._routes(asked, source)
        requests = _requests(asked, routes)
        wish = Wish(
            unit=unit,
            kind=asked.kind,
            routes=tuple(self._route(route, asked) for route in routes),
            policy=asked.policy,
        )
        found = locate(wish, self.pools, self.head.get(unit))
        return Wanted(
            wish=wish,
            addresses=found.addresses,
            gateway=asked.gateway,
            requests=requests,
            missing=found.missing,
            left_out=found.left_out,
        )

    def _check_gateway(self, gateway: str) -> None:
        if not gateway:
            return
        known = self.settings.gateway(gateway) is not None
        if known and gateway_permitted(self.tenant, gateway):
            return
        permitted = ", ".join(self.tenant.gateways)
        what = f"gateway {quoted(gateway)} may not be used here; permitted: {permitted}"
        raise Refused(Code.GATEWAY_NOT_ALLOWED, f"{PREFIX}gateway", what)

    def _routes(self, asked: Asked, source: VirtualService) -> tuple[Route, ...]:
        if asked.kind is UnitKind.TLS:
            return read_tls(source.spec, source.namespace, self.settings, self.tenant)
        return read_tcp(source.spec, source.namespace)

    def _route(self, route: Route, asked: Asked) -> RouteWish:
        made = destinations(
            route.targets,
            asked.policy.backend,
            self.pools.look,
            self.tenant,
        )
        return RouteWish(name=route.name, destinations=made, hosts=route.hosts)


def _judged(
    unit: UnitId, listed: list[VirtualService], decoder: _Decoder | None
) -> Wanted | Rejection:
    source = listed[0]
    if not (is_label(source.namespace) and is_dns_name(source.name)):
        what = "namespace and name must be DNS names in lower case"
        return Rejection(code=Code.INVALID_NAME, reason=what)
    if len(listed) > 1:
        return TWICE
    if decoder is None:
        what = f"no tenants entry matches cluster {unit.cluster}; the platform team adds one to wharfinger.yaml"
        return Rejection(code=Code.NO_TENANT, reason=what)
    try:
        if not is_exposed(source.annotations):
            check_keys(source.annotations)
        return decoder.wanted(unit, source)
    except Refused as refused:
        return refused.rejection


def _asks(source: VirtualService, served: bool) -> bool:
    """Whether an object asks for something.

    Without the annotation it does not, which is proof of absence for what is served. A typo
    in its key (`wharfinger.dev/exposed`) on an object that is not served is told to people.
    """
    if source.deleting:
        return False
    if is_exposed(source.annotations) or served:
        return is_exposed(source.annotations)
    try:
        check_keys(source.annotations)
    except Refused:
        return True
    return False


def _is_elsewhere(source: VirtualService, settings: Settings) -> bool:
    """Whether an object is another repository's: one that is exposed and names it."""
    if source.deleting or not is_exposed(source.annotations):
        return False
    return not settings.is_ours(source.annotations.get(f"{PREFIX}gateway"))


def _by_unit(
    cluster: str, listed: Iterable[VirtualService]
) -> dict[UnitId, list[VirtualService]]:
    """Objects by unit. Their names come from a body that nobody vouches for."""
    found: dict[UnitId, list[VirtualService]] = {}
    for each in listed:
        unit = UnitId(
            cluster=cluster,
            namespace=each.namespace or NAMELESS,
            name=each.name or NAMELESS,
        )
        found.setdefault(unit, []).append(each)
    for same in found.values():
        same.sort(
            key=lambda one: (one.uid, one.resource_version, sorted(one.annotations))
        )
    return found


def _source(unit: UnitId, source: VirtualService) -> Source:
    return Source(
        unit=unit,
        uid=source.uid,
        resource_version=source.resource_version,
        generation=source.generation,
        annotations=source.annotations,
    )


def _requests(asked: Asked, routes: tuple[Route, ...]) -> tuple[tuple[str, int], ...]:
    """Asked ports by route. Raises Refused when a route is not there or not said."""
    names = tuple(route.name for route in routes)
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


def _followed(
    cluster: str,
    head: Mapping[UnitId, UnitAddresses],
    decoder: _Decoder | None,
) -> tuple[UnitAddresses, ...]:
    if decoder is None:
        return ()
    units = sorted(unit for unit in head if unit.cluster == cluster and not unit.is_api)
    return tuple(follow(head[unit], decoder.pools) for unit in units)

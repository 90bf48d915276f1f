"""A cluster's API servers as a claim; pure. They come from the inventory, the platform's word."""

from __future__ import annotations

from reconciler.codes import Code
from reconciler.model.claims import ApiClaim, Rejection
from reconciler.model.clusters import ClusterEntry
from reconciler.model.units import (
    Address,
    Backend,
    Destination,
    Failover,
    Located,
    LocatedRoute,
    UnitAddresses,
    UnitId,
)
from reconciler.settings import ApiMode, Settings
from reconciler.tenants import address_refusal, parse_ip

ROUTE = "api"


def claim_api(entry: ClusterEntry, settings: Settings) -> ApiClaim | Rejection | None:
    """The claim of a cluster's API, `None` when there is nothing to serve (yet).

    Special networks (loopback and the like) must be listed in the endpoints of the tenant that
    matches the cluster; its other endpoints do not limit API servers.
    """
    if settings.apis.mode is ApiMode.OFF or not entry.api_servers:
        return None
    tenant = settings.tenant(entry.name)
    found = set()
    for server in entry.api_servers:
        literal = parse_ip(server.host)
        host = str(literal) if literal is not None else server.host.lower()
        refusal = address_refusal(None, host, literal is not None)
        if refusal is not None and tenant is not None and tenant.endpoints:
            refusal = address_refusal(tenant, host, literal is not None)
        if refusal is not None:
            return Rejection(
                code=Code.ENDPOINT_NOT_ALLOWED, reason=f"API server: {refusal}"
            )
        found.add(Address(host=host, port=server.port, is_ip=literal is not None))
    if len({address.is_ip for address in found}) > 1:
        return Rejection(
            code=Code.MIXED_ADDRESSES,
            reason="API servers must be all IP addresses or all DNS names",
        )
    unit = UnitId(cluster=entry.name)
    destination = Destination(
        namespace="", service="", port=0, backend=Backend.API_SERVER
    )
    located = Located(destination=destination, addresses=tuple(sorted(found)))
    return ApiClaim(
        unit=unit,
        addresses=UnitAddresses(
            unit=unit,
            failover=Failover.ANY,
            routes=(LocatedRoute(name=ROUTE, located=(located,)),),
        ),
        certificate_names=entry.certificate_names,
    )

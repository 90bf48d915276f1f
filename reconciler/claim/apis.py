"""A cluster's API servers, as its inventory names them, as the input of its API route; pure."""

from __future__ import annotations

from reconciler.claim.addresses import served
from reconciler.claim.refusals import Refused, quoted
from reconciler.claim.sticky import Standing, choose, pool
from reconciler.codes import Code
from reconciler.model.claims import ApiClaim, Rejection
from reconciler.model.clusters import ApiServer, ClusterEntry
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
from reconciler.settings import ApiMode, Settings, Tenant
from reconciler.tenants import api_server_refusal, canonical_host

ROUTE = "api"
_DESTINATION = Destination(namespace="", service="", port=0, backend=Backend.API_SERVER)


def claim_api(
    entry: ClusterEntry, settings: Settings, head: UnitAddresses | None
) -> ApiClaim | Rejection | None:
    """The claim for a cluster's API; `None` when it is off or no API server is known."""
    if settings.apis.mode is ApiMode.OFF or not entry.api_servers:
        return None
    tenant = settings.tenant(entry.name)
    try:
        found = [_address(each, tenant) for each in sorted(set(entry.api_servers))]
        if len({each.is_ip for each in found}) > 1:
            what = "are partly IPs and partly names; the inventory must give one kind"
            raise Refused(Code.MIXED_ADDRESSES, "API servers", what)
    except Refused as refused:
        return refused.rejection
    before = served(head).get((_DESTINATION.key, Backend.API_SERVER), ())
    among = pool((each, Standing.READY) for each in found)
    chosen = choose(before, among, (entry.name, ROUTE))
    unit = UnitId(cluster=entry.name)
    located = Located(destination=_DESTINATION, addresses=chosen)
    return ApiClaim(
        unit=unit,
        addresses=UnitAddresses(
            unit=unit,
            failover=Failover.NONE,
            routes=(LocatedRoute(name=ROUTE, located=(located,)),),
        ),
        certificate_names=entry.certificate_names,
    )


def _address(server: ApiServer, tenant: Tenant | None) -> Address:
    where = f"API server {quoted(server.host)}"
    host = canonical_host(server.host)
    if host is None:
        what = "is neither a plain IP address nor a DNS name of two or more labels"
        raise Refused(Code.ENDPOINT_NOT_ALLOWED, where, what)
    refusal = api_server_refusal(tenant, *host)
    if refusal:
        raise Refused(Code.ENDPOINT_NOT_ALLOWED, where, refusal)
    if not 0 < server.port < 65536:
        what = f"{quoted(server.port)} is no port"
        raise Refused(Code.ENDPOINT_NOT_ALLOWED, where, what)
    return Address(host=host[0], port=server.port, is_ip=host[1])

"""A cluster's API as a unit: SNI on the shared port, or a port of its own; pure.

`auto` decides once, when the route is made: SNI when the server's certificate carries the
name (or is not known), a port when it does not. Later differences are reported.
"""

from __future__ import annotations

from dataclasses import replace

from reconciler.codes import Code
from reconciler.model.claims import ApiClaim, Wanted
from reconciler.model.plans import Op, Row
from reconciler.model.units import Placement, RouteWish, UnitKind, Wish
from reconciler.plan.decisions import NOWHERE, row
from reconciler.plan.records import ApiRecord, ClusterRecord
from reconciler.plan.world import World
from reconciler.settings import ApiMode, Settings

ROUTE = "api"


def api_mode(claim: ApiClaim, record: ClusterRecord, settings: Settings) -> ApiMode:
    """`sni` or `port` for this cluster; what was decided at creation stays under `auto`."""
    mode = settings.apis.mode
    if mode is not ApiMode.AUTO:
        return mode
    if record.api is not None and record.api.mode in (ApiMode.SNI, ApiMode.PORT):
        return ApiMode(record.api.mode)
    return _by_certificate(claim, settings)


def _by_certificate(claim: ApiClaim, settings: Settings) -> ApiMode:
    names = claim.certificate_names
    if names is None:
        return ApiMode.SNI
    host = settings.api_host(claim.unit.cluster)
    wildcard = "*." + host.partition(".")[2]
    return (
        ApiMode.SNI
        if {host, wildcard} & {name.lower() for name in names}
        else ApiMode.PORT
    )


def api_wanted(claim: ApiClaim, mode: ApiMode, settings: Settings) -> Wanted:
    """The wish of a cluster's API route."""
    host = settings.api_host(claim.unit.cluster)
    destinations = tuple(
        located.destination
        for route in claim.addresses.routes
        for located in route.located
    )
    missing = tuple(
        "the API servers"
        for route in claim.addresses.routes
        for located in route.located
        if not located.addresses
    )
    wish = Wish(
        unit=claim.unit,
        kind=UnitKind.API,
        routes=(
            RouteWish(
                name=ROUTE,
                destinations=destinations,
                hosts=(host,) if mode is ApiMode.SNI else (),
            ),
        ),
    )
    return Wanted(wish=wish, addresses=claim.addresses, missing=missing)


def with_api(
    record: ClusterRecord, claim: ApiClaim, placement: Placement, settings: Settings
) -> ClusterRecord:
    """The cluster's record with where its API answers.

    While the names in its certificate are not known the one that was chosen stays.
    """
    gateway = settings.gateway(placement.gateway)
    route = placement.routes[0]
    if gateway is None:
        return record
    if route.ports:
        api = ApiRecord(
            mode=ApiMode.PORT,
            host=settings.host(gateway),
            port=route.ports[0],
            gateway=gateway.name,
            server_name=_server_name(claim, record),
        )
    else:
        api = ApiRecord(
            mode=ApiMode.SNI,
            host=settings.api_host(record.cluster),
            port=gateway.tls_port,
            gateway=gateway.name,
        )
    return replace(record, api=api)


def _server_name(claim: ApiClaim, record: ClusterRecord) -> str:
    if claim.certificate_names is None and record.api is not None:
        return record.api.server_name
    names = [name for name in claim.certificate_names or () if "*" not in name]
    named = [
        name
        for name in names
        if not name.replace(".", "").isdecimal() and ":" not in name
    ]
    return min(named, key=lambda name: (name != "kubernetes", name), default="")


def certificate_note(
    claim: ApiClaim, record: ClusterRecord, world: World
) -> tuple[Row, ...]:
    """A row when `auto` would decide otherwise today; nothing acts on it."""
    settings = world.inputs.settings
    if settings.apis.mode is not ApiMode.AUTO or record.api is None:
        return ()
    if claim.certificate_names is None:
        return ()
    today = _by_certificate(claim, settings)
    if record.api.mode == today:
        return ()
    host = settings.api_host(record.cluster)
    has = "carries" if today is ApiMode.SNI else "no longer carries"
    reason = f"the API server's certificate {has} {host}; the route stays in mode {record.api.mode}"
    return (row(Op.SKIP, claim.unit, NOWHERE, Code.API_CERTIFICATE, reason),)

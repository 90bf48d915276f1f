"""Clusters behind API servers: what inventories found -> views (does I/O).

All or nothing: one list that is not whole makes the cluster unknown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

from reconciler.fairness import Shares
from reconciler.kube import (
    METADATA_ONLY,
    KubeApi,
    KubeError,
    Limits,
    server_certificate_names,
)
from reconciler.model.access import Credentials
from reconciler.model.clusters import (
    ClusterEntry,
    ClusterObjects,
    ClusterView,
    DestinationRule,
    Unknown,
    Why,
)
from reconciler.model.pins import NO_PINS, Pins
from reconciler.observe import parse
from reconciler.observe.discovery import Istio, all_of, identity, reading, served_istio
from reconciler.observe.inventories.found import Server, unbelieved
from reconciler.observe.lanes import Lanes
from reconciler.paging import Spent
from reconciler.settings import ApiMode, Settings
from reconciler.trust import stranger


async def read_servers(
    found: Sequence[Server | ClusterView], settings: Settings, pins: Pins = NO_PINS
) -> tuple[ClusterView, ...]:
    """Views of all clusters, in parallel; never raises for one of them."""
    lanes, shares = Lanes(), Shares()
    whole = settings.limits.deadline.total_seconds()
    until = asyncio.get_running_loop().time() + whole

    async def one(server: Server | ClusterView) -> ClusterView:
        if isinstance(server, ClusterView):
            return server
        try:
            check_pin(server, pins)
        except KubeError as exc:
            entry = unbelieved(server.entry)
            return ClusterView(entry=entry, objects=exc.unknown())
        try:
            async with asyncio.timeout_at(until), lanes.place():
                return await _view(server, settings, shares)
        except TimeoutError:
            return _late(server.entry, f"the {whole:g} s for all clusters")

    return tuple(await asyncio.gather(*map(one, found)))


def check_pin(server: Server, pins: Pins) -> None:
    """Raises KubeError when another CA than the pinned one vouches for a cluster's server."""
    name = server.entry.name
    if what := stranger(name, server.credentials, pins.get(name)):
        raise KubeError(what, name, why=Why.OTHER_CA)


def limits(settings: Settings) -> Limits:
    """What one cluster may cost, as the client of its API understands it."""
    cluster, usual = settings.limits.cluster, Limits()
    return Limits(
        request_seconds=min(usual.request_seconds, cluster.deadline.total_seconds()),
        items=cluster.objects,
        kept_bytes=cluster.mebibytes * 1024 * 1024,
    )


async def _view(server: Server, settings: Settings, shares: Shares) -> ClusterView:
    entry, credentials = server.entry, server.credentials
    seconds = settings.limits.cluster.deadline.total_seconds()
    most = limits(settings)
    try:
        async with asyncio.timeout(seconds):
            async with KubeApi(
                credentials, name=entry.name, limits=most, shares=shares
            ) as api:
                cluster_id, objects = await _read(api)
            names = await certificate_names_of(entry, credentials, settings)
    except KubeError as exc:
        unknown = exc.unknown()
        return ClusterView(entry=unknown.of(entry), objects=unknown)
    except TimeoutError:
        return _late(entry, f"{seconds:g} s")
    known = replace(entry, cluster_id=cluster_id, certificate_names=names)
    return ClusterView(entry=known, objects=objects, access=credentials)


def _late(entry: ClusterEntry, within: str) -> ClusterView:
    unknown = Unknown(
        why=Why.TIMEOUT, message=f"{entry.name}: not read within {within}"
    )
    return ClusterView(entry=entry, objects=unknown)


async def certificate_names_of(
    entry: ClusterEntry, credentials: Credentials, settings: Settings
) -> tuple[str, ...] | None:
    """What the server's certificate carries; `None`: not known, or nobody asks."""
    if settings.apis.mode is not ApiMode.AUTO or not entry.api_servers:
        return None
    if credentials.proxy:  # this handshake would go past it
        return None
    host, port, ca = credentials.host, credentials.port, credentials.ca
    if not credentials.is_root:  # that host is not the API server that is routed to
        first = entry.api_servers[0]
        host, port, ca = first.host, first.port, entry.ca_bundle
    names = await server_certificate_names(
        host,
        port,
        ca=ca,
        server_name=settings.api_host(entry.name),
    )
    return parse.certificate_names(names)


async def _read(api: KubeApi) -> tuple[str, ClusterObjects]:
    """The cluster's id and all of its objects. Raises KubeError for the first failure.

    The id is asked for before and after: behind one address another cluster may answer.
    """
    cluster_id = await identity(api)
    with reading(cluster_id):
        istio = await served_istio(api)
    spent = Spent()
    services, core, nodes, rules = await all_of(
        api.list(f"{istio.path}/virtualservices", parse.virtual_service, spent=spent),
        api.list("/api/v1/services", parse.service, spent=spent),
        api.list("/api/v1/nodes", parse.node, spent=spent),
        _rules(api, istio, spent),
    )
    pods = await _pods(api, spent) if parse.needs_pods(services) else None
    slices = await api.list(
        "/apis/discovery.k8s.io/v1/endpointslices",
        lambda body: parse.endpoint_slice(body, pods),
        spent=spent,
    )
    if await identity(api) != cluster_id:
        what = "another cluster answered before the lists were whole"
        raise KubeError(what, api.name, why=Why.INCOMPLETE)
    return cluster_id, ClusterObjects(
        virtual_services=_distinct(api, services),
        services=_distinct(api, core),
        nodes=_distinct(api, nodes),
        # A Service has several slices: their own names are not kept.
        endpoint_slices=tuple(
            sorted(slices, key=lambda each: (each.namespace, each.service, each.ports))
        ),
        destination_rules=_distinct(api, rules),
    )


async def _rules(
    api: KubeApi, istio: Istio, spent: Spent
) -> tuple[DestinationRule, ...]:
    """Without their CRD there are no subsets, and only a unit that names one is rejected."""
    if not istio.rules:
        return ()
    path = f"{istio.path}/destinationrules"
    return await api.list(path, parse.destination_rule, spent=spent)


async def _pods(api: KubeApi, spent: Spent) -> parse.PodLabels | None:
    """Labels of all pods; `None` when we may not list them.

    One tenant's wish makes them necessary, and must not make the cluster unknown where the
    platform does not grant them: then that unit is rejected, which changes nothing served.
    """
    try:
        found = await api.list(
            "/api/v1/pods", parse.pod_labels, accept=METADATA_ONLY, spent=spent
        )
    except KubeError as exc:
        if exc.why is Why.FORBIDDEN:
            return None
        raise
    return dict(found)


class _Named(Protocol):
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=_Named)


def _distinct(api: KubeApi, objects: tuple[N, ...]) -> tuple[N, ...]:
    """Sorted by namespace and name. Raises KubeError when a list has an object twice."""
    found = {(getattr(each, "namespace", ""), each.name): each for each in objects}
    if len(found) != len(objects):
        raise KubeError("a list has an object twice", api.name, why=Why.INCOMPLETE)
    return tuple(found[key] for key in sorted(found))

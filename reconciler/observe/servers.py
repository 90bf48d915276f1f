"""Clusters behind API servers: contexts of a kubeconfig -> views (does I/O).

All or nothing: one list that is not whole makes the cluster unknown.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

from reconciler.kube import (
    METADATA_ONLY,
    KubeApi,
    KubeError,
    NotFound,
    server_certificate_names,
)
from reconciler.kubeconfig import Credentials, RefusedKubeconfig, load_kubeconfig
from reconciler.model.clusters import (
    ApiServer,
    ClusterEntry,
    ClusterObjects,
    ClusterView,
    DestinationRule,
    EndpointSlice,
    Unknown,
    VirtualService,
    Why,
)
from reconciler.names import is_cluster_name
from reconciler.observe import parse
from reconciler.settings import ApiMode, Inventory, Settings

ISTIO_GROUP = "/apis/networking.istio.io"
SECONDS_PER_CLUSTER = 120.0
AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One cluster of a kubeconfig inventory, with how to reach it or why not."""

    entry: ClusterEntry
    credentials: Credentials | Unknown


def servers(inventory: Inventory) -> tuple[Server, ...] | Unknown:
    """The contexts of a kubeconfig inventory; unknown when the file cannot be read."""
    if inventory.kubeconfig is None:
        raise AssertionError("not a kubeconfig inventory")
    path = inventory.kubeconfig.path
    try:
        config = load_kubeconfig(Path(path) if path else None)
    except RefusedKubeconfig as exc:
        return exc.unknown()
    found = []
    for context in config.matching(inventory.kubeconfig.contexts):
        name = inventory.names.get(context, context)
        entry = ClusterEntry(name=name, inventory=inventory.name)
        if not is_cluster_name(name):
            message = f"context {context[:80]!r} is no name for a cluster here; map it under names"
            unknown = Unknown(why=Why.UNREADABLE, message=message)
            found.append(Server(entry=entry, credentials=unknown))
            continue
        try:
            credentials = config.credentials(context)
        except RefusedKubeconfig as exc:
            found.append(Server(entry=entry, credentials=exc.unknown()))
            continue
        described = replace(
            entry,
            api_servers=(ApiServer(host=credentials.host, port=credentials.port),)
            if credentials.is_root
            else (),
            ca_bundle=credentials.ca,
        )
        found.append(Server(entry=described, credentials=credentials))
    return tuple(found)


async def read_servers(
    found: tuple[Server, ...], settings: Settings
) -> tuple[ClusterView, ...]:
    """Views of all clusters, in parallel; never raises for one of them."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(server: Server) -> ClusterView:
        async with slots:
            return await _view(server, settings)

    return tuple(await asyncio.gather(*map(one, found)))


async def _view(server: Server, settings: Settings) -> ClusterView:
    entry, credentials = server.entry, server.credentials
    if isinstance(credentials, Unknown):
        return ClusterView(entry=entry, objects=credentials)
    try:
        async with asyncio.timeout(SECONDS_PER_CLUSTER):
            async with KubeApi(credentials, name=entry.name) as api:
                cluster_id, objects = await _read(api)
            names = await _certificate_names(entry, credentials, settings)
    except KubeError as exc:
        return ClusterView(entry=entry, objects=exc.unknown())
    except TimeoutError:
        message = f"{entry.name}: not read within {SECONDS_PER_CLUSTER:.0f} s"
        return ClusterView(
            entry=entry, objects=Unknown(why=Why.TIMEOUT, message=message)
        )
    if not cluster_id:
        message = f"{entry.name}: Namespace kube-system has no uid"
        return ClusterView(entry=entry, objects=Unknown(why=Why.NO_ID, message=message))
    known = replace(entry, cluster_id=cluster_id, certificate_names=names)
    return ClusterView(entry=known, objects=objects)


async def _certificate_names(
    entry: ClusterEntry, credentials: Credentials, settings: Settings
) -> tuple[str, ...] | None:
    if settings.apis.mode is not ApiMode.AUTO or not entry.api_servers:
        return None
    return await server_certificate_names(
        credentials.host,
        credentials.port,
        ca=credentials.ca,
        server_name=settings.api_host(entry.name),
    )


async def _read(api: KubeApi) -> tuple[str, ClusterObjects]:
    istio = await _istio(api)
    system = await api.get("/api/v1/namespaces/kube-system")
    services, core, nodes, slices, rules = await asyncio.gather(
        api.list(f"{istio}/virtualservices", parse.virtual_service),
        api.list("/api/v1/services", parse.service),
        api.list("/api/v1/nodes", parse.node),
        _slices(api),
        _rules(api, istio),
    )
    if parse.needs_pods(services) and any(rule.subsets for rule in rules):
        pods = dict(
            await api.list("/api/v1/pods", parse.pod_labels, accept=METADATA_ONLY)
        )
        slices = await _slices(api, pods)
    uid = parse.text(parse.mapping(system.get("metadata")).get("uid"))
    return uid, ClusterObjects(
        virtual_services=_sorted(services),
        services=core,
        nodes=nodes,
        endpoint_slices=slices,
        destination_rules=rules,
    )


async def _istio(api: KubeApi) -> str:
    """The path of the served version of Istio's networking group."""
    try:
        group = await api.get(ISTIO_GROUP)
    except NotFound:
        raise KubeError(
            "the VirtualService CRD is not installed (group networking.istio.io is not served)",
            api.name,
            why=Why.NO_CRD,
        ) from None
    served = {
        parse.text(parse.mapping(each).get("version"))
        for each in parse.items(group.get("versions"))
    }
    for version in ("v1", "v1beta1", "v1alpha3"):
        if version in served:
            return f"{ISTIO_GROUP}/{version}"
    raise KubeError(
        "no known version of networking.istio.io is served", api.name, why=Why.NO_CRD
    )


async def _slices(
    api: KubeApi, pods: parse.PodLabels | None = None
) -> tuple[EndpointSlice, ...]:
    return await api.list(
        "/apis/discovery.k8s.io/v1/endpointslices",
        lambda body: parse.endpoint_slice(body, pods),
    )


async def _rules(api: KubeApi, istio: str) -> tuple[DestinationRule, ...]:
    """DestinationRules; without their CRD there are no subsets, and no wish can name one."""
    try:
        return await api.list(f"{istio}/destinationrules", parse.destination_rule)
    except NotFound:
        return ()


def _sorted(services: tuple[VirtualService, ...]) -> tuple[VirtualService, ...]:
    return tuple(sorted(services, key=lambda each: (each.namespace, each.name)))

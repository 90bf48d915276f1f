"""Examines inventories and the clusters that they name (does I/O)."""

from __future__ import annotations

import asyncio
from datetime import datetime

from reconciler.doctor import apis
from reconciler.doctor.findings import Finding, fail, ok, warn
from reconciler.doctor.permissions import WORKLOAD, hub_needs
from reconciler.errors import Exit
from reconciler.kube import KubeApi, KubeError
from reconciler.kubeconfig import RefusedKubeconfig
from reconciler.kubesession import server_certificate
from reconciler.model.clusters import (
    ClusterState,
    ClusterView,
    Unknown,
    Why,
)
from reconciler.model.pins import Pins
from reconciler.observe.discovery import identity, served_istio
from reconciler.observe.folders import read_directory
from reconciler.observe.inventories import HUBS, Found, Server, reader
from reconciler.observe.inventories.hub import hub_credentials
from reconciler.observe.servers import check_pin
from reconciler.settings import ApiMode, Inventory, Settings

_AT_ONCE = 16
_ROLE = "manifests/rbac-workload.yaml"


async def examine(settings: Settings, pins: Pins, now: datetime) -> list[Finding]:
    """All inventories of the settings, and all of their clusters."""
    found: list[Finding] = []
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(server: Server) -> list[Finding]:
        async with slots:
            return await _server(server, settings, pins, now)

    for inventory in settings.inventories:
        members = await _members(inventory)
        found += await _inventory(inventory, members)
        if isinstance(members, Unknown):
            continue
        for each in members:
            if not isinstance(each, Server):
                found += _view(each)
        servers = [each for each in members if isinstance(each, Server)]
        for findings in await asyncio.gather(*map(one, servers)):
            found += findings
    return found


async def _members(inventory: Inventory) -> Found:
    if inventory.directory is not None:
        return await asyncio.to_thread(read_directory, inventory)
    return await reader(inventory).read()


async def _inventory(inventory: Inventory, members: Found) -> list[Finding]:
    where = f"inventory {inventory.name}"
    if isinstance(members, Unknown):
        is_refused = members.why is Why.UNAUTHORISED
        code = Exit.CREDENTIALS if is_refused else Exit.INCOMPLETE
        advice = "nothing is removed meanwhile; see docs/inventories.md"
        found = [fail(where, "inventory", members.message, advice, code)]
    elif not members:
        advice = "is it the right one, and may we see its clusters?"
        found = [warn(where, "inventory", "it names no cluster", advice)]
    else:
        count = len(members)
        text = f"{count} cluster" if count == 1 else f"{count} clusters"
        found = [ok(where, "inventory", text)]
    return [*found, *await _hub(inventory, where)]


async def _hub(inventory: Inventory, where: str) -> list[Finding]:
    """Permissions at the hub; nothing for what is none."""
    if inventory.hub is None or inventory.source not in HUBS:
        return []
    kinds = HUBS[inventory.source].kinds(inventory)
    needs = hub_needs(kinds, inventory.hub.namespaces)
    role = f"manifests/rbac-inventory-{inventory.source.replace('_', '-')}.yaml"
    try:
        async with KubeApi(hub_credentials(inventory), name=inventory.name) as api:
            return await apis.permissions(api, where, needs, role)
    except KubeError as exc:
        return [apis.failure(where, "permissions", exc)]
    except RefusedKubeconfig as exc:
        return [fail(where, "credentials", exc.what, "see docs/credentials.md")]


def _view(view: ClusterView) -> list[Finding]:
    """A cluster that is not asked itself: of a directory, refused, or not there yet."""
    where = f"cluster {view.entry.name}"
    if view.entry.state is ClusterState.DELETED:
        return [ok(where, "state", "its inventory says that it is deleted")]
    if not isinstance(view.objects, Unknown):
        return [ok(where, "cluster", f"id {view.entry.cluster_id}")]
    advice = "nothing of it changes until it can be read"
    if view.entry.state is ClusterState.PROVISIONING:
        return [warn(where, "state", view.objects.message, advice)]
    return [fail(where, "cluster", view.objects.message, advice)]


async def _server(
    server: Server, settings: Settings, pins: Pins, now: datetime
) -> list[Finding]:
    where = f"cluster {server.entry.name}"
    seconds = settings.limits.cluster.deadline.total_seconds()
    try:
        check_pin(server, pins)
        async with asyncio.timeout(seconds):
            return await _asked(server, settings, now)
    except KubeError as exc:
        return [apis.failure(where, "API server", exc)]
    except TimeoutError:
        advice = "is a firewall on the way, or is it overloaded?"
        return [fail(where, "API server", f"no answer within {seconds:g} s", advice)]


async def _asked(server: Server, settings: Settings, now: datetime) -> list[Finding]:
    where, credentials = f"cluster {server.entry.name}", server.credentials
    found = apis.token(where, credentials, now)
    async with KubeApi(credentials, name=server.entry.name) as api:
        found.append(ok(where, "API server", f"id {await identity(api)}"))
        found.append(apis.clock(where, api.date, now))
        try:
            istio = await served_istio(api)
            version = istio.path.rpartition("/")[2]
            found.append(ok(where, "Istio", f"VirtualServices {version}"))
        except KubeError as exc:
            advice = "install Istio's CRDs there; its API is served without them"
            found.append(warn(where, "Istio", exc.what, advice))
        found += await apis.permissions(api, where, WORKLOAD, _ROLE)
    is_named = settings.apis.mode is not ApiMode.OFF and server.entry.api_servers
    host = settings.api_host(server.entry.name) if is_named else ""
    seen = await server_certificate(
        credentials.host, credentials.port, ca=credentials.ca, server_name=host
    )
    return [*found, *apis.certificate(where, seen, host, now)]

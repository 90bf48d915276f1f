"""Reads what Argo CD, Flux, gateways and `envoy-sync` say (does I/O).

One read per kind and look, whatever the number of units.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reconciler.prove import gateways
from reconciler.prove.checks import Evidence
from reconciler.prove.engines import (
    Applied,
    argo_applied,
    find_applications,
    find_kustomizations,
    flux_applied,
)
from reconciler.prove.gateways import Platform
from reconciler.prove.views import Collection, Look, View
from reconciler.settings import Gateway, Proof, Renderer, Settings

Json = Mapping[str, Any]
_COMMIT = re.compile(r"[0-9a-f]{40}\Z")
_GATEWAY_KINDS = {
    "Gateway": "gateways",
    "ListenerSet": "listenersets",
    "TCPRoute": "tcproutes",
    "TLSRoute": "tlsroutes",
}
_CLASSIC_KINDS = {
    "Gateway": "gateways",
    "VirtualService": "virtualservices",
    "ServiceEntry": "serviceentries",
    "DestinationRule": "destinationrules",
}


async def gather(
    gateway: Gateway, proof: Proof, settings: Settings, look: Look
) -> Evidence | str:
    """What the platform says of one gateway, or in words why nothing is looked at."""
    if proof.envoy_sync is not None:
        return _envoy_sync(Path(proof.envoy_sync), gateway, proof)
    if not proof.argocd and not proof.flux:
        return "no proof is set for the gateway"
    if settings.platform is None:
        return "no platform is set, so neither engine nor gateway can be seen"
    async with look(settings.platform) as view:
        applied, platform = await asyncio.gather(
            engine_objects(view, proof), _platform(view, gateway)
        )
        addresses = await _addresses(view, gateway, platform)
    globs = proof.argocd or proof.flux

    def of_folder(folder: str) -> tuple[Applied, ...]:
        return _applied(applied, globs, folder, bool(proof.argocd))

    return Evidence(
        applied=of_folder,
        platform=platform,
        addresses=addresses,
        connect=proof.connect,
    )


async def gather_now(
    gateway: Gateway, settings: Settings, look: Look
) -> Platform | None:
    """What the API server says now of a gateway's kinds; `None` where `gather` asked it so."""
    if settings.platform is None:
        return None
    async with look(settings.platform) as view:
        direct = view.direct()
        return None if direct is None else await _platform(direct, gateway)


async def revisions(
    gateway: Gateway, settings: Settings, folders: Sequence[str], look: Look
) -> frozenset[str]:
    """Whole commit ids that an engine reports as applied of a gateway's folders."""
    found: list[Applied] = []
    proof = gateway.proof
    if not isinstance(proof, Proof):
        return frozenset()
    globs = proof.argocd or proof.flux
    if proof.envoy_sync is not None:
        status = _envoy_sync(Path(proof.envoy_sync), gateway, proof)
        found.extend(status.applied(""))
    elif globs and settings.platform is not None:
        async with look(settings.platform) as view:
            objects = await engine_objects(view, proof)
        for folder in folders:
            found.extend(_applied(objects, globs, folder, bool(proof.argocd)))
    return frozenset(each.revision for each in found if _COMMIT.match(each.revision))


async def engine_objects(view: View, proof: Proof) -> tuple[Json, ...]:
    """The Applications or Kustomizations of the namespaces that a proof names."""
    lists = await asyncio.gather(*map(view.objects, engine_collections(proof)))
    return tuple(item for each in lists for item in each)


def engine_collections(proof: Proof) -> tuple[Collection, ...]:
    """Where the objects of a proof's engine are."""
    version, plural = (
        ("argoproj.io/v1alpha1", "applications")
        if proof.argocd
        else ("kustomize.toolkit.fluxcd.io/v1", "kustomizations")
    )
    namespaces = {glob.partition("/")[0] for glob in proof.argocd or proof.flux}
    return tuple(
        Collection(version=version, plural=plural, namespace=each)
        for each in sorted(namespaces)
    )


def _applied(
    objects: tuple[Json, ...], globs: tuple[str, ...], folder: str, argo: bool
) -> tuple[Applied, ...]:
    if argo:
        return tuple(
            argo_applied(application, index)
            for application, index in find_applications(objects, globs, folder)
        ) or (Applied(problem=f"no Application for {folder}", absent=True),)
    return tuple(
        flux_applied(each) for each in find_kustomizations(objects, globs, folder)
    ) or (Applied(problem=f"no Kustomization for {folder}", absent=True),)


async def _platform(view: View, gateway: Gateway) -> Platform:
    classic = gateway.renderer is Renderer.ISTIO_CLASSIC
    version = "networking.istio.io/v1" if classic else f"{gateways.GROUP}/v1"
    kinds = _CLASSIC_KINDS if classic else _GATEWAY_KINDS
    found: dict[tuple[str, str], Json] = {}
    lists = await asyncio.gather(
        *(
            view.objects(
                Collection(version=version, plural=plural, namespace=gateway.namespace)
            )
            for plural in kinds.values()
        )
    )
    for kind, items in zip(kinds, lists, strict=True):
        for item in items:
            found[(kind, str(item["metadata"]["name"]))] = item
    return Platform(objects=found)


async def _addresses(
    view: View, gateway: Gateway, platform: Platform
) -> tuple[str, ...]:
    if gateway.renderer is not Renderer.ISTIO_CLASSIC:
        return gateways.addresses(platform.objects.get(("Gateway", gateway.name)))
    name = (gateway.service or gateway.name).partition(".")[0]
    service = await view.service(gateway.namespace, name)
    status = (service or {}).get("status") or {}
    ingress = (status.get("loadBalancer") or {}).get("ingress") or []
    return tuple(str(each.get("ip") or each.get("hostname")) for each in ingress)


def _envoy_sync(status: Path, gateway: Gateway, proof: Proof) -> Evidence:
    """What `envoy-sync` wrote: the revision that Envoy acknowledged. Envoy is on this machine."""
    try:
        body: Any = json.loads(status.read_bytes())
    except (OSError, ValueError):
        body = {}
    acknowledged = isinstance(body, dict) and body.get("acknowledged") is True
    revision = str(body.get("revision", "")) if acknowledged else ""
    problem = "" if revision else f"envoy-sync has acknowledged nothing yet ({status})"
    bind = str(body.get("bind", "")) if acknowledged else ""
    return Evidence(
        applied=lambda folder: (Applied(revision=revision, problem=problem),),
        platform=None,
        addresses=("127.0.0.1" if bind in ("", "0.0.0.0", "::") else bind,),
        connect=proof.connect,
        refused=dict(body.get("refused", {})) if acknowledged else {},
    )

"""Examines the platform cluster: permissions, CRDs, the engine, the gateways (does I/O)."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from datetime import datetime

from reconciler.doctor import apis
from reconciler.doctor.findings import Finding, fail, ok, skipped, warn
from reconciler.doctor.permissions import platform_needs
from reconciler.errors import Exit
from reconciler.kube import KubeApi, KubeError, NotFound
from reconciler.kubeconfig import RefusedKubeconfig
from reconciler.observe import parse
from reconciler.prove.views import platform_api
from reconciler.settings import Gateway, Renderer, Settings

_WHERE, _ROLE = "platform", "manifests/rbac-platform.yaml"
_API = "gateway.networking.k8s.io/v1"
_CORE = ("gateways", "listenersets", "tcproutes", "tlsroutes")
SERVED: Mapping[Renderer, Mapping[str, tuple[str, ...]]] = {
    Renderer.ENVOY_GATEWAY: {
        _API: _CORE,
        "gateway.envoyproxy.io/v1alpha1": (
            "backends",
            "backendtrafficpolicies",
            "clienttrafficpolicies",
            "securitypolicies",
        ),
    },
    Renderer.ISTIO: {
        _API: _CORE,
        "networking.istio.io/v1": ("serviceentries", "destinationrules"),
        "security.istio.io/v1": ("authorizationpolicies",),
    },
    Renderer.ISTIO_CLASSIC: {
        "networking.istio.io/v1": (
            "gateways",
            "virtualservices",
            "serviceentries",
            "destinationrules",
        ),
    },
    Renderer.ENVOY: {},
}
"""Group and version -> resources that a renderer's manifests are made of."""


async def examine(settings: Settings, now: datetime) -> list[Finding]:
    """The platform cluster as the gateways of the settings need it."""
    if settings.platform is None:
        if all(each.renderer is Renderer.ENVOY for each in settings.gateways):
            return []
        advice = "set `platform`, or run `wharfinger prove` where the gateways are"
        what = "the settings name no platform: states stop at Allocated"
        return [skipped(_WHERE, "platform", what, advice)]
    try:
        async with platform_api(settings.platform) as api:
            found = [await _version(api), apis.clock(_WHERE, api.date, now)]
            found += await apis.permissions(
                api, _WHERE, platform_needs(settings), _ROLE
            )
            for gateway in settings.gateways:
                found += await _served(api, gateway)
                found += await _engine(api, gateway)
            return found
    except KubeError as exc:
        return [apis.failure(_WHERE, "platform", exc)]
    except RefusedKubeconfig as exc:
        advice = "name a context of the kubeconfig, or `in-cluster` inside of a pod"
        return [fail(_WHERE, "platform", str(exc), advice, Exit.CREDENTIALS)]


async def _version(api: KubeApi) -> Finding:
    version = parse.text((await api.get("/version")).get("gitVersion"))
    return ok(_WHERE, "platform", f"Kubernetes {version[:40]}")


async def _served(api: KubeApi, gateway: Gateway) -> list[Finding]:
    where, found = f"gateway {gateway.name}", []
    for version, wanted in SERVED[gateway.renderer].items():
        missing = sorted(set(wanted) - await _resources(api, version))
        if missing:
            what = f"{version} lacks {', '.join(missing)}"
            advice = (
                f"install the CRDs that {gateway.renderer} needs (docs/gateways.md)"
            )
            found.append(fail(where, "CRDs", what, advice))
        else:
            found.append(ok(where, "CRDs", f"{version}: {', '.join(sorted(wanted))}"))
    return found


async def _resources(api: KubeApi, version: str) -> set[str]:
    try:
        served = await api.get(f"/apis/{version}")
    except NotFound:
        return set()
    listed = parse.items(served.get("resources"))
    return {parse.text(parse.mapping(each).get("name")) for each in listed}


async def _engine(api: KubeApi, gateway: Gateway) -> list[Finding]:
    """Whether the objects that `proof` names are there."""
    proof, where = gateway.proof, f"gateway {gateway.name}"
    if proof is None or proof == "off":
        what = "nothing says what was applied: states stop at Allocated"
        return [
            skipped(where, "engine", what, "set `proof` to see routes become Ready")
        ]
    if proof.argocd:
        kind, path, globs = (
            "Application",
            "argoproj.io/v1alpha1/applications",
            proof.argocd,
        )
    elif proof.flux:
        kind, globs = "Kustomization", proof.flux
        path = "kustomize.toolkit.fluxcd.io/v1/kustomizations"
    else:
        return []
    try:
        named = await api.list(f"/apis/{path}", _name)
    except KubeError as exc:
        return [apis.failure(where, "engine", exc)]
    return [_matching(where, kind, named, globs)]


def _name(body: parse.Json) -> str:
    return "/".join(parse.identity(body, namespaced=True))


def _matching(
    where: str, kind: str, named: Iterable[str], globs: Iterable[str]
) -> Finding:
    wanted = tuple(globs)
    count = sum(any(fnmatch.fnmatchcase(e, g) for g in wanted) for e in named)
    if count:
        return ok(where, "engine", f"{count} {kind}s match `proof`")
    advice = (
        f"apply what `wharfinger init` wrote, or correct `proof` ({', '.join(wanted)})"
    )
    return warn(where, "engine", f"no {kind} matches `proof`", advice)

"""Which verbs are needed where, and which of them we have, by SelfSubjectAccessReview (does I/O)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reconciler.kube import KubeApi
from reconciler.observe import parse
from reconciler.observe.inventories.source import Kind
from reconciler.settings import Gateway, Renderer, Settings

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_ISTIO, _GATEWAYS = "networking.istio.io", "gateway.networking.k8s.io"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Need:
    """One verb on one resource. `only` says what lacks without it, where that is not all."""

    group: str
    resource: str
    verb: str
    name: str = ""
    namespace: str = ""
    only: str = ""

    def __str__(self) -> str:
        group = f".{self.group}" if self.group else ""
        name = f" {self.name}" if self.name else ""
        space = f" in {self.namespace}" if self.namespace else ""
        return f"{self.verb} {self.resource}{group}{name}{space}"


def _both(group: str, *resources: str, only: str = "") -> tuple[Need, ...]:
    """To list, and to watch what was listed, as `run` does."""
    return tuple(
        Need(
            group=group,
            resource=each,
            verb=verb,
            only=only or ("`wharfinger run`" if verb == "watch" else ""),
        )
        for each in resources
        for verb in ("list", "watch")
    )


_PODS = "subsets of `backend: pod`"
WORKLOAD = (
    Need(group="", resource="namespaces", verb="get", name="kube-system"),
    *_both("", "services", "nodes"),
    *_both("", "pods", only=_PODS),
    *_both("discovery.k8s.io", "endpointslices"),
    *_both(_ISTIO, "destinationrules", "virtualservices"),
    Need(group=_ISTIO, resource="virtualservices", verb="patch", only="write-back"),
)
"""What is needed in a workload cluster (manifests/rbac-workload.yaml)."""

_CLASSIC = ("gateways", "virtualservices", "serviceentries", "destinationrules")
_API = ("gateways", "listenersets", "tcproutes", "tlsroutes")


def platform_needs(settings: Settings) -> tuple[Need, ...]:
    """What is needed in the platform cluster for these gateways (manifests/rbac-platform.yaml)."""
    found: dict[Need, None] = {}
    for gateway in settings.gateways:
        found |= dict.fromkeys((*_for_renderer(gateway), *_for_engine(gateway)))
    return tuple(found)


def _for_renderer(gateway: Gateway) -> tuple[Need, ...]:
    match gateway.renderer:
        case Renderer.ISTIO_CLASSIC:
            address = Need(group="", resource="services", verb="get")
            return (*_both(_ISTIO, *_CLASSIC), address)
        case Renderer.ENVOY:
            return ()
    return _both(_GATEWAYS, *_API)


def _for_engine(gateway: Gateway) -> tuple[Need, ...]:
    proof = gateway.proof
    if proof is None or proof == "off":
        return ()
    soon = "asking for a sync right after a push"
    if proof.argocd:
        asked = [
            Need(group="argoproj.io", resource=each, verb="patch", only=soon)
            for each in ("applications", "applicationsets")
        ]
        return (*_both("argoproj.io", "applications", "applicationsets"), *asked)
    if proof.flux:
        sources, engine = "source.toolkit.fluxcd.io", "kustomize.toolkit.fluxcd.io"
        asked = [
            Need(group=sources, resource="gitrepositories", verb="patch", only=soon)
        ]
        return (*_both(engine, "kustomizations"), *asked)
    return ()


def hub_needs(kinds: Iterable[Kind], namespaces: Sequence[str]) -> tuple[Need, ...]:
    """What is needed at a hub to list and watch these kinds."""
    return tuple(
        Need(
            group=group,
            resource=kind.plural,
            verb=verb,
            namespace=namespace,
            only="" if kind.required and verb == "list" else _why(kind, verb),
        )
        for kind in kinds
        for group in [kind.versions[0].rpartition("/")[0]]
        for namespace in ((namespaces if kind.namespaced else ()) or ("",))
        for verb in ("list", "watch")
    )


def _why(kind: Kind, verb: str) -> str:
    return "`wharfinger run`" if kind.required else f"what {kind.plural} add"


async def lacking(api: KubeApi, needs: Sequence[Need]) -> tuple[Need, ...]:
    """Those of the needs that the API server would refuse. Raises KubeError."""
    allowed = await asyncio.gather(*(_may(api, each) for each in needs))
    return tuple(need for need, may in zip(needs, allowed, strict=True) if not may)


async def _may(api: KubeApi, need: Need) -> bool:
    asked = {
        "group": need.group,
        "resource": need.resource,
        "verb": need.verb,
        "name": need.name,
        "namespace": need.namespace,
    }
    attributes = {key: value for key, value in asked.items() if value}
    review = await api.create(
        _REVIEWS,
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        },
    )
    return parse.mapping(review.get("status")).get("allowed") is True

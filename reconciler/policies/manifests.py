"""Judges the manifests of an ingress repository by admission policies; pure.

Every object of a gateway counts as created in the gateway's namespace, which has the label that
docs/policies.md asks for. Gateways of plain Envoy have no Kubernetes objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from reconciler import yamlio
from reconciler.model.repository import File
from reconciler.policies.judge import Judge, Request
from reconciler.settings import Gateway, Renderer, Settings

GATEWAY_NAMESPACE = "wharfinger.dev/gateway-namespace"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Denied:
    """An object that the API server would refuse: where it is, by which policy, and why."""

    path: str
    line: int
    policy: str
    message: str


def judge_manifests(
    files: Mapping[str, File], settings: Settings, judge: Judge
) -> tuple[Denied, ...]:
    """All denials, sorted. Files that are no YAML are somebody else's finding."""
    found: set[Denied] = set()
    for path, file in files.items():
        parts = path.split("/")
        if parts[0] != "manifests" or len(parts) < 3 or not path.endswith(".yaml"):
            continue
        gateway = settings.gateway(parts[1])
        if gateway is not None and gateway.renderer is not Renderer.ENVOY:
            found.update(_denied(path, file.data, gateway, judge))
    return tuple(sorted(found))


def _denied(path: str, data: bytes, gateway: Gateway, judge: Judge) -> Iterator[Denied]:
    labels = {
        "kubernetes.io/metadata.name": gateway.namespace,
        GATEWAY_NAMESPACE: "true",
    }
    try:
        documents = yamlio.load_all(data, positions=True)
    except yamlio.Unreadable:
        return
    for body, line in _objects(documents):
        for each in judge.judge(Request(object=body, namespace_labels=labels)):
            yield Denied(path=path, line=line, policy=each.policy, message=each.message)


def _objects(
    documents: Iterable[yamlio.Document],
) -> Iterator[tuple[Mapping[str, object], int]]:
    """(object, line), also of those that a list holds: `kubectl apply` opens it too."""
    for document in documents:
        items = _items(document.data)
        for index, item in enumerate(items or [document.data]):
            where: yamlio.Path = ("items", index, "kind") if items else ("kind",)
            if isinstance(item, Mapping):
                yield item, document.position(where)[0]


def _items(body: object) -> list[object]:
    if not isinstance(body, Mapping) or not str(body.get("kind")).endswith("List"):
        return []
    items = body.get("items")
    return items if isinstance(items, list) else []

"""Which cluster answers, and what it serves: asked before and after its lists (does I/O)."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from reconciler.kube import KubeApi, KubeError, NotFound
from reconciler.model.clusters import Why
from reconciler.observe import parse

ISTIO_GROUP = "/apis/networking.istio.io"


async def all_of(*requests: Coroutine[Any, Any, Any]) -> list[Any]:
    """All results, or the first failure in the order of the requests: never one by luck."""
    results = await asyncio.gather(*requests, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


async def identity(api: KubeApi) -> str:
    """The UID of the Namespace kube-system."""
    path = "/api/v1/namespaces/kube-system"
    try:
        system = await api.get(path)
    except NotFound as exc:
        what = "it has no Namespace kube-system"
        raise KubeError(what, api.name, why=Why.NO_ID, status=exc.status) from None
    found = parse.cluster_id(parse.mapping(system.get("metadata")).get("uid"))
    if not found:
        raise KubeError("Namespace kube-system has no uid", api.name, why=Why.NO_ID)
    return found


@contextmanager
def reading(cluster_id: str) -> Iterator[None]:
    """What fails in here says whose objects could not be read. Raises what is raised in here."""
    try:
        yield
    except KubeError as exc:
        exc.cluster_id = cluster_id
        raise


@dataclass(frozen=True, slots=True, kw_only=True)
class Istio:
    """The served version of Istio's networking group, and whether it has DestinationRules."""

    path: str
    rules: bool


async def served_istio(api: KubeApi) -> Istio:
    """What discovery says: a list that answers 404 could also be a proxy's mistake."""
    for version in ("v1", "v1beta1", "v1alpha3"):
        path = f"{ISTIO_GROUP}/{version}"
        try:
            served = await api.get(path)
        except NotFound:
            continue
        names = {
            parse.text(parse.mapping(each).get("name"))
            for each in parse.items(served.get("resources"))
        }
        if "virtualservices" in names:
            return Istio(path=path, rules="destinationrules" in names)
    what = (
        "VirtualServices of networking.istio.io are not served: is their CRD installed?"
    )
    raise KubeError(what, api.name, why=Why.NO_CRD)

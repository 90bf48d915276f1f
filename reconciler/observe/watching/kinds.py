"""Which collections of a cluster are listed and watched, and how their objects are read (no I/O)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from reconciler.kube import METADATA_EVENTS, METADATA_ONLY
from reconciler.observe import parse
from reconciler.observe.watching.store import Kind, Row

Json = Mapping[str, Any]
K = TypeVar("K", bound=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source(Generic[K]):
    """A collection: its path, how an object becomes a row, and in which form we ask for it.

    Nobody has to grant one that is `optional`.
    """

    kind: K
    path: str
    convert: Callable[[Json], Row]
    list_accept: str = "application/json"
    watch_accept: str = "application/json"
    optional: bool = False


def _named(read: Callable[[Json], Any], *, namespaced: bool) -> Callable[[Json], Row]:
    def convert(body: Json) -> Row:
        return Row(parse.identity(body, namespaced=namespaced), read(body))

    return convert


def _slice(body: Json) -> Row:
    key = parse.identity(body, namespaced=True)
    return Row(key, parse.endpoint_slice(body), parse.endpoint_pods(body))


def _pod(body: Json) -> Row:
    key, labels = parse.pod_labels(body)
    return Row(key, labels)


def sources(istio: str, *, rules: bool) -> tuple[Source[Kind], ...]:
    """What is always watched; `istio` is the path of the served version of Istio's group."""
    found = [
        Source(
            kind=Kind.VIRTUAL_SERVICES,
            path=f"{istio}/virtualservices",
            convert=_named(parse.virtual_service, namespaced=True),
        ),
        Source(
            kind=Kind.SERVICES,
            path="/api/v1/services",
            convert=_named(parse.service, namespaced=True),
        ),
        Source(
            kind=Kind.NODES,
            path="/api/v1/nodes",
            convert=_named(parse.node, namespaced=False),
        ),
        Source(
            kind=Kind.ENDPOINT_SLICES,
            path="/apis/discovery.k8s.io/v1/endpointslices",
            convert=_slice,
        ),
    ]
    if rules:
        found.append(
            Source(
                kind=Kind.DESTINATION_RULES,
                path=f"{istio}/destinationrules",
                convert=_named(parse.destination_rule, namespaced=True),
            )
        )
    return tuple(found)


PODS = Source(
    kind=Kind.PODS,
    path="/api/v1/pods",
    convert=_pod,
    list_accept=METADATA_ONLY,
    watch_accept=METADATA_EVENTS,
    optional=True,
)

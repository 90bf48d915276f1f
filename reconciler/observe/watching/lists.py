"""Whole lists of one cluster, taken between two looks at who answers (does I/O)."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.kube import KubeApi, KubeError, Listed, Spent
from reconciler.model.clusters import Why
from reconciler.observe import parse
from reconciler.observe.discovery import Istio, all_of, identity, reading, served_istio
from reconciler.observe.watching.kinds import PODS, Source, sources
from reconciler.observe.watching.store import Kind, Row
from reconciler.observe.watching.stream import listing


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where watches begin after lists: all that a session keeps of them."""

    istio: Istio
    versions: tuple[tuple[Source[Kind], str], ...]
    pods: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lists:
    """Whole lists of one cluster; `pods` are `None` when not needed or not granted."""

    cluster_id: str
    istio: Istio
    found: tuple[tuple[Source[Kind], Listed[Row]], ...]
    pods: Listed[Row] | None

    def start(self) -> Start:
        """Where watches begin."""
        return Start(
            istio=self.istio,
            versions=tuple((source, found.version) for source, found in self.found),
            pods=self.pods.version if self.pods else "",
        )


async def whole_lists(api: KubeApi) -> Lists:
    """All collections, between two looks at who answers. Raises KubeError."""
    cluster_id = await identity(api)
    with reading(cluster_id):
        istio = await served_istio(api)
    spent = Spent()
    wanted = sources(istio.path, rules=istio.rules)
    lists = await all_of(*(listing(api, source, spent) for source in wanted))
    services = (row.value for row in lists[0].items)
    pods = await _pods(api, spent) if parse.needs_pods(services) else None
    if await identity(api) != cluster_id:
        what = "another cluster answered before the lists were whole"
        raise KubeError(what, api.name, why=Why.INCOMPLETE)
    found = tuple(zip(wanted, lists, strict=True))
    return Lists(cluster_id=cluster_id, istio=istio, found=found, pods=pods)


async def _pods(api: KubeApi, spent: Spent) -> Listed[Row] | None:
    try:
        return await listing(api, PODS, spent)
    except KubeError as error:
        if error.why is Why.FORBIDDEN:
            return None
        raise

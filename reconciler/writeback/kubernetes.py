"""Write-back through API servers, each patch only onto the object that was seen (does I/O).

A server may answer 200 and drop the change, or refuse it for good. The same change is then sent
a few times and no more, so that the passes of `run` do not become a hot loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from reconciler.kube import KubeApi, KubeError, NotFound, Rejected, object_path
from reconciler.kubeconfig import RefusedKubeconfig, load_kubeconfig
from reconciler.model.access import Credentials
from reconciler.model.claims import Source
from reconciler.model.units import UnitId
from reconciler.settings import Inventory
from reconciler.writeback.patches import annotation_patch
from reconciler.writeback.values import ObjectChange, Outcome

AT_ONCE = 16
ATTEMPTS = 3
GROUP = "networking.istio.io"
VERSIONS = ("v1", "v1beta1", "v1alpha3")
CHANGED = "the object changed meanwhile; the next pass writes it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The same change of the same annotations that a server did not keep `count` times."""

    change: Mapping[str, str | None]
    before: Mapping[str, str]
    count: int


Refusals = MutableMapping[UnitId, Refusal]


async def to_servers(
    inventory: Inventory, changes: Sequence[ObjectChange], refusals: Refusals
) -> list[Outcome]:
    """Patch the objects of all clusters of an inventory, each as it was read."""
    by_cluster: dict[str, list[ObjectChange]] = {}
    for change in changes:
        by_cluster.setdefault(change.source.unit.cluster, []).append(change)
    results = await asyncio.gather(
        *(
            _to_server(inventory, cluster, mine, refusals)
            for cluster, mine in sorted(by_cluster.items())
        )
    )
    return [outcome for each in results for outcome in each]


async def _to_server(
    inventory: Inventory,
    cluster: str,
    changes: Sequence[ObjectChange],
    refusals: Refusals,
) -> list[Outcome]:
    tired = [each for each in changes if _count(each, refusals) >= ATTEMPTS]
    outcomes = [
        _outcome(each, f"not kept {ATTEMPTS} times, not sent again") for each in tired
    ]
    wanted = [each for each in changes if _count(each, refusals) < ATTEMPTS]
    if not wanted:
        return outcomes
    try:
        credentials = _access(inventory, cluster, wanted[0].access)
        async with KubeApi(credentials, name=cluster) as api:
            sent = await patch_all(api, wanted, refusals)
    except (KubeError, RefusedKubeconfig) as exc:
        sent = [_outcome(each, str(exc)) for each in wanted]
    return outcomes + sent


def _access(
    inventory: Inventory, cluster: str, seen: Credentials | None
) -> Credentials:
    """How to reach a cluster: as it was read. Raises RefusedKubeconfig.

    A kubeconfig may name another server by now, to which nobody has compared the pinned CA.
    """
    if seen is not None:
        return seen
    if inventory.kubeconfig is None:
        raise RefusedKubeconfig("it was not read with credentials", cluster)
    foreign = {ours: name for name, ours in inventory.names.items()}
    path = inventory.kubeconfig.path
    config = load_kubeconfig(Path(path) if path else None)
    return config.credentials(foreign.get(cluster, cluster), inventory.allow)


async def patch_all(
    api: KubeApi, changes: Sequence[ObjectChange], refusals: Refusals
) -> list[Outcome]:
    """Patch objects of one API server. Raises KubeError when it serves no VirtualServices."""
    version = await _served_version(api)
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(change: ObjectChange) -> Outcome:
        async with slots:
            outcome, refused = await _patch(api, version, change)
        if refused:
            refusals[change.source.unit] = Refusal(
                change=change.annotations,
                before=change.source.annotations,
                count=_count(change, refusals) + 1,
            )
        else:
            refusals.pop(change.source.unit, None)
        return outcome

    return list(await asyncio.gather(*map(one, changes)))


async def _served_version(api: KubeApi) -> str:
    group = await api.get(f"/apis/{GROUP}")
    served = {str(each.get("version")) for each in group.get("versions") or []}
    return next((each for each in VERSIONS if each in served), VERSIONS[0])


async def _patch(
    api: KubeApi, version: str, change: ObjectChange
) -> tuple[Outcome, bool]:
    """The outcome, and whether the server did not keep the change although it could."""
    unit = change.source.unit
    path = object_path(
        f"{GROUP}/{version}", "virtualservices", unit.namespace, unit.name
    )
    operations = annotation_patch(change.source, change.annotations)
    try:
        answer = await api.json_patch(path, operations)
    except NotFound:
        return _outcome(change, "the object is gone"), False
    except Rejected as exc:
        if await _is_as_seen(api, path, change):
            return _outcome(change, f"the API server refuses the change: {exc}"), True
        return _outcome(change, CHANGED), False
    except KubeError as exc:
        return _outcome(change, str(exc)), False
    metadata = answer.get("metadata")
    now = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    found = now if isinstance(now, Mapping) else {}
    if all(found.get(key) == value for key, value in change.annotations.items()):
        return replace(_outcome(change, ""), now=_now(change.source, metadata)), False
    return _outcome(change, "the API server did not keep the change"), True


def _now(before: Source, metadata: object) -> Source | None:
    """The object as the answer has it: the next change need not wait until it was seen again."""
    if not isinstance(metadata, Mapping) or metadata.get("uid") != before.uid:
        return None
    version, found = metadata.get("resourceVersion"), metadata.get("annotations") or {}
    if not isinstance(version, str) or not all(
        isinstance(text, str) for pair in found.items() for text in pair
    ):
        return None
    return replace(before, resource_version=version, annotations=dict(found))


async def _is_as_seen(api: KubeApi, path: str, change: ObjectChange) -> bool:
    """Whether a refused patch met the object that it was made for."""
    try:
        body = await api.get(path)
    except KubeError:
        return False
    metadata = body.get("metadata")
    found = metadata if isinstance(metadata, Mapping) else {}
    return (found.get("uid"), found.get("resourceVersion")) == (
        change.source.uid,
        change.source.resource_version,
    )


def _outcome(change: ObjectChange, problem: str) -> Outcome:
    return Outcome(unit=change.source.unit, problem=problem)


def _count(change: ObjectChange, refusals: Refusals) -> int:
    before = refusals.get(change.source.unit)
    if (
        before is None
        or before.change != change.annotations
        or before.before != change.source.annotations
    ):
        return 0
    return before.count

"""What Argo CD and Flux report as applied, read out of their raw objects; pure.

Trust content, not names: a revision counts when it is reported applied *and* our repository has
the unit's files at it exactly as HEAD has them. A later commit that changes nothing in the
unit keeps its proof, and one that took it back does not. While an engine is busy with another
revision, or failed with it because of somebody else's object, a unit that is the same in both
keeps its proof too: one bad unit must not make all others look unproven.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Json = Mapping[str, Any]
Object = tuple[str, str, str, str]  # group, kind, namespace, name

# Not among them: SyncError. It is said of a whole Application when one object of it fails.
_BAD_CONDITIONS = frozenset(
    {"ComparisonError", "InvalidSpecError", "UnknownError", "SharedResourceWarning"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What an engine says of one folder: the applied revision, or why there is none.

    `moving` are revisions that it is applying since it reported `revision`. `objects` are those
    that are applied, where it says so. `pruning`: some object is still to be removed. `absent`:
    no object of the engine is about the folder.
    """

    revision: str = ""
    problem: str = ""
    moving: tuple[str, ...] = ()
    objects: frozenset[Object] | None = None
    pruning: bool = False
    absent: bool = False


def find_applications(
    applications: Iterable[Json], globs: Sequence[str], folder: str
) -> tuple[tuple[Json, int], ...]:
    """Applications (and the index of the source) that apply a folder of the repository.

    Their `repoURL` is not asked: one repository has many spellings, and a revision of another
    one is unknown here.
    """
    return tuple(
        (application, index)
        for application in applications
        if is_named(application, globs)
        for index, source in enumerate(sources(application))
        if _same_folder(source.get("path"), folder)
    )


def find_kustomizations(
    kustomizations: Iterable[Json], globs: Sequence[str], folder: str
) -> tuple[Json, ...]:
    """Kustomizations that apply a folder of the repository."""
    return tuple(
        each
        for each in kustomizations
        if is_named(each, globs)
        and _same_folder((each.get("spec") or {}).get("path"), folder)
    )


def is_named(body: Json, globs: Sequence[str]) -> bool:
    """Whether an object of an engine is among those that settings name as `namespace/glob`."""
    metadata = body.get("metadata") or {}
    name = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
    return any(fnmatch.fnmatchcase(name, glob) for glob in globs)


def sources(application: Json) -> list[Json]:
    """The sources of an Application, one or several."""
    spec = application.get("spec") or {}
    several = spec.get("sources") or []
    return list(several) if several else [spec.get("source") or {}]


def _same_folder(path: object, folder: str) -> bool:
    clean = clean_path(path)
    return clean == folder or clean.endswith(f"/{folder}")


def clean_path(path: object) -> str:
    """A folder as an engine's object spells it, without `./` and slashes around; empty: all."""
    clean = str(path or "").strip("/").removeprefix("./").strip("/")
    return "" if clean == "." else clean


def argo_applied(application: Json, index: int) -> Applied:
    """What an Application says of its source `index`."""
    status = application.get("status") or {}
    for condition in status.get("conditions") or []:
        if condition.get("type") in _BAD_CONDITIONS:
            return Applied(problem=f"Argo CD reports {condition['type']}")
    sync = status.get("sync") or {}
    if not _compares_present_source(application, sync, index):
        return Applied(problem="Argo CD has not compared the present source yet")
    revision = revision_of(sync, index)
    moving = _argo_moving(application, status, index)
    if "" in moving:
        return Applied(problem="Argo CD is syncing")
    resources = status.get("resources") or []
    return Applied(
        revision=revision,
        moving=tuple(each for each in moving if each != revision),
        objects=frozenset(
            _object(each) for each in resources if each.get("status") == "Synced"
        ),
        pruning=any(each.get("requiresPruning") for each in resources),
    )


def _object(resource: Json) -> Object:
    group, kind = resource.get("group", ""), resource.get("kind", "")
    return group, kind, resource.get("namespace", ""), resource.get("name", "")


def revision_of(told: Json, index: int) -> str:
    """The revision of a source in a sync, sync result or operation; empty if not told."""
    several = told.get("revisions") or []
    if several:
        return str(several[index] or "") if index < len(several) else ""
    return str(told.get("revision") or "")


def _compares_present_source(application: Json, sync: Json, index: int) -> bool:
    compared = sync.get("comparedTo") or {}
    if (application.get("spec") or {}).get("sources"):
        several = compared.get("sources") or []
        was = several[index] if index < len(several) else None
    else:
        was = compared.get("source")
    now = sources(application)[index]
    return was is not None and all(
        (was.get(key) or "") == (now.get(key) or "")
        for key in ("repoURL", "path", "targetRevision")
    )


def _argo_moving(application: Json, status: Json, index: int) -> tuple[str, ...]:
    """Revisions that are being synced or were since the comparison; `""` for one not told."""
    moving = []
    waiting = application.get("operation")
    if waiting:
        moving.append(revision_of(waiting.get("sync") or {}, index))
    state = status.get("operationState") or {}
    if state and not _compared_since(state, status):
        operation = (state.get("operation") or {}).get("sync") or {}
        result = state.get("syncResult") or {}
        moving.append(revision_of(result, index) or revision_of(operation, index))
    return tuple(moving)


def _compared_since(state: Json, status: Json) -> bool:
    """Whether Argo CD looked again after its last operation had ended."""
    finished, seen = _time(state.get("finishedAt")), _time(status.get("reconciledAt"))
    over = state.get("phase") in ("Succeeded", "Failed", "Error")
    return over and finished is not None and seen is not None and seen >= finished


def _time(value: object) -> datetime | None:
    """RFC 3339; one without a zone is no time of Kubernetes."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None


def flux_applied(kustomization: Json) -> Applied:
    """What a Kustomization says; its applied revision is set only after the pruning."""
    status = kustomization.get("status") or {}
    generation = (kustomization.get("metadata") or {}).get("generation")
    if status.get("observedGeneration") != generation:
        return Applied(problem="Flux has not seen the present Kustomization yet")
    applied = str(status.get("lastAppliedRevision") or "")
    attempted = str(status.get("lastAttemptedRevision") or "")
    if not applied:
        return Applied(problem=f"Flux has applied nothing yet{_reason(status)}")
    return Applied(
        revision=_flux_commit(str(status.get("lastAppliedOriginRevision") or applied)),
        moving=(_flux_commit(attempted),) if attempted not in ("", applied) else (),
        objects=frozenset(_inventory(status)),
    )


def _reason(status: Json) -> str:
    for condition in status.get("conditions") or []:
        if condition.get("type") == "Ready" and condition.get("status") == "False":
            return f" ({condition.get('reason', 'not ready')})"
    return ""


def _flux_commit(revision: str) -> str:
    """`main@sha1:<hex>`, `sha1:<hex>` or the old `main/<hex>` -> `<hex>`."""
    return re.split(r"[@:/]", revision)[-1]


def _inventory(status: Json) -> Iterable[Object]:
    for entry in (status.get("inventory") or {}).get("entries") or []:
        parts = str(entry.get("id", "")).split("_")
        if len(parts) == 4:
            namespace, name, group, kind = parts
            yield group, kind, namespace, name

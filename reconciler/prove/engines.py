"""What Argo CD and Flux report as applied, read out of their raw objects; pure.

Trust content, not names: a revision counts when it is reported applied *and* our repository has
the unit's files at it exactly as HEAD has them. A later commit that changes nothing in the
unit keeps its proof, and one that took it back does not.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Json = Mapping[str, Any]
Object = tuple[str, str, str, str]  # group, kind, namespace, name

_BAD_CONDITIONS = frozenset(
    {
        "ComparisonError",
        "InvalidSpecError",
        "SyncError",
        "UnknownError",
        "SharedResourceWarning",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What an engine says of one folder: the applied revision, or why there is none."""

    revision: str = ""
    problem: str = ""
    objects: frozenset[Object] | None = None  # those that are applied, where it says so


def find_application(
    applications: Iterable[Json], globs: Sequence[str], folder: str
) -> tuple[Json, int] | None:
    """The Application (and its source's index) that applies a folder of the repository."""
    for application in applications:
        metadata = application.get("metadata", {})
        name = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
        if not any(fnmatch.fnmatchcase(name, glob) for glob in globs):
            continue
        for index, source in enumerate(_sources(application)):
            if _same_folder(str(source.get("path", "")), folder):
                return application, index
    return None


def _sources(application: Json) -> list[Json]:
    spec = application.get("spec", {})
    several = spec.get("sources") or []
    return list(several) if several else [spec.get("source") or {}]


def _same_folder(path: str, folder: str) -> bool:
    clean = path.strip("/").removeprefix("./")
    return clean == folder or clean.endswith(f"/{folder}")


def argo_applied(application: Json, index: int) -> Applied:
    """What an Application says of its source `index`."""
    status = application.get("status") or {}
    problem = _argo_problem(application, status)
    if problem:
        return Applied(problem=problem)
    sync = status.get("sync") or {}
    compared = sync.get("comparedTo") or {}
    several = bool(application.get("spec", {}).get("sources"))
    was = (
        (compared.get("sources") or [])[index : index + 1]
        if several
        else [compared.get("source")]
    )
    if not was or not _same_source(was[0], _sources(application)[index]):
        return Applied(problem="Argo CD has not compared the present source yet")
    revisions = sync.get("revisions") or []
    revision = (
        revisions[index] if several and index < len(revisions) else sync.get("revision")
    )
    synced = frozenset(
        (
            each.get("group", ""),
            each.get("kind", ""),
            each.get("namespace", ""),
            each.get("name", ""),
        )
        for each in status.get("resources") or []
        if each.get("status") == "Synced"
    )
    return Applied(revision=str(revision or ""), objects=synced)


def _same_source(was: Json | None, now: Json) -> bool:
    keys = ("repoURL", "path", "targetRevision")
    return was is not None and all(
        (was.get(key) or "") == (now.get(key) or "") for key in keys
    )


def _argo_problem(application: Json, status: Json) -> str:
    if application.get("operation"):
        return "Argo CD is about to sync"
    operation = status.get("operationState") or {}
    if operation and operation.get("phase") != "Succeeded":
        return f"Argo CD's last sync is {operation.get('phase')}"
    finished, seen = (
        _time(operation.get("finishedAt")),
        _time(status.get("reconciledAt")),
    )
    if finished is not None and (seen is None or seen < finished):
        return "Argo CD has not looked again since its last sync"
    for condition in status.get("conditions") or []:
        if condition.get("type") in _BAD_CONDITIONS:
            return f"Argo CD reports {condition['type']}"
    return ""


def _time(value: object) -> datetime | None:
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def find_kustomization(
    kustomizations: Iterable[Json], globs: Sequence[str], folder: str
) -> Json | None:
    """The Kustomization that applies a folder of the repository."""
    for each in kustomizations:
        metadata = each.get("metadata", {})
        name = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
        path = str(each.get("spec", {}).get("path", ""))
        if any(fnmatch.fnmatchcase(name, glob) for glob in globs) and _same_folder(
            path.removeprefix("./"), folder
        ):
            return each
    return None


def flux_applied(kustomization: Json) -> Applied:
    """What a Kustomization says."""
    status = kustomization.get("status") or {}
    generation = kustomization.get("metadata", {}).get("generation")
    ready: Json = next(
        (
            each
            for each in status.get("conditions") or []
            if each.get("type") == "Ready"
        ),
        {},
    )
    if status.get("observedGeneration") != generation:
        return Applied(problem="Flux has not seen the present Kustomization yet")
    if ready.get("status") == "False":
        return Applied(problem=f"Flux reports {ready.get('reason', 'not ready')}")
    revision = str(
        status.get("lastAppliedOriginRevision")
        or status.get("lastAppliedRevision")
        or ""
    )
    return Applied(
        revision=revision.rpartition("@")[2].rpartition(":")[2],
        objects=frozenset(_inventory(status)),
    )


def _inventory(status: Json) -> Iterable[Object]:
    for entry in (status.get("inventory") or {}).get("entries") or []:
        parts = str(entry.get("id", "")).split("_")
        if len(parts) == 4:
            namespace, name, group, kind = parts
            yield group, kind, namespace, name

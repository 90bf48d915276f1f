"""Judges one unit by what the platform says; pure but for the content lookup it is given."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reconciler import yamlio
from reconciler.model.proofs import ProofTarget, Stage
from reconciler.model.units import UnitId
from reconciler.names import endpoints_path, name_to_dial, object_name, wish_path
from reconciler.prove.engines import Applied, Object
from reconciler.prove.gateways import (
    READY,
    Platform,
    Verdict,
    judge_classic,
    judge_gateway,
    judge_unit,
)
from reconciler.settings import Gateway, Renderer

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial:
    """One connection to try: where, and the SNI host for TLS (empty for plain TCP)."""

    address: str
    port: int
    sni: str = ""

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}" + (f" for {self.sni}" if self.sni else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that was looked at for one gateway.

    `applied` says per folder (`manifests/<gateway>/<cluster>`) what the engine applied; more
    than one answer where more than one object of the engine may be meant, never none.
    `refused` are wish paths that the proxy did not take. `addresses` are where clients connect.
    """

    applied: Callable[[str], tuple[Applied, ...]]
    platform: Platform | None
    addresses: tuple[str, ...]
    connect: bool
    refused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """How far a unit is; `dials` are connections that are still to be tried.

    They can refute at once. They prove only when all else was seen: `provable`.
    """

    stage: Stage
    message: str
    dials: tuple[Dial, ...] = ()
    provable: bool = False


ContentAt = Callable[[str, Sequence[str]], Mapping[str, Any] | None]


def remembering(content_at: ContentAt) -> ContentAt:
    """The same for one round: what an unknown revision has is asked once, as it costs a fetch."""
    unknown: set[str] = set()

    def found(revision: str, paths: Sequence[str]) -> Mapping[str, Any] | None:
        if revision in unknown:
            return None
        answer = content_at(revision, paths)
        if answer is None:
            unknown.add(revision)
        return answer

    return found


def judge(
    target: ProofTarget, gateway: Gateway, evidence: Evidence, content_at: ContentAt
) -> Judged:
    """The stage of a unit before its connection is tried."""
    documents = _documents(target.wish) + _documents(target.endpoints)
    problem = ""
    for applied in evidence.applied(f"manifests/{gateway.name}/{target.unit.cluster}"):
        problem = _not_applied(target, documents, applied, content_at)
        if not problem:
            break
    if problem:
        return Judged(stage=Stage.WAITING, message=problem)
    if target.wish_path in evidence.refused:
        refused = f"the proxy refused it: {evidence.refused[target.wish_path]}"
        return Judged(stage=Stage.FAILING, message=refused)
    verdict = _programmed(documents, gateway, evidence)
    if verdict.failing:
        return Judged(stage=Stage.FAILING, message=verdict.message)
    return _to_dial(target, evidence, verdict)


def _to_dial(target: ProofTarget, evidence: Evidence, verdict: Verdict) -> Judged:
    """What is left: the connection, tried also where something is not programmed.

    A gateway that is not Programmed may still serve (Istio says so of the whole gateway when
    its Service lacks one port) or have lost all proxies: only a connection tells.
    """
    skipped = ""
    if not evidence.connect:
        skipped = "programmed; connections are not tried (connect: false)"
    elif target.allow_cidrs:
        skipped = "programmed; no connection was tried because allow-cidrs may exclude the prober"
    if skipped:
        stage = Stage.SERVING if verdict.ready else Stage.APPLIED
        return Judged(stage=stage, message=verdict.message or skipped)
    dials = tuple(
        Dial(
            address=address,
            port=each.port,
            sni=name_to_dial(each.host) if target.tls else "",
        )
        for address in evidence.addresses
        for each in target.serves
    )
    missing = (
        "programmed, not reached yet" if dials else "there is no address to connect to"
    )
    return Judged(
        stage=Stage.APPLIED,
        message=verdict.message or missing,
        dials=dials,
        provable=verdict.ready,
    )


def is_removed(
    unit: UnitId, gateway: Gateway, evidence: Evidence, content_at: ContentAt
) -> bool:
    """Whether revisions without the unit are reported applied, and nothing is left to prune."""
    folder = f"manifests/{gateway.name}"
    answers = evidence.applied(f"{folder}/{unit.cluster}")
    if all(each.absent for each in answers):
        # With its last unit a folder is gone, and with the folder its object of the engine.
        if _leftovers(unit, evidence):
            return False
        answers = evidence.applied(folder)
    path = wish_path(gateway.name, unit)
    for applied in answers:
        if applied.problem or applied.pruning or not applied.revision:
            return False
        for revision in (applied.revision, *applied.moving):
            found = content_at(revision, (path,))
            if found is None or path in found:
                return False
    return True


def _leftovers(unit: UnitId, evidence: Evidence) -> bool:
    """Whether an object is there whose name begins as those of the unit do."""
    start = object_name(unit).rpartition("-")[0]
    objects = evidence.platform.objects if evidence.platform is not None else {}
    return any(name.startswith(start) for _, name in objects)


def blob_id(data: bytes) -> str:
    """The id that Git gives to this content."""
    return hashlib.sha1(b"blob %d\0%s" % (len(data), data)).hexdigest()


def _not_applied(
    target: ProofTarget,
    documents: list[Json],
    applied: Applied,
    content_at: ContentAt,
) -> str:
    """Why the content at HEAD is not reported applied; empty when it is."""
    if applied.problem or not applied.revision:
        return applied.problem or "no revision is reported applied yet"
    for revision in (applied.revision, *applied.moving):
        problem = _other_content(target, revision, content_at)
        if problem:
            return problem
    missing = _missing(documents, applied.objects)
    return f"{missing} is not applied yet" if missing else ""


def _other_content(target: ProofTarget, revision: str, content_at: ContentAt) -> str:
    paths = (target.wish_path, endpoints_path(target.gateway, target.unit))
    found = content_at(revision, paths)
    if found is None:
        return f"the applied revision {revision[:10]} is not in this repository's history here"
    wanted = (blob_id(target.wish), blob_id(target.endpoints))
    if tuple(found.get(path) for path in paths) != wanted:
        return f"the applied revision {revision[:10]} has another content of it"
    return ""


def _documents(data: bytes) -> list[Json]:
    try:
        return [
            each.data
            for each in yamlio.load_all(data)
            if isinstance(each.data, Mapping)
        ]
    except yamlio.Unreadable:
        return []


def _missing(documents: list[Json], objects: frozenset[Object] | None) -> str:
    """The first object of the unit that is not applied, where the engine says so."""
    if objects is None:
        return ""
    for document in documents:
        metadata = document.get("metadata") or {}
        version = str(document.get("apiVersion", ""))
        group = version.partition("/")[0] if "/" in version else ""
        kind, name = str(document.get("kind")), str(metadata.get("name"))
        if (group, kind, str(metadata.get("namespace") or ""), name) not in objects:
            return f"{kind} {name}"
    return ""


def _programmed(documents: list[Json], gateway: Gateway, evidence: Evidence) -> Verdict:
    platform = evidence.platform
    if platform is None:
        return READY
    if gateway.renderer is Renderer.ISTIO_CLASSIC:
        return judge_classic(documents, platform)
    unit = judge_unit(documents, platform, gateway)
    if not unit.ready:
        return unit
    live = platform.objects.get(("Gateway", gateway.name))
    return judge_gateway(live, gateway.name)

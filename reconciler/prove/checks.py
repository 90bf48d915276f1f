"""Judges one unit by what the platform says; pure but for the content lookup it is given."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reconciler import yamlio
from reconciler.model.proofs import ProofTarget, Stage
from reconciler.names import endpoints_path
from reconciler.prove.engines import Applied, Object
from reconciler.prove.gateways import (
    Platform,
    Verdict,
    classic_problem,
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

    `applied` says per folder (`manifests/<gateway>/<cluster>`) what the engine applied.
    `refused` are wish paths that the proxy did not take. `addresses` are where clients connect.
    """

    applied: Callable[[str], Applied]
    platform: Platform | None
    addresses: tuple[str, ...]
    connect: bool
    refused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """How far a unit is; `dials` are connections that are still to be tried."""

    stage: Stage
    message: str
    dials: tuple[Dial, ...] = ()


ContentAt = Callable[[str, Sequence[str]], Mapping[str, Any] | None]


def judge(
    target: ProofTarget, gateway: Gateway, evidence: Evidence, content_at: ContentAt
) -> Judged:
    """The stage of a unit before its connection is tried."""
    applied = evidence.applied(f"manifests/{gateway.name}/{target.unit.cluster}")
    problem = applied.problem or _content_problem(target, applied.revision, content_at)
    if problem:
        return Judged(stage=Stage.WAITING, message=problem)
    if target.wish_path in evidence.refused:
        return Judged(
            stage=Stage.FAILING,
            message=f"the proxy refused it: {evidence.refused[target.wish_path]}",
        )
    documents = _documents(target.wish) + _documents(target.endpoints)
    missing = _not_applied(documents, applied.objects)
    if missing:
        return Judged(stage=Stage.WAITING, message=f"{missing} is not applied yet")
    verdict = _programmed(documents, gateway, evidence)
    if not verdict.ready:
        stage = Stage.FAILING if verdict.failing else Stage.APPLIED
        return Judged(stage=stage, message=verdict.message)
    return _to_dial(target, evidence)


def _to_dial(target: ProofTarget, evidence: Evidence) -> Judged:
    if not evidence.connect:
        return Judged(
            stage=Stage.SERVING,
            message="programmed; connections are not tried (connect: false)",
        )
    if target.allow_cidrs:
        return Judged(
            stage=Stage.SERVING,
            message="programmed; no connection was tried because allow-cidrs may exclude the prober",
        )
    dials = tuple(
        Dial(address=address, port=each.port, sni=each.host if target.tls else "")
        for address in evidence.addresses
        for each in target.serves
    )
    if not dials:
        return Judged(
            stage=Stage.APPLIED, message="the gateway has no address to connect to"
        )
    return Judged(
        stage=Stage.APPLIED, message="programmed, not reached yet", dials=dials
    )


def blob_id(data: bytes) -> str:
    """The id that Git gives to this content."""
    return hashlib.sha1(b"blob %d\0%s" % (len(data), data)).hexdigest()


def _content_problem(target: ProofTarget, revision: str, content_at: ContentAt) -> str:
    if not revision:
        return "no revision is reported applied yet"
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


def _not_applied(documents: list[Json], objects: frozenset[Object] | None) -> str:
    if objects is None:
        return ""
    for document in documents:
        metadata = document.get("metadata") or {}
        version = str(document.get("apiVersion", ""))
        group = version.partition("/")[0] if "/" in version else ""
        kind, name = str(document.get("kind")), str(metadata.get("name"))
        if (group, kind, str(metadata.get("namespace", "")), name) not in objects:
            return f"{kind} {name}"
    return ""


def _programmed(documents: list[Json], gateway: Gateway, evidence: Evidence) -> Verdict:
    platform = evidence.platform
    if platform is None:
        return Verdict(ready=True)
    if gateway.renderer is Renderer.ISTIO_CLASSIC:
        return classic_problem(documents, platform)
    verdict = judge_gateway(
        platform.objects.get(("Gateway", gateway.name)), gateway.name
    )
    return (
        verdict if not verdict.ready else judge_unit(documents, platform, gateway.name)
    )

"""Programmed once, seen by a list of now: before new content serves for the first time (does I/O).

Each collection is watched by itself. The engine's watch may already say that content is applied
while the gateway's is down and still has the objects of before, programmed as they were. So
content that was never seen programmed is confirmed by one direct look for all units of a
gateway. Later the watch is enough: in steady state nothing is listed.
"""

from __future__ import annotations

import hashlib
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field, replace

from reconciler.kube import KubeError
from reconciler.kubeconfig import RefusedKubeconfig
from reconciler.model.proofs import ProofTarget, Stage
from reconciler.prove.checks import ContentAt, Evidence, Judged, judge
from reconciler.prove.gateways import Platform, addresses
from reconciler.prove.sources import gather_now
from reconciler.prove.views import Look
from reconciler.settings import Gateway, Renderer, Settings

Seen = MutableMapping[tuple[str, str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round of proofs. `now` keeps its direct looks by namespace and API."""

    settings: Settings
    content_at: ContentAt
    seen: Seen
    look: Look
    now: dict[tuple[str, bool], Platform | None] = field(default_factory=dict)


def judge_all(
    targets: Sequence[ProofTarget], gateway: Gateway, evidence: Evidence, asked: Round
) -> dict[ProofTarget, Judged]:
    """What is known says of each target; forgets what was seen of their other content."""
    for target in targets:
        if asked.seen.get(_confirmed(target), _files(target)) != _files(target):
            forget(target, asked.seen)
    return {
        target: judge(target, gateway, evidence, asked.content_at) for target in targets
    }


async def confirm(
    judged: dict[ProofTarget, Judged],
    gateway: Gateway,
    evidence: Evidence,
    asked: Round,
) -> None:
    """Judge those anew, by a look of now, whose content would be programmed for the first time.

    Where nothing can be seen now they are `Stage.UNSEEN`.
    """
    new = [
        target
        for target, each in judged.items()
        if _is_programmed(each) and _confirmed(target) not in asked.seen
    ]
    if not new:
        return
    try:
        fresh = await _fresh(gateway, evidence, asked)
    except (KubeError, RefusedKubeconfig) as exc:
        what = f"the platform cannot be seen: {exc}"
        unseen = Judged(stage=Stage.UNSEEN, message=what)
        judged.update(dict.fromkeys(new, unseen))
        return
    for target in new:
        judged[target] = judge(target, gateway, fresh, asked.content_at)
        if _is_programmed(judged[target]):
            asked.seen[_confirmed(target)] = _files(target)


def memory(target: ProofTarget) -> tuple[str, str]:
    """Where it is remembered what a connection reached."""
    return (str(target.unit), target.gateway)


def forget(target: ProofTarget, seen: Seen) -> None:
    """Nothing of a target was seen."""
    seen.pop(memory(target), None)
    seen.pop(_confirmed(target), None)


async def _fresh(gateway: Gateway, evidence: Evidence, asked: Round) -> Evidence:
    if evidence.platform is None:
        return evidence
    at = (gateway.namespace, gateway.renderer is Renderer.ISTIO_CLASSIC)
    if at not in asked.now:
        asked.now[at] = await gather_now(gateway, asked.settings, asked.look)
    platform = asked.now[at]
    if platform is None:
        return evidence
    if gateway.renderer is Renderer.ISTIO_CLASSIC:
        return replace(evidence, platform=platform)
    where = addresses(platform.objects.get(("Gateway", gateway.name)))
    return replace(evidence, platform=platform, addresses=where)


def _is_programmed(judged: Judged) -> bool:
    return judged.provable or judged.stage is Stage.SERVING


def _confirmed(target: ProofTarget) -> tuple[str, str]:
    """A gateway's name has no space."""
    return (str(target.unit), f"{target.gateway} programmed")


def _files(target: ProofTarget) -> str:
    return hashlib.sha256(b"\0".join((target.wish, target.endpoints))).hexdigest()

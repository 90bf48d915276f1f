"""Proves units at HEAD: applied as HEAD says, programmed, and reached by a connection (I/O).

Where the platform cannot be seen nothing is proven and nothing is refuted: `Stage.UNSEEN`.
"""

from __future__ import annotations

import hashlib
from collections.abc import MutableMapping, Sequence

from reconciler.kube import KubeError
from reconciler.kubeconfig import RefusedKubeconfig
from reconciler.model.proofs import Proof, ProofTarget, Stage
from reconciler.model.units import UnitId
from reconciler.prove.checks import (
    ContentAt,
    Dial,
    Evidence,
    Judged,
    is_removed,
    remembering,
)
from reconciler.prove.confirming import Round, Seen, confirm, judge_all, memory
from reconciler.prove.connect import dial_all
from reconciler.prove.sources import gather, revisions
from reconciler.prove.views import Look, listing
from reconciler.settings import Gateway, Settings
from reconciler.settings import Proof as ProofSettings

__all__ = [
    "CONNECT_TIMEOUT_SECONDS",
    "ContentAt",
    "Seen",
    "applied_revisions",
    "prove",
    "remembering",
    "removed_applied",
]

CONNECT_TIMEOUT_SECONDS = 3.0  # as rendered; a test holds the two together


async def prove(
    targets: Sequence[ProofTarget],
    settings: Settings,
    content_at: ContentAt,
    seen: Seen,
    look: Look = listing,
) -> tuple[Proof, ...]:
    """The verdict for every target, in their order.

    `content_at` gives blob ids of paths at a revision of our repository. `seen` remembers in
    this process what was reached by a connection, so that it is not dialled again and again.
    `look` says how the platform cluster is read.
    """
    judged: dict[tuple[object, str], Judged] = {}
    content_at = remembering(content_at)
    asked = Round(settings=settings, content_at=content_at, seen=seen, look=look)
    for gateway in settings.gateways:
        mine = [each for each in targets if each.gateway == gateway.name]
        if mine:
            for target, found in (await _judged(mine, gateway, asked)).items():
                judged[(target.unit, target.gateway)] = found
    await _connect(targets, judged, seen)
    return tuple(
        _proof(target, judged[(target.unit, target.gateway)]) for target in targets
    )


async def removed_applied(
    units: Sequence[UnitId],
    settings: Settings,
    content_at: ContentAt,
    look: Look = listing,
) -> frozenset[UnitId]:
    """Those units that no gateway serves any more: an applied revision is without them.

    A gateway that cannot be seen says nothing; where none can be seen nothing is gone.
    """
    content_at = remembering(content_at)
    gone: set[UnitId] = set()
    still: set[UnitId] = set()
    for gateway in settings.gateways if units else ():
        evidence = await _evidence(gateway, settings, look)
        if isinstance(evidence, str):
            continue
        for unit in units:
            removed = is_removed(unit, gateway, evidence, content_at)
            (gone if removed else still).add(unit)
    return frozenset(gone - still)


async def applied_revisions(
    settings: Settings, folders: Sequence[str], look: Look = listing
) -> tuple[str, ...]:
    """Commits that the engines report as applied of these folders, sorted.

    Only the engines are asked, one list per gateway. One that cannot be seen says nothing.
    """
    found: set[str] = set()
    for gateway in settings.gateways:
        mine = [each for each in folders if each.split("/")[1] == gateway.name]
        if not mine:
            continue
        try:
            found |= await revisions(gateway, settings, mine, look)
        except (KubeError, RefusedKubeconfig):
            continue
    return tuple(sorted(found))


async def _evidence(gateway: Gateway, settings: Settings, look: Look) -> Evidence | str:
    """What the platform says of a gateway, or why it cannot be seen."""
    if not isinstance(gateway.proof, ProofSettings):
        return "no proof is set for the gateway"
    try:
        return await gather(gateway, gateway.proof, settings, look)
    except (KubeError, RefusedKubeconfig) as exc:
        return f"the platform cannot be seen: {exc}"


async def _judged(
    targets: Sequence[ProofTarget], gateway: Gateway, asked: Round
) -> dict[ProofTarget, Judged]:
    evidence = await _evidence(gateway, asked.settings, asked.look)
    if isinstance(evidence, str):
        return dict.fromkeys(targets, Judged(stage=Stage.UNSEEN, message=evidence))
    judged = judge_all(targets, gateway, evidence, asked)
    await confirm(judged, gateway, evidence, asked)
    return judged


async def _connect(
    targets: Sequence[ProofTarget],
    judged: MutableMapping[tuple[object, str], Judged],
    seen: Seen,
) -> None:
    """Dial everything that only lacks the connection."""
    dials: dict[tuple[object, str], tuple[Dial, ...]] = {}
    for target in targets:
        at = (target.unit, target.gateway)
        before = judged[at]
        if before.provable and before.dials and _was_reached(target, before, seen):
            judged[at] = Judged(stage=Stage.SERVING, message="serving")
        elif before.dials:
            dials[at] = before.dials
    problems = await dial_all(
        tuple(dial for each in dials.values() for dial in each), CONNECT_TIMEOUT_SECONDS
    )
    for target in targets:
        at = (target.unit, target.gateway)
        if at not in dials:
            continue
        before = judged[at]
        found = [problems[dial] for dial in dials[at] if problems[dial]]
        if found:
            judged[at] = Judged(stage=Stage.FAILING, message=found[0])
            seen.pop(memory(target), None)
        elif before.provable:
            judged[at] = Judged(stage=Stage.SERVING, message="serving")
            seen[memory(target)] = _content(target, before)


def _was_reached(target: ProofTarget, judged: Judged, seen: Seen) -> bool:
    return seen.get(memory(target)) == _content(target, judged)


def _content(target: ProofTarget, judged: Judged) -> str:
    """What a connection proved: these files, served at these addresses."""
    where = " ".join(map(str, judged.dials)).encode()
    return hashlib.sha256(
        b"\0".join((target.wish, target.endpoints, where))
    ).hexdigest()


def _proof(target: ProofTarget, judged: Judged) -> Proof:
    return Proof(
        unit=target.unit,
        gateway=target.gateway,
        stage=judged.stage,
        message=judged.message,
        serves=target.serves,
        commit=target.commit,
    )

"""Composes the last arrows of a pass: ask to sync, prove HEAD, then write back (does I/O)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from reconciler.ledger import touches
from reconciler.model.claims import ClusterClaims, Source
from reconciler.model.plans import State
from reconciler.model.proofs import Proof
from reconciler.model.units import UnitId
from reconciler.names import wish_path
from reconciler.prove import prove, removed_applied
from reconciler.prove.asking import Asked, ask_to_sync
from reconciler.prove.views import Look, listing
from reconciler.repo import Repository
from reconciler.run import Memory, PassResult
from reconciler.targets import proof_targets
from reconciler.writeback import (
    SERVED,
    ObjectChange,
    Outcome,
    no_annotations,
    wanted_annotations,
    write_back,
)


# No repr, for the reason that PassResult has none.
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Report:
    """What was proven and what was (or, without write-back, would be) written back.

    `asked` are the objects of engines that were asked to sync, or could not be.
    """

    proofs: tuple[Proof, ...]
    changes: tuple[ObjectChange, ...]
    outcomes: tuple[Outcome, ...]
    asked: tuple[Asked, ...] = ()


def pushed_paths(result: PassResult) -> frozenset[str]:
    """The paths that a pass changed on the branch; none when it pushed nothing."""
    if result.commit is None:
        return frozenset()
    return frozenset(
        write.path for draft in result.plan.drafts for write in draft.writes
    )


async def ask_about(
    result: PassResult, memory: Memory, look: Look = listing
) -> tuple[Asked, ...]:
    """Ask the engines to apply what a pass has pushed."""
    if result.settings is None:
        return ()
    paths = pushed_paths(result)
    return await ask_to_sync(result.settings, paths, memory.asks, look)


async def prove_and_write_back(
    repository: Repository,
    result: PassResult,
    memory: Memory,
    mode: str,
    look: Look = listing,
) -> Report:
    """Prove what HEAD has and tell the VirtualServices of this pass."""
    if result.settings is None or result.head is None or result.history is None:
        return Report(proofs=(), changes=(), outcomes=())
    every = proof_targets(result.head, result.settings, touches(result.history))
    targets = tuple(each for each in every if each.unit not in result.plan.others)
    content_at = repository.content_at
    proofs = await prove(targets, result.settings, content_at, memory.seen, look)
    gone = await removed_applied(_absent(result), result.settings, content_at, look)
    changes = tuple(_changes(result, proofs, gone))
    outcomes = await write_back(
        changes, result.settings, mode, os.environ, memory.refusals
    )
    return Report(proofs=proofs, changes=changes, outcomes=outcomes)


def _absent(result: PassResult) -> tuple[UnitId, ...]:
    """Units that carry what we wrote although HEAD has no file of them."""
    head, settings = result.head, result.settings
    if head is None or settings is None:
        return ()
    sources = [
        source
        for claims in result.claims
        for source in (
            *(claim.source for claim in claims.claims),
            *claims.unexposed_sources,
        )
    ]
    return tuple(
        source.unit
        for source in sources
        if any(key in source.annotations for key in SERVED)
        and not any(
            wish_path(gateway.name, source.unit) in head.files
            for gateway in settings.gateways
        )
    )


def _changes(
    result: PassResult, proofs: tuple[Proof, ...], gone: frozenset[UnitId]
) -> Iterator[ObjectChange]:
    states = {state.unit: state for state in result.plan.states}
    others = result.plan.others
    best = _best(proofs)
    for claims in result.claims:
        for claim in claims.claims:
            state = states.get(claim.unit)
            if state is None:
                continue
            proof = best.get(claim.unit)
            removed = claim.unit in gone
            change = wanted_annotations(claim.source, state, proof, removed)
            yield from _one(claims, claim.source, change)
        for source in claims.unexposed_sources:
            if source.unit in others:
                continue
            held = states.get(source.unit)
            if held is not None and held.state is State.HELD:
                change = wanted_annotations(source, held, best.get(source.unit), False)
            else:
                served = any(key in source.annotations for key in SERVED)
                change = no_annotations(source, source.unit in gone or not served)
            yield from _one(claims, source, change)


def _one(
    claims: ClusterClaims, source: Source, change: Mapping[str, str | None]
) -> Iterator[ObjectChange]:
    if change:
        inventory = claims.view.entry.inventory
        yield ObjectChange(source=source, inventory=inventory, annotations=change)


def _best(proofs: tuple[Proof, ...]) -> dict[UnitId, Proof]:
    """One proof a unit; while it moves, the gateway that has its active ports."""
    found: dict[UnitId, Proof] = {}
    for proof in proofs:
        before = found.get(proof.unit)
        if before is None or (proof.serves and not before.serves):
            found[proof.unit] = proof
    return found

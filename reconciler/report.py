"""Composes the last arrows of a pass: ask to sync, prove HEAD, then write back (does I/O).

What is to be proven is a value of its own: a proof may run beside the next pass.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from reconciler.ledger import touches
from reconciler.model.access import Credentials
from reconciler.model.claims import Source
from reconciler.model.plans import State, UnitState
from reconciler.model.proofs import Proof, ProofTarget
from reconciler.model.repository import File
from reconciler.model.units import UnitId
from reconciler.names import wish_path
from reconciler.passes import Memory, PassResult
from reconciler.prove import prove, remembering, removed_applied
from reconciler.prove.asking import Asked, ask_to_sync
from reconciler.prove.views import Look, listing
from reconciler.repo import Repository
from reconciler.settings import Settings
from reconciler.targets import proof_targets
from reconciler.undisturbed import undisturbed
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


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Told:
    """One VirtualService that is told what became of it; without a `state`: nothing any more."""

    source: Source
    inventory: str
    state: UnitState | None
    exposed: bool
    access: Credentials | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Subject:
    """What is to be proven and who is to be told. `absent` have no file at HEAD any more."""

    settings: Settings
    targets: tuple[ProofTarget, ...]
    absent: tuple[UnitId, ...]
    told: tuple[Told, ...]


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
    with undisturbed():
        targets = proof_targets(result.head, result.settings, touches(result.history))
        subject = subject_of(result, result.settings, result.head.files, targets)
    return await prove_subject(repository, subject, memory, mode, look)


def subject_of(
    result: PassResult,
    settings: Settings,
    files: Mapping[str, File],
    targets: tuple[ProofTarget, ...],
) -> Subject:
    """What a pass leaves to prove and to tell; `files` are those of HEAD."""
    states = {state.unit: state for state in result.plan.states}
    return Subject(
        settings=settings,
        targets=tuple(e for e in targets if e.unit not in result.plan.others),
        absent=_absent(result, settings, files),
        told=tuple(_told(result, states)),
    )


async def prove_subject(
    repository: Repository,
    subject: Subject,
    memory: Memory,
    mode: str,
    look: Look = listing,
) -> Report:
    """Prove all of a subject and tell what is new."""
    settings, content_at = subject.settings, remembering(repository.content_at)
    proofs = await prove(subject.targets, settings, content_at, memory.seen, look)
    gone = await removed_applied(subject.absent, settings, content_at, look)
    changes = tuple(_changes(subject, proofs, gone))
    outcomes = await write_back(changes, settings, mode, os.environ, memory.refusals)
    return Report(proofs=proofs, changes=changes, outcomes=outcomes)


def _told(result: PassResult, states: Mapping[UnitId, UnitState]) -> Iterator[Told]:
    for claims in result.claims:
        inventory, access = claims.view.entry.inventory, claims.view.access
        for claim in claims.claims:
            state = states.get(claim.unit)
            if state is not None:
                yield Told(
                    source=claim.source,
                    inventory=inventory,
                    state=state,
                    exposed=True,
                    access=access,
                )
        for source in claims.unexposed_sources:
            if source.unit in result.plan.others:
                continue
            held = states.get(source.unit)
            is_held = held is not None and held.state is State.HELD
            state = held if is_held else None
            yield Told(
                source=source,
                inventory=inventory,
                state=state,
                exposed=False,
                access=access,
            )


def _absent(
    result: PassResult, settings: Settings, files: Mapping[str, File]
) -> tuple[UnitId, ...]:
    """Units that carry what we wrote although HEAD has no file of them."""
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
            wish_path(gateway.name, source.unit) in files
            for gateway in settings.gateways
        )
    )


def _changes(
    subject: Subject, proofs: tuple[Proof, ...], gone: frozenset[UnitId]
) -> Iterator[ObjectChange]:
    best = _best(proofs)
    for told in subject.told:
        source, unit = told.source, told.source.unit
        if told.state is None:
            served = any(key in source.annotations for key in SERVED)
            change = no_annotations(source, unit in gone or not served)
        else:
            removed = told.exposed and unit in gone
            change = wanted_annotations(source, told.state, best.get(unit), removed)
        if change:
            yield ObjectChange(
                source=source,
                inventory=told.inventory,
                annotations=change,
                access=told.access,
            )


def _best(proofs: tuple[Proof, ...]) -> dict[UnitId, Proof]:
    """One proof a unit; while it moves, the gateway that has its active ports."""
    found: dict[UnitId, Proof] = {}
    for proof in proofs:
        before = found.get(proof.unit)
        if before is None or (proof.serves and not before.serves):
            found[proof.unit] = proof
    return found

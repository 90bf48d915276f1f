"""Turns decisions into commits and a Plan: one commit per unit, addresses on their own; pure.

Order of the commits: what a gateway needs before its units, then creations and updates, then
addresses per cluster, then removals. From 200 units on, one commit per cluster and kind.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import TypeVar

from reconciler.errors import Exit
from reconciler.model.plans import Op, Plan, Row
from reconciler.model.repository import CommitDraft, FileWrite
from reconciler.model.units import UnitId
from reconciler.plan.decisions import Change, Decisions, UnitWrite
from reconciler.plan.declined import leave_declined
from reconciler.plan.inputs import Rendering
from reconciler.plan.overlay import changes_of
from reconciler.plan.proposals import awaiting_review, propose
from reconciler.plan.transfer import joined
from reconciler.plan.world import World
from reconciler.settings import Gateway, under_review

ONE_COMMIT_PER_UNIT_BELOW = 200
_GENERATIONS = 1000  # units of one commit whose generation is told: messages stay short
K = TypeVar("K", str, UnitId)
_OP_ORDER = {op: index for index, op in enumerate(Op)}


def finish(world: World, render: Rendering, out: Decisions, withheld: str) -> Plan:
    """The plan from all decisions; under review it proposes what people decide."""
    review = under_review(world.inputs.settings)
    if review:
        leave_declined(world, out)
    writes = sorted(out.writes, key=lambda each: (each.unit, each.change, each.subject))
    prepared = _Preparing(world, render, writes)
    if review:
        records = [each for each in writes if each.change is Change.RECORD]
        drafts = [*_unit_drafts(records, "Note"), *_observed_drafts(writes)]
        proposals = tuple(
            replace(each, draft=next(_with_facts(world, [each.draft])))
            for each in propose(world, writes, out.waiting, prepared)
        )
    else:
        drafts = [*prepared(writes), *_with_facts(world, _wish_drafts(world, writes))]
        drafts += _observed_drafts(writes)
        drafts += _removal_drafts(writes)
        proposals = ()
    rows = sorted(
        (*out.rows, *(row for each in writes for row in each.rows)), key=_row_key
    )
    if any(row.op is Op.WITHHOLD for row in rows):
        out.exits.append(Exit.BLOCKED)
    states = awaiting_review(out.states, proposals)
    return Plan(
        base=world.inputs.head.commit,
        digest=_digest(rows, [*drafts, *(each.draft for each in proposals)]),
        rows=tuple(rows),
        drafts=tuple(drafts),
        states=tuple(sorted(states, key=lambda each: each.unit)),
        withheld=withheld,
        exits=tuple(sorted(set(out.exits))),
        unconfirmed=tuple(sorted(set(out.unconfirmed))),
        proposals=proposals,
        others=frozenset(out.others),
        pending=frozenset(out.pending),
    )


def _wish_drafts(world: World, writes: Sequence[UnitWrite]) -> list[CommitDraft]:
    kinds = (Change.WISH, Change.REWRITE)
    alone = [each for each in writes if not each.joint]
    mine = [each for each in alone if each.change in kinds or _is_note(each)]
    joint = _joint_drafts(world, [each for each in writes if each.joint])
    return [*joint, *_unit_drafts(mine, "Update")]


def _removal_drafts(writes: Sequence[UnitWrite]) -> list[CommitDraft]:
    alone = [each for each in writes if not each.joint]
    mine = [each for each in alone if each.change is Change.DELETION or _forgets(each)]
    return list(_unit_drafts(mine, "Remove"))


def _observed_drafts(writes: Sequence[UnitWrite]) -> list[CommitDraft]:
    """What is nobody's decision; in direct mode records go with their units."""
    return list(_address_drafts([e for e in writes if e.change is Change.ADDRESSES]))


def _is_note(write: UnitWrite) -> bool:
    return write.change is Change.RECORD and not _forgets(write)


def _forgets(write: UnitWrite) -> bool:
    gone = all(file.data is None for file in write.files)
    return write.change is Change.RECORD and gone


def _row_key(row: Row) -> tuple[object, ...]:
    return (
        row.cluster,
        row.namespace or "",
        row.name or "",
        row.route or "",
        _OP_ORDER[row.op],
        row.gateway or "",
        row.port or 0,
        row.host or "",
        row.code,
        row.reason,
    )


def _digest(rows: Sequence[Row], drafts: Sequence[CommitDraft]) -> str:
    content = [
        [[row.op, row.cluster, row.namespace, row.name, row.route, row.gateway, row.host, row.port, row.code, row.reason] for row in rows],
        [[draft.subject, [[each.path, _hash(each.data)] for each in draft.writes]] for draft in drafts],
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _hash(data: bytes | None) -> str | None:
    return hashlib.sha256(data).hexdigest() if data is not None else None


class _Preparing:
    """The gateways' own files, for those that have or get units.

    They open what any write needs and close only what the writes of a call release.
    """

    def __init__(
        self, world: World, render: Rendering, writes: Sequence[UnitWrite]
    ) -> None:
        self._world = world
        self._render = render
        self._settings = world.inputs.settings
        self._writes = writes
        self._used = {
            file.path.split("/")[1]
            for write in writes
            for file in write.files
            if file.path.startswith("manifests/")
        }
        self._opened: dict[str, frozenset[int]] = {}
        self._made: dict[tuple[str, frozenset[int]], tuple[FileWrite, ...]] = {}

    def __call__(self, leaving: Sequence[UnitWrite]) -> tuple[CommitDraft, ...]:
        """One draft for each gateway whose files differ, when `leaving` release ports."""
        found = []
        for gateway in self._settings.gateways:
            if self._world.inputs.units is not None and gateway.name not in self._used:
                continue
            if not self._world.writes_to(gateway.name):
                continue
            closed = _ports_of(leaving, gateway.name, released=True)
            files = self._files(gateway, self._open(gateway.name) - closed)
            if files:
                subject = f"Prepare gateway {gateway.name}"
                found.append(
                    CommitDraft(subject=subject, body="", units=(), writes=files)
                )
        return tuple(found)

    def _open(self, gateway: str) -> frozenset[int]:
        if gateway not in self._opened:
            live = _live(self._world, gateway)
            taken = _ports_of(self._writes, gateway, released=False)
            self._opened[gateway] = live | taken
        return self._opened[gateway]

    def _files(self, gateway: Gateway, ports: frozenset[int]) -> tuple[FileWrite, ...]:
        world = self._world
        paths = world.index.heads.gateways.get(gateway.name, ())
        current = {path: world.inputs.head.files[path].data for path in paths}
        if not ports and not current and gateway.name not in self._used:
            return ()
        at = (gateway.name, ports)
        if at not in self._made:
            made = self._render.gateway_files(gateway, self._settings, ports, current)
            self._made[at] = tuple(
                each for each in made if each.data != self._world.data(each.path)
            )
        return self._made[at]


def _live(world: World, gateway: str) -> frozenset[int]:
    """Ports that are live on a gateway at HEAD."""
    changed = changes_of(world.entries)
    ports = set(world.index.ledger.live_ports.get(gateway, ()))
    for (name, key), entry in changed.items():
        if name == gateway and isinstance(key, int):
            (ports.add if entry is not None and entry.live else ports.discard)(key)
    return frozenset(ports)


def _ports_of(
    writes: Sequence[UnitWrite], gateway: str, *, released: bool
) -> frozenset[int]:
    """Ports whose files the writes release, or take."""
    prefix = f"ports/{gateway}/"
    return frozenset(
        int(file.path.removeprefix(prefix).removesuffix(".yaml"))
        for write in writes
        for file in write.files
        if file.path.startswith(prefix) and file.data is not None
        if (b"\nstate: released\n" in file.data) is released
    )


def _joint_drafts(world: World, writes: Sequence[UnitWrite]) -> Iterable[CommitDraft]:
    """What transfers join is one commit, however many units change in this pass."""
    for units in joined(world.transfers):
        mine = [each for each in writes if each.unit in units]
        if mine:
            yield _draft(mine)


def _unit_drafts(writes: Sequence[UnitWrite], verb: str) -> Iterable[CommitDraft]:
    units = _grouped(writes, lambda each: each.unit)
    if len(units) < ONE_COMMIT_PER_UNIT_BELOW:
        for _, mine in units:
            yield _draft(mine)
        return
    for cluster, mine in _grouped(writes, lambda each: each.unit.cluster):
        count = len({each.unit for each in mine})
        yield _draft(mine, f"{verb} {count} routes of cluster {cluster}")


def _address_drafts(writes: Sequence[UnitWrite]) -> Iterable[CommitDraft]:
    for cluster, mine in _grouped(writes, lambda each: each.unit.cluster):
        yield _draft(mine, f"Follow the addresses of cluster {cluster}")


def _grouped(
    writes: Sequence[UnitWrite], key: Callable[[UnitWrite], K]
) -> list[tuple[K, list[UnitWrite]]]:
    """Writes of one key together, in order of the keys."""
    found: dict[K, list[UnitWrite]] = {}
    for each in writes:
        found.setdefault(key(each), []).append(each)
    return sorted(found.items(), key=itemgetter(0))


def _draft(writes: Sequence[UnitWrite], subject: str = "") -> CommitDraft:
    units: list[UnitId] = sorted({each.unit for each in writes})
    files: dict[str, FileWrite] = {
        file.path: file for write in writes for file in write.files
    }
    lines = dict.fromkeys(_line(row) for write in writes for row in write.rows)
    body = [] if subject and len(lines) > 50 else list(lines)
    return CommitDraft(
        subject=subject or "; ".join(dict.fromkeys(each.subject for each in writes)),
        body="\n".join(body),
        units=tuple(map(str, units)),
        writes=tuple(files[path] for path in sorted(files)),
    )


def _with_facts(world: World, drafts: Iterable[CommitDraft]) -> Iterator[CommitDraft]:
    """Each draft with what the audit wants to know: generations, and holds that it ends.

    An integer is all that is taken of an object. Bodies are no part of tree or digest.
    """
    found = {
        str(claim.unit): claim.source.generation
        for claims in world.inputs.claims
        for claim in claims.claims
        if claim.source.generation > 0
    }
    released = {str(unit) for unit in world.inputs.released}
    for draft in drafts:
        known = [unit for unit in draft.units if unit in found][: _GENERATIONS + 1]
        if len(known) > _GENERATIONS:
            known = []
        lines = [f"{unit} generation {found[unit]}" for unit in known]
        yield replace(
            draft,
            body="\n".join(filter(None, (draft.body, *lines))),
            released=tuple(unit for unit in draft.units if unit in released),
        )


def _line(row: Row) -> str:
    where = f" {row.host}:{row.port}" if row.port else ""
    route = f" route {row.route}" if row.route else ""
    return f"{row.op}{where}{route}: {row.reason} ({row.code})"

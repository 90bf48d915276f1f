"""What a pass proposes instead of committing it: groups, what they decide, what waits; pure.

write                          | goes
-------------------------------+------------------------------------------------------
addresses, cluster records     | straight to the branch: nobody's decision
wish, rewrite, removal         | into the request of its group (cluster and namespace)
all of these, nothing served   | into one request: the adoption
withheld removals and rewrites | into requests of their own: merging is accepting
people closed its request      | nowhere, until the wish is another one (declined.py)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from reconciler.headers import parse_wish_header
from reconciler.ledger_file import Entry, Key, Malformed, parse_entry
from reconciler.model.plans import (
    Pair,
    Proposal,
    ProposalKind,
    Row,
    State,
    UnitState,
)
from reconciler.model.repository import CommitDraft, FileWrite
from reconciler.model.reviews import Reservation
from reconciler.model.units import PortState, UnitId
from reconciler.names import wish_path
from reconciler.plan.decisions import Change, UnitWrite
from reconciler.plan.inputs import Inputs
from reconciler.plan.overlay import over
from reconciler.plan.transfer import joined
from reconciler.plan.world import World

Files = Mapping[str, bytes | None]
Before = Callable[[str], bytes | None]
Preparation = Callable[[Sequence[UnitWrite]], Sequence[CommitDraft]]
"""The gateways' own files, when of all writes these alone release ports."""

# A namespace has no dot, and `cf.` begins none of these: none meets the group of one.
API, ADOPTION = "api.server", "first.adoption"
DELETIONS, REWRITES, GATEWAY = "withheld.deletions", "withheld.rewrites", "gateway"
DECIDED = frozenset({Change.WISH, Change.REWRITE, Change.DELETION})
_BODY_LINES = 100


def pairs_of(files: Files, before: Before) -> tuple[Pair, ...]:
    """What changed files decide, by unit. `before` gives the content that they replace."""
    wishes: dict[UnitId, set[str]] = {}
    ports: dict[UnitId, set[str]] = {}
    for path, data in files.items():
        folder = path.partition("/")[0]
        if folder == "manifests":
            _note_wish(path, data, before, wishes)
        elif folder in ("ports", "hosts") and data is not None:
            entry = _entry(path, data)
            if entry is not None and entry.owner is not None:
                ports.setdefault(entry.owner.unit, set()).add(f"{path} {entry.state}")
    return tuple(
        Pair(
            unit=unit,
            wish=tuple(sorted(wishes.get(unit, ()))),
            ports=tuple(sorted(ports.get(unit, ()))),
        )
        for unit in sorted(wishes.keys() | ports.keys())
    )


def _note_wish(
    path: str, data: bytes | None, before: Before, into: dict[UnitId, set[str]]
) -> None:
    content = data if data is not None else before(path)
    header = parse_wish_header(content) if content is not None else None
    gateway = path.split("/")[1]
    if header is None or wish_path(gateway, header.unit) != path:
        return
    digest = header.digest if data is not None else "-"
    into.setdefault(header.unit, set()).add(f"{gateway}:{digest}")


def _entry(path: str, data: bytes) -> Entry | None:
    try:
        return parse_entry(path, data)
    except Malformed:
        return None


def reservations(files: Files, group: str) -> tuple[Reservation, ...]:
    """Ports and hosts that a request's files take for their owners."""
    found = []
    for path, data in sorted(files.items()):
        if data is None or not path.startswith(("ports/", "hosts/")):
            continue
        entry = _entry(path, data)
        if entry is not None and entry.owner is not None and entry.live:
            found.append(
                Reservation(
                    gateway=entry.gateway,
                    key=entry.key,
                    owner=entry.owner,
                    group=group,
                )
            )
    return tuple(found)


def with_reserved(
    entries: Mapping[tuple[str, Key], Entry], inputs: Inputs
) -> Mapping[tuple[str, Key], Entry]:
    """The ledger with what open requests take: tombstones of their owners that never expire.

    Of two requests with one port the first keeps it.
    """
    found: dict[tuple[str, Key], Entry] = {}
    never = inputs.now + timedelta(seconds=1)
    for each in reversed(inputs.reserved):
        at = (each.gateway, each.key)
        present = entries.get(at)
        if present is None or present.state is PortState.RELEASED:
            found[at] = Entry(
                gateway=each.gateway,
                key=each.key,
                state=PortState.RELEASED,
                owner=each.owner,
                since=never,
            )
    return over(entries, found)


def propose(
    world: World,
    writes: Sequence[UnitWrite],
    waiting: Sequence[UnitWrite],
    gateways: Preparation,
) -> tuple[Proposal, ...]:
    """The requests that this pass wants to be open, by group.

    Any of them may be merged alone: each opens all ports and closes its own ones only.
    """
    decided = [each for each in writes if each.change in DECIDED]
    groups: dict[str, list[UnitWrite]] = {}
    first = not world.heads
    together = {unit: min(units) for units in joined(world.transfers) for unit in units}
    for write in decided:
        unit = together.get(write.unit, write.unit) if write.joint else write.unit
        groups.setdefault(ADOPTION if first else _group(unit), []).append(write)
    kind = ProposalKind.ADOPTION if first else ProposalKind.WISHES
    found = [
        _proposal(world, group, kind, (mine, gateways(mine)))
        for group, mine in sorted(groups.items())
    ]
    found.extend(_withheld(world, waiting))
    prepared = {path for each in found for path in _paths(each.draft)}
    for draft in gateways(()):
        if not set(_paths(draft)) & prepared:
            name = draft.writes[0].path.split("/")[1]
            found.append(
                Proposal(
                    group=f"{GATEWAY}.{name}",
                    kind=ProposalKind.WISHES,
                    draft=draft,
                    pairs=(),
                    rows=(),
                )
            )
    return tuple(found)


def _group(unit: UnitId) -> str:
    return f"{unit.cluster}/{API if unit.is_api else unit.namespace}"


def groups_of(unit: UnitId) -> tuple[str, ...]:
    """Groups that a unit's wish or removal can be part of, as passes differ."""
    return (_group(unit), f"{unit.cluster}/{DELETIONS}", ADOPTION)


def _paths(draft: CommitDraft) -> list[str]:
    return [each.path for each in draft.writes]


def _withheld(world: World, waiting: Sequence[UnitWrite]) -> Iterable[Proposal]:
    deletions: dict[str, list[UnitWrite]] = {}
    rewrites: dict[str, list[UnitWrite]] = {}
    for write in waiting:
        if write.change is Change.DELETION:
            group = f"{write.unit.cluster}/{DELETIONS}"
            deletions.setdefault(group, []).append(write)
        else:
            rewrites.setdefault(f"{REWRITES}.{write.gateway}", []).append(write)
    for group, mine in sorted(deletions.items()):
        yield _proposal(world, group, ProposalKind.DELETIONS, (mine, ()))
    for group, mine in sorted(rewrites.items()):
        yield _proposal(world, group, ProposalKind.REWRITES, (mine, ()))


def _proposal(
    world: World,
    group: str,
    kind: ProposalKind,
    work: tuple[Sequence[UnitWrite], Sequence[CommitDraft]],
) -> Proposal:
    writes, gateways = work
    files: dict[str, FileWrite] = {
        file.path: file for write in writes for file in write.files
    }
    touched = {path.split("/")[1] for path in files if path.count("/") > 1}
    for draft in gateways:
        if draft.writes[0].path.split("/")[1] in touched:
            files.update({file.path: file for file in draft.writes})
    rows = tuple(dict.fromkeys(row for write in writes for row in write.rows))
    changed = {path: file.data for path, file in files.items()}
    units = sorted({write.unit for write in writes})
    return Proposal(
        group=group,
        kind=kind,
        draft=CommitDraft(
            subject=_title(group, kind, writes),
            body="\n".join(dict.fromkeys(map(_line, rows[:_BODY_LINES]))),
            units=tuple(map(str, units)),
            writes=tuple(files[path] for path in sorted(files)),
        ),
        pairs=pairs_of(changed, world.data),
        rows=rows,
    )


def _title(group: str, kind: ProposalKind, writes: Sequence[UnitWrite]) -> str:
    subjects = list(dict.fromkeys(each.subject for each in writes))
    units = len({each.unit for each in writes})
    match kind:
        case ProposalKind.DELETIONS:
            return f"Remove {units} exposures of {writes[0].unit.cluster}, above the budget"
        case ProposalKind.REWRITES:
            return f"Render {units} exposures of {writes[0].gateway} anew"
        case ProposalKind.ADOPTION if len(subjects) > 1:
            return f"Adopt {units} exposures"
    if len(subjects) == 1:
        return subjects[0]
    where = group.removesuffix(f"/{API}")
    return f"Change {units} exposures of {where}"


def _line(row: Row) -> str:
    where = f" {row.host}:{row.port}" if row.port else ""
    route = f" route {row.route}" if row.route else ""
    name = "/".join(each for each in (row.cluster, row.namespace, row.name) if each)
    return f"{row.op} {name}{where}{route}: {row.reason} ({row.code})"


def awaiting_review(
    states: Iterable[UnitState], proposals: Sequence[Proposal]
) -> list[UnitState]:
    """States of units whose newest wish waits for people: Pending, whatever HEAD serves."""
    waiting = {
        pair.unit
        for each in proposals
        if each.kind is not ProposalKind.REWRITES
        for pair in each.pairs
    }
    message = "proposed, waits for review"
    return [
        replace(each, state=State.PENDING, message=message)
        if each.unit in waiting and each.state is State.ALLOCATED
        else each
        for each in states
    ]

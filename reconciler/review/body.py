"""What people read of a request: caution first, one row per route, how to undo; pure.

Every forge limits a body. What is cut first is detail, then rows; the caution and the counts
stay, and so do our trailers at the very end: a squash that takes the body as its message keeps
the commit attributed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.codes import Code
from reconciler.markdown import cell, table
from reconciler.model.plans import Op, Proposal, ProposalKind, Row
from reconciler.printable import one_line
from reconciler.review.forge import CLOSED_MARK, MARK

_SYMBOLS = {
    Op.CREATE: "+ new",
    Op.UPDATE: "~ change",
    Op.DELETE: "- remove",
    Op.RELEASE: "- release",
    Op.WITHHOLD: "- remove",
}
_WORDS = {
    Op.CREATE: "new",
    Op.UPDATE: "changed",
    Op.DELETE: "removed",
    Op.RELEASE: "released",
    Op.WITHHOLD: "to be removed, above the budget",
}
LOUD = (Op.DELETE, Op.RELEASE, Op.WITHHOLD)
MERGING = "It merges by itself once the branch's rules are met."
_MOST_LOUD = 40
_MOST_GENERATIONS = 20
_GENERATION = re.compile(r"[a-z0-9./-]{1,300} generation [0-9]{1,18}\Z")
_LONGEST_CELL = 160
_LEAST = 1_200  # characters that must be left beside the trailers
_EDITED = re.compile(r"<!-- wharfinger:edited [0-9a-f]* -->\n?")
_TITLES = ("", "Workload", "Route", "Address", "Why")


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What a body tells beside its proposal.

    `diff` are lines of a semantic diff, `trailers` those of the commit, `merges` says that the
    forge is asked to merge by itself, `quarantine` is how long a freed port stays reserved,
    `engine` who applies the merge, `held` are rows of neighbours that people hold.
    """

    diff: tuple[str, ...]
    trailers: str
    merges: bool
    quarantine: str
    engine: str
    held: tuple[Row, ...] = ()


def request_body(proposal: Proposal, story: Story, longest: int) -> str:
    """The body of a request, at most `longest` characters (which are 4,000 or more).

    Trailers that do not fit are left out whole: half of them would say nothing.
    """
    head = f"{MARK}\n\n{_headline(proposal)}"
    facts = _generations(proposal)
    tail = f"{_promises(proposal, story)}{facts}\n\n{story.trailers}".rstrip() + "\n"
    if len(head) + len(tail) + _LEAST > longest:
        tail = f"{_promises(proposal, story)}\n"
    room = longest - len(head) - len(tail) - 4
    caution = _caution(proposal, room // 2)
    room -= len(caution) + 2
    rows = _rows(proposal, room)
    room -= len(rows) + 2
    held = _held(story.held, room // 4)
    room -= len(held) + 2
    diff = _details(story.diff, room)
    start = f"{MARK}\n\n{caution}\n\n{_headline(proposal)}" if caution else head
    return "\n\n".join(part for part in (start, rows, held, diff, tail) if part)


def _generations(proposal: Proposal) -> str:
    """What the audit reads from a squash whose message is this body."""
    lines = proposal.draft.body.split("\n")
    found = [each for each in lines if _GENERATION.match(each)][:_MOST_GENERATIONS]
    return "\n\n" + "\n".join(found) if found else ""


def _short(text: str) -> str:
    return cell(one_line(text, _LONGEST_CELL))


def _many(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _is_loud(row: Row, kind: ProposalKind) -> bool:
    """Whether a row closes or moves what clients may use; a rewrite keeps every address."""
    if kind is ProposalKind.REWRITES:
        return False
    return row.op in LOUD or row.code is Code.MOVED


def _caution(proposal: Proposal, room: int) -> str:
    loud = [row for row in proposal.rows if _is_loud(row, proposal.kind)]
    if not loud:
        return ""
    lines = [
        f"> - **{_short(_address(row) or 'no port')}** of {_short(_workload(row))}: "
        f"{_short(row.reason)}"
        for row in loud[:_MOST_LOUD]
    ]
    kept = _fitting(lines, room - 160)
    head = [
        "> [!CAUTION]",
        "> Merging closes or moves what clients may be using:",
        ">",
    ]
    if kept < len(loud):
        lines[kept:] = [f"> - and {len(loud) - kept} more, see the files"]
    return "\n".join([*head, *lines])


def _held(rows: Sequence[Row], room: int) -> str:
    """What people hold beside this request, and who: it is not part of it."""
    lines = list(
        dict.fromkeys(
            f"- {_short(_workload(row))}: {_short(row.reason)}" for row in rows
        )
    )
    title = "**Held, not part of this request:**"
    kept = _fitting(lines, room - len(title) - 40)
    if kept < len(lines):
        lines[kept:] = [f"- and {len(lines) - kept} more"] if kept else []
    return "\n".join([title, "", *lines]) if lines else ""


def _fitting(lines: Sequence[str], room: int) -> int:
    """How many lines, each with its end, fit into `room` characters."""
    for count, line in enumerate(lines):
        room -= len(line) + 1
        if room < 0:
            return count
    return len(lines)


def _headline(proposal: Proposal) -> str:
    counts = Counter(row.op for row in proposal.rows)
    words = dict(_WORDS)
    if proposal.kind is ProposalKind.REWRITES:
        words[Op.WITHHOLD] = "to be rendered anew"
    told = [f"{counts[op]} {word}" for op, word in words.items() if counts[op]]
    follows = proposal.kind is ProposalKind.FOLLOW
    nothing = "present addresses" if follows else "preparation of the gateway"
    units = len({pair.unit for pair in proposal.pairs})
    sizes = [_many(units, "workload")] if units else []
    sizes.append(_many(len(proposal.draft.writes), "file"))
    return f"**{' · '.join(told) or nothing}** — {', '.join(sizes)}"


def _rows(proposal: Proposal, room: int) -> str:
    if not proposal.rows:
        return ""
    symbols = dict(_SYMBOLS)
    if proposal.kind is ProposalKind.REWRITES:
        symbols[Op.WITHHOLD] = "~ render"
    cells = [
        (
            symbols.get(row.op, str(row.op)),
            *(
                one_line(text, _LONGEST_CELL)
                for text in (_workload(row), row.route or "", _address(row))
            ),
            f"{one_line(row.reason, _LONGEST_CELL)} ({row.code})",
        )
        for row in proposal.rows
    ]
    lines = table(_TITLES, cells).split("\n")
    kept = _fitting(lines, room - 80)
    if kept < 3:
        return f"{_many(len(cells), 'row')} not shown; the files have all."
    text = "\n".join(lines[:kept])
    if kept < len(lines):
        text += (
            f"\n\n{_many(len(lines) - kept, 'more row')} not shown; the files have all."
        )
    return text


def _workload(row: Row) -> str:
    if row.name is None:
        return f"{row.cluster}: its API"
    return f"{row.cluster} {row.namespace}/{row.name}"


def _address(row: Row) -> str:
    return f"{row.host or ''}:{row.port}" if row.port else row.host or ""


def _details(diff: Sequence[str], room: int) -> str:
    """The folded diff, as much of it as there is room for; a fence is always closed."""
    opening = "<details><summary>What changes, by object</summary>\n\n```diff\n"
    closing = "\n```\n\n</details>"
    safe = [line.replace("```", "'''") for line in diff[:room]] if room > 0 else []
    kept = safe[: _fitting(safe, room - len(opening) - len(closing) - 60)]
    if not kept:
        return ""
    if len(kept) < len(diff):
        kept.append(f"# and {len(diff) - len(kept)} more lines, see the files")
    return opening + "\n".join(kept) + closing


def _promises(proposal: Proposal, story: Story) -> str:
    ops = {row.op for row in proposal.rows}
    frees = bool(ops & set(LOUD)) and proposal.kind is not ProposalKind.REWRITES
    undo = "revert the merge: that holds the units as they were, on the ports they had"
    if frees:
        undo += f", which stay reserved for {story.quarantine}"
    merging = MERGING if story.merges else "It never merges by itself."
    lines = [
        f"**After the merge** {story.engine} the files{_after(proposal, ops, story)}.",
        f"**To undo it** {undo}.",
        "**To decline it** close it: the same wish is not proposed again.",
        "**To change it** push a commit: the branch is then left to you.",
        merging,
    ]
    if proposal.kind is ProposalKind.FOLLOW:
        del lines[2]
    return "  \n".join(lines)


def _after(proposal: Proposal, ops: set[Op], story: Story) -> str:
    """What follows, by what the rows do."""
    match proposal.kind:
        case ProposalKind.REWRITES:
            return "; the gateway gets the same routes, written anew"
        case ProposalKind.FOLLOW:
            return "; traffic follows the present addresses, no wish changes"
    told = ""
    if not ops or ops & {Op.CREATE, Op.UPDATE}:
        told += (
            "; host and port are written onto each VirtualService as soon as traffic "
            "really flows"
        )
    closed = "removed routes close" if ops & set(LOUD) else ""
    if any(row.code is Code.MOVED for row in proposal.rows):
        closed = f"{closed}, left addresses too" if closed else "left addresses close"
    if closed:
        told += f"; {closed}, and their ports stay reserved for {story.quarantine}"
    return told


def closed_body(reason: str) -> str:
    """The body of a request that we close ourselves: it declines nothing."""
    return f"{MARK}\n{CLOSED_MARK}\n\nClosed by Wharfinger: {reason}. This declines nothing.\n"


def edited_mark(tip: str) -> str:
    """Names the commit of people that was spoken of."""
    return f"<!-- wharfinger:edited {tip} -->"


def marked_body(body: str, mark: str, longest: int) -> str:
    """A body with one mark of people's commit at its end, at most `longest` characters."""
    plain = _EDITED.sub("", body)[: longest - len(mark) - 2].rstrip()
    return f"{plain}\n\n{mark}\n"[:longest]


def edited_comment(url: str, tip: str) -> str:
    """What is said once on a request that other people changed; `tip` is their commit."""
    return (
        f"{MARK}\n{edited_mark(tip)}\nThis branch has changes that are not Wharfinger's, so it is left to you: "
        f"merge or close it. To have it built again, remove the label of this request.\n\n"
        f"<sub>{url}</sub>\n"
    )

"""What people read of a request: caution first, one row per route, how to undo; pure.

Every forge limits a body. What is cut first is detail, then rows; the caution and the counts
stay, and so do our trailers at the very end: a squash that takes the body as its message keeps
the commit attributed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.codes import Code
from reconciler.markdown import cell, table
from reconciler.model.plans import Op, Proposal, ProposalKind, Row
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
    Op.WITHHOLD: "above the budget",
}
LOUD = (Op.DELETE, Op.RELEASE, Op.WITHHOLD)
_MOST_LOUD = 40
_TITLES = ("", "Workload", "Route", "Address", "Why")


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What a body tells beside its proposal.

    `diff` are lines of a semantic diff, `trailers` those of the commit, `merges` says that the
    forge is asked to merge by itself, `quarantine` is how long a freed port stays reserved,
    `engine` who applies the merge.
    """

    diff: tuple[str, ...]
    trailers: str
    merges: bool
    quarantine: str
    engine: str


def request_body(proposal: Proposal, story: Story, longest: int) -> str:
    """The body of a request, at most `longest` characters."""
    rows = list(proposal.rows)
    tail = f"{_promises(proposal, story)}\n\n{story.trailers}".rstrip() + "\n"
    head = [MARK, *_caution(rows), _headline(proposal)]
    for shown, detail in (
        (len(rows), True),
        (len(rows), False),
        (200, False),
        (20, False),
    ):
        parts = [*head, *_rows(rows, shown)]
        left = longest - len("\n\n".join([*parts, "", tail]))
        diff = _details(story.diff, left - 40) if detail else ""
        body = "\n\n".join([*parts, *([diff] if diff else []), tail])
        if len(body) <= longest and (diff or not detail or not story.diff):
            return body
    return "\n\n".join([MARK, _headline(proposal), tail])[:longest]


def _caution(rows: Sequence[Row]) -> list[str]:
    loud = [row for row in rows if row.op in LOUD or row.code is Code.MOVED]
    if not loud:
        return []
    lines = ["> [!CAUTION]", "> Merging closes or moves what clients may be using:"]
    for row in loud[:_MOST_LOUD]:
        lines.append(
            f"> - **{cell(_address(row) or 'no port')}** of {cell(_workload(row))}: "
            f"{cell(row.reason)}"
        )
    if len(loud) > _MOST_LOUD:
        lines.append(f"> - and {len(loud) - _MOST_LOUD} more, see the files")
    return ["\n".join(lines)]


def _headline(proposal: Proposal) -> str:
    counts = Counter(row.op for row in proposal.rows)
    told = [f"{counts[op]} {word}" for op, word in _WORDS.items() if counts[op]]
    units = len({pair.unit for pair in proposal.pairs})
    files = len(proposal.draft.writes)
    what = " · ".join(told) or "preparation of the gateway"
    return f"**{what}** — {units} workloads, {files} files"


def _rows(rows: Sequence[Row], shown: int) -> list[str]:
    if not rows:
        return []
    cells = [
        (
            _SYMBOLS.get(row.op, str(row.op)),
            _workload(row),
            row.route or "",
            _address(row),
            f"{row.reason} ({row.code})",
        )
        for row in rows[:shown]
    ]
    text = table(_TITLES, cells)
    if len(rows) > shown:
        text += f"\n\n{len(rows) - shown} more rows are not shown; the files have all."
    return [text]


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
    room -= len(opening) + len(closing) + 60
    kept: list[str] = []
    for line in diff:
        safe = line.replace("```", "'''")
        room -= len(safe) + 1
        if room < 0:
            break
        kept.append(safe)
    if not kept:
        return ""
    if len(kept) < len(diff):
        kept.append(f"# and {len(diff) - len(kept)} more lines, see the files")
    return opening + "\n".join(kept) + closing


def _promises(proposal: Proposal, story: Story) -> str:
    after = {
        ProposalKind.DELETIONS: "the routes are removed, and their ports become free after "
        f"{story.quarantine}",
        ProposalKind.REWRITES: "the gateway gets the same routes, written anew",
        ProposalKind.FOLLOW: "traffic follows the present addresses; no wish changes",
    }.get(
        proposal.kind,
        "host and port are written onto each VirtualService as soon as traffic really flows",
    )
    merging = (
        "It merges by itself once the branch's rules are met."
        if story.merges
        else "It never merges by itself."
    )
    return "\n".join(
        [
            f"**After the merge** {story.engine} the files, and {after}.",
            "**To undo it** revert the merge: that holds the units as they were, and their "
            f"ports stay theirs. A port that was let go stays reserved for {story.quarantine}.",
            "**To decline** close it: the same wish is not proposed again. **To change it** "
            "push a commit: the branch is then left to you.",
            merging,
        ]
    ).replace("\n", "  \n")


def closed_body(reason: str) -> str:
    """The body of a request that we close ourselves: it declines nothing."""
    return f"{MARK}\n{CLOSED_MARK}\n\nClosed by Wharfinger: {reason}. This declines nothing.\n"


def edited_comment(url: str) -> str:
    """What is said once on a request that other people changed."""
    return (
        f"{MARK}\nThis branch has changes that are not Wharfinger's, so it is left to you: "
        f"merge or close it. To have it built again, remove the label of this request.\n\n"
        f"<sub>{url}</sub>\n"
    )

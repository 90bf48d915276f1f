"""A plan as text, JSON or Markdown; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from reconciler.codes import Code
from reconciler.markdown import cell, table
from reconciler.model.plans import WRITES, Op, Plan, Row
from reconciler.names import API_VERSION
from reconciler.printable import one_line

_SYMBOLS = {
    Op.CREATE: "+",
    Op.UPDATE: "~",
    Op.DELETE: "-",
    Op.RELEASE: "-",
    Op.HOLD: "=",
    Op.WITHHOLD: "!",
    Op.REJECT: "x",
    Op.SKIP: "?",
}
_WORDS = {
    Op.CREATE: "to create",
    Op.UPDATE: "to update",
    Op.DELETE: "to delete",
    Op.RELEASE: "to release",
    Op.HOLD: "held",
    Op.WITHHOLD: "withheld",
    Op.REJECT: "rejected",
    Op.SKIP: "skipped",
}
_LOUD = (Op.DELETE, Op.RELEASE, Op.WITHHOLD)
_MOST_LOUD = 50  # lines of a caution; a comment that is too long is not posted at all
_REASON = 240  # characters of a reason where space is short
_HEAD = 2  # lines of a table before its first row
_TITLES = ("", "Cluster", "Workload", "Route", "Address", "Reason")


def to_json(plan: Plan, **extra: object) -> dict[str, Any]:
    """The Plan object of the contract; `extra` are further top-level keys."""
    counts = Counter(row.op for row in plan.rows)
    return {
        "apiVersion": API_VERSION,
        "kind": "Plan",
        "digest": plan.digest,
        "base": plan.base,
        "changes": [_row(row) for row in plan.rows],
        "withheld": {"digest": plan.withheld},
        "summary": {str(op): counts[op] for op in Op},
        **extra,
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "op": str(row.op),
        "cluster": row.cluster,
        "namespace": row.namespace,
        "name": row.name,
        "route": row.route,
        "gateway": row.gateway,
        "host": row.host,
        "port": row.port,
        "code": str(row.code),
        "reason": row.reason,
    }


def has_changes(plan: Plan) -> bool:
    """Whether a pass would write routes."""
    return any(row.op in WRITES for row in plan.rows)


def to_text(plan: Plan) -> str:
    """For people in a terminal or a log: aligned columns, counts, and what to do next."""
    lines = _aligned([_cells(row) for row in plan.rows])
    lines.append(_summary(plan))
    if plan.withheld:
        lines.append(f"Withheld: exactly these pass with {_accept(plan)}")
    if plan.digest:
        base = plan.base[:10] or "an empty branch"
        lines.append(f"Plan {plan.digest[:12]} on {base}")
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    return (
        f"{_SYMBOLS[row.op]} {row.op}",
        _unit(row) + (f" ({row.route})" if row.route else ""),
        _address(row),
        f"{row.reason} [{row.code}]",
    )


def _unit(row: Row) -> str:
    """`eu1/shop/orders`; a cluster alone is its API or the whole cluster."""
    return "/".join(part for part in (row.cluster, row.namespace, row.name) if part)


def _address(row: Row) -> str:
    if row.port is None:
        return row.host or ""
    return f"{row.host}:{row.port}" if row.host else str(row.port)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    safe = [[one_line(text) for text in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*safe, strict=True)]
    padded = (map(str.ljust, row, widths) for row in safe)
    return [f"  {'  '.join(row)}".rstrip() for row in padded]


def _summary(plan: Plan) -> str:
    counts = Counter(row.op for row in plan.rows)
    parts = [f"{counts[op]} {word}" for op, word in _WORDS.items() if counts[op]]
    return f"Plan: {', '.join(parts)}." if parts else "Plan: nothing to do."


def _accept(plan: Plan) -> str:
    """The flags that let the withheld set pass."""
    flags = {
        Code.DELETIONS_WITHHELD: "--accept-deletions",
        Code.REWRITES_WITHHELD: "--accept-rewrites",
    }
    codes = {row.code for row in plan.rows}
    if Code.ARRIVALS_WITHHELD in codes and codes.isdisjoint(flags):
        flags = {Code.ARRIVALS_WITHHELD: "--accept-arrivals"}
    named = [flag for code, flag in flags.items() if code in codes]
    return " ".join(f"{flag}={plan.withheld}" for flag in named or flags.values())


def to_markdown(plan: Plan, limit: int = 0) -> str:
    """For a pull request's comment: caution first, one row per route.

    At most `limit` bytes of UTF-8 unless it is 0: long reasons are shortened, then rows are
    left out at the end, and it says how many.
    """
    most = _REASON if limit else 0
    before = [_caution(loud, limit)] if (loud := _loud(plan)) else []
    before.append(f"**{_summary(plan)}**")
    after = []
    if plan.withheld:
        after.append(f"Withheld: exactly these pass with `{_accept(plan)}`")
    if plan.digest:
        base = plan.base[:10] or "an empty branch"
        after.append(f"<sub>Plan {plan.digest[:12]} on {base}</sub>")
    if not plan.rows:
        return "\n\n".join([*before, *after])
    lines = table(_TITLES, [_table_row(row, most) for row in plan.rows]).split("\n")
    used = sum(_size(part) + 2 for part in (*before, *after, _more(len(plan.rows))))
    shown = _count(lines, limit - used) if limit else len(lines)
    rows = ["\n".join(lines[:shown])] if shown > _HEAD else []
    if shown < len(lines):
        rows.append(_more(len(lines) - max(shown, _HEAD)))
    return "\n\n".join([*before, *rows, *after])


def _loud(plan: Plan) -> list[Row]:
    return [row for row in plan.rows if row.op in _LOUD]


def _count(lines: Sequence[str], room: int) -> int:
    """How many of these lines fit into `room` bytes."""
    ends = accumulate(_size(line) + 1 for line in lines)
    return sum(end <= room for end in ends)


def _size(text: str) -> int:
    return len(text.encode())


def _more(count: int) -> str:
    return f"**{count} more routes are not shown here.**"


def _caution(loud: Sequence[Row], limit: int) -> str:
    """The rows that people must look at; at most half of `limit` unless it is 0."""
    head = "> [!CAUTION]\n> Routes close, ports become free, or a person must agree:"
    lines = [_loud_line(row, _REASON if limit else 0) for row in loud[:_MOST_LOUD]]
    shown = _count(lines, limit // 2 - 200) if limit else len(lines)
    if shown < len(loud):
        lines[shown:] = [f"> - and {len(loud) - shown} more"]
    return "\n".join([head, *lines])


def _loud_line(row: Row, most: int) -> str:
    address = f", {cell(_address(row))}" if _address(row) else ""
    route = f" ({cell(row.route)})" if row.route else ""
    reason = cell(one_line(row.reason, most))
    return f"> - {row.op} {cell(_unit(row))}{route}{address}: {reason}"


def _table_row(row: Row, most: int) -> tuple[str, ...]:
    return (
        f"{_SYMBOLS[row.op]} {row.op}",
        row.cluster,
        f"{row.namespace}/{row.name}" if row.name else "",
        row.route or "",
        _address(row),
        f"{one_line(row.reason, most)} ({row.code})",
    )

"""A plan as text, JSON or Markdown; pure."""

from __future__ import annotations

from collections import Counter
from typing import Any

from reconciler.cli import printable
from reconciler.model.plans import WRITES, Op, Plan, Row
from reconciler.settings import API_VERSION

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
_LOUD = (Op.DELETE, Op.RELEASE, Op.WITHHOLD)


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
    """For people in a terminal or a log."""
    lines = [_line(row) for row in plan.rows]
    lines.append(_summary(plan))
    if plan.withheld:
        lines.append(
            f"Withheld: pass exactly these with {_accept(plan)}={plan.withheld}"
        )
    if plan.digest:
        lines.append(
            f"Plan {plan.digest[:12]} on {plan.base[:10] or 'an empty branch'}"
        )
    return "\n".join(lines)


def _accept(plan: Plan) -> str:
    rewrites = any(row.code == "WHF205" for row in plan.rows)
    deletions = any(row.code == "WHF206" for row in plan.rows)
    if rewrites and deletions:
        return "--accept-deletions and --accept-rewrites"
    return "--accept-rewrites" if rewrites else "--accept-deletions"


def _line(row: Row) -> str:
    unit = "/".join(part for part in (row.cluster, row.namespace, row.name) if part)
    where = f"  {row.host}:{row.port}" if row.host and row.port else ""
    route = f" ({row.route})" if row.route else ""
    text = f"  {_SYMBOLS[row.op]} {row.op:<8} {unit}{route}{where}  {row.reason} [{row.code}]"
    return printable(text).replace("\n", " ")


def _summary(plan: Plan) -> str:
    counts = Counter(row.op for row in plan.rows)
    parts = [f"{counts[op]} to {op}" for op in Op if op in WRITES and counts[op]]
    words = {
        Op.HOLD: "held",
        Op.WITHHOLD: "withheld",
        Op.REJECT: "rejected",
        Op.SKIP: "skipped",
    }
    parts += [f"{counts[op]} {word}" for op, word in words.items() if counts[op]]
    return f"Plan: {', '.join(parts)}." if parts else "Plan: nothing to do."


def to_markdown(plan: Plan) -> str:
    """For a pull request's comment: caution first, one row per route."""
    loud = [row for row in plan.rows if row.op in _LOUD]
    parts = []
    if loud:
        lines = "".join(f"\n> - {_cell(_line(row).strip())}" for row in loud[:50])
        parts.append(f"> [!CAUTION]\n> Routes close or wait for a person:{lines}")
    parts.append(f"**{_summary(plan)}**")
    if plan.rows:
        head = (
            "| | Cluster | Workload | Route | Address | Reason |\n|--|--|--|--|--|--|"
        )
        body = "".join(f"\n{_table_row(row)}" for row in plan.rows)
        parts.append(head + body)
    if plan.withheld:
        parts.append(f"Withheld set: `{plan.withheld}`")
    parts.append(f"<sub>plan {plan.digest[:12]} on {plan.base[:10]}</sub>")
    return "\n\n".join(parts)


def _table_row(row: Row) -> str:
    name = f"{row.namespace}/{row.name}" if row.name else "API"
    where = f"{row.host}:{row.port}" if row.host and row.port else ""
    cells = (
        f"{_SYMBOLS[row.op]} {row.op}",
        row.cluster,
        name,
        row.route or "",
        where,
        f"{row.reason} ({row.code})",
    )
    return "| " + " | ".join(_cell(each) for each in cells) + " |"


def _cell(text: str) -> str:
    safe = printable(text).replace("\n", " ").replace("|", "\\|").replace("<", "&lt;")
    return safe.replace("@", "@\u200b")

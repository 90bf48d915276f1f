"""What a CI job tells about a command that it ran: Markdown, annotations, outputs; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.check import Finding
from reconciler.cli.plan_output import to_markdown
from reconciler.codes import Code
from reconciler.errors import Exit
from reconciler.markdown import cell
from reconciler.model.plans import WRITES, Op, Plan, Row
from reconciler.model.repository import CommitId
from reconciler.printable import one_line, printable

ANNOTATIONS = 10  # of one kind; a forge drops what one step says beyond that
_WAITING = (Op.WITHHOLD, Op.SKIP, Op.REJECT, Op.HOLD)
_SAID = 6_000  # characters of stderr, its end: errors come last
_MEANING = {
    Exit.ERROR: "failed unexpectedly",
    Exit.USAGE: "usage or invalid settings",
    Exit.INCOMPLETE: "incomplete, something could not be reached or read",
    Exit.CREDENTIALS: "credentials are missing or were refused",
    Exit.BLOCKED: "blocked until a person acts",
    Exit.CONFLICT: "conflict, the branch moved",
    Exit.TIMEOUT: "timed out",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """One remark of a forge beside a change: `level` is error, warning or notice."""

    level: str
    title: str
    message: str
    path: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a command ended: its exit code, the JSON object of its stdout, its stderr.

    `document` is `None` when there was none. `folder` is where the ingress repository's files
    are inside of the checkout. `commit` is what the job runs for, empty when unknown.
    """

    command: str
    code: int
    document: Mapping[str, Any] | None
    said: str
    folder: str = ""
    commit: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether the job is green; changes that a plan found are no failure."""
        return self.code in (Exit.DONE, Exit.CHANGES)

    @property
    def plan(self) -> Plan | None:
        """The plan, unless there was none to make or this is about something else."""
        if self.document is None or self.document.get("kind") != "Plan":
            return None
        return plan_of(self.document) if self.document["digest"] else None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings of `check`."""
        if self.document is None or self.document.get("kind") != "Findings":
            return ()
        return tuple(Finding(**each) for each in self.document["items"])

    @property
    def is_quiet(self) -> bool:
        """Whether there is nothing that a person must read."""
        empty = self.plan is not None and not self.plan.rows
        return self.succeeded and (empty or self.command == "check")


def plan_of(document: Mapping[str, Any]) -> Plan:
    """The plan that a Plan object tells of; what it does not carry is empty."""
    return Plan(
        base=CommitId(document["base"]),
        digest=document["digest"],
        rows=tuple(map(_row, document["changes"])),
        drafts=(),
        states=(),
        withheld=document["withheld"]["digest"],
        exits=(),
    )


def _row(change: Mapping[str, Any]) -> Row:
    fields = {key: change[key] for key in Row.__slots__}
    return Row(**{**fields, "op": Op(fields["op"]), "code": Code(fields["code"])})


def headline(report: Report) -> str:
    """One line: how it ended and, when that is bad, why."""
    name = f"wharfinger {report.command}"
    if report.succeeded:
        return f"{name}: {_result(report)}"
    known = report.code in set(Exit)
    what = _MEANING.get(Exit(report.code), "") if known else "ended by a signal"
    return f"{name}: {what} (exit code {report.code}): {_why(report)}"


def _result(report: Report) -> str:
    if report.plan is None:
        return "no findings" if report.command == "check" else "done"
    count = sum(row.op in WRITES for row in report.plan.rows)
    committed = (report.document or {}).get("commit")
    if committed:
        return f"committed {str(committed)[:10]}"
    return "no changes" if not count else f"{count} change{'s' * (count > 1)}"


def _why(report: Report) -> str:
    """The error that was told, else the first row or finding that stands in the way."""
    said = report.said.splitlines()
    for index, line in enumerate(said):
        if line.startswith("error: "):
            hint = said[index + 1 : index + 2]
            more = [each.strip() for each in hint if each.startswith("  ")]
            return one_line("; ".join([line.removeprefix("error: "), *more]), 400)
    for row in _waiting(report.plan):
        return one_line(f"{row.reason} [{row.code}]", 400)
    if report.findings:
        first = report.findings[0]
        return one_line(f"{len(report.findings)} findings, the first {first}", 400)
    return one_line(said[-1], 400) if said else "it said nothing"


def _waiting(plan: Plan | None) -> Iterator[Row]:
    rows = plan.rows if plan is not None else ()
    for op in _WAITING:
        yield from (row for row in rows if row.op is op)


def markdown(report: Report, limit: int, whole: str) -> str:
    """For a summary or a comment, at most `limit` bytes; `whole` says where all of it is."""
    mark = "" if report.succeeded else ":x: "
    parts = [f"**{mark}{cell(headline(report))}**"]
    after = [f"<sub>{_footer(report, whole)}</sub>"]
    if not report.succeeded and report.said:
        after.insert(0, _details(report.said))
    room = limit - sum(len(part.encode()) + 2 for part in (*parts, *after))
    if report.plan is not None:
        parts.append(to_markdown(report.plan, room))
    elif report.findings:
        parts.append(_findings(report, room))
    return "\n\n".join([*parts, *after]) + "\n"


def _footer(report: Report, whole: str) -> str:
    about = f"For {cell(report.commit[:10])}. " if report.commit else ""
    return f"{about}{whole}"


def _findings(report: Report, room: int) -> str:
    lines: list[str] = []
    room -= 100
    for each in report.findings:
        todo = f"; {each.help}" if each.help else ""
        lines.append(f"- {cell(one_line(f'{each}{todo}', 500))}")
        room -= len(lines[-1].encode()) + 1
        if room < 0:
            lines[-1:] = [f"- and {len(report.findings) - len(lines) + 1} more"]
            break
    return "\n".join(lines)


def _details(said: str) -> str:
    """The end of stderr, indented as code, which no text can end."""
    kept = printable(said)[-_SAID:].splitlines()
    body = "\n".join(f"    {line}" for line in kept)
    return f"<details><summary>What it said</summary>\n\n{body}\n\n</details>"


def remarks(report: Report) -> list[Annotation]:
    """What a reviewer should see beside the change, worst first."""
    found = []
    if not report.succeeded:
        found.append(
            Annotation(level="error", title="wharfinger", message=headline(report))
        )
    for each in report.findings:
        found.append(
            Annotation(
                level="error",
                title=f"wharfinger {each.code}",
                message=f"{each.message}; {each.help}" if each.help else each.message,
                path="/".join(filter(None, (report.folder, each.path))),
                line=each.line,
            )
        )
    for row in _waiting(report.plan):
        unit = "/".join(filter(None, (row.cluster, row.namespace, row.name)))
        told = f"{row.op} {unit}: {row.reason}"
        found.append(
            Annotation(level="warning", title=f"wharfinger {row.code}", message=told)
        )
    return [
        each
        for level in ("error", "warning")
        for each in [one for one in found if one.level == level][:ANNOTATIONS]
    ]


def outputs(report: Report) -> dict[str, str]:
    """Names and one-line values for later steps of the job."""
    counts = {op: 0 for op in Op}
    for row in report.plan.rows if report.plan is not None else ():
        counts[row.op] += 1
    document = report.document or {}
    return {
        "exit-code": str(report.code),
        "digest": report.plan.digest if report.plan is not None else "",
        "commit": str(document.get("commit") or ""),
        "changes": str(sum(counts[op] for op in WRITES)),
        **{str(op): str(count) for op, count in counts.items()},
        "findings": str(len(report.findings)),
    }

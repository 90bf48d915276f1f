"""The offline gate of an ingress repository: every finding at once; pure.

No cluster is needed. Judged is the whole repository at a commit, and with a `Review` also the
change that led there. `docs/decisions/0003-check.md` says what is judged when, and why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from reconciler.check.change_rules import ledger_changes, record_changes
from reconciler.check.file_rules import files_fit
from reconciler.check.findings import Finding, finding
from reconciler.check.fresh import rendered
from reconciler.check.kind_rules import kinds_fit
from reconciler.check.ledger_rules import agree, ledger_entries
from reconciler.check.manifest_rules import manifests
from reconciler.check.path_rules import SETTINGS, paths_fit
from reconciler.check.people_rules import people
from reconciler.check.permission_rules import permitted
from reconciler.check.subject import NO_HISTORY, Review, Subject
from reconciler.codes import Code
from reconciler.errors import InvalidSettings
from reconciler.model.repository import File, History
from reconciler.settings import Settings
from reconciler.settings_file import parse

__all__ = ["Finding", "Review", "check"]


def check(
    files: Mapping[str, File],
    history: History = NO_HISTORY,
    review: Review | None = None,
) -> tuple[Finding, ...]:
    """All findings, sorted. `files` are those under our folders and the settings.

    `history` is that of their commit; without it no commit is known to be ours.
    """
    settings, findings = _settings(files.get(SETTINGS))
    subject = Subject(files=files, settings=settings, history=history, review=review)
    findings += files_fit(subject)
    entries, found = ledger_entries(subject)
    findings += found
    units, found = manifests(subject)
    findings += found
    findings += agree(subject, entries, units)
    found, fresh = rendered(subject, units)
    findings += found
    findings += kinds_fit(subject, fresh)
    findings += people(subject)
    if review is not None:
        findings += _change(subject, review)
    return tuple(sorted(set(findings)))


def _change(subject: Subject, review: Review) -> Iterator[Finding]:
    yield from paths_fit(review.change)
    yield from ledger_changes(subject, review)
    yield from record_changes(subject, review)
    yield from permitted(subject, review)


def _settings(file: File | None) -> tuple[Settings | None, list[Finding]]:
    if file is None:
        return None, [finding(Code.SETTINGS_INVALID, SETTINGS, "is not there")]
    try:
        return parse(file.data), []
    except InvalidSettings as exc:
        return None, [_fault(each) for each in exc.faults]


def _fault(text: str) -> Finding:
    """A line `wharfinger.yaml:line:column path: what` as a finding."""
    path, line, rest = text.split(":", 2)
    column, _, what = rest.partition(" ")
    found = finding(Code.SETTINGS_INVALID, path, what, (int(line), 1))
    return replace(found, column=int(column.rstrip(":")))

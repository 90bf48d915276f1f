"""`wharfinger check`: the offline gate for a repository or a change of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import click

from reconciler.check import Finding, Review, check
from reconciler.cli.check_output import show
from reconciler.cli.options import (
    Target,
    findings_option,
    option,
    repository_options,
)
from reconciler.cli.policies import Policies, policy_options
from reconciler.errors import Exit, InvalidSettings
from reconciler.model.repository import File, History
from reconciler.repo import Repository
from reconciler.settings import Settings
from reconciler.settings_file import parse

_SETTINGS = "wharfinger.yaml"


@click.command("check")
@repository_options
@option(
    "--base",
    default="",
    metavar="REV",
    help="Judge the change since this commit, branch or tag, too.",
)
@option(
    "--head",
    default="",
    metavar="REV",
    help="Commit, branch or tag to check [default: the branch].",
)
@policy_options
@findings_option
def command(
    target: Target, base: str, head: str, policies: Policies, output: str
) -> None:
    """Check an ingress repository offline: all findings at once, exit code 5 when there are any.

    With --base also the change is judged that leads from there to --head (or --branch): who
    may own what, and what may come along.
    """
    judged = _read(target.open(), base, head)
    findings = check(judged.files, judged.history, judged.review)
    # Rules of other rooms add their findings here; all are shown and counted alike.
    findings = tuple(sorted({*findings, *_denied(policies, judged.files)}))
    show(findings, output, target.path)
    raise click.exceptions.Exit(_code(findings))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """What `check` is given."""

    files: dict[str, File]
    history: History
    review: Review | None = None


def _read(repository: Repository, base: str, head: str) -> _Judged:
    """Files and history at the head; the base's own settings say whom to trust."""
    revisions = repository.revisions
    tip = revisions.resolve(head) if head else repository.head().commit
    if not tip or not (base or head):  # an unborn branch changes nothing
        return _Judged(
            files=dict(repository.head().files), history=repository.history()
        )
    change = revisions.change(revisions.resolve(base) if base else tip, tip)
    settings = _settings(change.before.get(_SETTINGS))
    if settings is not None:
        repository.trust(settings.signing.keys)
    before = revisions.history(change.base)
    history = revisions.history(tip)
    review = Review(
        change=change,
        settings=settings,
        history=before,
        signed=settings is not None and bool(settings.signing.keys),
        now=datetime.now(UTC),
    )
    files = dict(change.after)
    return _Judged(files=files, history=history, review=review if base else None)


def _denied(policies: Policies, files: Mapping[str, File]) -> Iterator[Finding]:
    """What admission policies deny; the rule is the policy's name."""
    for each in policies.denied(files):
        yield Finding(
            path=each.path,
            line=each.line,
            code=each.policy,
            message=each.message,
            help="the platform cluster would refuse this object; docs/policies.md says why",
        )


def _settings(file: File | None) -> Settings | None:
    try:
        return parse(file.data) if file is not None else None
    except InvalidSettings:
        return None


def _code(findings: tuple[Finding, ...]) -> Exit:
    if any(each.path == _SETTINGS for each in findings):
        return Exit.USAGE
    return Exit.BLOCKED if findings else Exit.DONE

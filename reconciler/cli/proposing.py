"""A person's commit as a pull request of its own: where the branch is reviewed or protected."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import datetime

import click

from reconciler.errors import ReconcileError, Usage
from reconciler.model.repository import CommitDraft, CommitId
from reconciler.names import short_hash
from reconciler.printable import printable, without_secrets
from reconciler.repo.side_branch import SideBranch
from reconciler.review import connect
from reconciler.review.forge import RequestText
from reconciler.settings import ForgeKind, ReviewMode
from reconciler.settings_file import parse

_SETTINGS = "wharfinger.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A person's commit: on the branch itself, or proposed `at` a request or a branch."""

    commit: CommitId
    at: str = ""

    def __str__(self) -> str:
        if not self.at:
            return f"({self.commit[:10]})"
        return f"(proposed: {self.at}; nothing happens before it is merged)"


def review_of(repository: SideBranch) -> tuple[ReviewMode, ForgeKind | None]:
    """How the settings at HEAD want changes reviewed; unreadable ones want nothing."""
    file = repository.head().files.get(_SETTINGS)
    try:
        review = parse(file.data).review if file is not None else None
    except Usage:
        review = None
    return (review.mode, review.forge) if review else (ReviewMode.DIRECT, None)


def propose(
    repository: SideBranch, draft: CommitDraft, now: datetime, branch: str = ""
) -> Made:
    """Push a draft to a new branch and, where the forge lets us, open its request.

    Raises what pushing raises; without a forge the branch is what people go on with.
    """
    head = repository.head()
    name = branch or _branch(draft, head.commit)
    made = repository.propose([draft], head.commit, name, now)
    _, kind = review_of(repository)
    text = RequestText(title=draft.subject, body=draft.body or draft.subject, labels=())
    remote = (repository.url, repository.password)
    try:
        forge = connect(kind, remote, repository.remote.branch, os.environ)
        url = forge.open(name, text).url
    except ReconcileError as exc:
        said = printable(without_secrets(str(exc)))
        click.echo(f"note: no request was opened for {name}: {said}", err=True)
        return Made(commit=made, at=f"branch {name}")
    return Made(commit=made, at=url)


def _branch(draft: CommitDraft, base: CommitId) -> str:
    """A readable name that two changes do not share."""
    slug = re.sub(r"[^a-z0-9]+", "-", draft.subject.lower())[:50].strip("-")
    paths = [f"{each.path}={each.data!r}" for each in draft.writes]
    return f"people/{slug or 'change'}-{short_hash(base, *paths, length=6)}"

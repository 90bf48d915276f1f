"""`wharfinger revert`: undo one decision, surgically, as a person's own commit."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import click

from reconciler.audit.subjects import UnitSubject, parse_subject
from reconciler.audit.undoing import Ground, Undone, needed, undo, wish_changes
from reconciler.cli.asking import known_clusters, known_gateways
from reconciler.cli.options import Target, option, output_option, repository_options
from reconciler.cli.output import print_json
from reconciler.cli.people import author
from reconciler.cli.proposing import Made, propose, review_of
from reconciler.errors import Conflict, Usage
from reconciler.model.repository import CommitDraft, CommitFact, CommitId, Head
from reconciler.printable import one_line, printable
from reconciler.repo.side_branch import SideBranch
from reconciler.settings import API_VERSION, ReviewMode

_ATTEMPTS = 5
_DRY = "--dry-run"  # no branch can have this name


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """The commit to undo, for these units."""

    commit: CommitFact
    units: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    """What came of it: a patch, or a commit on a branch, or nothing where nothing differs."""

    asked: _Asked
    undone: tuple[Undone, ...]
    patch: str = ""
    commit: CommitId | None = None
    at: str = ""  # the request or the branch that proposes it


@click.command("revert")
@click.argument("what", metavar="UNIT|SHA")
@repository_options
@option("--reason", default="", help="Why; everybody reads it in the commit.")
@option(
    "--dry-run", is_flag=True, help="Print the patch for `git apply`; push nothing."
)
@option(
    "--push-to",
    default="",
    metavar="BRANCH",
    help="Name the new branch that proposes it [under review: always proposed].",
)
@output_option
def command(
    what: str, target: Target, reason: str, dry_run: bool, push_to: str, output: str
) -> None:
    """Undo the last change of a unit's wish, or one commit for the units it was about.

    Only the wish and its addresses go back. Ports stay with whom they belong: a port that has
    another owner by now is not taken away (exit code 5). The next pass holds what you reverted.
    """
    repository = target.open_side(author())
    asked = _asked(repository, what)
    push_to = _DRY if dry_run else push_to
    for attempt in range(_ATTEMPTS):
        try:
            done = _once(repository, asked, reason, push_to)
        except Conflict:
            if attempt == _ATTEMPTS - 1:
                raise
            time.sleep(random.uniform(0.05, 0.2) * 2**attempt)
            repository.fetch()
            continue
        _show(done, output)
        if done.commit:
            _hints(asked, done)
        return


def _once(repository: SideBranch, asked: _Asked, reason: str, push_to: str) -> _Done:
    """One attempt on the fetched tip. Raises Conflict when the branch moved meanwhile."""
    head = repository.head()
    undone = _undone(repository, asked, head)
    draft = _draft(asked, undone, reason)
    now = datetime.now(UTC)
    if push_to == _DRY or not draft.writes:
        patch = repository.patch([draft], head.commit, now)
        return _Done(
            asked=asked, undone=undone, patch=patch.decode("utf-8", "backslashreplace")
        )
    if push_to or review_of(repository)[0] is not ReviewMode.DIRECT:
        made = propose(repository, draft, now, push_to)
        return _Done(asked=asked, undone=undone, commit=made.commit, at=made.at)
    commit = repository.push([draft], head.commit, "", now)
    return _Done(asked=asked, undone=undone, commit=commit)


def _asked(repository: SideBranch, what: str) -> _Asked:
    paths = repository.paths
    clusters = known_clusters(paths)
    name = paths.full(what)
    if name and what in clusters:
        raise Usage(f"{what} is a cluster and a commit", hint=f"write cluster/{what}")
    if name:
        landed = paths.commit(name)
        units = tuple(wish_changes(landed.commit, paths.blob)) if landed else ()
        if landed is None or not units:
            raise Usage(
                f"{what} changed no wish",
                hint="`git revert` undoes what is no route, such as settings",
            )
        return _Asked(commit=landed.commit, units=units)
    subject = parse_subject(what, known_gateways(paths), clusters)
    if not isinstance(subject, UnitSubject):
        raise Usage(
            f"{what[:120]} is no unit and no commit of {repository.remote.branch}",
            hint="write cluster/namespace/name, or at least seven digits of a commit",
        )
    unit = str(subject.unit)
    for each in paths.trail(subject.wishes).commits:
        if unit in wish_changes(each.commit, paths.blob):
            return _Asked(commit=each.commit, units=(unit,))
    raise Usage(
        f"Git knows no wish of {unit}", hint="`wharfinger get routes` lists them"
    )


def _undone(repository: SideBranch, asked: _Asked, head: Head) -> tuple[Undone, ...]:
    paths = repository.paths
    trail = paths.trail(needed(asked.commit, paths.blob))
    ground = Ground(files=head.files, trail=trail)
    return tuple(undo(asked.commit, unit, ground) for unit in asked.units)


def _draft(asked: _Asked, undone: Sequence[Undone], reason: str) -> CommitDraft:
    subject = one_line(asked.commit.subject, 120)
    only = f" for {asked.units[0]} alone" if len(asked.units) == 1 else ""
    lines = [f"This undoes commit {asked.commit.id}{only}.", ""]
    lines += [f"{each.unit}: {each.text}" for each in undone]
    if reason.strip():
        lines += ["", f"Reason: {reason.strip()}"]
    return CommitDraft(
        subject=f'Revert "{subject}"',
        body="\n".join(lines),
        units=tuple(asked.units),
        writes=tuple(write for each in undone for write in each.writes),
        by_hand=True,
    )


def _show(done: _Done, output: str) -> None:
    """What was or would be done: the patch alone on stdout, so that `git apply` can read it."""
    asked = done.asked
    if output == "json":
        units = [
            {
                "unit": each.unit,
                "text": each.text,
                "paths": [write.path for write in each.writes],
            }
            for each in done.undone
        ]
        body = {
            "apiVersion": API_VERSION,
            "kind": "Revert",
            "undone": {"commit": asked.commit.id, "subject": asked.commit.subject},
            "commit": done.commit,
            "proposed": done.at or None,
            "units": units,
            "patch": done.patch or None,
        }
        print_json(body)
        return
    click.echo(done.patch, nl=False)
    told = [f"{each.unit}: {each.text}" for each in done.undone]
    if done.commit:
        made = Made(commit=done.commit, at=done.at)
        told.append(f"reverted {asked.commit.id[:10]} {made}")
    for line in told:
        click.echo(printable(line), err=bool(done.patch))


def _hints(asked: _Asked, done: _Done) -> None:
    """What happens next, on stderr."""
    if done.at:
        return
    if not asked.commit.ours:
        click.echo(
            "this undoes a person's change: what stood before it counts again", err=True
        )
        return
    click.echo(
        "the next pass holds it as it is now, until its wish changes; "
        f"`wharfinger release {asked.units[0]}` ends that",
        err=True,
    )

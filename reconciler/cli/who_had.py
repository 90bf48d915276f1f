"""`wharfinger who-had`: whose a port or an SNI host was at a moment, from `git log`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from reconciler.audit.holders import (
    Holding,
    ever_held,
    parse_moment,
    quarantined_until,
    who_had,
)
from reconciler.audit.rows import BOT, Account, account
from reconciler.audit.subjects import parse_ledger_subject
from reconciler.cli.asking import SETTINGS, known_gateways, review, stamp
from reconciler.cli.options import Target, option, output_option, repository_options
from reconciler.cli.output import print_list, print_table
from reconciler.errors import Usage
from reconciler.ledger_file import Entry
from reconciler.model.trails import Landed
from reconciler.printable import printable
from reconciler.repo import Repository
from reconciler.settings_file import parse


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """One gateway's answer; `quarantine` is its end for a released port."""

    holding: Holding
    quarantine: datetime | None
    account: Account | None


@click.command("who-had")
@click.argument("port", metavar="PORT")
@repository_options
@option(
    "--at",
    default="",
    metavar="DATE",
    help="2026-11-20 (to its end, UTC) or 2026-11-20T18:00:00Z [default: now].",
)
@output_option
def command(port: str, target: Target, at: str, output: str) -> None:
    """Tell whose a port (20017, GATEWAY/20017) or an SNI host was at a moment.

    What counts is when a commit came to the branch, and only our own release frees a port:
    where the file said otherwise, both are told.
    """
    moment = parse_moment(at) if at else datetime.now(UTC)
    repository = target.open()
    answers = list(_answers(repository, port, moment))
    if output == "json":
        items = [_item(each) for each in answers]
        print_list("Holders", items, subject=port, at=moment.isoformat())
    elif output == "markdown":
        print_table(_COLUMNS, [_cells(each) for each in answers], output)
    else:
        lines = [line for each in answers for line in _lines(each, moment)]
        nobody = f"{port} at {stamp(moment)}: nobody, and nobody ever had it"
        for line in lines or [nobody]:
            click.echo(printable(line))


def _answers(repository: Repository, port: str, moment: datetime) -> Iterator[_Answer]:
    paths = repository.paths
    subject = parse_ledger_subject(port, known_gateways(paths))
    trail = paths.trail(subject.paths)
    quarantine = _quarantine(repository, moment)
    for path in ever_held(trail, subject.paths):
        holding = who_had(path, trail, moment)
        since = holding.since
        merged = paths.brought(since.commit.id) if since and since.parents > 1 else ()
        yield _Answer(
            holding=holding,
            quarantine=quarantined_until(holding, quarantine),
            account=account(since, merged) if since else None,
        )


def _quarantine(repository: Repository, moment: datetime) -> timedelta:
    """What the settings said at that time; nothing where they could not be read."""
    at = repository.paths.commit_at(moment)
    data = repository.read_at(at, SETTINGS) if at else None
    try:
        return parse(data).release.quarantine if data is not None else timedelta()
    except Usage:
        return timedelta()


def _lines(answer: _Answer, moment: datetime) -> Iterator[str]:
    holding = answer.holding
    at = f"{holding.gateway}/{holding.key} at {stamp(moment)}"
    yield f"{at}: {_who(answer, moment)}"
    if holding.entry is not None and holding.owner is not None:
        yield f"  state      {holding.entry.state}"
    if holding.since is not None and answer.account is not None:
        yield f"  since      {_commit(holding.since)}"
        yield from _circumstances(answer, answer.account)
    if holding.until is not None:
        yield f"  until      {_commit(holding.until)}"
    if not holding.file_agrees:
        yield f"  the file   {_said(holding.file)}; that changes nothing of whose it was"
    for fault in holding.contradictions:
        yield f"  frozen     {fault.message}"


def _circumstances(answer: _Answer, how: Account) -> Iterator[str]:
    owner = answer.holding.entry.owner if answer.holding.entry else None
    unit = str(owner.unit) if owner else ""
    yield f"  requester  {_requester(answer, how)}"
    if how.pull_request or how.url:
        yield f"  request    {' '.join(filter(None, (how.pull_request, how.url)))}"
    if review(how):
        yield f"  reviewer   {review(how)}"
    if unit in how.generations:
        yield f"  generation {how.generations[unit]}"


def _requester(answer: _Answer, how: Account) -> str:
    owner = answer.holding.entry.owner if answer.holding.entry else None
    if how.who != BOT or owner is None:
        return how.who
    return f"{owner.cluster}/{owner.namespace}" if owner.namespace else owner.cluster


def _who(answer: _Answer, moment: datetime) -> str:
    entry = answer.holding.entry
    if entry is None:
        return "nobody"
    whose = (
        f"{entry.owner.unit}, route {entry.owner.route}" if entry.owner else "nobody"
    )
    if entry.live:
        cluster_id = entry.owner.cluster_id if entry.owner else ""
        return f"{whose} (cluster id {cluster_id})"
    if answer.quarantine is None:
        return f"nobody; reserved by people for {whose}"
    if moment < answer.quarantine:
        return f"nobody; in quarantine until {stamp(answer.quarantine)}, last had by {whose}"
    return f"nobody; free since {stamp(answer.quarantine)}, last had by {whose}"


def _commit(landed: Landed) -> str:
    fact = landed.commit
    who = BOT if fact.ours else fact.author
    return f"{stamp(landed.landed)} {fact.id[:10]} {who}: {fact.subject}"


def _said(file: Entry | str) -> str:
    if isinstance(file, str):
        return file
    owner = f" of {file.owner.unit}" if file.owner else ""
    return f"said {file.state}{owner}"


_COLUMNS = (
    *("PORT", "GATEWAY", "STATE", "UNIT", "ROUTE", "SINCE", "COMMIT"),
    *("PULL REQUEST", "REVIEWER"),
)


def _cells(answer: _Answer) -> tuple[object, ...]:
    holding, how = answer.holding, answer.account
    entry = holding.entry
    owner = entry.owner if entry else None
    return (
        holding.key,
        holding.gateway,
        entry.state if entry else "free",
        owner.unit if owner else "",
        owner.route if owner else "",
        stamp(holding.since.landed) if holding.since else "",
        holding.since.commit.id[:10] if holding.since else "",
        how.pull_request if how else "",
        review(how) if how else "",
    )


def _item(answer: _Answer) -> dict[str, Any]:
    holding, how = answer.holding, answer.account
    entry = holding.entry
    owner = entry.owner if entry else None
    since = holding.since
    return {
        "gateway": holding.gateway,
        "port" if isinstance(holding.key, int) else "host": holding.key,
        "state": entry.state if entry else None,
        "inUse": holding.owner is not None,
        "unit": str(owner.unit) if owner else None,
        "route": owner.route if owner else None,
        "clusterId": owner.cluster_id if owner else None,
        "since": _landed(since),
        "until": _landed(holding.until),
        "quarantineUntil": answer.quarantine.isoformat() if answer.quarantine else None,
        "requester": _requester(answer, how) if how else None,
        "reviewers": list(how.reviewers) if how else [],
        "mergedBy": (how.merged_by or None) if how else None,
        "pullRequest": (how.pull_request or None) if how else None,
        "pullRequestUrl": (how.url or None) if how else None,
        "generation": how.generations.get(str(owner.unit)) if how and owner else None,
        "file": _said(holding.file),
        "fileAgrees": holding.file_agrees,
        "contradictions": [each.message for each in holding.contradictions],
    }


def _landed(landed: Landed | None) -> dict[str, Any] | None:
    if landed is None:
        return None
    return {
        "time": landed.landed.isoformat(),
        "commit": landed.commit.id,
        "subject": landed.commit.subject,
    }

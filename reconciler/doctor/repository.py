"""Examines the ingress repository: may we push, is the branch protected, is there room (does I/O)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from reconciler.capacity import Capacity, capacities_at
from reconciler.capacity import Level as Room
from reconciler.doctor.findings import Finding, fail, ok, skipped, warn
from reconciler.errors import ReconcileError
from reconciler.model.repository import Head, History
from reconciler.repo import Repository
from reconciler.review import connect
from reconciler.settings import ReviewMode, Settings

_WHERE = "repository"


def examine(
    repository: Repository, settings: Settings, environ: Mapping[str, str]
) -> list[Finding]:
    """Push rights and the protection of the branch."""
    return [_push(repository), _protection(repository, settings, environ)]


def _push(repository: Repository) -> Finding:
    tip, branch = repository.head().commit, repository.remote.branch
    refusal = repository.branches().push_refusal(tip, branch)
    if refusal is None:
        return ok(_WHERE, "push", f"may push to {repository.url}")
    advice = refusal.hint or "give the credentials the right to push"
    return fail(_WHERE, "push", refusal.what, advice, refusal.exit)


def _protection(
    repository: Repository, settings: Settings, environ: Mapping[str, str]
) -> Finding:
    branch, mode = repository.remote.branch, settings.review.mode
    try:
        address = (repository.url, repository.password)
        forge = connect(settings.review.forge, address, branch, environ)
        is_protected = forge.is_protected(branch)
    except ReconcileError as exc:
        return skipped(_WHERE, "branch", f"its rules are not known: {exc.what}")
    if is_protected:
        return ok(_WHERE, "branch", f"{branch} is protected ({mode} review)")
    wanted = (
        "require a review for it"
        if mode is ReviewMode.PULL_REQUEST
        else "forbid force pushes and deletion of it, and let us push"
    )
    what = f"{branch} is not protected: who may push may take ports away"
    return warn(_WHERE, "branch", what, f"{wanted} (docs/review.md)")


def room(
    settings: Settings, head: Head, history: History, now: datetime
) -> list[Finding]:
    """How full gateways are."""
    return [_room(each) for each in capacities_at(settings, head, history, now)]


def _room(each: Capacity) -> Finding:
    where = f"gateway {each.gateway}"
    what = f"{each.headroom} ports free, {each.fill_percent}% full ({each.limit})"
    if each.level is Room.OK:
        return ok(where, "room", what)
    advice = "widen `ports.range`, or add a gateway (docs/gateways.md)"
    return warn(where, "room", what, advice)

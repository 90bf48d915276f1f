"""Commits that a person makes through a command, under the person's own name."""

from __future__ import annotations

import getpass
import os
import random
import subprocess
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from reconciler.cli.proposing import Made, propose
from reconciler.codes import Code
from reconciler.errors import Blocked, Conflict, Usage
from reconciler.model.repository import CommitDraft, CommitId, FileWrite, Head
from reconciler.model.units import UnitId
from reconciler.names import is_cluster_name, is_dns_name, is_namespace, unit_named
from reconciler.repo import Repository
from reconciler.repo.side_branch import SideBranch

_ATTEMPTS = 5


def parse_unit(text: str) -> UnitId:
    """`cluster/namespace/name`, or `cluster` for its API. Raises Usage."""
    if is_cluster_name(text):
        return UnitId(cluster=text)
    unit = unit_named(text)
    if unit is not None:
        return unit
    raise Usage(f"{text[:120]!r} is no unit", hint="write cluster/namespace/name")


def hold_path(text: str) -> str:
    """The hold file for `all`, a cluster, a namespace or a unit. Raises Usage."""
    parts = text.split("/")
    fits = 1 <= len(parts) <= 3 and (text == "all" or is_cluster_name(parts[0]))
    fits = (
        fits and all(map(is_namespace, parts[1:2])) and all(map(is_dns_name, parts[2:]))
    )
    if not fits:
        raise Usage(
            f"{text[:120]!r} cannot be held",
            hint="write all, cluster, cluster/namespace or cluster/namespace/name",
        )
    return f"holds/{text}.yaml"


def author() -> tuple[str, str]:
    """Name and e-mail of the person at the keyboard, as git knows them."""
    login = _login()
    name = os.environ.get("GIT_AUTHOR_NAME") or _git("user.name") or login
    email = os.environ.get("GIT_AUTHOR_EMAIL") or _git("user.email")
    return name, email or f"{login}@localhost"


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user id has no name
        return "somebody"


def _git(key: str) -> str:
    try:
        done = subprocess.run(
            ["git", "config", "--get", key],
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def commit(
    repository: SideBranch,
    subject: str,
    writes: Callable[[Head], Sequence[FileWrite]],
) -> Made | None:
    """One commit with what `writes` makes of HEAD, `None` where it makes nothing.

    Somebody else's push in between is no reason to bother a person: it is made again on the
    new HEAD, a few times, then it is a Conflict. A branch that refuses it gets it as a request.
    """

    def draft() -> CommitDraft | None:
        made = tuple(writes(repository.head()))
        return _draft(subject, "", made) if made else None

    try:
        made = _pushed(repository, draft)
    except Blocked as exc:
        refused = draft() if Code.PUSH_REFUSED in exc.what else None
        if refused is None:
            raise
        return propose(repository, refused, datetime.now(UTC))
    return Made(commit=made) if made is not None else None


def say(repository: Repository, subject: str, body: str) -> CommitId:
    """An empty commit whose message says something."""
    made = _pushed(repository, lambda: _draft(subject, body, ()))
    if made is None:
        raise AssertionError("an empty commit of a person is always made")
    return made


def _draft(subject: str, body: str, writes: tuple[FileWrite, ...]) -> CommitDraft:
    return CommitDraft(
        subject=subject[:200], body=body, units=(), writes=writes, by_hand=True
    )


def _pushed(
    repository: Repository, make: Callable[[], CommitDraft | None]
) -> CommitId | None:
    for attempt in range(_ATTEMPTS):
        head, draft = repository.head(), make()
        if draft is None:
            return None
        try:
            return repository.push([draft], head.commit, "", datetime.now(UTC))
        except Conflict:
            if attempt == _ATTEMPTS - 1:
                raise
            time.sleep(random.uniform(0.05, 0.2) * 2**attempt)
            repository.fetch()
    return None

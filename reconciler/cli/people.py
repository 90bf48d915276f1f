"""Commits that a person makes through a command, under the person's own name."""

from __future__ import annotations

import getpass
import os
import subprocess
from datetime import datetime

from reconciler.errors import Usage
from reconciler.model.repository import CommitDraft, CommitId, FileWrite
from reconciler.model.units import UnitId
from reconciler.names import is_cluster_name, is_dns_name, is_label
from reconciler.repo import Repository


def parse_unit(text: str) -> UnitId:
    """`cluster/namespace/name`, or `cluster` for its API. Raises Usage."""
    parts = text.split("/")
    if len(parts) == 1 and is_cluster_name(parts[0]):
        return UnitId(cluster=parts[0])
    if (
        len(parts) == 3
        and is_cluster_name(parts[0])
        and is_label(parts[1])
        and is_dns_name(parts[2])
    ):
        return UnitId(cluster=parts[0], namespace=parts[1], name=parts[2])
    raise Usage(f"{text[:120]!r} is no unit", hint="write cluster/namespace/name")


def hold_path(text: str) -> str:
    """The hold file for `all`, a cluster, a namespace or a unit. Raises Usage."""
    parts = text.split("/")
    fits = 1 <= len(parts) <= 3 and (text == "all" or is_cluster_name(parts[0]))
    fits = fits and all(map(is_label, parts[1:2])) and all(map(is_dns_name, parts[2:]))
    if not fits:
        raise Usage(
            f"{text[:120]!r} cannot be held",
            hint="write all, cluster, cluster/namespace or cluster/namespace/name",
        )
    return f"holds/{text}.yaml"


def author() -> tuple[str, str]:
    """Name and e-mail of the person at the keyboard, as git knows them."""
    name = os.environ.get("GIT_AUTHOR_NAME") or _git("user.name") or getpass.getuser()
    email = (
        os.environ.get("GIT_AUTHOR_EMAIL")
        or _git("user.email")
        or f"{getpass.getuser()}@localhost"
    )
    return name, email


def _git(key: str) -> str:
    done = subprocess.run(
        ["git", "config", "--get", key], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def commit(
    repository: Repository, subject: str, writes: tuple[FileWrite, ...], now: datetime
) -> CommitId:
    """One commit on the branch; a lost race is a Conflict."""
    draft = CommitDraft(subject=subject, body="", units=(), writes=writes)
    return repository.push([draft], repository.head().commit, "", now)

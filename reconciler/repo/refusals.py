"""What a remote's refusals mean, in words that say what to do; pure."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.codes import Code
from reconciler.errors import Blocked, Conflict, Usage


def lost_race(where: str) -> Conflict:
    """Another push was faster."""
    return Conflict(
        f"{Code.PUSH_CONFLICT}: the branch moved while this pass planned",
        where=where,
        hint="plan again",
    )


def refused(where: str, said: str) -> Blocked:
    """A rule of the server; `said` are its words."""
    text = said.strip()
    words = "".join(each if each.isprintable() else " " for each in text)[:600]
    hint = "branch protection or a hook says no; let this user push, or change the rule"
    if "currently checked out" in words:
        hint = "name a bare repository, or the remote that this work tree came from"
    return Blocked(
        f"{Code.PUSH_REFUSED}: the server refused the push: {words}",
        where=where,
        hint=hint,
    )


def shallow(where: str) -> Blocked:
    """A repository without its whole history."""
    return Blocked(
        f"{Code.SHALLOW}: the repository is shallow; holds and releases need its history",
        where=where,
        hint="`git fetch --unshallow` there, or `fetch-depth: 0` in CI",
    )


def no_branch(where: str, branch: str, others: Sequence[str]) -> Usage:
    """A repository without the branch that was asked for; `others` are refs of those it has."""
    names = [name.removeprefix("refs/heads/") for name in others]
    shown = ", ".join(ascii(name)[1:-1][:60] for name in names[:5])
    return Usage(
        f"there is no branch {branch}; there are {shown}",
        where=where,
        hint="name one with --branch, or create it",
    )


def hint_for(said: str) -> str:
    """What to do about what git said, where that is not about credentials."""
    if "dubious ownership" in said:
        return "run as the owner of that folder, or allow it in safe.directory of git"
    if "ssl certificate" in said or "certificate verif" in said:
        return "name the CA's file in SSL_CERT_FILE"
    if "no space left" in said or "quota exceeded" in said:
        return "make room in the cache folder, or name another in XDG_CACHE_HOME"
    if "not found" in said or "does not appear to be" in said:
        return "check --repo; some servers say so when the credentials are missing, too"
    return ""

"""Makes the commits of a plan in memory: one chain, deterministic ids (writes objects only)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pygit2

from reconciler.errors import Usage
from reconciler.model.repository import CommitDraft, CommitId
from reconciler.printable import one_line, printable
from reconciler.repo.differences import RawChange
from reconciler.repo.objects import Repo, edit, merged
from reconciler.repo.signing import Verifier, sign
from reconciler.repo.trailers import (
    DIGEST,
    PLAN,
    RENDERER,
    Message,
    compose,
    diff_digest,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who commits, and with which renderer; `folder` is ours within the repository.

    `signing_key` is a private key file, empty without signing.
    """

    name: str
    email: str
    renderer: int
    folder: str = ""
    signing_key: str = ""


class Signer:
    """Signs messages; refuses to write what would not be recognised as ours later."""

    def __init__(self, key: str, allowed: tuple[str, ...], verifier: Verifier) -> None:
        self._key = key
        self._allowed = allowed
        self._verifier = verifier

    def signature(self, message: Message) -> str:
        """The signature of a message, empty without signing. Raises Usage, Unauthorised."""
        if not self._key:
            if self._allowed:
                raise Usage(
                    "the settings list signing keys, but there is no key to sign with",
                    where="WHARFINGER_SIGNING_KEY",
                    hint="name the private key file of one of signing.keys",
                )
            return ""
        made = sign(message.signed, self._key)
        known = self._verifier.verifies(message.signed, made, self._allowed)
        if self._allowed and not known:
            raise Usage(
                "the signing key is none of those that the settings list",
                where="WHARFINGER_SIGNING_KEY",
                hint="add its public key to signing.keys first",
            )
        return made


Stamp = tuple[Author, Signer, str, datetime]
"""Who commits and how that is signed, the plan's digest, and the time."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Commits that were made, each with its changes; `tip` is the newest."""

    tip: CommitId
    made: Mapping[str, tuple[RawChange, ...]]


def build_chain(
    repo: Repo,
    drafts: Sequence[CommitDraft],
    base: CommitId,
    stamp: Stamp,
) -> Chain:
    """Commits on `base` (empty: a root commit) without writes that change nothing.

    A person's draft without any writes is an empty commit that says something.

    The same input makes the same ids. The tip is `base` when nothing is left.
    """
    author, person = stamp[0], person_of(stamp)
    tip, chain = base, dict[str, tuple[RawChange, ...]]()
    tree = repo[tip].tree if tip else None
    for draft in drafts:
        edited = edit(repo, tree, merged(draft.writes, author.folder))
        if not edited.changes and (draft.writes or not draft.by_hand):
            continue
        text = message_of(draft, edited.changes, stamp)
        parents = [tip] if tip else []
        made = repo.create_commit(None, person, person, text, edited.tree, parents)
        tip = CommitId(str(made))
        chain[tip] = edited.changes
        tree = repo[edited.tree]
    return Chain(tip, chain)


def person_of(stamp: Stamp) -> Any:
    """Author and committer, as libgit2 writes names."""
    author, now = stamp[0], stamp[3]
    return pygit2.Signature(author.name, author.email, int(now.timestamp()), 0)


def message_of(draft: CommitDraft, changes: Iterable[RawChange], stamp: Stamp) -> str:
    """The whole message of a commit that makes these changes. Raises Usage, Unauthorised."""
    author, signer, plan_digest, _ = stamp
    if draft.by_hand:
        return _by_hand(draft)
    extra = [(RENDERER, str(author.renderer))]
    extra += [(PLAN, plan_digest)] if plan_digest else []
    digest = diff_digest((each.path, *each.ids) for each in changes)
    message = compose(draft, digest, extra)
    return message.with_signature(signer.signature(message))


def _by_hand(draft: CommitDraft) -> str:
    """A person's message: readable text that cannot be taken for a message of ours."""
    lines = printable(draft.body).strip().split("\n")
    body = "\n".join(f"> {each}" if DIGEST in each else each for each in lines)
    subject = one_line(draft.subject, 200) or "Update"
    return f"{subject}\n\n{body}\n" if body else f"{subject}\n"

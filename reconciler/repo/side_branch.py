"""Commits that do not go to the branch itself: to another branch, or only to the eye (does I/O)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from reconciler.errors import Usage
from reconciler.model.repository import CommitDraft, CommitId
from reconciler.repo.bulk import make_chain
from reconciler.repo.commits import Signer
from reconciler.repo.refusals import refused
from reconciler.repo.remote import check_remote
from reconciler.repo.repository import Repository

_DIFF = ("diff-tree", "-p", "--binary", "--full-index", "--no-renames", "--no-ext-diff")


class SideBranch(Repository):
    """A repository whose drafts can be looked at, or proposed on a new branch."""

    def patch(
        self, drafts: Sequence[CommitDraft], base: CommitId, now: datetime
    ) -> bytes:
        """What `git apply` takes at the repository's root; nothing is pushed."""
        tip = self._chain(drafts, base, now)
        args = [*_DIFF, "--no-textconv", "--end-of-options", base, tip]
        return self._healing(lambda: self._git.ask(args)) if tip != base else b""

    def propose(
        self, drafts: Sequence[CommitDraft], base: CommitId, branch: str, now: datetime
    ) -> CommitId:
        """Push the drafts on `base` as a new branch; returns its tip.

        Raises Usage for a name that is none or is taken, Blocked when the server refuses,
        Unavailable when nobody knows.
        """
        check_remote(replace(self.remote, branch=branch))
        if branch == self.remote.branch:
            raise Usage(f"{branch} is the branch itself", hint="name a new branch")
        tip = self._chain(drafts, base, now)
        with self._clone.lock() as lock:
            result = self._git.push(tip, "", branch, lock)
            if result.accepted:
                return tip
            ref = f"refs/heads/{branch}"
            looked, found = self._git.branches(ref, lock)
        if looked.code == 0 and ref in found:
            raise Usage(
                f"there is a branch {branch} already",
                where=self.url,
                hint="name another, or remove that one",
            )
        if result.refusal is None:
            raise self._lost(result, None)
        raise refused(self.url, f"{result.refusal} {self._git.said(result.ended)}")

    def _chain(
        self, drafts: Sequence[CommitDraft], base: CommitId, now: datetime
    ) -> CommitId:
        signer = Signer(self._author.signing_key, self._keys, self._verifier)
        stamp = (self._author, signer, "", now)
        made = self._healing(
            lambda: make_chain(self._git, self._clone, drafts, base, stamp)
        )
        return made.tip

"""Branches of pull requests: bring, judge, build and push them (does I/O).

A request is its branch: one commit of ours on top of the shared branch, made anew rather than
merged or rebased, pushed with a lease on exactly the tip that was looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reconciler.codes import Code
from reconciler.errors import Blocked, Conflict, ReconcileError, Unavailable
from reconciler.model.repository import CommitDraft, CommitId
from reconciler.model.reviews import Offered
from reconciler.repo.attribution import Judge
from reconciler.repo.blobs import Blobs
from reconciler.repo.bulk import make_chain
from reconciler.repo.clone import BROKEN, Clone
from reconciler.repo.commits import Author, Signer
from reconciler.repo.objects import (
    BLOB,
    ROOTS,
    SETTINGS,
    Repo,
    blob_at,
    changed,
    read_blob,
)
from reconciler.repo.signing import Verifier
from reconciler.repo.trailers import ABSENT, DiffLine, diff_digest
from reconciler.repo.transport import LOST_RACE, Git, PushResult

_KEPT = "refs/wharfinger-requests/"
_MOST_COMMITS = 100  # of a branch are looked at for one of ours
_MOST_EDITS = 20  # commits of people on top of ours
_MOST_FILES = 20_000

Files = dict[str, bytes | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """How commits are judged and signed; `keys` are the settings' public keys.

    `blobs` brings files that a filtered clone lacks.
    """

    judge: Judge
    signer: Signer
    keys: tuple[str, ...]
    blobs: Blobs

    @staticmethod
    def of(
        author: Author, keys: tuple[str, ...], verifier: Verifier, blobs: Blobs
    ) -> Trust:
        """As a repository judges and signs."""
        signer = Signer(author.signing_key, keys, verifier)
        return Trust(judge=Judge(verifier), signer=signer, keys=keys, blobs=blobs)


class Branches:
    """The request branches of one repository; made by `Repository.branches`."""

    def __init__(self, git: Git, clone: Clone, author: Author, trust: Trust) -> None:
        self._git = git
        self._clone = clone
        self._author = author
        self._trust = trust

    def push_refusal(self, tip: CommitId, branch: str) -> ReconcileError | None:
        """Why the remote takes no push of ours; `None` when it would. Nothing is sent."""
        with self._clone.lock() as lock:
            ended = self._git.may_push(tip, branch, lock)
        return self._git.failure(ended, "no push") if ended.code else None

    def bring(self, prefix: str) -> Mapping[str, CommitId]:
        """All remote branches below a prefix (which ends with a slash) by name.

        Raises Unavailable or Unauthorised.
        """
        spec = f"+refs/heads/{prefix}*:{_KEPT}{prefix}*"
        with self._clone.lock() as lock:
            ended = self._git.fetch(spec, lock, prune=True)
            if ended.code != 0:
                raise self._git.failure(ended, "the request branches cannot be fetched")
            return self._kept(prefix)

    def _kept(self, prefix: str) -> dict[str, CommitId]:
        repo = self._clone.repo
        start = len(_KEPT)
        return {
            name[start:]: CommitId(str(repo.references[name].target))
            for name in repo.references
            if name.startswith(_KEPT + prefix)
        }

    def bring_commit(self, commit: str, refs: Sequence[str]) -> bool:
        """Whether the clone has a commit, after looking for it under the remote's refs."""
        if self._has(commit):
            return True
        for ref in refs:
            with self._clone.lock() as lock:
                ended = self._git.fetch(f"+{ref}:refs/wharfinger-incoming/commit", lock)
            if ended.timed_out:
                raise self._git.failure(ended, "the request's commit cannot be fetched")
            if self._has(commit):
                return True
        return False

    def _has(self, commit: str) -> bool:
        try:
            return bool(self._clone.repo[commit].type_str == "commit")
        except (*BROKEN, ValueError):
            return False

    def offered(self, branch: str, tip: CommitId, onto: CommitId) -> Offered:
        """What a branch would bring to the commit `onto`. Raises Unavailable."""
        try:
            return self._offered(branch, tip, onto)
        except BROKEN as exc:
            raise Unavailable(
                f"the branch {branch} cannot be read from the clone",
                hint="the next fetch repairs the clone",
            ) from exc

    def _offered(self, branch: str, tip: CommitId, onto: CommitId) -> Offered:
        repo = self._clone.repo
        base = repo.merge_base(tip, onto)
        old = repo[base].tree if base is not None else None
        lines = sorted(changed(repo, old, repo[tip].tree))
        ours = base is not None and self._is_ours(tip, base, lines)
        files, before = self._files(lines) if len(lines) <= _MOST_FILES else ({}, {})
        return Offered(
            branch=branch,
            tip=tip,
            files=files,
            before=before,
            ours=ours and len(lines) <= _MOST_FILES,
            conflicts=base is None or self._conflicts(tip, onto, lines),
        )

    def proposed(self, tip: CommitId) -> tuple[Files, Files] | None:
        """What our commit on a branch changed, and what stood there before.

        For a closed request, whose branch may be merged and gone; `None` without such a commit.
        """
        found = self._own(tip)
        return self._files(found[1]) if found is not None else None

    def _own(self, tip: CommitId) -> tuple[Any, list[DiffLine]] | None:
        """The newest commit of ours on a branch and what it changed.

        By first parents: a merge of the shared branch brings commits of ours that are another
        story.
        """
        repo = self._clone.repo
        walker = repo.walk(tip)
        walker.simplify_first_parent()
        for index, commit in enumerate(walker):
            if index >= _MOST_EDITS:
                return None
            parent = repo[commit.parent_ids[0]].tree if commit.parent_ids else None
            lines = sorted(changed(repo, parent, commit.tree))
            trust = self._trust
            if trust.judge.says(commit, diff_digest(lines), trust.keys):
                return commit, lines
        return None

    def _is_ours(self, tip: CommitId, base: Any, lines: Sequence[DiffLine]) -> bool:
        """Whether the branch brings exactly what one commit of ours on it says.

        Looked at as a whole, so that a merge of the shared branch into it changes nothing.
        """
        digest = diff_digest(lines)
        repo = self._clone.repo
        walker = repo.walk(tip)
        walker.hide(base)
        for index, commit in enumerate(walker):
            if index >= _MOST_COMMITS:
                return False
            if self._trust.judge.says(commit, digest, self._trust.keys):
                if not all(self._own_path(path) for path, _, _ in lines):
                    return False  # we write nothing else, whoever says that we did
                return _regular(repo, repo[tip].tree, lines)
        return not lines

    def _conflicts(
        self, tip: CommitId, onto: CommitId, lines: Sequence[DiffLine]
    ) -> bool:
        """Whether a three-way merge, as forges make it, would not be clean."""
        repo = self._clone.repo
        if onto == tip or repo.descendant_of(onto, tip):
            return False
        paths = [path.decode("utf-8", "replace") for path, _, _ in lines]
        theirs = (blob_at(repo, repo[onto].tree, path) for path in paths)
        self._trust.blobs.bring(each for each in theirs if each is not None)
        return bool(repo.merge_commits(onto, tip).conflicts)

    def _files(self, lines: Sequence[DiffLine]) -> tuple[Files, Files]:
        named = (name for line in lines for name in line[1:] if name != ABSENT)
        self._trust.blobs.bring(named)
        files: Files = {}
        before: Files = {}
        for path, old, new in lines:
            below = self._own_path(path)
            if below:
                files[below], before[below] = self._blob(new), self._blob(old)
        return files, before

    def _own_path(self, path: bytes) -> str:
        """A path below our folder if it is one of ours, else nothing."""
        prefix = f"{self._author.folder}/" if self._author.folder else ""
        name = path.decode("utf-8", "backslashreplace")
        below = name.removeprefix(prefix)
        is_own = below.partition("/")[0] in ROOTS or below == SETTINGS
        return below if name.startswith(prefix) and is_own else ""

    def _blob(self, name: str) -> bytes | None:
        return None if name == ABSENT else read_blob(self._clone.repo.odb, name)

    def trailers(self, tip: CommitId) -> str:
        """The trailers of our commit on a branch as it carries them, one a line."""
        found = self._own(tip)
        commit = found[0] if found is not None else self._clone.repo[tip]
        message = commit.raw_message.decode("utf-8", "replace")
        return str(message.rstrip("\n").rpartition("\n\n")[2])

    def push(
        self,
        branch: str,
        draft: CommitDraft,
        at: tuple[CommitId, CommitId],
        stamp: tuple[str, datetime],
    ) -> CommitId:
        """One commit with the draft on the first commit of `at`; the branch's new tip.

        The second of `at` is the tip that the branch must still have, empty for none. `stamp`
        is the plan's digest and the time. Raises Conflict when the branch moved, Blocked when
        the server refuses, Unavailable when nobody knows.
        """
        base, expected = at
        whole = (self._author, self._trust.signer, *stamp)
        made = make_chain(self._git, self._clone, [draft], base, whole).tip
        self._move(branch, made, expected)
        return made

    def delete(self, branch: str, expected: CommitId) -> None:
        """Remove a branch that still has this tip; one that is gone or moved stays so."""
        try:
            self._move(branch, CommitId(""), expected)
        except Conflict:
            return

    def _move(self, branch: str, tip: CommitId, expected: CommitId) -> None:
        with self._clone.lock() as lock:
            result = self._git.push(tip, expected, branch, lock)
            lost = result.was_there or LOST_RACE.search(result.refusal or "")
            if result.accepted and not lost:
                return
            arrived = None if lost else self._arrived(branch, tip, lock)
        if lost:
            # Also where the very same commit won: its pusher tells the forge of it.
            raise Conflict(
                f"{Code.PUSH_CONFLICT}: branch {branch} moved while this pass looked at it",
                hint="the next pass looks again",
            )
        if not arrived:
            raise self._failed(branch, result, is_known=arrived is not None)

    def _arrived(self, branch: str, tip: CommitId, lock: int) -> bool | None:
        """Whether the branch is where it should be: answers get lost, and words differ.

        `None` when the remote does not say.
        """
        ref = f"refs/heads/{branch}"
        ended, found = self._git.tips(ref, lock)
        return found.get(ref, "") == tip if ended.code == 0 else None

    def _failed(
        self, branch: str, result: PushResult, *, is_known: bool
    ) -> ReconcileError:
        if result.refusal is None:
            what = f"branch {branch} was not pushed"
            if not is_known:
                what = f"nobody knows whether branch {branch} was pushed"
            return self._git.failure(result.ended, what)
        said = f"{result.refusal} {self._git.said(result.ended)}"
        return Blocked(
            f"{Code.PUSH_REFUSED}: the server refused branch {branch}: {said[:400]}",
            hint="let this user create and update branches below it",
        )


def _regular(repo: Repo, tree: Any, lines: Sequence[DiffLine]) -> bool:
    """Whether all that a branch brings are regular files: the digest knows no modes."""
    paths = [path.decode("utf-8", "replace") for path, _, new in lines if new != ABSENT]
    return all(repo[tree.id][path].filemode == BLOB for path in paths)

"""First-parent history as facts: who changed which of our paths, and which commits are ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from reconciler.model.repository import (
    BlobId,
    CommitFact,
    CommitId,
    FileChange,
    History,
)
from reconciler.repo.objects import ROOTS, Repo, changed_paths, subtree
from reconciler.repo.signing import verifies
from reconciler.repo.trailers import DIGEST, Trailers, diff_digest, parse_trailers

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


@dataclass(frozen=True, slots=True)
class _Judged:
    """A commit before signatures are judged over the whole history."""

    fact: CommitFact
    matches: bool
    signed: bool


class HistoryReader:
    """Reads history once per commit; commits never change, so facts are kept."""

    def __init__(self, repo: Repo, folder: str) -> None:
        self._repo = repo
        self._folder = folder
        self._known: dict[tuple[str, tuple[str, ...]], _Judged] = {}

    def use(self, repo: Repo) -> None:
        """Read from this handle from now on; it knows packs that came after the last one."""
        self._repo = repo

    def read(self, tip: str, keys: tuple[str, ...]) -> History:
        """All first-parent commits from the tip to the root, newest first."""
        judged = [self._judge(commit, keys) for commit in self._walk(tip)]
        first_signed = max(
            (i for i, each in enumerate(judged) if each.signed), default=-1
        )
        facts = tuple(
            each.fact
            if each.matches and (each.signed or not keys or index > first_signed)
            else replace(each.fact, ours=False, renderer=0, released=())
            for index, each in enumerate(judged)
        )
        return History(commits=facts, read=self._blob)

    def _walk(self, tip: str) -> Iterator[Any]:
        commit = self._repo[tip] if tip else None
        while commit is not None:
            yield commit
            parents = commit.parent_ids
            commit = self._repo[parents[0]] if parents else None

    def _blob(self, blob: BlobId) -> bytes:
        return bytes(self._repo[blob].data)

    def _judge(self, commit: Any, keys: tuple[str, ...]) -> _Judged:
        at = (str(commit.id), keys)
        if at not in self._known:
            self._known[at] = self._read(commit, keys)
        return self._known[at]

    def _read(self, commit: Any, keys: tuple[str, ...]) -> _Judged:
        parents = commit.parent_ids
        old = self._repo[parents[0]].tree if parents else None
        message = commit.message
        trailers = parse_trailers(message) if DIGEST in message else None
        if trailers is None:
            changes = self._ours(old, commit.tree)
        else:
            whole = tuple(changed_paths(self._repo, old, commit.tree))
            changes = self._below(whole)
            if diff_digest(whole) != trailers.digest:
                trailers = None
        signed = trailers is not None and verifies(
            trailers.digest, trailers.signature, keys
        )
        return _Judged(_fact(commit, trailers, changes), trailers is not None, signed)

    def _ours(self, old: Any | None, new: Any) -> tuple[FileChange, ...]:
        before = subtree(self._repo, old, self._folder) if old is not None else None
        after = subtree(self._repo, new, self._folder)
        return tuple(
            change
            for root in ROOTS
            for change in changed_paths(
                self._repo,
                subtree(self._repo, before, root) if before is not None else None,
                subtree(self._repo, after, root) if after is not None else None,
                f"{root}/",
            )
        )

    def _below(self, changes: tuple[FileChange, ...]) -> tuple[FileChange, ...]:
        prefix = f"{self._folder}/" if self._folder else ""
        return tuple(
            replace(change, path=change.path.removeprefix(prefix))
            for change in changes
            if change.path.startswith(prefix)
            and change.path.removeprefix(prefix).split("/")[0] in ROOTS
        )


def _fact(
    commit: Any, trailers: Trailers | None, changes: tuple[FileChange, ...]
) -> CommitFact:
    subject = commit.message.split("\n", 1)[0]
    return CommitFact(
        id=CommitId(str(commit.id)),
        time=datetime.fromtimestamp(commit.commit_time, UTC),
        author=_CONTROL.sub(" ", commit.author.name or "").strip()[:120],
        subject=_CONTROL.sub(" ", subject).strip()[:200],
        ours=trailers is not None,
        renderer=trailers.renderer if trailers is not None else 0,
        changes=changes,
        released=trailers.released if trailers is not None else (),
    )

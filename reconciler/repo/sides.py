"""What merges keep off the first-parent history: decisions of people on another side (does I/O).

Somebody who merges main into an old branch of theirs and pushes that as main makes their branch the
first-parent history; what people took back on main meanwhile lies on the second side, and the
merge shows no trace of it. So before something is written again the sides are asked, too:

* commits of people that are on no first-parent history, and
* merges that leave out what another side had changed (`-s ours`, a conflict solved that way).

It costs two runs of git on a repository with merges and one on any other, once per tip, and only
when a file is about to be written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from reconciler.model.repository import CommitFact, CommitId
from reconciler.repo.clone import Clone
from reconciler.repo.differences import RawChange
from reconciler.repo.objects import blob_at
from reconciler.repo.rawlog import split_log
from reconciler.repo.trailers import ABSENT
from reconciler.repo.transport import Git

_MERGES = 100  # the newest ones of a file that we never wrote

Foreign = Callable[[Iterable[tuple[str, list[RawChange]]]], Iterator[CommitFact]]
"""Commits with their raw changes -> the facts of those that are not ours."""


class Sides:
    """The sides of one tip; asked at most once."""

    def __init__(
        self, git: Git, at: tuple[Clone, str], paths: list[str], foreign: Foreign
    ) -> None:
        self._git = git
        self._clone, self._tip = at
        self._paths = paths
        self._foreign = foreign
        self._merges: list[str] | None = None
        self._by_path: dict[str, list[CommitFact]] | None = None

    def aside(self, path: str, since: CommitId | None) -> tuple[CommitFact, ...]:
        """Foreign commits that changed a file aside, without those that `since` contains."""
        repo = self._clone.repo
        found = [
            fact
            for fact in self._commits().get(path, ())
            if since is None or not repo.descendant_of(since, fact.id)
        ]
        return (*found, *self._foreign(self._left_out(path, since)))

    def _chain(self) -> list[str]:
        """Merges of the first-parent history, newest first."""
        if self._merges is None:
            args = ["rev-list", "--first-parent", "--merges", "--end-of-options"]
            self._merges = self._git.ask([*args, self._tip]).decode("ascii").split()
        return self._merges

    def _commits(self) -> dict[str, list[CommitFact]]:
        if self._by_path is None:
            self._by_path = {}
            for fact in self._foreign(self._beside()):
                for change in fact.changes:
                    self._by_path.setdefault(change.path, []).append(fact)
        return self._by_path

    def _beside(self) -> Iterator[tuple[str, list[RawChange]]]:
        merges = self._chain()
        if not merges:
            return
        # Before the oldest merge there is one line only.
        start = f"^{self._clone.repo[merges[-1]].parent_ids[0]}"
        args = ["rev-list", "--first-parent", "--end-of-options", self._tip, start]
        line = set(self._git.ask(args).decode("ascii").split())
        output = self._git.beside([self._tip, start], self._paths)
        for name, changes in split_log(output):
            if name not in line:
                yield name, changes

    def _left_out(
        self, path: str, since: CommitId | None
    ) -> Iterator[tuple[str, list[RawChange]]]:
        """Merges whose outcome is not what another side had made of the file."""
        repo = self._clone.repo
        for name in self._chain()[: None if since else _MERGES]:
            if since is not None and (name == since or repo.descendant_of(since, name)):
                return
            first, *others = repo[name].parent_ids
            now = self._at(repo[name], path)
            for other in others:
                had = self._at(repo[other], path)
                base = repo.merge_base(first, other) if had != now else None
                if base is not None and self._at(repo[base], path) != had:
                    yield name, [_raw(path, had, now)]

    def _at(self, commit: Any, path: str) -> str:
        repo = self._clone.repo
        blob = blob_at(repo, commit.tree, path)
        return ABSENT if blob is None else str(blob)


def _raw(path: str, old: str, new: str) -> RawChange:
    modes = [b"000000" if each == ABSENT else b"100644" for each in (old, new)]
    return RawChange(path.encode(), (modes[0], modes[1]), (old, new))

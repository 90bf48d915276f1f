"""Which commits are ours: trailers that match the diff, and signatures (reads the clone)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

from reconciler.repo.objects import Repo, changed
from reconciler.repo.signing import Verifier
from reconciler.repo.trailers import (
    ABSENT,
    DIGEST,
    DiffLine,
    Trailers,
    diff_digest,
    parse_trailers,
)

_FILE, _NOTHING = b"100644", b"000000"
_LONGEST_BRANCH = 200


class Change(Protocol):
    """One path of a commit's diff with modes."""

    @property
    def path(self) -> bytes: ...
    @property
    def modes(self) -> tuple[bytes, bytes]: ...
    @property
    def ids(self) -> tuple[str, str]: ...


@dataclass(frozen=True, slots=True)
class Attribution:
    """Messages whose digests match what a commit did; several for a merge of our commits.

    `paths` are those of a merge that are ours, from the repository's root; `None` means all.
    """

    trailers: tuple[Trailers, ...]
    paths: frozenset[bytes] | None = None

    @property
    def renderer(self) -> int:
        """The newest renderer's version among them."""
        return max(each.renderer for each in self.trailers)

    @property
    def released(self) -> tuple[str, ...]:
        """All units whose hold they ended."""
        return tuple(
            dict.fromkeys(unit for each in self.trailers for unit in each.released)
        )


class Judge:
    """Decides whether a commit is ours."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier

    def claim(
        self, repo: Repo, commit: Any, changes: Sequence[Change]
    ) -> Attribution | None:
        """What says that the commit is ours, before signatures; `None` when it is foreign."""
        if any(change.modes[1] not in (_FILE, _NOTHING) for change in changes):
            return None  # we write regular files only
        lines = [(change.path, *change.ids) for change in changes]
        own = _matching(commit, lines) if _may_be_ours(commit) else None
        if own is not None:
            return Attribution((own,))
        if len(commit.parent_ids) < 2:
            return None
        whole = len(commit.parent_ids) == 2 and _merge_of_ours(repo, commit, lines)
        return whole or _part_of_merge(repo, commit, lines)

    def says(self, commit: Any, digest: str, keys: tuple[str, ...]) -> bool:
        """Whether a commit of ours says that it makes the change of this digest."""
        trailers = parse_trailers(commit.raw_message.decode("utf-8", "replace"))
        if trailers is None or trailers.digest != digest:
            return False
        return not keys or self.signed(Attribution((trailers,)), keys)

    def signed(self, claim: Attribution, keys: tuple[str, ...]) -> bool:
        """Whether every message of it carries a signature by one of the keys."""
        return all(
            self._verifier.verifies(each.signed, each.signature, keys)
            for each in claim.trailers
        )


def _may_be_ours(commit: Any) -> bool:
    """Cheap: most commits of people end here, before anything is compared."""
    return DIGEST.encode() in commit.raw_message


def _matching(commit: Any, lines: Sequence[DiffLine]) -> Trailers | None:
    """The commit's trailers, if they are the digest of these lines."""
    trailers = parse_trailers(commit.raw_message.decode("utf-8", "replace"))
    # A line break in a name could make one path look like two lines of another diff.
    if trailers is None or any(b"\n" in path for path, _, _ in lines):
        return None
    return trailers if diff_digest(lines) == trailers.digest else None


def _merge_of_ours(
    repo: Repo, merge: Any, lines: Sequence[DiffLine]
) -> Attribution | None:
    """A merge that brings exactly what commits of ours on its second side did, is ours.

    Forges write their own message on a merge commit; without this a merged request of ours
    would look like somebody else's work.
    """
    first, second = merge.parent_ids
    commit = repo[second]
    base = repo.merge_base(first, second) if _may_be_ours(commit) else None
    total: dict[bytes, tuple[str, str]] = {}
    found: list[Trailers] = []
    while base is not None and commit.id != base:
        single = len(commit.parent_ids) == 1 and len(found) < _LONGEST_BRANCH
        if not single or not _may_be_ours(commit):
            return None
        parent = repo[commit.parent_ids[0]]
        own = list(changed(repo, parent.tree, commit.tree))
        trailers = _matching(commit, own)
        if trailers is None:
            return None
        found.append(trailers)
        for (
            path,
            old,
            new,
        ) in own:  # newest first: the first `new` and the last `old` count
            total[path] = (old, total.get(path, (ABSENT, new))[1])
        commit = parent
    branch = {(path, *ids) for path, ids in total.items() if ids[0] != ids[1]}
    return Attribution(tuple(found)) if found and branch == set(lines) else None


def _part_of_merge(
    repo: Repo, merge: Any, lines: Sequence[DiffLine]
) -> Attribution | None:
    """The paths of a merge that commits of ours alone changed, on one side, as the merge has them.

    Main merged backward, or a request with a note of somebody beside it: what people did there
    must not make ours look like theirs.
    """
    first, *others = merge.parent_ids
    sides = [_side(repo, first, other) for other in others]
    told = {path: (old, new) for path, old, new in lines}
    ours = {
        path
        for side in sides
        for path, ids in side.total.items()
        if told.get(path) == ids and path not in side.foreign
    }
    ours -= {path for path in ours if sum(path in each.total for each in sides) > 1}
    trailers = tuple(
        each for side in sides for each, paths in side.messages if paths & ours
    )
    return Attribution(trailers, frozenset(ours)) if ours else None


@dataclass(frozen=True, slots=True)
class _Side:
    """One side of a merge since the base: what it did, what others did, and our messages."""

    total: dict[bytes, tuple[str, str]]
    foreign: set[bytes]
    messages: list[tuple[Trailers, set[bytes]]]


def _side(repo: Repo, first: Any, tip: Any) -> _Side:
    """A side by its own first parents; empty where it is long or has nothing of ours."""
    side = _Side({}, set(), [])
    base, commits = repo.merge_base(first, tip), [repo[tip]]
    while commits[-1].id != base:
        if not commits[-1].parent_ids or len(commits) > _LONGEST_BRANCH:
            return side
        commits.append(repo[commits[-1].parent_ids[0]])
    if not any(_may_be_ours(commit) for commit in commits[:-1]):
        return side
    for commit, parent in pairwise(commits):
        own = list(changed(repo, parent.tree, commit.tree))
        paths = {path for path, _, _ in own}
        alone = len(commit.parent_ids) == 1 and _may_be_ours(commit)
        trailers = _matching(commit, own) if alone else None
        if trailers is None:
            side.foreign.update(paths)
        else:
            side.messages.append((trailers, paths))
        for path, old, new in own:
            side.total[path] = (old, side.total.get(path, (ABSENT, new))[1])
    return side

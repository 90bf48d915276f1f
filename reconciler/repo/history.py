"""First-parent history as facts: who changed which of our paths, and which commits are ours.

git itself compares the trees, as `git log` on thousands of commits takes the time of a few dozen
comparisons in Python. Commits that touch none of our folders are left out: a shared repository
may have very many of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from reconciler import yamlio
from reconciler.errors import Unavailable
from reconciler.model.repository import (
    Aside,
    BlobId,
    CommitFact,
    CommitId,
    FileChange,
    History,
    ReadBlob,
    nothing_aside,
)
from reconciler.repo.attribution import Attribution, Judge
from reconciler.repo.blobs import Blobs
from reconciler.repo.clone import BROKEN, Clone
from reconciler.repo.differences import RawChange
from reconciler.repo.kept import KeptLog, on_first_parents
from reconciler.repo.objects import ROOTS, SETTINGS, Repo, decoded, read_blob
from reconciler.repo.rawlog import split_log
from reconciler.repo.sides import Sides
from reconciler.repo.squashes import Question, Squashes, named_requests
from reconciler.repo.trailers import Trailers, diff_digest
from reconciler.repo.transport import BrokenClone, Git

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_REGULAR = (b"100644", b"100755")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_SECOND = 253_402_300_799  # the year 9999; a hostile clock says more


@dataclass(frozen=True, slots=True)
class Read:
    """What never changes about a commit: facts as if it were foreign, and our claim on it."""

    fact: CommitFact
    claim: Attribution | None
    asks: Question | None = None  # a merge without our words, if it is one of ours


class HistoryReader:
    """Reads history once per commit; commits never change, so facts are kept."""

    def __init__(self, git: Git, judge: Judge, folder: str, blobs: Blobs) -> None:
        self._git = git
        self._kept = KeptLog(git)
        self._blobs = blobs
        self._judge = judge
        self._prefix = f"{folder}/" if folder else ""
        self._tip = ""
        self._commits: tuple[Read, ...] = ()
        self._began = False  # what is newer than `_commits` is judged by signature
        self._sides: tuple[object, Sides] | None = None
        self._squashes = Squashes(blobs.clone, git)

    def read(self, clone: Clone, tip: str, keys: tuple[str, ...]) -> History:
        """First-parent commits from the tip to the root, newest first.

        Raises BrokenClone or one of BROKEN for a clone that must be made again.
        """
        repo = clone.repo
        if tip != self._tip:
            self._commits = self._up_to(clone, tip)
            self._tip = tip
        facts = tuple(self._attributed(repo, keys)) if tip else ()
        made = History(
            commits=facts, read=reader(clone), aside=self._aside(clone, tip, keys)
        )
        return self._blobs.reading(made)

    def _aside(self, clone: Clone, tip: str, keys: tuple[str, ...]) -> Aside:
        """What lies aside of this tip, asked when somebody wants to know."""
        if not tip:
            return nothing_aside
        if self._sides is None or self._sides[0] != (tip, keys):

            def foreign(
                found: Iterable[tuple[str, list[RawChange]]],
            ) -> Iterator[CommitFact]:
                for name, changes in found:
                    each = self._commit(clone.repo, name, changes)
                    claim = each.claim
                    if claim is None or (keys and not self._judge.signed(claim, keys)):
                        yield each.fact

            self._sides = (
                (tip, keys),
                Sides(self._git, (clone, tip), self._paths(), foreign),
            )
        sides = self._sides[1]

        def aside(path: str, since: CommitId | None) -> tuple[CommitFact, ...]:
            try:
                return sides.aside(f"{self._prefix}{path}", since)
            except (*BROKEN, BrokenClone) as exc:
                raise _incomplete(clone, "the other sides of its merges") from exc

        return aside

    def _paths(self) -> list[str]:
        return [f":(literal){self._prefix}{root}" for root in (*ROOTS, SETTINGS)]

    def _touches(self, path: bytes) -> bool:
        """Whether git would find a path among `_paths`."""
        below = decoded(path).removeprefix(self._prefix)
        inside = path.startswith(self._prefix.encode())
        return inside and below.split("/", 1)[0] in (*ROOTS, SETTINGS)

    def _up_to(self, clone: Clone, tip: str) -> tuple[Read, ...]:
        if not tip:
            return ()
        paths = self._paths()
        if self._tip and on_first_parents(clone.repo, tip, self._tip):
            output = self._git.log([tip, f"^{self._tip}"], paths)
            return self._read(clone.repo, output) + self._commits
        return self._read(clone.repo, self._kept.read(clone, tip, paths))

    def _read(self, repo: Repo, output: bytes) -> tuple[Read, ...]:
        return tuple(
            self._commit(repo, commit, changes) for commit, changes in split_log(output)
        )

    def _commit(self, repo: Repo, name: str, changes: list[RawChange]) -> Read:
        commit = repo[name]
        message = commit.raw_message.decode("utf-8", "replace")
        fact = CommitFact(
            id=CommitId(name),
            time=_time(commit.commit_time),
            author=_clean(commit.author.raw_name.decode("utf-8", "replace"))[:120],
            subject=_clean(message.lstrip("\n").split("\n", 1)[0])[:200],
            ours=False,
            renderer=0,
            changes=tuple(self._ours(changes)),
        )
        claim = self._judge.claim(repo, commit, changes)
        asks = None if claim is not None else self._question(message, changes)
        return Read(fact, claim, asks)

    def _question(self, message: str, changes: list[RawChange]) -> Question | None:
        """What to look for, where a commit names a request and is about units alone."""
        ours = f"{self._prefix}manifests/".encode()
        numbers = named_requests(message)
        if not numbers or not any(each.path.startswith(ours) for each in changes):
            return None
        if any(each.modes[1] not in (b"100644", b"000000") for each in changes):
            return None
        lines = [(each.path, *each.ids) for each in changes]
        return Question(numbers, diff_digest(lines))

    def _recognised(self) -> None:
        """Attribute merges of ours whose message a forge wrote."""
        open_ones = [each for each in self._commits if each.asks is not None]
        if not open_ones:
            return
        asked = [each.asks for each in open_ones if each.asks is not None]
        answers = dict(
            zip(map(id, open_ones), self._squashes.answers(asked), strict=True)
        )
        self._commits = tuple(
            _answered(each, answers[id(each)]) if id(each) in answers else each
            for each in self._commits
        )

    def _ours(self, changes: list[RawChange]) -> Iterator[FileChange]:
        for change in changes:
            path = decoded(change.path)
            below = path.removeprefix(self._prefix)
            if not path.startswith(self._prefix):
                continue
            if below != SETTINGS and below.split("/", 1)[0] not in ROOTS:
                continue
            old, new = map(_blob, change.modes, change.ids)
            yield FileChange(path=below, old=old, new=new)

    def _attributed(self, repo: Repo, keys: tuple[str, ...]) -> Iterator[CommitFact]:
        self._recognised()
        by_digest_from = self._first_key(repo, keys) if keys else 0
        self._began = by_digest_from > 0
        yield from self._judged(self._commits, by_digest_from, keys)

    def _judged(
        self, commits: tuple[Read, ...], by_digest_from: int, keys: tuple[str, ...]
    ) -> Iterator[CommitFact]:
        for index, each in enumerate(commits):
            claim = each.claim
            if claim is None:
                yield each.fact
            elif index >= by_digest_from or self._judge.signed(claim, keys):
                yield from self._split(each.fact, claim)
            else:
                yield each.fact

    def _split(self, fact: CommitFact, claim: Attribution) -> Iterator[CommitFact]:
        """A commit of ours; of a merge that others have a part in two facts, theirs first."""
        ours, theirs = list[FileChange](), list[FileChange]()
        for change in fact.changes:
            path = f"{self._prefix}{change.path}".encode("utf-8", "surrogateescape")
            is_ours = claim.paths is None or path in claim.paths
            (ours if is_ours else theirs).append(change)
        if theirs:
            yield replace(fact, changes=tuple(theirs))
        if ours or not theirs:
            yield replace(
                fact,
                ours=True,
                renderer=claim.renderer,
                released=claim.released,
                changes=tuple(ours) if theirs else fact.changes,
            )

    def _first_key(self, repo: Repo, keys: tuple[str, ...]) -> int:
        """Where commits are old enough to be judged by digest alone.

        Older than the commit that first wrote any key into the settings, and older than the
        first commit with a signature by one of these. A key that was taken away still counts:
        its commits are nobody's then, and what was forged in its time does not become ours.
        """
        bodies = [key.split(" ")[1].encode() for key in keys]
        for index in range(len(self._commits) - 1, -1, -1):
            each = self._commits[index]
            if each.claim is not None and self._judge.signed(each.claim, keys):
                return index + 1
            blobs = [c.new for c in each.fact.changes if c.path == SETTINGS and c.new]
            self._blobs.bring(blobs)
            texts = [read_blob(repo.odb, blob) for blob in blobs]
            if any(_lists_keys(text, bodies) for text in texts):
                return index + 1
        return 0


def _answered(each: Read, trailers: Trailers | None) -> Read:
    claim = None if trailers is None else Attribution((trailers,))
    return replace(each, claim=claim, asks=None)


def _lists_keys(settings: bytes, bodies: list[bytes]) -> bool:
    if any(body in settings for body in bodies):
        return True
    try:
        loaded = yamlio.load(settings) if b"signing" in settings else None
    except yamlio.Unreadable:
        return False
    signing = loaded.get("signing") if isinstance(loaded, dict) else None
    return isinstance(signing, dict) and bool(signing.get("keys"))


def reader(clone: Clone) -> ReadBlob:
    """Reads through the handle of the moment: the clone may be made again."""

    def read(blob: BlobId) -> bytes:
        try:
            return read_blob(clone.repo.odb, blob)
        except BROKEN as exc:
            raise _incomplete(clone, f"the file {blob[:10]}") from exc

    return read


def _incomplete(clone: Clone, what: str) -> Unavailable:
    return Unavailable(
        f"the clone does not have {what}",
        where=str(clone.folder),
        hint="run again: the next fetch repairs the clone",
    )


def _blob(mode: bytes, name: str) -> BlobId | None:
    """Only a regular file counts as present: a link has no content of its own."""
    return BlobId(name) if mode in _REGULAR else None


def _time(seconds: int) -> datetime:
    return _EPOCH + timedelta(seconds=max(0, min(seconds, _LAST_SECOND)))


def _clean(text: str) -> str:
    return _CONTROL.sub(" ", text).strip()

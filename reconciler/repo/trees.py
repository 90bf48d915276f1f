"""Whole trees of two revisions, with modes, for `check` (does I/O).

A revision is a commit, a branch or a tag of the remote. It is fetched into a ref of its own that
is dropped again, so the tip that a pass speaks of does not move.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from reconciler.errors import Usage
from reconciler.model.changes import Change, Node, PathChange
from reconciler.model.repository import BlobId, CommitId, File, History
from reconciler.repo.clone import BROKEN, Clone
from reconciler.repo.history import HistoryReader
from reconciler.repo.objects import TREE, HeadReader, Repo, decoded, subtree

_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+@=#-]{0,199}\Z")
_COMMIT = re.compile(r"[0-9a-f]{7,40}\Z")
_WHOLE = re.compile(r"[0-9a-f]{40}\Z")
_ASKED = "refs/wharfinger-asked/revision"
# What git says of a revision that the remote does not have, or does not hand out.
_UNKNOWN = re.compile(
    r"couldn't find remote ref|not our ref|no such remote ref|unadvertised object"
    r"|remote did not send all necessary objects|not a valid object name"
)


class RevisionReader(HistoryReader):
    """Reads commits that are not the tip; one object for one command."""

    def resolve(self, clone: Clone, revision: str) -> CommitId:
        """The commit that a revision of the remote names. Raises Usage, or as a fetch does."""
        if not _REVISION.match(revision) or ".." in revision or "@{" in revision:
            raise Usage(
                f"{ascii(revision)[:120]} is no revision",
                hint="name a commit, a branch or a tag",
            )
        found = _here(clone, revision)
        with clone.lock() as lock:
            for source in _sources(revision) if found is None else ():
                found = self._fetched(clone, source, lock)
                if found is not None:
                    break
        if found is None:
            raise Usage(
                f"there is no commit, branch or tag {revision}",
                where=self._git.address.url,
                hint="in CI fetch the whole history (fetch-depth: 0)",
            )
        return found

    def _fetched(self, clone: Clone, source: str, lock: int) -> CommitId | None:
        with suppress(*BROKEN):
            clone.set_tip(_ASKED, "")
        ended = self._git.fetch(f"+{source}:{_ASKED}", lock)
        if ended.code == 0:
            return _arrived(clone)
        if ended.timed_out or not _UNKNOWN.search(self._git.said(ended)):
            raise self._git.failure(ended, f"{source} cannot be fetched")
        return None

    def change(self, clone: Clone, base: CommitId, head: CommitId) -> Change:
        """What `head` changes since it left `base`. Raises Usage when they share no commit."""
        repo = clone.repo
        common = repo.merge_base(base, head)
        if common is None:
            raise Usage(
                f"{base[:10]} and {head[:10]} have no commit in common",
                hint="name the branch that the change goes to with --base",
            )
        old, new = repo[common].tree, repo[head].tree
        changed = _changed(repo, old, new, "")
        return Change(
            base=CommitId(str(common)),
            head=head,
            folder=self._prefix,
            before=self._files(repo, old),
            after=self._files(repo, new),
            paths=tuple(sorted(changed, key=lambda each: each.path)),
            names=tuple(_names(repo, new, "")),
        )

    def _files(self, repo: Repo, tree: Any) -> dict[str, File]:
        ours = subtree(repo, tree, self._prefix.rstrip("/"))
        return HeadReader(repo, self._blobs.bring).read(ours)


class Revisions:
    """Questions about other commits than the tip, asked of the clone of the moment."""

    def __init__(
        self,
        reader: RevisionReader,
        healing: Callable[[Callable[[], Any]], Any],
        at: Callable[[], tuple[Clone, tuple[str, ...]]],
    ) -> None:
        """`healing` reads again from a new clone; `at` gives the clone and trusted keys."""
        self._reader = reader
        self._healing = healing
        self._at = at

    def resolve(self, revision: str) -> CommitId:
        """The commit of a branch, a tag or a commit's name; fetched when it is not here.

        Raises Usage when there is none.
        """
        return self._reader.resolve(self._at()[0], revision)

    def change(self, base: CommitId, head: CommitId) -> Change:
        """From the merge base of two commits to `head`: both trees, every path and mode."""
        found: Change = self._healing(
            lambda: self._reader.change(self._at()[0], base, head)
        )
        return found

    def history(self, commit: CommitId) -> History:
        """First-parent history of any commit, judged by the keys that are trusted now."""

        def read() -> History:
            clone, keys = self._at()
            return self._reader.read(clone, commit, keys)

        found: History = self._healing(read)
        return found


def _here(clone: Clone, revision: str) -> CommitId | None:
    """A commit that the clone has already."""
    if not _COMMIT.match(revision):
        return None
    try:
        found = clone.repo.revparse_single(revision)
    except (KeyError, ValueError):
        return None
    return CommitId(str(found.id)) if found.type_str == "commit" else None


def _sources(revision: str) -> Iterator[str]:
    if _WHOLE.match(revision):
        yield revision
    if revision == "HEAD" or revision.startswith("refs/"):
        yield revision
        return
    yield f"refs/heads/{revision}"
    yield f"refs/tags/{revision}"
    yield f"refs/remotes/{revision}"  # `origin/main` of a work tree


def _arrived(clone: Clone) -> CommitId | None:
    try:
        found = clone.repo.references[_ASKED].peel()  # through a tag to what it names
    except BROKEN:
        return None
    finally:
        clone.set_tip(_ASKED, "")
    return CommitId(str(found.id)) if found.type_str == "commit" else None


def _changed(
    repo: Repo, old: Any | None, new: Any | None, prefix: str
) -> Iterator[PathChange]:
    """Every path that differs, with modes; equal subtrees are never opened."""
    before = {entry.raw_name: entry for entry in old} if old is not None else {}
    after = {entry.raw_name: entry for entry in new} if new is not None else {}
    for name in before.keys() | after.keys():
        one, other = before.get(name), after.get(name)
        if _mark(one) == _mark(other):
            continue
        path = prefix + decoded(name)
        trees = (_tree(repo, one), _tree(repo, other))
        if trees != (None, None):
            yield from _changed(repo, *trees, f"{path}/")
        nodes = (_node(one), _node(other))
        if nodes != (None, None):
            yield PathChange(path=path, old=nodes[0], new=nodes[1])


def _names(repo: Repo, tree: Any, prefix: str) -> Iterator[str]:
    for entry in tree:
        path = prefix + decoded(entry.raw_name)
        if entry.filemode == TREE:
            yield from _names(repo, repo[entry.id], f"{path}/")
        else:
            yield path


def _mark(entry: Any | None) -> tuple[str, int] | None:
    return None if entry is None else (str(entry.id), int(entry.filemode))


def _tree(repo: Repo, entry: Any | None) -> Any | None:
    return repo[entry.id] if entry is not None and entry.filemode == TREE else None


def _node(entry: Any | None) -> Node | None:
    if entry is None or entry.filemode == TREE:
        return None
    return Node(blob=BlobId(str(entry.id)), mode=int(entry.filemode))

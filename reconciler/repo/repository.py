"""The ingress repository: fetch, read, and push with compare-and-swap (does I/O).

The clone is bare, has full history, and is only a cache: when it is broken it is moved aside and
made again. Nothing is remembered in it that the remote does not have. A push moves one ref, is
never forced, and lands only on the very commit that the plan was made for.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Self, TypeVar

import pygit2

from reconciler.codes import Code
from reconciler.errors import Blocked, Conflict, ReconcileError
from reconciler.model.repository import (
    BlobId,
    CommitDraft,
    CommitId,
    FileChange,
    Head,
    History,
)
from reconciler.repo.children import Ended, Git
from reconciler.repo.history import HistoryReader
from reconciler.repo.objects import (
    blob_at,
    changed_paths,
    merged,
    read_files,
    subtree,
    write_tree,
)
from reconciler.repo.remote import (
    Credentials,
    Remote,
    check_public_keys,
    check_remote,
    normal_folder,
    parse_address,
)
from reconciler.repo.signing import sign
from reconciler.repo.trailers import (
    PLAN,
    RENDERER,
    SIGNATURE,
    diff_digest,
    format_message,
)

UNBORN = CommitId("")
# What libgit2 says of a clone with missing or damaged objects.
_BROKEN = (KeyError, pygit2.GitError)

T = TypeVar("T")


class Repository:
    """One branch of one ingress repository. Open with `Repository.open`."""

    def __init__(self, remote: Remote, cache: Path, renderer: int) -> None:
        check_remote(remote)
        self.remote = remote
        self._address = parse_address(remote.url)
        self._credentials = remote.credentials or Credentials.from_environment(
            os.environ
        )
        name = hashlib.sha256(
            f"{self._address.url}\n{remote.branch}".encode()
        ).hexdigest()[:24]
        self._clone = cache / "repositories" / f"{name}.git"
        self._git = Git(self._clone, self._address, self._credentials, remote.timeout)
        self._folder = normal_folder(remote.path)
        self._renderer = renderer
        self._keys = remote.signing_keys
        self._tip: CommitId = UNBORN
        self._prepare()

    @classmethod
    def open(cls, remote: Remote, cache: Path, renderer: int = 1) -> Self:
        """Open (and where needed make) the clone; nothing is fetched yet. Raises Usage."""
        return cls(remote, cache, renderer)

    def _prepare(self) -> None:
        with self._lock():
            if not (self._clone / "HEAD").exists():
                self._make()
            self._repo = self._opened()
        self._history = HistoryReader(self._repo, self._folder)

    def _make(self) -> None:
        self._clone.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._clone.exists():
            shutil.rmtree(self._clone)
        pygit2.init_repository(str(self._clone), bare=True)

    def _opened(self) -> Any:
        try:
            return pygit2.Repository(str(self._clone))
        except pygit2.GitError:
            self._make()
            return pygit2.Repository(str(self._clone))

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """One process at a time changes the clone."""
        self._clone.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._clone.with_suffix(".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @property
    def url(self) -> str:
        """The remote without credentials, for messages."""
        return self._address.url

    def fetch(self) -> None:
        """Bring the branch. Raises Unavailable, Unauthorised or Blocked (shallow)."""
        with self._lock():
            try:
                self._fetch()
            except _BROKEN:
                self._renew()

    def _fetch(self) -> None:
        ref = f"refs/wharfinger/{self.remote.branch}"
        spec = f"+refs/heads/{self.remote.branch}:{ref}"
        self._sweep_locks()
        ended = self._git.remote(
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--",
            self._address.url,
            spec,
        )
        if ended.code != 0:
            if "couldn't find remote ref" not in ended.errors:
                raise self._not_fetched(ended)
            self._tip = UNBORN
            return
        if (self._clone / "shallow").exists():
            raise self._shallow()
        self._repo = pygit2.Repository(str(self._clone))
        self._history.use(self._repo)
        self._tip = CommitId(str(self._repo.references[ref].target))

    def _not_fetched(self, ended: Ended) -> ReconcileError:
        if "shallow" in ended.errors:
            return self._shallow()
        return self._git.failure(ended, "the ingress repository cannot be fetched")

    def _shallow(self) -> ReconcileError:
        return Blocked(
            f"{Code.SHALLOW}: the repository is shallow; holds and releases need its whole history",
            where=self._address.url,
            hint="fetch it with full depth, for example `git fetch --unshallow`, or fetch-depth: 0 in CI",
        )

    def _sweep_locks(self) -> None:
        """Locks of a process that was killed; our own lock says that nobody works here."""
        for path in self._clone.rglob("*.lock"):
            path.unlink(missing_ok=True)

    def _renew(self) -> None:
        """Make the clone again; it holds nothing that the remote does not."""
        self._set_aside()
        self._fetch()

    def _healing(self, read: Callable[[], T]) -> T:
        """Read, and when the clone turns out to be broken read again from a new one."""
        try:
            return read()
        except _BROKEN:
            with self._lock():
                self._renew()
            return read()

    def _set_aside(self) -> None:
        broken = self._clone.with_suffix(".broken")
        shutil.rmtree(broken, ignore_errors=True)
        self._clone.rename(broken)
        shutil.rmtree(broken, ignore_errors=True)
        self._make()
        self._repo = pygit2.Repository(str(self._clone))
        self._history = HistoryReader(self._repo, self._folder)

    def head(self) -> Head:
        """The fetched tip with our files."""
        return self._healing(self._head)

    def _head(self) -> Head:
        if not self._tip:
            return Head(commit=UNBORN, files={})
        tree = subtree(self._repo, self._repo[self._tip].tree, self._folder)
        return Head(commit=self._tip, files=read_files(self._repo, tree))

    def history(self, keys: tuple[str, ...] = ()) -> History:
        """First-parent history of the fetched tip; `keys` are the settings' signing keys."""
        check_public_keys(keys)
        allowed = tuple(dict.fromkeys((*self._keys, *keys)))
        return self._healing(lambda: self._history.read(self._tip, allowed))

    def is_ancestor(self, commit: CommitId, head: CommitId) -> bool:
        """Whether `commit` is `head` or an ancestor of it; unknown commits are not."""
        if not head or not self._exists(commit) or not self._exists(head):
            return False
        full = str(self._repo.revparse_single(commit).id)
        return full == head or bool(self._repo.descendant_of(head, full))

    def _exists(self, commit: str) -> bool:
        if len(commit) < 7 or not all(each in "0123456789abcdef" for each in commit):
            return False
        try:
            return bool(
                self._repo.revparse_single(commit).type == pygit2.GIT_OBJECT_COMMIT
            )
        except (KeyError, ValueError):
            return False

    def content_at(
        self, revision: str, paths: Sequence[str]
    ) -> Mapping[str, BlobId] | None:
        """Blob ids of our paths at a revision; `None` when the revision is not known here."""
        if not self._exists(revision):
            return None
        commit = self._repo.revparse_single(revision)
        tree = subtree(self._repo, commit.tree, self._folder)
        found = {path: blob_at(self._repo, tree, path) for path in paths}
        return {path: blob for path, blob in found.items() if blob is not None}

    def push(
        self,
        drafts: Sequence[CommitDraft],
        base: CommitId,
        plan_digest: str,
        now: datetime,
    ) -> CommitId:
        """Commit the drafts on `base` and push them together; returns the new tip.

        Raises Conflict when the branch is elsewhere (plan again), Blocked when the server
        refuses, Unavailable when nobody knows: the next pass then sees what happened.
        """
        with self._lock():
            tip = self._commits(drafts, base, plan_digest, now)
            if tip == base:
                return base
            ref = f"refs/heads/{self.remote.branch}"
            ended = self._git.remote(
                "push",
                "--porcelain",
                "--no-verify",
                f"--force-with-lease={ref}:{base}",
                "--",
                self._address.url,
                f"{tip}:{ref}",
            )
            if ended.code == 0 and _accepted(ended.output):
                self._tip = tip
                return tip
            return self._settle(ended, tip, base)

    def _settle(self, ended: Ended, tip: CommitId, base: CommitId) -> CommitId:
        """The push was not confirmed: look at the branch rather than at words."""
        self._fetch()
        if self._tip and self.is_ancestor(tip, self._tip):
            return tip
        if self._tip != base:
            raise Conflict(
                f"{Code.PUSH_CONFLICT}: the branch moved while this pass planned",
                where=self._address.url,
            )
        said = _refusal(ended)
        if said is None:
            raise self._git.failure(ended, "the push was not confirmed")
        raise Blocked(
            f"{Code.PUSH_REFUSED}: the server refused the push: {self._git.clean(said)}",
            where=self._address.url,
            hint="branch protection or a hook says no; let this user push, or change the rule",
        )

    def _commits(
        self,
        drafts: Sequence[CommitDraft],
        base: CommitId,
        plan_digest: str,
        now: datetime,
    ) -> CommitId:
        author = pygit2.Signature(
            self.remote.author_name, self.remote.author_email, int(now.timestamp()), 0
        )
        tip = base
        for draft in drafts:
            old = self._repo[tip].tree if tip else None
            made = write_tree(self._repo, old, merged(draft.writes, self._folder))
            if old is not None and made == old.id:
                continue
            changes = tuple(changed_paths(self._repo, old, self._repo[made]))
            message = self._message(draft, changes, plan_digest)
            parents = [tip] if tip else []
            created = self._repo.create_commit(
                None, author, author, message, made, parents
            )
            tip = CommitId(str(created))
        return tip

    def _message(
        self, draft: CommitDraft, changes: tuple[FileChange, ...], plan_digest: str
    ) -> str:
        digest = diff_digest(changes)
        extra = [(RENDERER, str(self._renderer))]
        if plan_digest:
            extra.append((PLAN, plan_digest))
        if self._credentials.signing_key:
            extra.append((SIGNATURE, sign(digest, self._credentials.signing_key)))
        return format_message(draft, digest, extra)


def _accepted(porcelain: str) -> bool:
    return any(
        line[:1] in (" ", "*", "=") for line in porcelain.split("\n") if "\t" in line
    )


def _refusal(ended: Ended) -> str | None:
    """The server's words for the one ref, `None` when it did not speak of it."""
    for line in ended.output.split("\n"):
        if line.startswith("!"):
            return f"{line.split(chr(9))[-1]} {ended.errors}"
    return None


def create_bare(folder: Path, branch: str) -> None:
    """Make a new bare repository with this branch as its default."""
    pygit2.init_repository(str(folder), bare=True, initial_head=branch)

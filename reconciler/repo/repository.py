"""The ingress repository: fetch, read, and push with compare-and-swap (does I/O).

The clone is bare, has full history, and is only a cache: when it is broken it is moved aside and
made again. Nothing is remembered in it that the remote does not have. A push moves one ref, is
never forced, and lands only on the very commit that the plan was made for.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Self, TypeVar

from reconciler.errors import ReconcileError, Unavailable
from reconciler.model.repository import BlobId, CommitDraft, CommitId, Head, History
from reconciler.model.updates import Changes
from reconciler.repo.attribution import Judge
from reconciler.repo.blobs import Blobs
from reconciler.repo.bulk import make_chain
from reconciler.repo.children import Ended
from reconciler.repo.clone import BROKEN, Clone
from reconciler.repo.commits import Author, Signer
from reconciler.repo.objects import blob_at, read_blob, subtree
from reconciler.repo.paths import PathReader, Paths
from reconciler.repo.refusals import lost_race, no_branch, refused, shallow
from reconciler.repo.remote import (
    Credentials,
    Remote,
    check_public_keys,
    check_remote,
    normal_folder,
    parse_address,
)
from reconciler.repo.requests import Branches, Trust
from reconciler.repo.signing import Verifier
from reconciler.repo.since import Follower
from reconciler.repo.trailers import ACCEPTED_REWIND, accepted_rewinds
from reconciler.repo.transport import LOST_RACE, BrokenClone, Git, PushResult
from reconciler.repo.trees import RevisionReader, Revisions
from reconciler.repo.written import files_of, head_after

UNBORN = CommitId("")
_NOT_FETCHED = "the ingress repository cannot be fetched"
_INCOMING = "refs/wharfinger-incoming/branch"
_COMMIT = re.compile(r"[0-9a-f]{7,40}\Z")
T = TypeVar("T")


class Repository:
    """One branch of one ingress repository. Open with `Repository.open`.

    For one thread; several objects and processes may share the cache.
    """

    def __init__(self, remote: Remote, cache: Path, renderer: int) -> None:
        check_remote(remote)
        self.remote = remote
        self._address = parse_address(remote.url)
        login = remote.credentials or Credentials.from_environment(os.environ)
        name = f"{self._address.url}\n{remote.branch}".encode()
        folder = (
            cache.absolute() / "repositories" / hashlib.sha256(name).hexdigest()[:24]
        )
        self._folder = normal_folder(remote.path)
        self._git = Git(
            folder.with_suffix(".git"), self._address, login, remote.timeout
        )
        # A repository with a folder for us has more than ours, and maybe much of it.
        self._clone = Clone(
            folder.with_suffix(".git"), remote.timeout, filtered=bool(self._folder)
        )
        self._blobs = Blobs(self._clone, self._git)
        self._verifier = Verifier(self._clone.folder / "wharfinger-verified")
        self._author = Author(
            name=remote.author_name,
            email=remote.author_email,
            renderer=renderer,
            folder=self._folder,
            signing_key=login.signing_key,
        )
        self._keys = remote.signing_keys
        self._ref = f"refs/wharfinger/{remote.branch}"
        self._tip: CommitId = UNBORN
        self._head: Head | None = None
        self._forget()

    @classmethod
    def open(cls, remote: Remote, cache: Path, renderer: int = 1) -> Self:
        """Open (and where needed make) the clone; nothing is fetched yet.

        Raises Usage for what nobody should hand to git, Unavailable for an unusable cache.
        """
        return cls(remote, cache, renderer)

    @property
    def url(self) -> str:
        """The remote without credentials, for messages."""
        return self._address.url

    @property
    def password(self) -> str:
        """The credential that the remote's URL carries, empty for none. Never for messages."""
        return self._address.password

    def fetch(self) -> None:
        """Bring the branch; one that does not exist yet has an empty commit as its tip.

        Raises Unavailable, Unauthorised, Usage (no such branch) or Blocked (shallow).
        """
        with self._clone.lock() as lock:
            before, self._tip = self._tip, self._bring(lock)
            if before != self._tip:
                self._git.tidy(lock)
        self._clone.let_go()

    def head(self) -> Head:
        """The fetched tip with our files; the same value until a fetch moves the tip."""
        if self._head is None or self._head.commit != self._tip:
            self._head = self._healing(
                lambda: self._history.head(self._clone, self._tip, self._head)
            )
        return self._head

    def history(self, keys: tuple[str, ...] | None = None) -> History:
        """First-parent history of the fetched tip.

        `keys` are the settings' signing keys, remembered for later calls and for `push`.
        """
        if keys is not None:
            self.trust(keys)
        return self._healing(
            lambda: self._history.read(self._clone, self._tip, self._keys)
        )

    def since(self, base: CommitId) -> Changes | None:
        """What the fetched tip has beyond `base`, a tip that this or `history` was asked for.

        `None` where all must be read anew: no continuation, other settings or keys, or a merge
        that only the remote can explain. The files of `base` are not kept any longer.
        """
        found: Changes | None = self._healing(
            lambda: self._history.since(self._clone, base, self._tip, self._keys)
        )
        if self._head is not None and self._head.commit != self._tip:
            self._head = None
        return found

    def trust(self, keys: tuple[str, ...]) -> None:
        """Judge commits by these keys of the settings from now on. Raises Usage."""
        check_public_keys(keys)
        self._keys = tuple(dict.fromkeys((*self.remote.signing_keys, *keys)))

    @property
    def paths(self) -> Paths:
        """Questions about a few paths, answered without reading all the others."""
        judge = Judge(self._verifier)
        made = PathReader(self._git, judge, self._folder, self._blobs)
        return Paths(made, self._healing, lambda: (self._clone, self._tip, self._keys))

    @property
    def revisions(self) -> Revisions:
        """Other commits than the tip, and what changes between two."""
        judge = Judge(self._verifier)
        made = RevisionReader(self._git, judge, self._folder, self._blobs)
        return Revisions(made, self._healing, lambda: (self._clone, self._keys))

    def accepted_rewinds(self) -> frozenset[str]:
        """Whole ids of lost commits that people accepted in the history of the tip."""
        asked = (self._tip, f"{ACCEPTED_REWIND}: ")
        found = self._healing(lambda: self._git.messages(*asked)) if self._tip else ""
        return accepted_rewinds(found)

    def is_ancestor(self, commit: CommitId, head: CommitId | None = None) -> bool:
        """Whether `commit` is `head` (the tip) or an ancestor; unknown commits are not."""
        old, new = (
            self.full_id(commit),
            self.full_id(self._tip if head is None else head),
        )
        if old is None or new is None:
            return False
        return old == new or bool(self._clone.repo.descendant_of(new, old))

    def read_at(self, commit: str, path: str) -> bytes | None:
        """A regular file of our folder at a commit; `None` when either is not there."""
        blob = (self.content_at(commit, (path,)) or {}).get(path)
        if blob is None:
            return None
        self._blobs.bring((blob,))
        return read_blob(self._clone.repo.odb, blob)

    def content_at(
        self, revision: str, paths: Sequence[str]
    ) -> Mapping[str, BlobId] | None:
        """Blob ids of those of our paths that a revision has.

        `None` when the revision is unknown, also after one fetch; the fetch does not move the
        tip that `head` and `history` speak of.
        """
        self._clone.let_go()
        full = self.full_id(revision)
        if full is None and _COMMIT.match(revision):
            with self._clone.lock() as lock:
                self._bring(lock)
            full = self.full_id(revision)
        if full is None:
            return None
        repo = self._clone.repo
        tree = subtree(repo, repo[full].tree, self._folder)
        found = {path: blob_at(repo, tree, path) for path in paths}
        return {path: blob for path, blob in found.items() if blob is not None}

    def push(
        self,
        drafts: Sequence[CommitDraft],
        base: CommitId,
        plan_digest: str,
        now: datetime,
    ) -> CommitId:
        """Commit the drafts on `base` and push them together; returns the new tip.

        Drafts that change nothing are left out; without any `base` is returned. Raises Conflict
        when the branch is elsewhere (plan again), Blocked when the server refuses, Unavailable
        when nobody knows: the next pass then sees what happened.
        """
        if base and self.full_id(base) != base:
            raise lost_race(self._address.url)
        signer = Signer(self._author.signing_key, self._keys, self._verifier)
        stamp = (self._author, signer, plan_digest, now)
        made = self._healing(
            lambda: make_chain(self._git, self._clone, drafts, base, stamp)
        )
        tip: CommitId = made.tip
        if tip == base:
            return base
        with self._clone.lock() as lock:
            result = self._git.push(tip, base, self.remote.branch, lock)
            if not result.accepted:
                self._settle(result, tip, base, lock)
            self._clone.set_tip(self._ref, tip)
            self._git.tidy(lock)
        self._clone.let_go()
        self._tip = tip
        written = files_of(drafts)
        if self._head is not None and self._head.commit == base:
            self._head = head_after(self._head, written, tip)
        self._history.remember(made.made, written)
        return tip

    def branches(self) -> Branches:
        """The branches of requests in this repository, judged by the keys of the settings."""
        trust = Trust.of(self._author, self._keys, self._verifier, self._blobs)
        return Branches(self._git, self._clone, self._author, trust)

    def _settle(
        self, result: PushResult, tip: CommitId, base: CommitId, lock: int
    ) -> None:
        """The push was not confirmed: look at the branch rather than at words."""
        ours = f"refs/wharfinger-sent/{tip}"
        self._clone.set_tip(
            ours, tip
        )  # a repaired clone would forget it: it is then unknown
        try:
            self._tip = self._bring(lock)
        except ReconcileError as exc:
            raise self._lost(result, exc) from exc
        finally:
            self._clone.set_tip(ours, UNBORN)
        if self.is_ancestor(tip):
            return
        if self._tip != base or (result.refusal and LOST_RACE.search(result.refusal)):
            raise lost_race(self._address.url)
        if result.refusal is None:
            raise self._lost(result, None)
        said = self._git.said(result.ended)
        raise refused(self._address.url, f"{result.refusal} {said}")

    def _lost(self, result: PushResult, exc: ReconcileError | None) -> ReconcileError:
        failure = self._git.failure(result.ended, "the push was not confirmed")
        if exc is None or not isinstance(failure, Unavailable):
            return failure
        return Unavailable(
            f"nobody knows whether the push arrived: {exc.what}",
            where=self._address.url,
            hint="the next pass sees what happened",
        )

    def _bring(self, lock: int) -> CommitId:
        """Fetch the branch into the clone; a clone that cannot take it is made again."""
        self._clone.sweep()
        if self._clone.is_refused():
            return self._afresh(lock)
        ended = self._fetched(lock)
        if ended.code != 0:
            return self._explained(ended, lock)
        tip = self._arrived(ended)
        return self._afresh(lock) if tip is None else tip

    def _fetched(self, lock: int) -> Ended:
        """Fetch into a ref that is not there before: what is there afterwards, came now."""
        with suppress(*BROKEN):
            self._clone.set_tip(_INCOMING, UNBORN)
        spec = f"+refs/heads/{self.remote.branch}:{_INCOMING}"
        filtered = self._clone.filters()
        ended = self._git.fetch(spec, lock, filtered=filtered)
        if filtered and "filtering not recognized" in self._git.said(ended):
            self._clone.is_whole()
        return ended

    def _arrived(self, ended: Ended) -> CommitId | None:
        """The fetched tip, `None` from a broken clone. Raises Blocked (shallow)."""
        try:
            tip = CommitId(self._clone.tip(_INCOMING))
            self._clone.set_tip(self._ref, tip)
        except BROKEN:
            # git says so in a warning and succeeds, without moving the ref.
            if "shallow" in self._git.said(ended):
                raise shallow(self._address.url) from None
            return None
        return tip

    def _explained(self, ended: Ended, lock: int) -> CommitId:
        """Why the branch did not come: no branch, no remote, shallow, or our own clone."""
        failure = self._git.failure(ended, _NOT_FETCHED)
        said = self._git.said(ended)
        if ended.timed_out or not isinstance(failure, Unavailable):
            raise failure
        self._clone.check_room(said)
        ref = f"refs/heads/{self.remote.branch}"
        looked, found = self._git.branches(ref, lock)
        if looked.code == 0 and ref not in found:
            looked, found = self._git.branches("", lock)
        if looked.code != 0:
            raise failure
        if "shallow" in said:
            raise shallow(self._address.url)
        if "fsck" in said:
            raise failure
        if ref not in found:
            return self._unborn(found)
        again = self._fetched(lock)  # it may have come into being just now
        tip = self._arrived(again) if again.code == 0 else None
        return self._afresh(lock) if tip is None else tip

    def _unborn(self, others: tuple[str, ...]) -> CommitId:
        """An empty remote is a beginning; one without the branch is a slip of the pen."""
        if others:
            raise no_branch(self._address.url, self.remote.branch, others)
        with suppress(*BROKEN):
            self._clone.set_tip(self._ref, UNBORN)
        return UNBORN

    def _afresh(self, lock: int) -> CommitId:
        """Make the clone again; it holds nothing that the remote does not."""
        self._forget()
        self._clone.renew()
        ended = self._fetched(lock)
        tip = self._arrived(ended) if ended.code == 0 else None
        if tip is None:
            raise self._git.failure(ended, _NOT_FETCHED)
        return tip

    def _healing(self, read: Callable[[], T]) -> T:
        """Read, and when the clone turns out to be broken read again from a new one."""
        try:
            return read()
        except (*BROKEN, BrokenClone) as exc:
            self._clone.check_room(str(exc))
        before = self._tip
        with self._clone.lock() as lock:
            tip = self._afresh(lock) if before else UNBORN
        if self.full_id(before) != before:
            self._tip = tip
        try:
            return read()
        except (*BROKEN, BrokenClone) as exc:
            raise Unavailable(
                f"the clone cannot be read: {ascii(str(exc))[1:-1][:200]}",
                where=str(self._clone.folder),
            ) from exc

    def _forget(self) -> None:
        """Drop what was read from a clone that is no more."""
        self._head = None
        judge = Judge(self._verifier)
        self._history = Follower(self._git, judge, self._folder, self._blobs)

    def full_id(self, commit: str) -> str | None:
        """The whole id of a commit that the clone has, from at least seven digits."""
        if not _COMMIT.match(commit):
            return None
        try:
            found = self._clone.repo.revparse_single(commit)
        except (KeyError, ValueError):
            return None
        return str(found.id) if found.type_str == "commit" else None

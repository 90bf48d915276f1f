"""Our requests whose merge lost our words: recognised by the commits that they were (does I/O).

A forge may merge under a message of its own: a blank squash, a template with the title alone. Such
a commit names its request, and the remote keeps the request's commits under a ref. The number is
only where to look: what counts is that a commit of ours there has the digest of exactly this
diff, and, where signing is on, a signature.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from reconciler.errors import Unavailable
from reconciler.log import log
from reconciler.repo.clone import BROKEN, Clone
from reconciler.repo.trailers import Trailers, parse_trailers
from reconciler.repo.transport import Git

_NAMES = (
    re.compile(r"\A[^\n]{0,500}\((?:pull request )?[#!]([0-9]{1,9})\)"),
    re.compile(r"\AMerge pull request (?:'[^\n]{0,300}' \()?#([0-9]{1,9})"),
    re.compile(r"^See merge request \S{0,200}!([0-9]{1,9})\s*$", re.MULTILINE),
    re.compile(
        r"^Reviewed-on: https?://\S{1,300}/(?:pulls?|merge_requests)/([0-9]{1,9})\s*$",
        re.MULTILINE,
    ),
)
_REFS = ("refs/pull/{}/head", "refs/merge-requests/{}/head")
_KEPT = "refs/wharfinger-merged/"
_MOST = 200  # requests that are looked for, the newest first
_EDITS = 20  # commits of a request that are looked at
_LONGEST = 1 << 16


@dataclass(frozen=True, slots=True)
class Question:
    """A commit that names requests (their numbers), and the digest of its diff."""

    numbers: tuple[int, ...]
    digest: str


def named_requests(message: str) -> tuple[int, ...]:
    """The numbers of requests that a message says it merges."""
    text = message[:_LONGEST].replace("\r\n", "\n")
    found = [int(match[1]) for each in _NAMES for match in each.finditer(text)]
    return tuple(dict.fromkeys(found))[:3]


class Squashes:
    """Finds the commits that requests were, in the clone and where needed at the remote."""

    def __init__(self, clone: Clone, git: Git) -> None:
        self._clone = clone
        self._git = git
        self._looked: set[int] = set()

    def answers(self, asked: Sequence[Question]) -> list[Trailers | None]:
        """Our trailers for each question, newest question first; `None` where it is not ours.

        Raises Unavailable or Unauthorised when the remote does not answer.
        """
        numbers = dict.fromkeys(n for each in asked for n in each.numbers)
        self._bring(list(numbers)[:_MOST])
        return [self._answer(each) for each in asked]

    def _bring(self, numbers: Iterable[int]) -> None:
        known = self._kept()
        new = [each for each in numbers if each not in known | self._looked]
        if not new:
            return
        wanted = {ref.format(each): each for each in new for ref in _REFS}
        with self._clone.lock() as lock:
            found = self._git.refs(tuple(wanted), lock)
            specs = [f"+{ref}:{_KEPT}{wanted[ref]}" for ref in found if ref in wanted]
            if specs:
                self._fetch(specs, lock)
        self._looked.update(new)

    def _fetch(self, specs: Sequence[str], lock: int) -> None:
        """Bring requests; one that cannot be brought is nobody's, and stops no pass.

        Anybody who may open a request chooses what its commits are made of.
        """
        try:
            self._git.fetch_all(specs, lock)
        except Unavailable as exc:
            if len(specs) > 1:
                for each in specs:
                    self._fetch([each], lock)
                return
            source = specs[0][1:].partition(":")[0]
            self._git.refs((source,), lock)  # raises where the remote is what is down
            log.warning("a request cannot be read", ref=source, error=str(exc)[:200])

    def _kept(self) -> set[int]:
        names = [each for each in self._clone.repo.references if each.startswith(_KEPT)]
        return {int(each[len(_KEPT) :]) for each in names}

    def _answer(self, asked: Question) -> Trailers | None:
        for number in asked.numbers:
            with suppress(*BROKEN):
                tip = self._clone.tip(f"{_KEPT}{number}")
                for index, commit in enumerate(self._clone.repo.walk(tip)):
                    if index >= _EDITS:
                        break
                    message = commit.raw_message.decode("utf-8", "replace")
                    trailers = parse_trailers(message)
                    if trailers is not None and trailers.digest == asked.digest:
                        return trailers
        return None

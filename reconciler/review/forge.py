"""What every forge can do for us, and the values of asking for it; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from reconciler.errors import Unavailable
from reconciler.model.repository import CommitId
from reconciler.model.reviews import Request
from reconciler.printable import one_line

T = TypeVar("T")
MARK = "<!-- wharfinger:request -->"
CLOSED_MARK = "<!-- wharfinger:closed-by-us -->"
EDITED_LABEL = "wharfinger/edited"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestText:
    """What people read of a request: title, body (Markdown) and labels of ours."""

    title: str
    body: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    """A comment on a request; `id` is the forge's, and so is that of its `author`."""

    id: int
    body: str
    author: str = ""


class Forge(Protocol):
    """One repository at a forge. Every method may raise Unavailable, Unauthorised or Blocked."""

    longest_body: int
    """Characters that a body or a comment may have."""

    def open_requests(self, prefix: str) -> Sequence[Request]:
        """All open requests into our branch whose own branch has this prefix."""

    def closed_requests(self, branch: str) -> Sequence[Request]:
        """Merged and closed requests of one branch into ours, newest first, at most a page."""

    def open(self, branch: str, text: RequestText) -> Request:
        """Open a request for a pushed branch; one that is open already is returned."""

    def edit(self, request: Request, text: RequestText) -> None:
        """Set title, body and our labels."""

    def close(self, request: Request, body: str) -> None:
        """Close without merging and set the body, in one call."""

    def comments(self, number: int) -> Sequence[Comment]:
        """All comments of a request, oldest first."""

    def say(self, number: int, comment: Comment | None, body: str) -> None:
        """Write a comment, or edit that one in place."""

    def label(self, request: Request, labels: tuple[str, ...]) -> None:
        """Set all labels of a request."""

    def merge_when_ready(self, request: Request, head: CommitId) -> str:
        """Ask the forge to merge once its rules are met; empty, or why it does not."""

    def take_merge_back(self, request: Request) -> None:
        """The forge shall not merge by itself any more; fine where it was not going to."""

    def is_protected(self, branch: str) -> bool:
        """Whether rules of the forge say who may change a branch, and how."""

    def head_refs(self, number: int) -> tuple[str, ...]:
        """Refs of the Git remote that keep a request's commits after its branch is gone."""


def shaped(read: Callable[[Any], T], answer: Any) -> T:
    """What `read` makes of a forge's answer. Raises Unavailable for one of another shape."""
    try:
        return read(answer)
    except (AttributeError, KeyError, TypeError, ValueError) as exc:
        raise Unavailable(
            f"an answer of the forge has not the documented shape ({type(exc).__name__})",
            where="wharfinger.yaml: review.forge",
            hint="is it the right forge, and does nothing stand between it and us?",
        ) from exc


def unlike(answer: Any, what: str) -> str:
    """Why a forge does not do it now: its message in one short line, else `what`."""
    said = answer.get("message") if isinstance(answer, dict) else None
    return one_line(str(said or what), 300)


def newest_first(requests: Iterable[Request]) -> list[Request]:
    """Each request once: a list that grows while its pages are read has some twice."""
    once = {each.number: each for each in requests}
    return sorted(once.values(), key=lambda each: -each.number)


def kept_labels(present: tuple[str, ...], ours: tuple[str, ...]) -> tuple[str, ...]:
    """Labels to set: those that people put there stay, of ours only the present ones."""
    theirs = [each for each in present if not each.startswith("wharfinger/")]
    return tuple(dict.fromkeys((*theirs, *ours)))


def identity(user: Any) -> str:
    """The forge's id of an account, empty where it says none."""
    found = user.get("id") if isinstance(user, Mapping) else None
    return str(found) if isinstance(found, int) else ""

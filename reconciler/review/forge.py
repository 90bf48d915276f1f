"""What every forge can do for us, and the values of asking for it; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from reconciler.model.repository import CommitId
from reconciler.model.reviews import Request

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
    """A comment on a request; `id` is the forge's."""

    id: int
    body: str


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

    def head_refs(self, number: int) -> tuple[str, ...]:
        """Refs of the Git remote that keep a request's commits after its branch is gone."""


def kept_labels(present: tuple[str, ...], ours: tuple[str, ...]) -> tuple[str, ...]:
    """Labels to set: those that people put there stay, of ours only the present ones."""
    theirs = [each for each in present if not each.startswith("wharfinger")]
    return tuple(dict.fromkeys((*theirs, *ours)))

"""What GitHub's and Gitea's APIs have in common: pull requests below `/repos/<slug>` (does I/O)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

from reconciler.model.repository import CommitId
from reconciler.model.reviews import Request, RequestState
from reconciler.review.forge import (
    CLOSED_MARK,
    Comment,
    RequestText,
    identity,
    kept_labels,
    newest_first,
    shaped,
)
from reconciler.review.http import Http


class PullRequests:
    """Pull requests of one repository into one branch."""

    longest_body = 60_000

    def __init__(self, http: Http, slug: str, base: str) -> None:
        self._http = http
        self._slug = slug
        self._base = base
        self._at = f"/repos/{slug}"

    def edit(self, request: Request, text: RequestText) -> None:
        """Set title, body and our labels."""
        changed = (request.title, request.body) != (text.title, text.body)
        if changed:
            body = {"title": text.title, "body": text.body}
            self._http.write("PATCH", f"{self._at}/pulls/{request.number}", body)
        self.label(request, kept_labels(request.labels, text.labels))

    def close(self, request: Request, body: str) -> None:
        """Close without merging and set the body, in one call."""
        change = {"state": "closed", "body": body}
        self._http.write("PATCH", f"{self._at}/pulls/{request.number}", change)

    def comments(self, number: int) -> Sequence[Comment]:
        """All comments of a request, oldest first."""
        found = self._http.pages(f"{self._at}/issues/{number}/comments")
        return [shaped(_comment, each) for each in found]

    def say(self, number: int, comment: Comment | None, body: str) -> None:
        """Write a comment, or edit that one in place."""
        if comment is None:
            path = f"{self._at}/issues/{number}/comments"
            self._http.write("POST", path, {"body": body})
        elif comment.body != body:
            path = f"{self._at}/issues/comments/{comment.id}"
            self._http.write("PATCH", path, {"body": body})

    def label(self, request: Request, labels: tuple[str, ...]) -> None:
        """Set all labels of a request."""
        if set(labels) != set(request.labels):
            path = f"{self._at}/issues/{request.number}/labels"
            self._http.write("PUT", path, {"labels": list(labels)})

    def is_protected(self, branch: str) -> bool:
        """Whether rules say who may change a branch, and how."""
        answer = self._http.get(f"{self._at}/branches/{quote(branch, safe='')}")
        return shaped(lambda item: bool(item["protected"]), answer.body)

    def head_refs(self, number: int) -> tuple[str, ...]:
        """Where the commits of a request stay after its branch is gone."""
        return (f"refs/pull/{number}/head",)

    def _requests(self, items: Iterable[Any]) -> list[Request]:
        """Requests from branches of this very repository: a fork names its own as it likes."""
        return newest_first(
            self._request(item) for item in items if shaped(self._is_ours, item)
        )

    def _is_ours(self, item: Any) -> bool:
        # By id: names differ in case, and a repository may be renamed. A deleted fork is null.
        head, base = item["head"], item["base"]
        same = (head.get("repo") or {}).get("id") == base["repo"]["id"]
        return bool(same and base["ref"] == self._base)

    def _branch(self, item: Any) -> str:
        return str(item["head"]["ref"])

    def _request(self, item: Any) -> Request:
        return shaped(self._read, item)

    def _read(self, item: Any) -> Request:
        body = str(item.get("body") or "").replace("\r\n", "\n")
        return Request(
            number=int(item["number"]),
            branch=self._branch(item),
            head=CommitId(str(item["head"]["sha"])),
            state=_state(item),
            title=str(item["title"]),
            body=body,
            url=str(item["html_url"]),
            labels=tuple(str(each["name"]) for each in item.get("labels") or ()),
            ours_closed=CLOSED_MARK in body,
            author=identity(item.get("user")),
        )


def _comment(item: Any) -> Comment:
    author = identity(item.get("user"))
    return Comment(id=int(item["id"]), body=str(item["body"] or ""), author=author)


def _state(item: Any) -> RequestState:
    if item.get("merged_at") or item.get("merged"):
        return RequestState.MERGED
    return RequestState.OPEN if item["state"] == "open" else RequestState.CLOSED

"""GitLab: merge requests of one project (does I/O)."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterable, Sequence
from typing import Any

from reconciler.errors import Unavailable
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
    unlike,
)
from reconciler.review.http import Http

WRITES_A_MINUTE = 50
_STATES = {
    "opened": RequestState.OPEN,
    "locked": RequestState.OPEN,
    "merged": RequestState.MERGED,
    "closed": RequestState.CLOSED,
}


class GitLab:
    """Merge requests at a GitLab."""

    longest_body = 200_000

    def __init__(self, http: Http, slug: str, base: str) -> None:
        self._http = http
        self._base = base
        project = urllib.parse.quote(slug, safe="")
        self._at = f"/projects/{project}/merge_requests"

    def is_protected(self, branch: str) -> bool:
        """Whether rules say who may change a branch, and how."""
        project = self._at.removesuffix("/merge_requests")
        name = urllib.parse.quote(branch, safe="")
        answer = self._http.get(f"{project}/repository/branches/{name}")
        return shaped(lambda item: bool(item["protected"]), answer.body)

    def open_requests(self, prefix: str) -> Sequence[Request]:
        """All open requests into our branch whose own branch has this prefix."""
        items = self._http.pages(
            self._at, state="opened", target_branch=self._base, per_page=100
        )
        found = self._requests(items)
        return [each for each in found if each.branch.startswith(prefix)]

    def closed_requests(self, branch: str) -> Sequence[Request]:
        """Merged and closed requests of one branch into ours, newest first, at most a page."""
        answer = self._http.get(
            self._at,
            state="all",
            source_branch=branch,
            target_branch=self._base,
            order_by="created_at",
            sort="desc",
            per_page=30,
        )
        if not isinstance(answer.body, list):
            raise Unavailable("the list of closed merge requests is none")
        found = self._requests(answer.body)
        return [each for each in found if each.state is not RequestState.OPEN]

    def open(self, branch: str, text: RequestText) -> Request:
        """Open a request for a pushed branch; one that is open already is returned."""
        body = {
            "source_branch": branch,
            "target_branch": self._base,
            "title": text.title,
            "description": text.body,
            "labels": ",".join(text.labels),
            "remove_source_branch": True,
        }
        made = self._http.write("POST", self._at, body, fine=(409,))
        if made.status != 409:
            return shaped(_request, made.body)
        for each in self.open_requests(branch):
            if each.branch == branch:
                self.edit(each, text)
                return each
        said = unlike(made.body, "refused")
        raise Unavailable(f"no merge request can be opened for {branch}: {said}")

    def edit(self, request: Request, text: RequestText) -> None:
        """Set title, body and our labels."""
        labels = kept_labels(request.labels, text.labels)
        same = (request.title, request.body) == (text.title, text.body)
        if same and set(labels) == set(request.labels):
            return
        body = {
            "title": text.title,
            "description": text.body,
            "labels": ",".join(labels),
        }
        self._http.write("PUT", f"{self._at}/{request.number}", body)

    def close(self, request: Request, body: str) -> None:
        """Close without merging and set the body, in one call."""
        change = {"state_event": "close", "description": body}
        self._http.write("PUT", f"{self._at}/{request.number}", change)

    def comments(self, number: int) -> Sequence[Comment]:
        """All comments of people and of ours, oldest first."""
        path = f"{self._at}/{number}/notes"
        items = self._http.pages(path, sort="asc", order_by="created_at", per_page=100)
        return [shaped(_comment, each) for each in items if not shaped(_system, each)]

    def say(self, number: int, comment: Comment | None, body: str) -> None:
        """Write a comment, or edit that one in place."""
        path = f"{self._at}/{number}/notes"
        if comment is None:
            self._http.write("POST", path, {"body": body})
        elif comment.body != body:
            self._http.write("PUT", f"{path}/{comment.id}", {"body": body})

    def label(self, request: Request, labels: tuple[str, ...]) -> None:
        """Set all labels of a request."""
        if set(labels) != set(request.labels):
            change = {"labels": ",".join(labels)}
            self._http.write("PUT", f"{self._at}/{request.number}", change)

    def merge_when_ready(self, request: Request, head: CommitId) -> str:
        """Ask for a merge once all rules are met; empty, or why it does not."""
        body = {"auto_merge": True, "merge_when_pipeline_succeeds": True, "sha": head}
        path = f"{self._at}/{request.number}/merge"
        done = self._http.write("PUT", path, body, fine=(401, 405, 406, 409, 422))
        if done.status < 300:
            return ""
        return unlike(done.body, "it cannot be merged yet")

    def take_merge_back(self, request: Request) -> None:
        """The forge shall not merge by itself any more; fine where it was not going to."""
        path = f"{self._at}/{request.number}"
        if shaped(_merges, self._http.get(path).body):
            cancel = f"{path}/cancel_merge_when_pipeline_succeeds"
            self._http.write("POST", cancel, None, fine=(406,))

    def head_refs(self, number: int) -> tuple[str, ...]:
        """Where the commits of a request stay after its branch is gone."""
        return (f"refs/merge-requests/{number}/head",)

    def _requests(self, items: Iterable[Any]) -> list[Request]:
        """Requests from branches of this very project: a fork names its own as it likes."""
        return newest_first(
            shaped(_request, each) for each in items if shaped(self._is_ours, each)
        )

    def _is_ours(self, item: Any) -> bool:
        same = item["source_project_id"] == item["target_project_id"]
        return bool(same and item["target_branch"] == self._base)


def _system(item: Any) -> bool:
    """Whether GitLab wrote a note itself."""
    return bool(item.get("system"))


def _merges(item: Any) -> bool:
    """Whether GitLab is going to merge a request by itself."""
    return bool(item.get("merge_when_pipeline_succeeds"))


def _comment(item: Any) -> Comment:
    author = identity(item.get("author"))
    return Comment(id=int(item["id"]), body=str(item["body"] or ""), author=author)


def _request(item: Any) -> Request:
    body = str(item.get("description") or "").replace("\r\n", "\n")
    return Request(
        number=int(item["iid"]),
        branch=str(item["source_branch"]),
        head=CommitId(str(item.get("sha") or "")),
        state=_STATES.get(str(item["state"]), RequestState.CLOSED),
        title=str(item["title"]),
        body=body,
        url=str(item["web_url"]),
        labels=tuple(map(str, item.get("labels") or ())),
        ours_closed=CLOSED_MARK in body,
        author=identity(item.get("author")),
    )

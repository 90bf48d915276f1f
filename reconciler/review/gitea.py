"""Gitea and Forgejo: pull requests as at GitHub, with habits of their own (does I/O).

just after a push the branch is not known yet (404)     -> asked again for a few seconds
while a request comes or goes their whole list is a 404 -> asked again for a few seconds
whether it can be merged is found out in the background -> 405 until then, asked again
"when checks succeed" waits even when nothing is missing,
and does not look at the head that it is given          -> tried last, after a look of ours
a label must exist before it can be set, and may exist
twice by one name                                       -> ours are made when missing
closed requests cannot be asked for by branch           -> the newest ones are looked through
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.codes import Code
from reconciler.errors import Blocked, Unavailable
from reconciler.model.repository import CommitId
from reconciler.model.reviews import Request, RequestState
from reconciler.review.forge import RequestText, shaped, unlike
from reconciler.review.http import Answer, Clock, Http
from reconciler.review.pulls import PullRequests

WRITES_A_MINUTE = 600
_PAGE = 50
_OPEN_PAGES = 50
_CLOSED_PAGES = 6
_LOOKS = 8  # tries to list requests, half a second apart
_PATIENCE = 20  # tries, half a second apart
_COLOUR = "#4a6fa5"


class Gitea(PullRequests):
    """Pull requests at a Gitea or Forgejo."""

    longest_body = 200_000

    def __init__(
        self, http: Http, slug: str, base: str, clock: Clock | None = None
    ) -> None:
        super().__init__(http, slug, base)
        self._clock = clock or Clock()
        self._known_labels: set[str] | None = None
        self._closed: list[Request] | None = None

    def open_requests(self, prefix: str) -> Sequence[Request]:
        """All open requests into our branch whose own branch has this prefix."""
        self._closed = None
        items, is_whole = self._listed(_OPEN_PAGES, state="open")
        if not is_whole:
            raise Unavailable(f"more than {_OPEN_PAGES * _PAGE} pull requests are open")
        found = [
            each
            for each in self._requests(items)
            # One that merges by itself is for a moment both open and merged.
            if each.state is RequestState.OPEN
        ]
        return [each for each in found if each.branch.startswith(prefix)]

    def closed_requests(self, branch: str) -> Sequence[Request]:
        """Merged and closed requests of one branch among the newest few hundred."""
        if self._closed is None:
            items, _ = self._listed(_CLOSED_PAGES, state="closed", sort="recentupdate")
            self._closed = self._requests(items)
        return [each for each in self._closed if each.branch == branch]

    def _listed(self, most: int, **query: str) -> tuple[list[Any], bool]:
        """Items of some pages of requests, and whether these are all."""
        found: list[Any] = []
        for page in range(1, most + 1):
            answer = self._look(page, query)
            found += answer.body
            total = answer.headers.get("x-total-count", "")
            if not answer.body or (total.isdecimal() and len(found) >= int(total)):
                return found, True
        return found, False

    def _look(self, page: int, query: Mapping[str, str]) -> Answer:
        path = f"{self._at}/pulls"
        for attempt in range(_LOOKS):
            if attempt:
                self._clock.sleep(0.5)
            answer = self._http.get(path, page=page, limit=_PAGE, **query)
            if isinstance(answer.body, list):
                return answer
        raise Blocked(
            f"{Code.FORGE_REFUSED}: {path}: {answer.status}, not a list of requests",
            hint="does the token see this repository, and is review.forge right?",
        )

    def open(self, branch: str, text: RequestText) -> Request:
        """Open a request for a pushed branch; one that is open already is returned."""
        body = {
            "head": branch,
            "base": self._base,
            "title": text.title,
            "body": text.body,
        }
        made = self._patiently(f"{self._at}/pulls", body, (404, 409, 500))
        if made.status == 409:
            for each in self.open_requests(branch):
                if each.branch == branch:
                    self.edit(each, text)
                    return each
        if made.status != 201:
            said = unlike(made.body, "it does not know the branch yet")
            raise Unavailable(
                f"no pull request can be opened for {branch}: {made.status} {said}"
            )
        request = self._request(made.body)
        self.label(request, text.labels)
        return request

    def _patiently(self, path: str, body: object, fine: tuple[int, ...]) -> Answer:
        """Ask again while Gitea has not noticed in the background what was pushed."""
        answer = self._http.write("POST", path, body, fine)
        for _ in range(_PATIENCE):
            if not _is_not_yet(answer):
                return answer
            self._clock.sleep(0.5)
            answer = self._http.write("POST", path, body, fine)
        return answer

    def label(self, request: Request, labels: tuple[str, ...]) -> None:
        """Set all labels of a request, making those that are missing."""
        if set(labels) == set(request.labels):
            return
        for name in labels:
            if name not in request.labels and name not in self._labels():
                made = {"name": name, "color": _COLOUR}
                self._http.write("POST", f"{self._at}/labels", made)
                self._labels().add(name)
        super().label(request, labels)

    def _labels(self) -> set[str]:
        if self._known_labels is None:
            items = self._http.pages(f"{self._at}/labels", limit=_PAGE)
            self._known_labels = {shaped(_name, each) for each in items}
        return self._known_labels

    def merge_when_ready(self, request: Request, head: CommitId) -> str:
        """Ask for a merge once all rules are met; empty, or why it does not."""
        body = {
            "Do": "merge",
            "head_commit_id": head,
            "delete_branch_after_merge": True,
        }
        path = f"{self._at}/pulls/{request.number}"
        done = self._patiently(f"{path}/merge", body, (405, 409))
        if done.status < 300:
            return ""
        if done.status == 409 or _is_not_yet(done):
            return unlike(done.body, "it cannot be merged yet")
        if self._request(self._http.get(path).body).head != head:
            return "the branch moved"
        later = {
            "Do": "merge",
            "merge_when_checks_succeed": True,
            "delete_branch_after_merge": True,
        }
        done = self._http.write("POST", f"{path}/merge", later, (405, 409))
        said = unlike(done.body, "it cannot be merged yet")
        return "" if done.status < 300 or "already scheduled" in said else said

    def take_merge_back(self, request: Request) -> None:
        """The forge shall not merge by itself any more; fine where it was not going to."""
        path = f"{self._at}/pulls/{request.number}/merge"
        self._http.write("DELETE", path, None, fine=(404,))

    def _branch(self, item: Any) -> str:
        # `ref` names refs/pull/<n>/head once the branch is gone.
        return str(item["head"]["label"])


def _name(item: Any) -> str:
    return str(item["name"])


def _is_not_yet(answer: Answer) -> bool:
    """Whether Gitea still has to notice something, rather than says no."""
    if answer.status == 405:
        return "try again" in unlike(answer.body, "").lower()
    return answer.status in (404, 500)

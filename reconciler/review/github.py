"""GitHub: REST for requests, GraphQL for auto-merge, which REST does not have (does I/O)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reconciler.errors import Unavailable
from reconciler.model.repository import CommitId
from reconciler.model.reviews import Request
from reconciler.printable import one_line
from reconciler.review.forge import RequestText, shaped, unlike
from reconciler.review.http import Http
from reconciler.review.pulls import PullRequests

HEADERS = (
    ("Accept", "application/vnd.github+json"),
    ("X-GitHub-Api-Version", "2022-11-28"),
)
WRITES_A_MINUTE = 60  # it takes 80 content-creating requests a minute, and 500 an hour
_AUTO_MERGE = """\
mutation($id: ID!, $head: GitObjectID!) {
  enablePullRequestAutoMerge(input: {pullRequestId: $id, expectedHeadOid: $head, mergeMethod: MERGE}) {
    clientMutationId
  }
}
"""
_NO_AUTO_MERGE = """\
mutation($id: ID!) {
  disablePullRequestAutoMerge(input: {pullRequestId: $id}) {
    clientMutationId
  }
}
"""


class GitHub(PullRequests):
    """Pull requests at github.com or a GitHub Enterprise Server."""

    def __init__(self, http: Http, slug: str, base: str, graphql: Http) -> None:
        super().__init__(http, slug, base)
        self._graphql = graphql

    def open_requests(self, prefix: str) -> Sequence[Request]:
        """All open requests into our branch whose own branch has this prefix."""
        items = self._http.pages(
            f"{self._at}/pulls", state="open", base=self._base, per_page=100
        )
        found = self._requests(items)
        return [each for each in found if each.branch.startswith(prefix)]

    def closed_requests(self, branch: str) -> Sequence[Request]:
        """Merged and closed requests of one branch into ours, newest first, at most a page."""
        owner = self._slug.partition("/")[0]
        answer = self._http.get(
            f"{self._at}/pulls",
            state="closed",
            base=self._base,
            head=f"{owner}:{branch}",
            sort="created",
            direction="desc",
            per_page=30,
        )
        if not isinstance(answer.body, list):
            raise Unavailable("the list of closed pull requests is none")
        return [each for each in self._requests(answer.body) if each.branch == branch]

    def open(self, branch: str, text: RequestText) -> Request:
        """Open a request for a pushed branch; one that is open already is returned."""
        body = {
            "head": branch,
            "base": self._base,
            "title": text.title,
            "body": text.body,
            "maintainer_can_modify": False,
        }
        made = self._http.write("POST", f"{self._at}/pulls", body, fine=(422,))
        if made.status == 422:
            for each in self.open_requests(branch):
                if each.branch == branch:
                    self.edit(each, text)
                    return each
            said = unlike(made.body, "refused")
            raise Unavailable(f"no pull request can be opened for {branch}: {said}")
        request = self._request(made.body)
        self.label(request, text.labels)
        return request

    def merge_when_ready(self, request: Request, head: CommitId) -> str:
        """Ask for a merge once all rules are met; empty, or why it does not."""
        path = f"{self._at}/pulls/{request.number}"
        node = shaped(_node, self._http.get(path).body)
        asked = {"query": _AUTO_MERGE, "variables": {"id": node, "head": head}}
        said = shaped(_errors, self._graphql.write("POST", "", asked).body)
        if not said:
            return ""
        if "clean status" not in said:
            return one_line(said, 300)
        # Nothing is missing: auto-merge has nothing to wait for, an ordinary merge is right.
        merge = {"sha": head, "merge_method": "merge"}
        done = self._http.write("PUT", f"{path}/merge", merge, fine=(405, 409))
        if done.status == 200:
            return ""
        return unlike(done.body, "it cannot be merged yet")

    def take_merge_back(self, request: Request) -> None:
        """The forge shall not merge by itself any more; fine where it was not going to."""
        found = self._http.get(f"{self._at}/pulls/{request.number}").body
        if not shaped(_merges, found):
            return
        asked = {"query": _NO_AUTO_MERGE, "variables": {"id": shaped(_node, found)}}
        said = shaped(_errors, self._graphql.write("POST", "", asked).body)
        if said:
            raise Unavailable(
                f"auto-merge of pull request {request.number} stays on: "
                f"{one_line(said, 300)}"
            )


def _merges(item: Any) -> bool:
    """Whether GitHub is going to merge a request by itself."""
    return item.get("auto_merge") is not None


def _node(item: Any) -> str:
    return str(item["node_id"])


def _errors(answer: Any) -> str:
    """What GraphQL says went wrong; it answers 200 to everything."""
    errors = answer.get("errors") or ()
    return "; ".join(str(each["message"]) for each in errors)

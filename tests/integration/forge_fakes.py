"""Forges that keep pull requests in memory and answer as their references document.

The same tests hold them against the libraries that people use with the real ones
(`test_forges_libraries.py`), and Gitea's against a real Gitea (`tests/stack/test_forges_gitea.py`).
"""

from __future__ import annotations

import itertools
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tests.integration.forge_server import TOKEN, Asked, Reply, Server, serving

SLUG = "platform/ingress"
OWNER, NAME = SLUG.split("/")
STAMP = "2026-11-24T12:00:00Z"
Json = dict[str, Any]
Route = tuple[str, str, Callable[..., Reply]]


@dataclass(slots=True, kw_only=True)
class Pull:
    """One request of a forge; `fork` is the project of its branch, empty for the own one."""

    number: int
    branch: str
    sha: str
    title: str
    body: str
    base: str = "main"
    fork: str = ""
    state: str = "open"
    labels: list[str] = field(default_factory=list)
    comments: list[tuple[int, str]] = field(default_factory=list)
    auto: bool = False


class Fake(ABC):
    """What all forges have: requests, branches, and rules that hold a merge back."""

    root = ""
    size = 30

    def __init__(self) -> None:
        self.pulls: list[Pull] = []
        self.branches: dict[str, str] = {}
        self.protected = False
        self.server = Server()
        self._shas = (f"{number:040x}" for number in itertools.count(0xABC))
        self._ids = itertools.count(1001)

    def push(self, branch: str) -> str:
        """A new commit on a branch, its requests follow it."""
        self.branches[branch] = sha = next(self._shas)
        for each in self.pulls:
            if (each.branch, each.fork, each.state) == (branch, "", "open"):
                each.sha = sha
        return sha

    def drop(self, branch: str) -> None:
        """The branch is deleted."""
        del self.branches[branch]

    def add(self, branch: str, title: str, body: str, **more: Any) -> Pull:
        sha = self.branches.get(branch) or next(self._shas)
        number = len(self.pulls) + 1
        pull = Pull(
            number=number, branch=branch, sha=sha, title=title, body=body, **more
        )
        self.pulls.append(pull)
        return pull

    def pull(self, number: str | int) -> Pull:
        return self.pulls[int(number) - 1]

    def standing(self, branch: str, base: str) -> Pull | None:
        """The open request of our own branch into a base."""
        for each in self.pulls:
            if (each.branch, each.base, each.fork, each.state) == (
                branch,
                base,
                "",
                "open",
            ):
                return each
        return None

    def branch(self, asked: Asked, name: str) -> Reply:
        """One branch, as all three forges show the rules of it."""
        name = unquote(name)
        if name not in (*self.branches, "main"):
            return Reply(status=404, body={"message": "Branch not found"})
        is_held = self.protected and name == "main"
        return Reply(body={"name": name, "protected": is_held})

    @abstractmethod
    def routes(self) -> Sequence[Route]:
        """Method, pattern of the path below the root, and what answers."""

    def authorised(self, asked: Asked) -> bool:
        given = asked.headers.get("authorization", "")
        return given in (f"token {TOKEN}", f"Bearer {TOKEN}")

    def reply(self, asked: Asked) -> Reply:
        if not self.authorised(asked):
            return Reply(status=401, body={"message": "Bad credentials"})
        for method, pattern, act in self.routes():
            match = re.fullmatch(self.root + pattern, asked.path, re.IGNORECASE)
            if match is not None and method == asked.method:
                return act(asked, *match.groups())
        return Reply(status=404, body={"message": "Not Found"})

    @abstractmethod
    def paged(self, asked: Asked, items: Sequence[Any]) -> Reply:
        """One page of a list with its headers."""

    def slice(
        self, asked: Asked, items: Sequence[Any], name: str
    ) -> tuple[int, int, list[Any]]:
        page, size = (
            int(asked.query.get("page", 1)),
            int(asked.query.get(name, self.size)),
        )
        return page, size, list(items[(page - 1) * size : page * size])

    def link(self, asked: Asked, page: int, last: int) -> dict[str, str]:
        """The Link header; GitHub and Gitea send none for a single page."""
        at = f"{self.server.url}{asked.path}"
        found = [f'<{at}?page={page + 1}>; rel="next"'] if page < last else []
        found += [f'<{at}?page={last}>; rel="last"'] if page < last else []
        found += [f'<{at}?page=1>; rel="first"'] if page > 1 else []
        return {"Link": ", ".join(found)} if found else {}

    def merge(self, pull: Pull) -> str:
        pull.state = "merged"
        return next(self._shas)


@contextmanager
def running(fake: Fake) -> Iterator[Fake]:
    """The fake behind its own server."""
    with serving(fake.reply) as server:
        fake.server = server
        yield fake


class FakeGitHub(Fake):
    """GitHub's REST, and the one GraphQL mutation, as an Enterprise Server has them."""

    root = "/api"
    at = f"/v3/repos/{SLUG}"

    def routes(self) -> Sequence[Route]:
        at = self.at
        return (
            ("GET", at, lambda asked: Reply(body=self.repository())),
            ("GET", f"{at}/pulls", self.list),
            ("POST", f"{at}/pulls", self.create),
            (
                "GET",
                rf"{at}/pulls/(\d+)",
                lambda _, n: Reply(body=self.shown(self.pull(n), True)),
            ),
            ("PATCH", rf"{at}/pulls/(\d+)", self.change),
            ("PUT", rf"{at}/pulls/(\d+)/merge", self.merge_now),
            ("GET", rf"{at}/issues/(\d+)/comments", self.comments),
            ("POST", rf"{at}/issues/(\d+)/comments", self.comment),
            ("GET", rf"{at}/issues/comments/(\d+)", self.one_comment),
            ("PATCH", rf"{at}/issues/comments/(\d+)", self.recomment),
            ("PUT", rf"{at}/issues/(\d+)/labels", self.label),
            ("GET", rf"{at}/branches/(.+)", self.branch),
            ("POST", "/graphql", self.graphql),
        )

    def url(self, rest: str) -> str:
        return f"{self.server.url}{self.root}{self.at}{rest}"

    def repository(self, owner: str = OWNER) -> Json:
        return {
            "id": 17 if owner == OWNER else 18,
            "name": NAME,
            "full_name": f"{owner}/{NAME}",
            "owner": self.user(owner),
            "private": True,
            "fork": owner != OWNER,
            "default_branch": "main",
            "url": self.url(""),
        }

    def user(self, login: str) -> Json:
        return {"login": login, "id": len(login), "type": "User"}

    def side(self, branch: str, sha: str, owner: str) -> Json:
        repo = None if owner == "gone" else self.repository(owner)
        user = None if owner == "gone" else self.user(owner)
        label = f"{'unknown' if owner == 'gone' else owner}:{branch}"
        return {"label": label, "ref": branch, "sha": sha, "user": user, "repo": repo}

    def shown(self, pull: Pull, whole: bool = False) -> Json:
        merged = pull.state == "merged"
        number = pull.number
        more = {"merged": merged, "mergeable": True, "mergeable_state": "clean"}
        return {
            "id": 5000 + number,
            "node_id": f"PR_{number}",
            "number": number,
            "state": "open" if pull.state == "open" else "closed",
            "locked": False,
            "draft": False,
            "title": pull.title,
            "body": pull.body or None,
            "user": self.user("bot"),
            "labels": [
                {"id": 1, "name": name, "color": "ededed", "default": False}
                for name in pull.labels
            ],
            "head": self.side(pull.branch, pull.sha, pull.fork or OWNER),
            "base": self.side(pull.base, "0" * 40, OWNER),
            "created_at": STAMP,
            "updated_at": STAMP,
            "closed_at": None if pull.state == "open" else STAMP,
            "merged_at": STAMP if merged else None,
            "auto_merge": {"merge_method": "merge"} if pull.auto else None,
            "html_url": f"{self.server.url}/{SLUG}/pull/{number}",
            "url": self.url(f"/pulls/{number}"),
            "issue_url": self.url(f"/issues/{number}"),
            "comments_url": self.url(f"/issues/{number}/comments"),
            **(more if whole else {}),
        }

    def paged(self, asked: Asked, items: Sequence[Any]) -> Reply:
        page, size, found = self.slice(asked, items, "per_page")
        last = -(-len(items) // size)
        return Reply(body=found, headers=self.link(asked, page, last))

    def list(self, asked: Asked) -> Reply:
        state = asked.query.get("state", "open")
        found = [
            each
            for each in self.pulls
            if state in ("all", "open" if each.state == "open" else "closed")
            and asked.query.get("base", each.base) == each.base
            and asked.query.get("head", h := f"{each.fork or OWNER}:{each.branch}") == h
        ]
        found.sort(key=lambda each: each.number)
        if asked.query.get("direction", "desc") == "desc":
            found.reverse()
        return self.paged(asked, [self.shown(each) for each in found])

    def invalid(self, **error: str) -> Reply:
        body = {
            "message": "Validation Failed",
            "errors": [{"resource": "PullRequest", **error}],
        }
        return Reply(status=422, body=body)

    def create(self, asked: Asked) -> Reply:
        given = asked.body
        branch = given["head"].removeprefix(f"{OWNER}:")
        if branch not in self.branches:
            return self.invalid(field="head", code="invalid")
        if self.standing(branch, given["base"]) is not None:
            said = f"A pull request already exists for {OWNER}:{branch}."
            return self.invalid(code="custom", message=said)
        pull = self.add(
            branch, given["title"], given.get("body", ""), base=given["base"]
        )
        return Reply(status=201, body=self.shown(pull, True))

    def change(self, asked: Asked, number: str) -> Reply:
        pull, given = self.pull(number), asked.body
        pull.title = given.get("title", pull.title)
        pull.body = given.get("body", pull.body)
        pull.state = given.get("state", pull.state)
        return Reply(body=self.shown(pull, True))

    def merge_now(self, asked: Asked, number: str) -> Reply:
        pull = self.pull(number)
        if self.protected:
            said = "At least 1 approving review is required by reviewers with write access."
            return Reply(status=405, body={"message": said})
        if asked.body.get("sha", pull.sha) != pull.sha:
            said = "Head branch was modified. Review and try the merge again."
            return Reply(status=409, body={"message": said})
        body = {"sha": self.merge(pull), "merged": True, "message": "merged"}
        return Reply(body=body)

    def remark(self, at: int, text: str) -> Json:
        return {
            "id": at,
            "body": text,
            "user": self.user("bot"),
            "created_at": STAMP,
            "updated_at": STAMP,
            "url": self.url(f"/issues/comments/{at}"),
        }

    def comments(self, asked: Asked, number: str) -> Reply:
        found = [self.remark(*each) for each in self.pull(number).comments]
        return self.paged(asked, found)

    def comment(self, asked: Asked, number: str) -> Reply:
        made = (next(self._ids), asked.body["body"])
        self.pull(number).comments.append(made)
        return Reply(status=201, body=self.remark(*made))

    def _comment(self, at: str) -> tuple[Pull, int]:
        for pull in self.pulls:
            for index, each in enumerate(pull.comments):
                if each[0] == int(at):
                    return pull, index
        raise KeyError(at)

    def one_comment(self, asked: Asked, at: str) -> Reply:
        pull, index = self._comment(at)
        return Reply(body=self.remark(*pull.comments[index]))

    def recomment(self, asked: Asked, at: str) -> Reply:
        pull, index = self._comment(at)
        pull.comments[index] = (int(at), asked.body["body"])
        return Reply(body=self.remark(*pull.comments[index]))

    def label(self, asked: Asked, number: str) -> Reply:
        pull = self.pull(number)
        given = asked.body
        pull.labels = list(given if isinstance(given, list) else given["labels"])
        return Reply(body=self.shown(pull)["labels"])

    def graphql(self, asked: Asked) -> Reply:
        """The two mutations of auto-merge; GraphQL answers 200 to everything."""
        given = asked.body["variables"]
        given = given.get("input", given)
        pull = self.pull(
            given.get("pullRequestId", given.get("id")).removeprefix("PR_")
        )
        if "disablePullRequestAutoMerge" in asked.body["query"]:
            return self.no_auto_merge(pull)
        head = given.get("expectedHeadOid", given.get("head")) or pull.sha
        said = ""
        if head != pull.sha:
            said = f"Head sha {head} does not match the pull request's"
        elif not self.protected:
            said = "Pull request Pull request is in clean status"
        if said:
            error = {"type": "UNPROCESSABLE", "message": said, "path": ["enable"]}
            return Reply(body={"data": {"enable": None}, "errors": [error]})
        pull.auto = True
        data = {"clientMutationId": None, "actor": None}
        return Reply(body={"data": {"enablePullRequestAutoMerge": data}})

    def no_auto_merge(self, pull: Pull) -> Reply:
        if not pull.auto:
            said = "Can't disable auto-merge for this pull request."
            error = {"type": "UNPROCESSABLE", "message": said, "path": ["disable"]}
            return Reply(body={"data": {"disable": None}, "errors": [error]})
        pull.auto = False
        data = {"clientMutationId": None, "actor": None}
        return Reply(body={"data": {"disablePullRequestAutoMerge": data}})

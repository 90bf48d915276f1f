"""GitLab's and Gitea's side of the fakes in `forge_fakes`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.integration.forge_fakes import (
    NAME,
    OWNER,
    SLUG,
    STAMP,
    FakeGitHub,
    Json,
    Pull,
    Route,
)
from tests.integration.forge_fakes import Fake as Fake
from tests.integration.forge_server import Asked, Reply


class FakeGitLab(Fake):
    """GitLab's merge requests and notes; a project goes by its id or its encoded path."""

    root = "/api/v4"
    size = 20

    def routes(self) -> Sequence[Route]:
        project = f"/projects/(?:17|{OWNER}%2F{NAME})"
        at = f"{project}/merge_requests"
        return (
            ("GET", project, lambda _: Reply(body=self.project())),
            ("GET", rf"{project}/repository/branches/(.+)", self.branch),
            ("GET", at, self.list),
            ("POST", at, self.create),
            ("GET", rf"{at}/(\d+)", lambda _, n: Reply(body=self.shown(self.pull(n)))),
            ("PUT", rf"{at}/(\d+)", self.change),
            ("PUT", rf"{at}/(\d+)/merge", self.merge_now),
            (
                "POST",
                rf"{at}/(\d+)/cancel_merge_when_pipeline_succeeds",
                self.cancel_merge,
            ),
            ("GET", rf"{at}/(\d+)/notes", self.notes),
            ("POST", rf"{at}/(\d+)/notes", self.note),
            ("GET", rf"{at}/(\d+)/notes/(\d+)", self.one_note),
            ("PUT", rf"{at}/(\d+)/notes/(\d+)", self.renote),
        )

    def project(self) -> Json:
        return {
            "id": 17,
            "name": NAME,
            "path_with_namespace": SLUG,
            "default_branch": "main",
        }

    def shown(self, pull: Pull) -> Json:
        return {
            "id": 5000 + pull.number,
            "iid": pull.number,
            "project_id": 17,
            "title": pull.title,
            "description": pull.body or None,
            "state": "opened" if pull.state == "open" else pull.state,
            "source_branch": pull.branch,
            "target_branch": pull.base,
            "source_project_id": {"": 17, "gone": None}.get(pull.fork, 18),
            "target_project_id": 17,
            "labels": sorted(pull.labels),
            "sha": pull.sha,
            "merge_commit_sha": None,
            "draft": False,
            "merge_when_pipeline_succeeds": pull.auto,
            "detailed_merge_status": "not_approved" if self.protected else "mergeable",
            "author": {"id": 1, "username": "bot"},
            "created_at": STAMP,
            "updated_at": STAMP,
            "merged_at": STAMP if pull.state == "merged" else None,
            "web_url": f"{self.server.url}/{SLUG}/-/merge_requests/{pull.number}",
        }

    def paged(self, asked: Asked, items: Sequence[Any]) -> Reply:
        page, size, found = self.slice(asked, items, "per_page")
        last = max(1, -(-len(items) // size))
        following = str(page + 1) if page < last else ""
        headers = {
            "X-Page": str(page),
            "X-Per-Page": str(size),
            "X-Next-Page": following,
            "X-Prev-Page": str(page - 1) if page > 1 else "",
            "X-Total": str(len(items)),
            "X-Total-Pages": str(last),
            "Link": f'<{self.server.url}{asked.path}?page=1&per_page={size}>; rel="first"',
        }
        headers |= self.link(asked, page, last)
        return Reply(body=found, headers=headers)

    def list(self, asked: Asked) -> Reply:
        wanted = asked.query
        state = {"opened": "open"}.get(
            wanted.get("state", "all"), wanted.get("state", "all")
        )
        found = [
            each
            for each in self.pulls
            if state in ("all", each.state)
            and wanted.get("source_branch", each.branch) == each.branch
            and wanted.get("target_branch", each.base) == each.base
        ]
        if wanted.get("sort", "desc") == "desc":
            found.reverse()
        return self.paged(asked, [self.shown(each) for each in found])

    def create(self, asked: Asked) -> Reply:
        given = asked.body
        branch, base = given["source_branch"], given["target_branch"]
        if (open_already := self.standing(branch, base)) is not None:
            said = "Another open merge request already exists for this source branch: "
            said += f"!{open_already.number}"
            return Reply(status=409, body={"message": [said]})
        pull = self.add(branch, given["title"], given.get("description", ""), base=base)
        self.set_labels(pull, given)
        return Reply(status=201, body=self.shown(pull))

    def set_labels(self, pull: Pull, given: Json) -> None:
        if "labels" in given:
            names = given["labels"]
            split = names.split(",") if isinstance(names, str) else names
            pull.labels = [each for each in split if each]

    def change(self, asked: Asked, number: str) -> Reply:
        pull, given = self.pull(number), asked.body
        pull.title = given.get("title", pull.title)
        pull.body = given.get("description", pull.body)
        event = given.get("state_event", "")
        pull.state = {"close": "closed", "reopen": "open"}.get(event, pull.state)
        self.set_labels(pull, given)
        return Reply(body=self.shown(pull))

    def merge_now(self, asked: Asked, number: str) -> Reply:
        # GitLab takes parameters from the query as well as from the body.
        pull, given = self.pull(number), {**asked.query, **(asked.body or {})}
        if given.get("sha", pull.sha) != pull.sha:
            said = f"SHA does not match HEAD of source branch: {pull.sha}"
            return Reply(status=409, body={"message": said})
        if self.protected and not given.get("auto_merge"):
            return Reply(status=405, body={"message": "405 Method Not Allowed"})
        pull.auto = self.protected
        if not self.protected:
            self.merge(pull)
        return Reply(body=self.shown(pull))

    def cancel_merge(self, asked: Asked, number: str) -> Reply:
        pull = self.pull(number)
        if not pull.auto:
            return Reply(status=406, body={"message": "406 Not Acceptable"})
        pull.auto = False
        return Reply(status=201, body=self.shown(pull))

    def written(self, at: int, text: str, system: bool = False) -> Json:
        more = {"created_at": STAMP, "updated_at": STAMP, "author": {"username": "bot"}}
        return {"id": at, "body": text, "system": system, "type": None, **more}

    def notes(self, asked: Asked, number: str) -> Reply:
        found = [self.written(*each) for each in self.pull(number).comments]
        found.append(self.written(9001, "added 1 commit", system=True))
        if asked.query.get("sort", "desc") == "desc":
            found.reverse()
        return self.paged(asked, found)

    def note(self, asked: Asked, number: str) -> Reply:
        made = (next(self._ids), asked.body["body"])
        self.pull(number).comments.append(made)
        return Reply(status=201, body=self.written(*made))

    def one_note(self, asked: Asked, number: str, at: str) -> Reply:
        found = dict(self.pull(number).comments)
        return Reply(body=self.written(int(at), found[int(at)]))

    def renote(self, asked: Asked, number: str, at: str) -> Reply:
        pull = self.pull(number)
        pull.comments = [
            (each, asked.body["body"] if each == int(at) else text)
            for each, text in pull.comments
        ]
        return self.one_note(asked, number, at)


class FakeGitea(FakeGitHub):
    """Gitea: as GitHub, with the habits that `reconciler.review.gitea` names."""

    root = "/api/v1"
    at = f"/repos/{SLUG}"

    def __init__(self) -> None:
        super().__init__()
        self.known_labels: list[str] = []
        self.busy = 0  # how often it answers that it does not know yet

    def routes(self) -> Sequence[Route]:
        at = self.at
        return (
            ("POST", rf"{at}/pulls/(\d+)/merge", self.merge_now),
            ("DELETE", rf"{at}/pulls/(\d+)/merge", self.cancel_merge),
            ("GET", f"{at}/labels", self.labels),
            ("POST", f"{at}/labels", self.new_label),
            *super().routes(),
        )

    def not_yet(self) -> bool:
        self.busy -= 1
        return self.busy >= 0

    def paged(self, asked: Asked, items: Sequence[Any]) -> Reply:
        page, size, found = self.slice(asked, items, "limit")
        size = min(size, 50)
        found = list(items[(page - 1) * size : page * size])
        headers = self.link(asked, page, -(-len(items) // size))
        return Reply(body=found, headers={**headers, "X-Total-Count": str(len(items))})

    def side(self, branch: str, sha: str, owner: str) -> Json:
        found = super().side(branch, sha, owner)
        return {**found, "label": branch}

    def shown(self, pull: Pull, whole: bool = True) -> Json:
        found = super().shown(pull, whole=True)
        if not pull.fork and pull.branch not in self.branches:
            found["head"]["ref"] = f"refs/pull/{pull.number}/head"
        return {**found, "body": pull.body}

    def list(self, asked: Asked) -> Reply:
        # It has no `base`, `head` and `direction`; the newest come first.
        known = {
            k: v for k, v in asked.query.items() if k in ("state", "page", "limit")
        }
        plain = Asked(method="GET", path=asked.path, query=known, headers={}, body=None)
        return super().list(plain)

    def create(self, asked: Asked) -> Reply:
        given = asked.body
        if self.not_yet() or given["head"] not in self.branches:
            said = "The target couldn't be found."
            return Reply(status=404, body={"message": said, "errors": []})
        if self.standing(given["head"], given["base"]) is not None:
            said = "pull request already exists for these targets"
            return Reply(status=409, body={"message": said})
        return super().create(asked)

    def change(self, asked: Asked, number: str) -> Reply:
        return Reply(status=201, body=super().change(asked, number).body)

    def labels(self, asked: Asked) -> Reply:
        found = [{"id": i, "name": name} for i, name in enumerate(self.known_labels)]
        return self.paged(asked, found)

    def new_label(self, asked: Asked) -> Reply:
        self.known_labels.append(asked.body["name"])
        return Reply(status=201, body={"id": 1, "name": asked.body["name"]})

    def label(self, asked: Asked, number: str) -> Reply:
        for name in asked.body["labels"]:
            if name not in self.known_labels:
                return Reply(
                    status=422, body={"message": f"label {name} does not exist"}
                )
        return super().label(asked, number)

    def merge_now(self, asked: Asked, number: str) -> Reply:
        pull, given = self.pull(number), asked.body
        if self.not_yet():
            return Reply(status=405, body={"message": "Please try again later"})
        if given.get("merge_when_checks_succeed"):
            if pull.auto:
                said = "pull request is already scheduled to auto merge when checks succeed"
                return Reply(status=409, body={"message": said})
            pull.auto = True
            return Reply(status=201)
        if self.protected:
            return Reply(status=405, body={"message": "not all required approvals"})
        if given.get("head_commit_id", pull.sha) != pull.sha:
            return Reply(status=409, body={"message": "head out of date"})
        self.merge(pull)
        return Reply(status=200)

    def cancel_merge(self, asked: Asked, number: str) -> Reply:
        pull = self.pull(number)
        if not pull.auto:
            said = "The target couldn't be found."
            return Reply(status=404, body={"message": said, "errors": []})
        pull.auto = False
        return Reply(status=204)

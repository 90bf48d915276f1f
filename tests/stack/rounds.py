"""Rounds in which one pass opens, rebuilds, closes, comments and merges, again and again (I/O)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from reconciler.codes import Code
from reconciler.errors import Exit, worst
from reconciler.render import RENDERER_VERSION
from reconciler.repo import Credentials, Remote, Repository
from reconciler.review.forge import CLOSED_MARK, MARK
from reconciler.run import Memory, PassOptions, PassResult, one_pass
from tests import documents
from tests.stack.process import wait_until
from tests.stack.review import PREFIX, Review

MANY = {
    "name": "public",
    "renderer": "envoy",
    "namespace": "ingress",
    "ports": {"range": "20000-20999"},
}


def passes(review: Review, cache: str = "cache") -> PassResult:
    """One pass in this process, as a fresh process would make it."""
    remote = Remote(
        url=review.environment["WHARFINGER_REPO"], credentials=Credentials(), timeout=60
    )
    opened = Repository.open(remote, review.root / cache, renderer=RENDERER_VERSION)
    return asyncio.run(one_pass(opened, PassOptions(), Memory()))


def code_of(result: PassResult) -> Exit:
    """The exit code that the command would end with."""
    return worst(result.exits)


def all_pulls(review: Review) -> list[dict[str, Any]]:
    """Every pull request of the repository, closed ones too, the oldest first."""
    found: list[dict[str, Any]] = []
    page = 1
    while True:
        path = f"/repos/{review.origin.slug}/pulls?state=all&limit=50&page={page}"
        more = review.gitea.api("GET", path)
        found += more
        if not more:
            return sorted(found, key=lambda each: int(each["number"]))
        page += 1


def ports(review: Review) -> list[str]:
    """Port files of the branch, and those that open requests add."""
    found = review.files("ports")
    for branch in review.branches():
        args = ("diff", "--name-only", "--diff-filter=A", f"main...{branch}", "--")
        found += review.git(*args, "ports", at=review.remote).split()
    return found


@dataclass(slots=True)
class Rounds:
    """Each round moves every namespace one step on.

    `n<i>` is opened in round i, rebuilt in the next, then edited by a person, merged by one,
    and at last changed by a request that merges by itself. `c<i>` is opened and, a round
    later, not wanted any more.
    """

    review: Review
    number: int = -1

    def begin(self) -> None:
        """An adopted repository."""
        passes(self.review)
        self.review.merge(self.review.only()["number"])
        passes(self.review)

    def expose(self, space: str, weight: int = 0, cluster: str = "eu1") -> None:
        """The one exposure of a namespace; a weight sends a part to another Service."""
        write = self.review.write
        for name in (space, "green"):
            service = documents.service(name, 31000, space)
            write(f"{cluster}/svc-{space}-{name}.yaml", service)
        weights = {space: 100 - weight, "green": weight} if weight else None
        wish = documents.virtual_service(space, weights, space=space)
        write(f"{cluster}/{space}.yaml", wish)

    def prepare(self) -> None:
        """What people and tenants do before the next pass."""
        self.number += 1
        now = self.number
        self.expose(f"n{now}")
        self.expose(f"c{now}")
        if now >= 1:
            self.expose(f"n{now - 1}", 10)
            (self.review.clusters / f"eu1/c{now - 1}.yaml").unlink()
        if now >= 2:
            branch = f"{PREFIX}eu1/n{now - 2}"
            self.review.push_to(branch, {f"notes/{now}.md": b"hello\n"}, "Take a note")
        if now >= 3:
            self.review.merge(self.pull(f"n{now - 3}")["number"])
        if now >= 4:
            self.expose(f"n{now - 4}", 20)

    def pull(self, space: str) -> dict[str, Any]:
        """The one open request of a namespace."""
        branch = f"{PREFIX}eu1/{space}"
        (found,) = [e for e in self.review.pulls() if e["head"]["ref"] == branch]
        return found

    def check(self, result: PassResult) -> None:
        """After an undisturbed pass all is as if nothing ever went wrong."""
        assert code_of(result) is Exit.DONE, result.failures
        codes = {row.code for row in result.plan.rows}
        assert Code.DECLINED not in codes
        now = self.number
        if now >= 4:
            wish = f"manifests/public/eu1/n{now - 4}/vs-n{now - 4}.yaml"
            wait_until(lambda: "weight: 20" in self.review.show(wish), "it merges")
        wanted = {f"n{each}" for each in range(max(0, now - 2), now + 1)} | {f"c{now}"}
        branches = sorted(f"{PREFIX}eu1/{each}" for each in wanted)
        wait_until(lambda: self.review.branches() == branches, f"only {branches}")
        self._check_pulls(wanted)

    def _check_pulls(self, wanted: set[str]) -> None:
        pulls = all_pulls(self.review)
        counts: dict[str, int] = {}
        for pull in pulls:
            space = pull["head"]["label"].rpartition("/")[2]
            counts[space] = counts.get(space, 0) + 1
            if pull["state"] == "open":
                assert space in wanted
                wanted.discard(space)
                self._check_open(space, pull)
            else:
                assert pull["merged"] or CLOSED_MARK in pull["body"]
        assert not wanted
        spaces = range(self.number + 1)
        expected = {"first.adoption": 1}
        expected |= {f"n{e}": 1 + (e <= self.number - 4) for e in spaces}
        expected |= {f"c{each}": 1 for each in spaces}
        assert counts == expected

    def _check_open(self, space: str, pull: dict[str, Any]) -> None:
        edited = space == f"n{self.number - 2}"
        labels = {"wharfinger", "wharfinger/creates"}
        labels |= {"wharfinger/edited"} if edited else set()
        assert {each["name"] for each in pull["labels"]} == labels, space
        path = f"/repos/{self.review.origin.slug}/issues/{pull['number']}/comments"
        comments = [each["body"] for each in self.review.gitea.api("GET", path)]
        assert len(comments) == edited
        assert all(MARK in each for each in comments)
        commit = f"{pull['head']['sha']}{'^' if edited else ''}"
        text = self.review.git(
            "log", "-1", "--format=%B", commit, at=self.review.remote
        )
        trailers = text.strip().rpartition("\n\n")[2]
        assert trailers.startswith("Wharfinger-"), trailers
        assert trailers in pull["body"].replace("\r\n", "\n"), space
        ahead = f"main..{pull['head']['sha']}"
        count = self.review.git("rev-list", "--count", ahead, at=self.review.remote)
        assert int(count) == 1 + edited

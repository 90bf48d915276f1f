"""Pushes to a real Gitea whose answers are cut after every count of bytes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.errors import Unavailable
from reconciler.model.repository import CommitId
from reconciler.repo import Remote, Repository
from tests.integration.remotes import NOBODY, NOW, Line, draft
from tests.stack.engines import gitea  # noqa: F401
from tests.stack.gitea import Gitea
from tests.stack.review import Review, review_at

pytestmark = pytest.mark.stack
BRANCH = "wharfinger/eu1/shop"
PORT = "ports/public/20001.yaml"
ADDRESSES = "manifests/public/eu1/shop/vs-orders.endpoints.yaml"
# A push costs Gitea half a second; WHARFINGER_TEST_CUTS=10000 cuts after every single byte.
CUTS = int(os.environ.get("WHARFINGER_TEST_CUTS", "12"))


@dataclass(slots=True)
class Wire:
    """Our repository at Gitea over a line that can be cut."""

    review: Review
    line: Line
    repository: Repository

    def tip(self, branch: str) -> CommitId:
        """What Gitea's repository itself has, empty for no branch."""
        args = ("for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")
        return CommitId(self.review.git(*args, at=self.review.remote).strip())

    def commits(self, revisions: str) -> int:
        """How many commits Gitea's repository has there."""
        args = ("rev-list", "--count", revisions)
        return int(self.review.git(*args, at=self.review.remote))

    def measured(self, push: Callable[[], object]) -> tuple[int, int, int]:
        """Bytes to the server of a push, and where its answer begins and ends."""
        self.line.whole()
        tip, url = self.tip("main"), self.repository.remote.url
        args = ["git", "push", "--dry-run", url, f"{tip}:refs/heads/measured"]
        env = {"PATH": os.environ["PATH"], "HOME": str(self.review.root)}
        done = subprocess.run(args, cwd=self.review.work, env=env, capture_output=True)
        assert done.returncode == 0, done.stderr
        begins = self.line.passed["down"]
        self.line.whole()
        push()
        return self.line.passed["up"], begins, self.line.passed["down"]

    def cuts(self, push: Callable[[], object]) -> Iterator[tuple[str, int]]:
        """Directions and counts of bytes after which to cut: the whole answer, then the rest.

        The ends and as many counts between them as time allows, at equal distances.
        """
        sent, begins, ends = self.measured(push)
        for way, first, last, most in (
            ("down", begins, ends, CUTS),
            ("down", 0, begins, CUTS // 4),
            ("up", 0, sent, CUTS // 2),
        ):
            step = -(-(last - first) // most)
            yield from ((way, count) for count in range(first, last + step, step))
        yield "down", 2 * ends


@pytest.fixture
def wire(gitea: Gitea, tmp_path: Path) -> Iterator[Wire]:  # noqa: F811
    review = review_at(gitea, tmp_path).start()
    port = gitea.url.rpartition(":")[2]
    line = Line(int(port))
    url = review.origin.url_of(review.bot).replace(f":{port}/", f":{line.port}/")
    remote = Remote(url=url, credentials=NOBODY, timeout=20.0)
    repository = Repository.open(remote, tmp_path / "cache", renderer=3)
    repository.fetch()
    yield Wire(review=review, line=line, repository=repository)
    line.close()


def test_a_request_branch_is_moved_whole_or_not_wherever_its_push_is_cut(
    wire: Wire,
) -> None:
    branches = wire.repository.branches()
    head = wire.repository.head().commit
    at = [CommitId("")]

    def push(data: bytes = b"measured") -> CommitId:
        made = branches.push(
            BRANCH, draft(PORT, data), (head, at[0]), ("sha256:p", NOW)
        )
        at[0] = made
        return made

    push(b"first")
    said = set()
    told: list[str] = []
    for number, (way, count) in enumerate(wire.cuts(push), 1):
        data, before = b"%d" % number, at[0]
        wire.line.cut(**{"up": None, "down": None, way: count})
        try:
            assert push(data) == wire.tip(BRANCH)
            said.add("done")
        except Unavailable as error:
            told.append(error.what)
            said.add("moved" if wire.tip(BRANCH) != before else "not moved")
        wire.line.whole()
        at[0] = branches.bring("wharfinger/")[BRANCH]
        offered = branches.offered(BRANCH, at[0], head)
        assert offered.ours
        if offered.files != {PORT: data}:
            assert at[0] == before
            push(data)
        assert wire.commits(f"main..{BRANCH}") == 1
    assert all(each.startswith("nobody knows whether") for each in told)
    assert said == {"done", "moved", "not moved"}


def test_the_shared_branch_gets_addresses_once_wherever_the_push_is_cut(
    wire: Wire,
) -> None:
    repository = wire.repository

    def push(data: bytes = b"# measured") -> CommitId:
        base = repository.head().commit
        return repository.push([draft(ADDRESSES, data)], base, "sha256:p", NOW)

    push(b"# first")
    said = set()
    for number, (way, count) in enumerate(wire.cuts(push), 1):
        data, before = b"# %d" % number, wire.commits("main")
        repository.fetch()
        wire.line.cut(**{"up": None, "down": None, way: count})
        try:
            assert push(data) == wire.tip("main")
            said.add("done")
        except Unavailable:
            said.add("moved" if wire.commits("main") > before else "not moved")
        wire.line.whole()
        repository.fetch()
        push(data)
        assert wire.commits("main") == before + 1
        assert wire.review.show(ADDRESSES).encode() == data
    assert said == {"done", "moved", "not moved"}

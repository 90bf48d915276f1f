"""Two reconcilers, and people in the middle of a pass, at one real Gitea."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reconciler.codes import Code
from reconciler.errors import Exit
from reconciler.model.reviews import Step
from reconciler.review.forge import CLOSED_MARK
from tests.ingress import COMMAND
from tests.stack.engines import gitea  # noqa: F401
from tests.stack.forge_proxy import Call, ForgeProxy
from tests.stack.gitea import Gitea
from tests.stack.review import PREFIX, Review, review_at
from tests.stack.rounds import (
    MANY,
    Rounds,
    all_pulls,
    code_of,
    passes,
    ports,
)

pytestmark = pytest.mark.stack
SETTINGS = {"mode": "pull-request", "forge": "gitea", "maxOpen": 100}
SPACES = tuple(f"s{number}" for number in range(10))


@pytest.fixture
def proxy(gitea: Gitea, monkeypatch: pytest.MonkeyPatch) -> Iterator[ForgeProxy]:  # noqa: F811
    with ForgeProxy(gitea.url) as made:
        monkeypatch.setenv("WHARFINGER_FORGE_URL", made.url)
        yield made


@pytest.fixture
def rounds(gitea: Gitea, tmp_path: Path) -> Rounds:  # noqa: F811
    review = review_at(gitea, tmp_path).start(review=SETTINGS, gateways=[MANY])
    made = Rounds(review=review)
    made.begin()
    return made


def both(review: Review) -> list[int]:
    """Two processes at once, each with its own clone; their exit codes."""
    caches = [str(review.root / name) for name in ("one", "two")]
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda c: review.real(XDG_CACHE_HOME=c), caches))
    for each in done:
        assert each.code in (Exit.DONE, Exit.CONFLICT), each.err
    return [each.code for each in done]


def open_groups(review: Review) -> Counter[str]:
    """How many open requests each group has."""
    found = [pull for pull in all_pulls(review) if pull["state"] == "open"]
    return Counter(pull["head"]["ref"].removeprefix(f"{PREFIX}eu1/") for pull in found)


def test_two_reconcilers_open_and_rebuild_each_request_once(rounds: Rounds) -> None:
    review = rounds.review
    for weight in (0, 10, 20):
        for space in SPACES:
            rounds.expose(space, weight)
        both(review)
        assert open_groups(review) == Counter(SPACES)
        result = passes(review)
        assert code_of(result) is Exit.DONE, result.failures
        assert open_groups(review) == Counter(SPACES)
        found = ports(review)
        assert len(found) == len(set(found)) == 11
    closed = [pull for pull in all_pulls(review) if pull["state"] != "open"]
    assert [pull["number"] for pull in closed if pull["merged"]] == [1]
    assert all(pull["merged"] or CLOSED_MARK in pull["body"] for pull in closed)


def test_two_reconcilers_with_other_clusters_give_no_port_twice(
    rounds: Rounds,
) -> None:
    """Each of them sees another cluster only, so neither knows what the other one proposes."""
    review = rounds.review
    review.cluster("eu2")
    for space in SPACES:
        rounds.expose(space)
        rounds.expose(space, cluster="eu2")
    both_of(review, "eu1", "eu2")
    for _ in range(3):
        result = passes(review)
        assert code_of(result) in (Exit.DONE, Exit.CONFLICT), result.failures
    assert passes(review).reviewed.failures == ()
    found = ports(review)
    assert len(found) == len(set(found)) == 21
    assert len([e for e in all_pulls(review) if e["state"] == "open"]) == 20


def both_of(review: Review, *clusters: str) -> None:
    """One process a cluster, all at once."""

    def one(cluster: str) -> int:
        cache = str(review.root / cluster)
        done = review.real(f"--cluster={cluster}", XDG_CACHE_HOME=cache)
        assert done.code in (Exit.DONE, Exit.CONFLICT), done.err
        return done.code

    with ThreadPoolExecutor(len(clusters)) as pool:
        list(pool.map(one, clusters))


def at_first_write(
    proxy: ForgeProxy, act: Callable[[], object]
) -> Callable[[Call], None]:
    """A rule that lets somebody act before the first write of a pass arrives."""
    acted: list[Call] = []

    def rule(call: Call) -> None:
        if call.is_write and not acted:
            acted.append(call)
            act()

    return rule


@pytest.fixture
def changing(rounds: Rounds) -> Rounds:
    """Three open requests whose wishes have changed since: the next pass rebuilds them."""
    for space in SPACES[:3]:
        rounds.expose(space)
    passes(rounds.review)
    for space in SPACES[:3]:
        rounds.expose(space, 10)
    return rounds


def test_a_merge_in_the_middle_of_a_pass_is_followed_by_the_newer_wish(
    changing: Rounds, proxy: ForgeProxy
) -> None:
    review = changing.review
    number = changing.pull("s1")["number"]
    with proxy.under(at_first_write(proxy, lambda: review.merge(number))):
        passes(review)
    result = passes(review)
    assert code_of(result) is Exit.DONE, result.failures
    assert open_groups(review) == Counter(SPACES[:3])
    assert changing.pull("s1")["number"] != number
    assert Code.DECLINED not in {row.code for row in result.plan.rows}
    assert "manifests/public/eu1/s1/vs-s1.yaml" in review.files()
    review.merge(changing.pull("s1")["number"])
    assert "weight: 10" in review.show("manifests/public/eu1/s1/vs-s1.yaml")


def test_a_decline_in_the_middle_of_a_pass_is_one_of_what_was_seen(
    changing: Rounds, proxy: ForgeProxy
) -> None:
    review = changing.review
    number = changing.pull("s1")["number"]

    def close() -> None:
        review.gitea.close_pull(review.origin, number)

    with proxy.under(at_first_write(proxy, close)):
        passes(review)
    result = passes(review)
    assert code_of(result) is Exit.DONE, result.failures
    assert open_groups(review) == Counter(SPACES[:3])
    assert changing.pull("s1")["number"] != number


def test_a_push_of_people_in_the_middle_of_a_pass_stays(
    changing: Rounds, proxy: ForgeProxy
) -> None:
    review = changing.review
    branch = f"{PREFIX}eu1/s1"

    def push() -> None:
        review.push_to(branch, {"note.md": b"mine\n"}, "Take a note")

    with proxy.under(at_first_write(proxy, push)):
        result = passes(review)
    assert code_of(result) is Exit.CONFLICT
    tip = review.git("rev-parse", branch, at=review.remote)
    result = passes(review)
    assert code_of(result) is Exit.DONE, result.failures
    (step,) = (e.step for e in result.reviewed.outcomes if e.group == "eu1/s1")
    assert step is Step.EDITED
    assert review.git("rev-parse", branch, at=review.remote) == tip


def test_a_pass_that_is_killed_between_two_calls_is_finished_by_the_next(
    rounds: Rounds, proxy: ForgeProxy
) -> None:
    review = rounds.review
    for space in SPACES[:3]:
        rounds.expose(space)
    for write in (1, 2, 2):
        kill_at(write, review, proxy)
    result = passes(review)
    assert code_of(result) is Exit.DONE, result.failures
    assert open_groups(review) == Counter(SPACES[:3])
    labels = {e["name"] for p in review.pulls() for e in p["labels"]}
    assert labels == {"wharfinger", "wharfinger/creates"}
    assert all(len(pull["labels"]) == 2 for pull in review.pulls())


def kill_at(write: int, review: Review, proxy: ForgeProxy) -> None:
    """Run the command until it is about to write that often."""
    running: list[subprocess.Popen[bytes]] = []
    left = [write]

    def rule(call: Call) -> None:
        left[0] -= call.is_write
        if call.is_write and left[0] == 0:
            os.kill(running[0].pid, signal.SIGKILL)

    with proxy.under(rule):
        running.append(started(review, proxy))
        assert running[0].wait(60) == -signal.SIGKILL


def started(review: Review, proxy: ForgeProxy) -> subprocess.Popen[bytes]:
    """The command as a process of its own."""
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(review.root),
        "XDG_CACHE_HOME": str(review.root / "killed"),
        "WHARFINGER_FORGE_URL": proxy.url,
        **review.environment,
    }
    argv = [str(COMMAND), "reconcile", "--write-back=off"]
    return subprocess.Popen(
        argv, cwd=review.root, env=env, stdout=sys.stderr, stderr=subprocess.DEVNULL
    )

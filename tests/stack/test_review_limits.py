"""Many requests at once at a real Gitea: request limits, rate limits, and a quiet second pass."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.codes import Code
from reconciler.errors import Exit
from reconciler.model.plans import State
from reconciler.model.reviews import Step
from reconciler.run import PassResult
from tests.stack.engines import gitea  # noqa: F401
from tests.stack.forge_proxy import Call, Fault, ForgeProxy
from tests.stack.gitea import Gitea
from tests.stack.review import Review, review_at
from tests.stack.rounds import MANY, Rounds, all_pulls, code_of, passes, ports

pytestmark = pytest.mark.stack
SPACES = tuple(f"s{number:02}" for number in range(50))


@pytest.fixture
def proxy(gitea: Gitea, monkeypatch: pytest.MonkeyPatch) -> Iterator[ForgeProxy]:  # noqa: F811
    with ForgeProxy(gitea.url) as made:
        monkeypatch.setenv("WHARFINGER_FORGE_URL", made.url)
        yield made


@pytest.fixture
def review(gitea: Gitea, tmp_path: Path) -> Review:  # noqa: F811
    return review_at(gitea, tmp_path)


def adopted(review: Review, most: int, spaces: tuple[str, ...]) -> None:
    """An adopted repository that may have so many open requests, and new wishes."""
    settings = {"mode": "pull-request", "forge": "gitea", "maxOpen": most}
    review.start(review=settings, gateways=[MANY])
    rounds = Rounds(review=review)
    rounds.begin()
    for space in spaces:
        rounds.expose(space)


def steps(result: PassResult) -> Counter[Step]:
    """How many requests took which step."""
    return Counter(each.step for each in result.reviewed.outcomes)


@pytest.mark.parametrize("most", [20, 100])
def test_fifty_groups_at_once_keep_the_limit_of_open_requests(
    review: Review, proxy: ForgeProxy, most: int
) -> None:
    adopted(review, most, SPACES)
    opened = min(most, 50)
    with proxy.under(lambda _: None) as calls:
        begun = time.monotonic()
        first = passes(review)
        seconds = time.monotonic() - begun
    print(most, "first", Counter(map(kind, calls)), f"{seconds:.1f} s")
    assert code_of(first) is Exit.DONE
    assert steps(first)[Step.OPENED] == opened
    assert steps(first)[Step.WAITING] == 50 - opened
    waits = [
        each for each in first.plan.states if "waits to be proposed" in each.message
    ]
    assert len(waits) == 50 - opened
    assert {each.state for each in waits} <= {State.PENDING}
    assert len([e for e in all_pulls(review) if e["state"] == "open"]) == opened
    found = ports(review)
    assert len(found) == len(set(found)) == opened + 1
    with proxy.under(lambda _: None) as calls:
        begun = time.monotonic()
        second = passes(review)
        seconds = time.monotonic() - begun
    print(most, "second", Counter(map(kind, calls)), f"{seconds:.1f} s")
    assert steps(second) == Counter(
        {Step.KEPT: opened, **({Step.WAITING: 50 - opened} if opened < 50 else {})}
    )
    assert [str(call) for call in calls if call.is_write] == []
    assert len(calls) <= 5
    if opened == 50:
        return
    for pull in review.pulls()[:3]:
        review.merge(pull["number"])
    third = passes(review)
    assert steps(third)[Step.OPENED] == 3
    assert steps(third)[Step.WAITING] == 27
    found = ports(review)
    assert len(found) == len(set(found))


def kind(call: Call) -> str:
    """A call without its number."""
    parts = ("N" if part.isdecimal() else part for part in call.path.split("/")[4:])
    return f"{call.method} {'/'.join(parts)}"


class Flood:
    """Refuses writes after some of them until a while is over, as forges do."""

    def __init__(self, after: int, refusal: Fault, seconds: float) -> None:
        self.after, self.refusal, self.seconds = after, refusal, seconds
        self.writes = 0
        self.refused: list[float] = []
        self.early: list[Call] = []

    def __call__(self, call: Call) -> Fault | None:
        if not call.is_write:
            return None
        if self.refused and call.at < self.refused[-1] + self.seconds:
            self.early.append(call)
            return self.refusal
        self.writes += 1
        if self.writes % (self.after + 1):
            return None
        self.refused.append(call.at)
        return self.refusal


def test_a_forge_that_asks_to_wait_is_not_written_to_meanwhile(
    review: Review, proxy: ForgeProxy
) -> None:
    adopted(review, 100, SPACES[:22])
    refusal = Fault(status=429, headers={"Retry-After": "1"})
    flood = Flood(after=20, refusal=refusal, seconds=1.0)
    with proxy.under(flood):
        result = passes(review)
    assert code_of(result) is Exit.DONE, result.failures
    assert len(flood.refused) == 2
    assert flood.early == []
    assert steps(result) == Counter({Step.OPENED: 22})
    with proxy.under(lambda _: None) as calls:
        assert steps(passes(review)) == Counter({Step.KEPT: 22})
    assert not any(call.is_write for call in calls)


def spent(seconds: int) -> Fault:
    """GitHub's refusal of an account that asked too often."""
    reset = str(int(time.time()) + seconds)
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}
    return Fault(status=403, headers=headers)


def test_a_long_wait_ends_the_pass_and_the_next_goes_on(
    review: Review, proxy: ForgeProxy
) -> None:
    adopted(review, 100, SPACES[:6])
    flood = Flood(after=5, refusal=spent(3600), seconds=3600.0)
    with proxy.under(flood) as calls:
        result = passes(review)
    assert code_of(result) is Exit.INCOMPLETE
    (failure,) = result.failures
    assert failure.what.startswith(Code.FORGE_LIMIT)
    assert flood.early == []
    assert calls[-1].at == flood.refused[0]
    done = steps(result)[Step.OPENED]
    assert 0 < done < 6
    result = passes(review)
    assert code_of(result) is Exit.DONE, result.failures
    assert steps(result)[Step.KEPT] + steps(result)[Step.OPENED] == 6
    assert len(review.pulls()) == 6
    labels = [{e["name"] for e in pull["labels"]} for pull in review.pulls()]
    assert labels == [{"wharfinger", "wharfinger/creates"}] * 6


def test_a_short_wait_is_waited_for(review: Review, proxy: ForgeProxy) -> None:
    adopted(review, 100, SPACES[:6])
    flood = Flood(after=5, refusal=spent(2), seconds=0.9)
    with proxy.under(flood):
        result = passes(review)
    assert code_of(result) is Exit.DONE, result.failures
    assert len(flood.refused) >= 1
    assert flood.early == []
    assert steps(result) == Counter({Step.OPENED: 6})

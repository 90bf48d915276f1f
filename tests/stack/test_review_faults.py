"""Calls to a real Gitea's API that are lost on either way, one by one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.errors import Exit
from reconciler.run import PassResult
from tests.stack.engines import gitea  # noqa: F401
from tests.stack.forge_proxy import (
    LOST,
    UNANSWERED,
    Call,
    Fault,
    ForgeProxy,
    Rule,
    nothing,
)
from tests.stack.gitea import Gitea
from tests.stack.review import review_at
from tests.stack.rounds import MANY, Rounds, code_of, passes

pytestmark = pytest.mark.stack
TIERS = {
    "mode": "pull-request",
    "forge": "gitea",
    "maxOpen": 100,
    "autoMerge": ["update"],
}


@pytest.fixture
def proxy(gitea: Gitea, monkeypatch: pytest.MonkeyPatch) -> Iterator[ForgeProxy]:  # noqa: F811
    with ForgeProxy(gitea.url) as made:
        monkeypatch.setenv("WHARFINGER_FORGE_URL", made.url)
        yield made


@pytest.fixture
def begun(gitea: Gitea, proxy: ForgeProxy, tmp_path: Path) -> Rounds:  # noqa: F811
    review = review_at(gitea, tmp_path).start(review=TIERS, gateways=[MANY])
    made = Rounds(review=review)
    made.begin()
    return made


@pytest.fixture
def rounds(begun: Rounds) -> Rounds:
    """Rounds in which the next pass does everything that there is to do."""
    for _ in range(5):
        begun.prepare()
        begun.check(passes(begun.review))
    return begun


def at_write(number: int, fault: Fault) -> Rule:
    """A rule that hits one writing call."""
    left = [number]

    def rule(call: Call) -> Fault | None:
        left[0] -= call.is_write
        return fault if call.is_write and left[0] == 0 else None

    return rule


@pytest.mark.timeout(600)  # some twenty passes with a dozen pushes each
def test_a_lost_write_is_made_up_for_in_the_next_pass(
    rounds: Rounds, proxy: ForgeProxy
) -> None:
    """A write of each kind does not arrive; in the next pass it does, and its answer is lost."""
    rounds.prepare()
    with proxy.under(nothing) as calls:
        rounds.check(passes(rounds.review))
    writes = [str(call) for call in calls if call.is_write]
    kinds = {re.sub(r"[0-9]+", "N", each): at for at, each in enumerate(writes, 1)}
    assert len(kinds) >= 5, kinds
    for number in kinds.values():
        rounds.prepare()
        with proxy.under(at_write(number, LOST)) as calls:
            result = passes(rounds.review)
        writes = [str(call) for call in calls if call.is_write]
        assert_told(result, writes[-1])
        with proxy.under(at_write(1, UNANSWERED)) as calls:
            result = passes(rounds.review)
        writes = [str(call) for call in calls if call.is_write]
        assert_told(result, writes[-1])
        rounds.check(passes(rounds.review))


def assert_told(result: PassResult, call: str) -> None:
    """The pass says which call got no answer, and that the next one knows more."""
    assert code_of(result) is Exit.INCOMPLETE
    (failure,) = result.failures
    assert failure.what.startswith(f"{call}: no answer")


WORDS = (
    LOST,
    UNANSWERED,
    Fault(status=500),
    Fault(status=502),
    Fault(status=429, headers={"Retry-After": "1"}),
)


def test_a_read_that_fails_once_is_asked_again(
    begun: Rounds, proxy: ForgeProxy
) -> None:
    begun.prepare()
    begun.check(passes(begun.review))
    for fault in WORDS:
        begun.prepare()
        rule = FirstReads(fault)
        with proxy.under(rule):
            begun.check(passes(begun.review))
        assert len(rule.failed) >= 2, fault


class FirstReads:
    """Fails each read the first time that it is asked."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.failed: set[str] = set()

    def __call__(self, call: Call) -> Fault | None:
        if call.is_write or str(call) in self.failed:
            return None
        self.failed.add(str(call))
        return self.fault


def test_a_write_that_fails_is_made_by_the_next_pass(
    begun: Rounds, proxy: ForgeProxy
) -> None:
    begun.prepare()
    begun.check(passes(begun.review))
    for status in (500, 502, 503):
        begun.prepare()
        for arrives in (False, True):
            fault = Fault(status=status, arrives=arrives)
            with proxy.under(at_write(1, fault)):
                result = passes(begun.review)
            assert code_of(result) is Exit.INCOMPLETE
            assert str(status) in result.failures[0].what
        begun.check(passes(begun.review))

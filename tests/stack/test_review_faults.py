"""Calls to a real Gitea's API that are lost on either way, one by one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.errors import Exit
from reconciler.run import PassResult
from tests.stack.engines import gitea  # noqa: F401
from tests.stack.forge_proxy import LOST, UNANSWERED, Call, Fault, ForgeProxy, Rule
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
def rounds(gitea: Gitea, proxy: ForgeProxy, tmp_path: Path) -> Rounds:  # noqa: F811
    """Rounds in which the next pass does everything that there is to do."""
    review = review_at(gitea, tmp_path).start(review=TIERS, gateways=[MANY])
    made = Rounds(review=review)
    made.begin()
    for _ in range(5):
        made.prepare()
        made.check(passes(review))
    return made


def at_write(number: int, fault: Fault) -> Rule:
    """A rule that hits one writing call."""
    left = [number]

    def rule(call: Call) -> Fault | None:
        left[0] -= call.is_write
        return fault if call.is_write and left[0] == 0 else None

    return rule


def test_a_lost_write_is_made_up_for_in_the_next_pass(
    rounds: Rounds, proxy: ForgeProxy
) -> None:
    """Each write in turn does not arrive; in the next pass it does, and its answer is lost."""
    hit: list[str] = []
    while True:
        rounds.prepare()
        with proxy.under(at_write(len(hit) + 1, LOST)) as calls:
            result = passes(rounds.review)
        writes = [str(call) for call in calls if call.is_write]
        if len(writes) == len(hit):
            assert code_of(result) is Exit.DONE
            break
        hit.append(writes[-1])
        assert_told(result, writes[-1])
        with proxy.under(at_write(1, UNANSWERED)) as calls:
            result = passes(rounds.review)
        writes = [str(call) for call in calls if call.is_write]
        assert_told(result, writes[-1])
        rounds.check(passes(rounds.review))
    assert len(hit) >= 10


def assert_told(result: PassResult, call: str) -> None:
    """The pass says which call got no answer, and that the next one knows more."""
    assert code_of(result) is Exit.INCOMPLETE
    (failure,) = result.failures
    assert failure.what.startswith(f"{call}: no answer")

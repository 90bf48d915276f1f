"""When a proof is due: by its steps, or sooner when the platform says something new."""

from __future__ import annotations

from reconciler.live.agenda import NEWS, PROOF_STEPS, Agenda
from reconciler.live.windows import Pace


def agenda() -> Agenda:
    """An agenda whose only work is a proof, which was just made in vain."""
    made = Agenda(pace=Pace(quiet=2.0, longest=15.0), interval=15.0)
    made.prove_soon(100.0)
    made.proven(100.0, moving=True)
    assert made.prove_at == 100.0 + PROOF_STEPS[0]
    return made


def test_news_of_the_platform_bring_the_next_proof_forward() -> None:
    made = agenda()
    made.news(100.1)
    assert made.prove_at == 100.1 + 2 * NEWS
    made.news(100.2)
    assert made.prove_at == 100.1 + 2 * NEWS
    assert made.due(100.1 + 2 * NEWS).prove


def test_news_never_make_a_proof_later() -> None:
    made = agenda()
    made.news(100.9)
    assert made.prove_at == 101.0


def test_news_rest_the_longer_the_more_proofs_were_in_vain() -> None:
    made, now, proofs = agenda(), 100.0, 0
    while now < 400.0:
        made.news(now)
        assert made.prove_at is not None
        now = max(now, made.prove_at)
        made.proven(now, moving=True)
        proofs += 1
    assert proofs < 60


def test_news_are_nothing_to_prove_when_nothing_is_on_its_way() -> None:
    made = agenda()
    made.proven(101.0, moving=False)
    made.news(102.0)
    assert made.prove_at is None

"""A port that people give to and fro: what flaps stops as a whole, never one half of it."""

from __future__ import annotations

import pytest

from tests.planning import Bench, settings, wanted
from tests.transferring import eu1, eu2, give, live, there


@pytest.mark.parametrize("review", [{}, {"mode": "pull-request", "forge": "gitea"}])
def test_a_port_given_to_and_fro_is_never_half_given(review: dict[str, str]) -> None:
    bench = Bench(settings=settings(apis={"mode": "off"}, review=review))

    def passes() -> int:
        made = bench.run(eu1(wanted()), eu2(there()) if given else eu2())
        for each in made.proposals:
            writes = each.draft.writes
            bench.commit(writes, author="wharfinger", ours=True, subject="s")
        return sum(str(row.code) == "WHF213" for row in made.rows)

    given = False
    passes()
    (port,) = live(bench)
    given, stopped = True, 0
    for turn in range(12):
        give(bench, port, f"eu{2 - turn % 2}/shop/orders")
        stopped += passes()
        live(bench)
    assert stopped

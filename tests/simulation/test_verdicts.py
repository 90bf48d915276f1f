"""The verdicts can say no: without the guards the hour goes wrong, and they see it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from reconciler.looks import Looks
from reconciler.settings import Guards
from tests.simulation import churn, verdicts
from tests.simulation.churn import Churn, Hour, Size
from tests.simulation.clock import simulate

TINY = Size(clusters=20, exposures=2, minutes=2, churn=0.1, flapping=0.2)
RECKLESS = {"confirmations": 1, "grace": "0s", "deletions": {"percent": 100}}


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def played(**settings: Any) -> Hour:
        monkeypatch.setattr(churn, "SETTINGS", {**churn.SETTINGS, **settings})
        return simulate(Churn(tmp_path, TINY).play)

    return played


def test_one_look_deletes_what_is_there(play: Any) -> None:
    hour = play(guards=RECKLESS)

    assert list(verdicts.wrong_deletions(hour))
    assert list(verdicts.touched_in_the_dark(hour))


def test_without_a_window_pushes_are_crowded(play: Any) -> None:
    hour = play(watch={"quiet": "0s", "longest": "0s"})

    assert list(verdicts.crowded_pushes(hour))


def test_long_windows_are_late(play: Any) -> None:
    hour = play(watch={"quiet": "30s", "longest": "60s"})

    assert list(verdicts.late(hour))


def test_who_looks_for_ever_lists_too_much(
    play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def always(looks: Looks, guards: Guards) -> Iterator[tuple[datetime, str]]:
        for look in looks.current(guards.grace):
            yield look.first + guards.grace, look.unit.cluster

    monkeypatch.setattr(Looks, "removed", lambda *_: None)
    monkeypatch.setattr(Looks, "due", always)

    hour = play(guards={"grace": "5s"})

    assert list(verdicts.needless_lists(hour))

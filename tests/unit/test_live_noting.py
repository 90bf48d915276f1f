"""What `run` says of routes that are not as they are wished: once, with the reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from reconciler.codes import Code
from reconciler.errors import Exit
from reconciler.live.noting import TOLD, Notes
from reconciler.live.passing import Made
from reconciler.log import log
from reconciler.model.plans import Op, Row
from reconciler.model.units import UnitId
from reconciler.passes import NO_PLAN, PassResult

UNIT = UnitId(cluster="eu1", namespace="shop", name="orders")


def made(*rows: Row, units: frozenset[UnitId] | None = None) -> Made:
    plan = replace(NO_PLAN, rows=rows)
    result = PassResult(plan=plan, settings=None, head=None, history=None)
    return Made(result=result, units=units, now=datetime(2026, 1, 1, tzinfo=UTC))


def row(op: Op = Op.REJECT, name: str = "orders", reason: str = "taken") -> Row:
    return Row(
        op=op,
        cluster="eu1",
        namespace="shop",
        name=name,
        route=None,
        gateway=None,
        host=None,
        port=None,
        code=Code.PORT_TAKEN,
        reason=reason,
    )


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, object]]]:
    found: list[tuple[str, dict[str, object]]] = []
    for level in ("info", "warning"):

        def note(event: str, **more: object) -> None:
            found.append((event, more))

        monkeypatch.setattr(log, level, note)
    return found


Said = list[tuple[str, dict[str, object]]]


def told(said: Said) -> list[object]:
    return [more["why"] for event, more in said if event == "not as wished"]


def test_a_rejection_is_said_once_with_its_unit_code_and_reason(said: Said) -> None:
    notes = Notes()
    for _ in range(2):
        notes.passed(made(row()), {}, 0.0, Exit.DONE)
    notes.passed(made(row(), units=frozenset({UNIT})), {}, 0.0, Exit.DONE)
    (one,) = [more for event, more in said if event == "not as wished"]
    assert one["where"] == "eu1/shop/orders"
    assert (one["op"], one["code"], one["why"]) == ("reject", Code.PORT_TAKEN, "taken")
    notes.passed(made(row(reason="full"), units=frozenset({UNIT})), {}, 0.0, Exit.DONE)
    assert told(said) == ["taken", "full"]


def test_what_was_written_is_done_with(said: Said) -> None:
    notes = Notes()
    notes.passed(made(row(Op.CREATE)), {}, 0.0, Exit.DONE)
    assert told(said) == []
    assert not notes.tally.ops


def test_a_flood_of_refusals_is_cut_and_counted(said: Said) -> None:
    rows = [row(name=f"s{index}") for index in range(TOLD + 5)]
    Notes().passed(made(*rows), {}, 0.0, Exit.DONE)
    assert len(told(said)) == TOLD
    assert ("more is not as wished; see `wharfinger plan`", {"rows": 5}) in said

"""The note of a pass without changes: whole and of this very ground, or nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler import note as notes
from reconciler import noting
from reconciler.codes import Code
from reconciler.model.plans import Op, Row
from reconciler.model.repository import CommitId
from reconciler.note import Ground, Note, pack, unpack
from tests import builders

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
GROUND = Ground(
    program="f" * 64,
    place=("https://git.example.com/ingress.git", "main", "."),
    work="/srv",
    head=CommitId("c" * 40),
)
HELD = Row(
    op=Op.HOLD,
    cluster="eu1",
    namespace="shop",
    name="orders",
    route="tcp",
    gateway="public",
    host="tcp.example.com",
    port=20017,
    code=Code.HELD_BY_COMMIT,
    reason="held by Ada since 1234567",
)
REFUSED = replace(HELD, op=Op.REJECT, code=Code.NO_ROUTE, port=None, host=None)
NOTE = Note(
    ground=GROUND,
    at=NOW,
    roots=(("/srv/clusters", ("a" * 64, "b" * 64)),),
    written="auto",
    told=("note: nothing is seen; states stop at Allocated",),
    digest="d" * 64,
    rows=(HELD, REFUSED),
)


def test_a_note_is_read_back_as_it_was_written() -> None:
    assert unpack(pack(NOTE)) == NOTE


@given(st.data())
def test_a_damaged_note_is_none(data: st.DataObject) -> None:
    whole = pack(NOTE)
    at = data.draw(st.integers(0, len(whole) - 1))
    flipped = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
    assert unpack(flipped) is None
    assert unpack(whole[:at]) is None


@given(st.binary(max_size=200))
def test_other_bytes_are_no_note(data: bytes) -> None:
    assert unpack(data) is None


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"at": "yesterday"},
        {"roots": 7},
        {"ground": {}},
        {"rows": [{"op": "hold"}]},
        {"told": None},
        None,
    ],
)
def test_a_note_of_another_shape_is_none(change: dict[str, object] | None) -> None:
    text = pack(NOTE)[64:]
    body = None if change is None else {**json.loads(text), **change}
    odd = json.dumps(body).encode()
    assert unpack(notes._sum(odd) + odd) is None


@pytest.mark.parametrize("op", sorted(set(Op) - {Op.HOLD, Op.REJECT}))
def test_a_note_speaks_of_no_change(op: Op) -> None:
    """Whoever writes into the cache can make a pass say that nothing is to do, and no more."""
    assert unpack(pack(replace(NOTE, rows=(replace(HELD, op=op),)))) is None
    assert not NOTE.plan.drafts
    assert not NOTE.plan.proposals


@pytest.mark.parametrize(
    "other",
    [
        {"program": "e" * 64},
        {"place": ("https://git.example.com/other.git", "main", ".")},
        {"place": ("https://git.example.com/ingress.git", "next", ".")},
        {"place": ("https://git.example.com/ingress.git", "main", "edge")},
        {"work": "/home"},
        {"head": CommitId("a" * 40)},
    ],
)
def test_a_note_holds_on_its_own_ground_alone(other: dict[str, object]) -> None:
    assert NOTE.holds(GROUND, NOW)
    assert not NOTE.holds(replace(GROUND, **other), NOW)  # type: ignore[arg-type]


def test_a_note_holds_for_an_hour_and_not_before_it_was_written() -> None:
    assert NOTE.holds(GROUND, NOW + timedelta(minutes=59))
    assert not NOTE.holds(GROUND, NOW + timedelta(hours=1))
    assert not NOTE.holds(GROUND, NOW - timedelta(seconds=1))


@pytest.mark.parametrize(
    "asks_others",
    [
        {"review": {"mode": "pull-request"}},
        {"inventories": [{"name": "lab", "kubeconfig": {"path": "/srv/kubeconfig"}}]},
        {
            "gateways": [
                {
                    "name": "public",
                    "renderer": "envoy",
                    "namespace": "ingress",
                    "ports": {"range": "20000-20099"},
                    "proof": {"envoySync": "/srv/state.json"},
                }
            ]
        },
    ],
)
def test_what_is_asked_of_others_than_files_leaves_no_note(
    asks_others: dict[str, object],
) -> None:
    lab = {"inventories": [{"name": "lab", "directory": {"path": "/srv/clusters"}}]}
    assert noting._is_own(builders.settings(**lab))
    assert not noting._is_own(builders.settings(**{**lab, **asks_others}))

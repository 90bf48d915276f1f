"""How full gateways are while `run` runs: gauges after pushes, one line when a level changes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from prometheus_client import REGISTRY

from reconciler import log
from reconciler.live.room import SELDOM, Room
from reconciler.model.repository import BlobId, CommitId, File, Head, History
from reconciler.plan import Index
from tests.planning import START, Bench, claims, settings, wanted, wish

GATEWAY = {
    "name": "narrow",
    "renderer": "envoy",
    "namespace": "ingress",
    "ports": {"range": "20000-20009"},
}


def index(bench: Bench) -> Index:
    files = {
        path: File(blob=BlobId("b"), data=data) for path, data in bench.files.items()
    }
    head = Head(commit=CommitId("tip"), files=files)
    commits = tuple(reversed(bench.commits))
    return Index(head, History(commits=commits, read=bench.blobs.__getitem__))


def test_a_gateway_that_fills_up_is_told_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log.configure(json_lines=True)
    bench = Bench(
        settings=settings(
            gateways=[GATEWAY], tenants=[{"clusters": ["*"], "gateways": ["narrow"]}]
        )
    )
    room = Room()
    for count, now in ((8, START), (9, START), (9, START + SELDOM)):
        bench.run(claims(*(wanted(wish(f"n{each}")) for each in range(count))))
        room.note(bench.settings, index(bench), now)
    room.note(bench.settings, index(bench), START + 3 * SELDOM + timedelta(seconds=1))
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "gateway fills up" in line] == lines
    assert len(lines) == 1
    assert '"level": "warning"' in lines[0]
    value = REGISTRY.get_sample_value("wharfinger_gateway_fill_ratio", {"gateway": "narrow"})  # fmt: skip
    assert value == 0.9


def test_before_anything_is_known_nothing_is_told() -> None:
    Room().note(None, None, START)
    Room().note(settings(), None, START)

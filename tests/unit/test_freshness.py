"""Whose clusters are looked at again: those of commits that another reconciler made since."""

from __future__ import annotations

from datetime import UTC, datetime

from reconciler.freshness import clusters_of_others
from reconciler.live.lead import SETTLED, Tips
from reconciler.model.repository import BlobId, CommitFact, CommitId, FileChange


def commit(name: str, *paths: str, ours: bool = True) -> CommitFact:
    return CommitFact(
        id=CommitId(name),
        time=datetime(2026, 1, 1, tzinfo=UTC),
        author="wharfinger",
        subject="",
        ours=ours,
        renderer=2,
        changes=tuple(
            FileChange(path=path, old=None, new=BlobId("b")) for path in paths
        ),
    )


NEWEST_FIRST = (
    commit("c4", "manifests/dmz/us1/shop/vs-a.yaml", "ports/dmz/20001.yaml"),
    commit("c3", "manifests/public/eu2/shop/vs-b.yaml", ours=False),
    commit("c2", "manifests/public/eu1/shop/vs-c.yaml"),
    commit("c1", "manifests/public/eu3/shop/vs-d.yaml"),
)


def test_only_what_others_made_since_counts() -> None:
    assert clusters_of_others(NEWEST_FIRST, CommitId("c1"), None) == {"eu1", "us1"}
    assert clusters_of_others(NEWEST_FIRST, CommitId("c2"), None) == {"us1"}
    assert clusters_of_others(NEWEST_FIRST, CommitId("c4"), None) == frozenset()


def test_a_shard_follows_its_own_gateways() -> None:
    mine = frozenset({"public"})
    assert clusters_of_others(NEWEST_FIRST, CommitId("c1"), mine) == {"eu1"}


def test_a_gateways_own_file_is_no_clusters() -> None:
    prepared = (commit("c2", "manifests/public/gateway.yaml"), commit("c1"))
    assert clusters_of_others(prepared, CommitId("c1"), None) == frozenset()


def test_who_stands_by_knows_a_tip_when_it_has_settled() -> None:
    tips = Tips()
    assert tips.note(0.0, CommitId("a")) is None
    assert tips.note(10.0, CommitId("b")) is None
    assert tips.note(SETTLED - 1, CommitId("b")) is None
    assert tips.note(SETTLED, CommitId("b")) == "a"
    assert tips.note(SETTLED + 10, CommitId("c")) == "b"
    assert tips.note(10 * SETTLED, CommitId("c")) == "c"
    assert tips.note(10 * SETTLED, CommitId("d")) == "c"

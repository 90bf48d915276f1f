"""Watches after the worst: what breaks one cluster breaks no other, and nothing old is believed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.log import configure
from reconciler.model.clusters import ApiServer, ClusterEntry, Why
from reconciler.observe.inventories import kubeconfig
from reconciler.observe.watching import cluster, inventory, lists
from reconciler.observe.watching.cluster import ClusterWatch
from reconciler.observe.watching.inventory import KubeconfigWatch
from tests.kubeserver import Answer, serving, status
from tests.stack.certificates import Authority, Issued
from tests.watching import FAST, KINDS, FakeCluster, Place, on

Made = tuple[Authority, Issued]
SUBSET = {"wharfinger.dev/expose": "tcp", "wharfinger.dev/backend": "pod"}
ROUTE = {"tcp": [{"route": [{"destination": {"host": "db", "subset": "v1"}}]}]}
EXPOSED: dict[str, Any] = {
    "metadata": {"annotations": {"wharfinger.dev/expose": "tcp"}}
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return serving(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def place(tmp_path: Path, made: Made) -> Place:
    return Place(tmp_path, made)


@pytest.fixture
def eu1() -> FakeCluster:
    found = FakeCluster()
    found.put("virtualservices", "db", **EXPOSED)
    return found


def watch_of(place: Place, name: str = "eu1") -> ClusterWatch:
    found = place.watcher._watches[0]
    assert isinstance(found, KubeconfigWatch)
    return found._members._watches[name][0]


def with_pods(eu1: FakeCluster) -> None:
    eu1.put("virtualservices", "db", metadata={"annotations": SUBSET}, spec=ROUTE)
    endpoint = {"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "name": "p1"}}
    metadata = {"labels": {"kubernetes.io/service-name": "db"}}
    eu1.put("endpointslices", "db-1", metadata=metadata, endpoints=[endpoint])
    eu1.put("pods", "p1", metadata={"labels": {"version": "v1"}})


def labels(place: Place) -> Any:
    return place.objects().endpoint_slices[0].endpoints[0].pod_labels


def test_pods_that_are_granted_again_are_listed_anew(
    place: Place, eu1: FakeCluster
) -> None:
    with_pods(eu1)
    eu1.broken["watch", "pods"] = status(403, "Forbidden")

    async def use(place: Place) -> None:
        await place.until(lambda: labels(place) is None)
        del eu1.broken["watch", "pods"]
        eu1.put("pods", "p1", metadata={"labels": {"version": "v2"}})
        await place.until(lambda: labels(place) == (("version", "v2"),))
        eu1.put("pods", "p1", metadata={"labels": {"version": "v3"}})
        await place.until(lambda: labels(place) == (("version", "v3"),))

    on(place, {"eu1": eu1}, use, replace(FAST, tend=0.2))


@pytest.mark.parametrize("way", ["nobody needs them", "nobody grants them"])
def test_pods_that_failed_and_are_not_wanted_leave_no_cluster_unknown(
    place: Place, eu1: FakeCluster, way: str
) -> None:
    with_pods(eu1)

    async def use(place: Place) -> None:
        await place.until(lambda: eu1.count("watch", "pods") == 1)
        eu1.broken["watch", "pods"] = status(500, "InternalError")
        eu1.cut("pods")
        await place.until(lambda: place.why() is Why.UNREACHABLE)
        if way == "nobody needs them":
            eu1.put("virtualservices", "db", **EXPOSED)
        else:
            eu1.broken["watch", "pods"] = status(403, "Forbidden")
        await place.until(lambda: place.why() is None)
        await asyncio.sleep(1.5)
        assert place.why() is None

    on(place, {"eu1": eu1}, use)


def test_what_nobody_expected_of_one_cluster_leaves_the_others_watched(
    place: Place,
    eu1: FakeCluster,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure()  # what ran before may have sent logs elsewhere
    evil, real, left = FakeCluster("uid-evil"), ClusterWatch.put, [1]

    def put(self: ClusterWatch, kind: Any, row: Any) -> None:
        if self.name == "evil" and left:
            left.pop()
            raise KeyError("canary")
        real(self, kind, row)

    monkeypatch.setattr(ClusterWatch, "put", put)

    async def use(place: Place) -> None:
        await place.until(lambda: place.watcher.counts.open == 10)
        evil.put("virtualservices", "web", **EXPOSED)
        await place.until(lambda: place.why("evil") is Why.UNREADABLE)
        assert "KeyError" in str(place.view("evil").objects)
        assert "canary" not in str(place.view("evil").objects)
        eu1.put("virtualservices", "web", **EXPOSED)
        await place.until(lambda: place.names() == ["db", "web"])
        await place.until(lambda: place.why("evil") is None)
        assert place.names("evil") == ["web"]

    on(place, {"eu1": eu1, "evil": evil}, use, replace(FAST, relist=1.5))
    told = capsys.readouterr()
    with capsys.disabled():
        configure()
    assert "KeyError" in told.out + told.err


@pytest.mark.parametrize(
    "answer",
    [status(401, "Unauthorized"), status(500, "InternalError"), status(403, "No")],
    ids=["credentials", "errors", "permissions"],
)
def test_after_an_outage_nothing_is_believed_that_was_not_listed_anew(
    place: Place, eu1: FakeCluster, answer: Answer
) -> None:
    async def use(place: Place) -> None:
        await place.until(lambda: eu1.count("watch") == 5)
        for kind in KINDS:
            eu1.broken["watch", kind] = answer
        eu1.cut()
        await place.until(lambda: place.why() is not None)
        # Restored from a backup: no watch tells of this.
        del eu1.objects["virtualservices"]["shop", "db"]
        eu1.broken.clear()
        await place.until(lambda: place.why() is None)
        assert place.names() == []

    on(place, {"eu1": eu1}, use)


def test_an_outage_of_any_kind_means_a_closer_look_some_time_later(
    place: Place, eu1: FakeCluster
) -> None:
    async def use(place: Place) -> None:
        await place.until(lambda: eu1.count("watch") == 5)
        await asyncio.sleep(0.3)  # what ends before it is steady is another kind
        eu1.broken["watch", "nodes"] = status(401, "Unauthorized")
        eu1.cut("nodes")
        await place.until(lambda: eu1.count("watch", "nodes") > 2)
        del eu1.broken["watch", "nodes"]
        del eu1.objects["virtualservices"]["shop", "db"]
        await place.until(lambda: place.why() is None and place.names() == [])

    on(place, {"eu1": eu1}, use, replace(FAST, doubt=(0.5, 0.6)))


def test_what_the_inventory_says_meanwhile_is_not_mixed_with_lists(
    place: Place, eu1: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_lists, real_enter = lists.whole_lists, ClusterWatch._enter
    entries: list[ClusterEntry] = []

    async def use(place: Place) -> None:
        watch = watch_of(place)
        first = watch.server
        moved = (ApiServer(host="10.0.0.2", port=6443),)
        other = replace(first, entry=replace(first.entry, api_servers=moved))

        async def rotated(api: Any) -> Any:
            found = await real_lists(api)
            if not entries:
                watch.rotate(other)
            return found

        def enter(self: ClusterWatch, entry: ClusterEntry, changes: Any) -> None:
            entries.append(entry)
            real_enter(self, entry, changes)

        monkeypatch.setattr(cluster, "whole_lists", rotated)
        monkeypatch.setattr(ClusterWatch, "_enter", enter)
        await watch.look_again()
        await place.until(lambda: len(entries) >= 2)
        assert entries[0].api_servers == first.entry.api_servers
        assert entries[1].api_servers == moved

    on(place, {"eu1": eu1}, use)


def test_whole_lists_are_rare_unless_somebody_asks(
    place: Place, eu1: FakeCluster
) -> None:
    async def use(place: Place) -> None:
        await place.until(lambda: eu1.count("watch") == 5)
        for turn in range(5):
            eu1.uid = f"uid-{turn}"
            eu1.cut()
            await asyncio.sleep(0.2)
        assert eu1.count("list", "nodes") == 1
        await place.until(lambda: eu1.count("list", "nodes") == 2)
        for _ in range(3):
            async with asyncio.timeout(1):
                await place.watcher.look_again(["eu1"])
        assert eu1.count("list", "nodes") == 5

    on(place, {"eu1": eu1}, use, replace(FAST, relist=3.0, deadline=20.0))


def test_contexts_that_have_one_name_are_all_refused(
    place: Place, eu1: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def use(place: Place) -> None:
        assert place.why() is None
        real: Any = kubeconfig.known_servers

        def doubled(of: Any) -> Any:
            (server,) = real(of)
            return (server, server)

        monkeypatch.setattr(inventory, "known_servers", doubled)
        await place.until(lambda: place.why() is Why.DUPLICATE)
        await place.until(lambda: place.watcher.counts.open == 0)
        monkeypatch.undo()
        await place.until(lambda: place.why() is None)

    on(place, {"eu1": eu1}, use)

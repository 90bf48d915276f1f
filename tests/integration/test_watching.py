"""Watched clusters: what happens comes as changes, without a list; what breaks is got over."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from reconciler.model.clusters import ClusterView, VirtualService, Why
from reconciler.model.updates import Delta, Update
from tests.kubeserver import raw, serving, status
from tests.stack.certificates import Authority, Issued
from tests.watching import KINDS, FakeCluster, Place, event, on

Made = tuple[Authority, Issued]
SUBSET = {"wharfinger.dev/expose": "tcp", "wharfinger.dev/backend": "pod"}
ROUTE = {"tcp": [{"route": [{"destination": {"host": "db", "subset": "v1"}}]}]}
EXPOSED = {"metadata": {"annotations": {"wharfinger.dev/expose": "tcp"}}}


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
    found.put("services", "db", spec={"type": "NodePort"})
    found.put("nodes", "n1", "")
    return found


def sides(delta: Delta) -> tuple[str, str]:
    def name(side: Any) -> str:
        return "" if side is None else str(side.name)

    return name(delta.old), name(delta.new)


def deltas(update: Update) -> list[tuple[str, str]]:
    assert update.deltas is not None, update
    return sorted(map(sides, update.deltas))


def test_all_kinds_are_listed_once_and_then_watched(
    place: Place, eu1: FakeCluster
) -> None:
    async def use(place: Place) -> None:
        assert place.names() == ["db"]
        assert [each.name for each in place.objects().nodes] == ["n1"]
        assert place.view().entry.cluster_id == "uid-eu1"
        await place.until(lambda: eu1.count("watch") == 5)

    on(place, {"eu1": eu1}, use)
    assert eu1.count("list") == 5
    assert eu1.count("list", "pods") == 0


def test_what_happens_comes_as_changes(place: Place, eu1: FakeCluster) -> None:
    async def use(place: Place) -> None:
        eu1.put("virtualservices", "web", **EXPOSED)
        assert deltas(await place.update()) == [("", "web")]
        assert place.names() == ["db", "web"]
        eu1.put("virtualservices", "web", spec=ROUTE, **EXPOSED)
        update = await place.update()
        assert deltas(update) == [("web", "web")]
        assert update.deltas is not None
        new = update.deltas[0].new
        assert isinstance(new, VirtualService)
        assert new.spec == ROUTE
        eu1.drop("virtualservices", "web")
        assert deltas(await place.update()) == [("web", "")]
        assert place.names() == ["db"]

    on(place, {"eu1": eu1}, use)
    assert eu1.count("list") == 5


def test_a_view_is_the_same_value_while_nothing_changes(
    place: Place, eu1: FakeCluster
) -> None:
    async def use(place: Place) -> None:
        await place.until(lambda: place.watcher.counts.open == 5)
        before = place.objects()
        eu1.bookmark("services")
        await place.until(lambda: place.watcher.counts.bookmarks == 1)
        assert place.objects() is before
        eu1.put("services", "web")
        await place.update()
        assert place.objects() is not before
        assert place.objects().virtual_services is before.virtual_services

    on(place, {"eu1": eu1}, use)


def test_a_watch_that_ended_goes_on_where_it_was(
    place: Place, eu1: FakeCluster
) -> None:
    async def use(place: Place) -> None:
        await place.until(lambda: eu1.count("watch") == 5)
        await asyncio.sleep(0.3)
        eu1.open["virtualservices"][0].put_nowait(None)
        await place.until(lambda: not eu1.open["virtualservices"])
        eu1.put("virtualservices", "web", **EXPOSED)
        assert deltas(await place.update()) == [("", "web")]

    on(place, {"eu1": eu1}, use)
    assert eu1.count("list") == 5


@pytest.mark.parametrize("as_event", [False, True])
def test_what_is_too_long_ago_is_listed_again_and_told_by_its_difference(
    place: Place, eu1: FakeCluster, as_event: bool
) -> None:
    async def use(place: Place) -> None:
        await place.until(lambda: eu1.count("watch") == 5)
        eu1.broken["watch", "virtualservices"] = status(503)
        eu1.cut("virtualservices")
        await place.until(lambda: not eu1.open["virtualservices"])
        eu1.put("virtualservices", "web", **EXPOSED)
        eu1.drop("virtualservices", "db")
        eu1.compact()
        if as_event:
            gone = event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired"})
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(gone)
            eu1.broken["watch", "virtualservices"] = raw(head + gone)
            await place.until(lambda: eu1.count("list", "virtualservices") > 1)
        eu1.broken.clear()
        found: list[tuple[str, str]] = []
        while len(found) < 2:
            found += deltas(await place.update())
        assert sorted(found) == [("", "web"), ("db", "")]
        assert place.names() == ["web"]

    on(place, {"eu1": eu1}, use)
    assert eu1.count("list", "services") == 1


GARBAGE = {
    "no JSON": b"{nonsense\n",
    "NaN": b'{"type": NaN}\n',
    "no event": b"[1, 2]\n",
    "deep": b"[" * 500 + b"]" * 500 + b"\n",
    "unknown type": event("RENAMED", {"metadata": {"name": "x", "namespace": "y"}}),
    "no identity": event("ADDED", {"metadata": {"resourceVersion": "9"}}),
    "no version": event("ADDED", {"metadata": {"name": "x", "namespace": "y"}}),
    "too long": b'{"type": "' + b"x" * (5 * 1024 * 1024) + b'"}\n',
    "too many values": b'{"type": [' + b"1," * 1_300_000 + b"1]}\n",
}


@pytest.mark.parametrize("line", GARBAGE.values(), ids=GARBAGE)
def test_garbage_ends_the_watch_and_means_a_new_list(
    place: Place, eu1: FakeCluster, line: bytes
) -> None:
    async def use(place: Place) -> None:
        await place.until(lambda: place.watcher.counts.open == 5)
        eu1.say("virtualservices", line)
        await place.until(lambda: eu1.count("watch", "virtualservices") == 2)
        eu1.put("virtualservices", "web", **EXPOSED)
        assert deltas(await place.update()) == [("", "web")]

    on(place, {"eu1": eu1}, use)
    assert eu1.count("list", "virtualservices") == 2


def test_an_older_object_that_comes_last_is_what_counts(
    place: Place, eu1: FakeCluster
) -> None:
    async def use(place: Place) -> None:
        await place.until(lambda: eu1.count("watch") == 5)
        old = {"name": "db", "namespace": "shop", "resourceVersion": "3"}
        eu1.say("virtualservices", event("MODIFIED", {"metadata": old}))
        await place.update()
        assert place.objects().virtual_services[0].resource_version == "3"

    on(place, {"eu1": eu1}, use)


def test_a_server_that_goes_away_and_comes_back_is_known_all_the_time(
    place: Place, eu1: FakeCluster
) -> None:
    async def use(place: Place) -> None:
        await place.until(lambda: eu1.count("watch") == 5)
        await asyncio.sleep(0.3)
        eu1.down = True
        eu1.cut()
        asked = len(eu1.asked)
        await place.until(lambda: len(eu1.asked) > asked + 10)
        assert place.names() == ["db"]
        eu1.put("virtualservices", "web", **EXPOSED)
        eu1.down = False
        assert deltas(await place.update()) == [("", "web")]

    on(place, {"eu1": eu1}, use)
    assert eu1.count("list") == 5


def test_a_server_that_stays_away_is_unknown_after_its_deadline_and_known_again(
    place: Place, eu1: FakeCluster
) -> None:
    async def use(place: Place) -> None:
        eu1.down = True
        eu1.cut()
        update = await place.update()
        assert update.deltas is None
        assert place.why() is Why.UNREACHABLE
        eu1.drop("virtualservices", "db")
        eu1.down = False
        update = await place.update()
        assert update.deltas is None
        assert place.names() == []

    on(place, {"eu1": eu1}, use)


def test_an_unreachable_cluster_keeps_nobody_waiting(
    place: Place, eu1: FakeCluster
) -> None:
    dead = FakeCluster("uid-eu2")
    dead.down = True

    async def use(place: Place) -> None:
        assert place.names() == ["db"]
        assert place.why("eu2") is Why.UNREACHABLE
        eu1.put("virtualservices", "web", **EXPOSED)
        update = await place.update()
        while update.cluster != "eu1":
            update = await place.update()
        assert deltas(update) == [("", "web")]
        dead.down = False
        await place.until(lambda: place.why("eu2") is None)

    on(place, {"eu1": eu1, "eu2": dead}, use)


def test_another_cluster_behind_the_address_is_seen_before_its_events_are_believed(
    place: Place, eu1: FakeCluster
) -> None:
    async def use(place: Place) -> None:
        await place.until(lambda: eu1.count("watch") == 5)
        eu1.uid = "uid-other"
        eu1.objects["virtualservices"].clear()
        eu1.cut("virtualservices")
        update = await place.update()
        assert update.deltas is None
        assert place.view().entry.cluster_id == "uid-other"
        assert place.names() == []

    on(place, {"eu1": eu1}, use)


def test_two_clusters_with_one_id_are_unknown_until_one_goes(
    place: Place, eu1: FakeCluster
) -> None:
    twin = FakeCluster("uid-eu1")

    async def use(place: Place) -> None:
        assert place.why("eu1") is Why.DUPLICATE
        assert place.why("eu2") is Why.DUPLICATE
        place.write("eu1")
        await place.until(lambda: place.watcher.view("eu2") is None)
        assert place.names() == ["db"]
        told = {each.cluster: each.deltas for each in place.drained()}
        assert told == {"eu1": None, "eu2": None}

    on(place, {"eu1": eu1, "eu2": twin}, use)


def test_clusters_come_and_go_with_the_kubeconfig(
    place: Place, eu1: FakeCluster
) -> None:
    other = FakeCluster("uid-eu2")

    async def use(place: Place) -> None:
        place.write("eu2")
        await place.until(lambda: place.watcher.view("eu1") is None)
        await place.until(lambda: place.watcher.counts.open == 5)
        place.write("eu1", "eu2")
        await place.until(lambda: place.watcher.view("eu1") is not None)
        await place.until(lambda: place.why("eu1") is None)
        assert place.names() == ["db"]
        place.file.write_text("{half")
        await place.until(lambda: bool(place.watcher.snapshot().failures))
        assert place.watcher.snapshot().clusters == ()
        place.write()
        await place.until(lambda: not place.watcher.snapshot().failures)
        assert place.names() == ["db"]

    on(place, {"eu1": eu1, "eu2": other}, use)


def test_new_credentials_are_used_without_new_lists_and_nothing_is_told(
    place: Place, eu1: FakeCluster
) -> None:
    async def use(place: Place) -> None:
        await place.until(lambda: eu1.count("watch") == 5)
        await asyncio.sleep(0.3)
        place.write(token="an0ther-t0ken")
        await place.until(lambda: token_of(place.view()) == "an0ther-t0ken")
        assert (eu1.count("list"), eu1.count("watch")) == (5, 5)
        eu1.cut()
        await place.until(lambda: eu1.count("watch") == 10)
        server = place.servers["eu1"]
        said = {each.headers["authorization"] for each in server.requests[-5:]}
        assert said == {"Bearer an0ther-t0ken"}
        assert place.drained() == []

    on(place, {"eu1": eu1}, use)
    assert eu1.count("list") == 5


def test_other_credentials_end_what_the_old_ones_could_not_do(
    place: Place, eu1: FakeCluster
) -> None:
    async def use(place: Place) -> None:
        kinds = list(KINDS)
        for kind in kinds:
            eu1.broken["watch", kind] = eu1.broken["list", kind] = status(401)
        eu1.cut()
        await place.until(lambda: place.why() is Why.UNAUTHORISED)
        eu1.broken.clear()
        place.write(token="an0ther-t0ken")
        await place.until(lambda: place.why() is None)

    on(place, {"eu1": eu1}, use)


def token_of(view: ClusterView) -> str:
    assert view.access is not None
    return view.access.token


def test_a_look_again_is_new_lists(place: Place, eu1: FakeCluster) -> None:
    async def use(place: Place) -> None:
        await place.until(lambda: eu1.count("watch") == 5)
        # What the watches never said: only a list can know.
        del eu1.objects["virtualservices"]["shop", "db"]
        await place.watcher.look_again(["eu1", "nobody"])
        assert place.names() == []
        assert eu1.count("list") == 10
        assert deltas(await place.update()) == [("db", "")]
        eu1.broken["list", "nodes"] = status(403, "Forbidden")
        await place.watcher.look_again(["eu1"])
        assert place.why() is Why.FORBIDDEN

    on(place, {"eu1": eu1}, use)


def test_a_kind_that_is_not_served_any_more(place: Place, eu1: FakeCluster) -> None:
    async def use(place: Place) -> None:
        await place.until(lambda: eu1.count("watch") == 5)
        eu1.served = []
        eu1.cut("virtualservices")
        await place.until(lambda: place.why() is Why.NO_CRD)
        eu1.served = ["virtualservices"]
        await place.until(lambda: place.why() is None)
        assert place.names() == ["db"]
        await place.until(lambda: place.watcher.counts.open == 4)

    on(place, {"eu1": eu1}, use)


def test_pods_are_watched_only_while_somebody_needs_them(
    place: Place, eu1: FakeCluster
) -> None:
    labels = {"kubernetes.io/service-name": "db"}
    endpoint = {"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "name": "p1"}}
    metadata = {"labels": labels}
    eu1.put("endpointslices", "db-1", metadata=metadata, endpoints=[endpoint])
    eu1.put("pods", "p1", metadata={"labels": {"version": "v1"}})

    def found(place: Place) -> Any:
        return place.objects().endpoint_slices[0].endpoints[0].pod_labels

    async def use(place: Place) -> None:
        assert found(place) is None
        exposed = {"annotations": SUBSET}
        eu1.put("virtualservices", "db", metadata=exposed, spec=ROUTE)
        await place.until(lambda: found(place) == (("version", "v1"),))
        eu1.put("pods", "p1", metadata={"labels": {"version": "v2"}})
        await place.until(lambda: found(place) == (("version", "v2"),))
        eu1.drop("pods", "p1")
        await place.until(lambda: found(place) == ())
        eu1.put("virtualservices", "db", **EXPOSED)
        await place.until(lambda: place.objects().virtual_services[0].spec == {})
        eu1.cut("pods")
        await place.until(lambda: found(place) is None)

    on(place, {"eu1": eu1}, use)
    assert eu1.count("list", "pods") == 1


def test_pods_that_nobody_grants_leave_the_cluster_known(
    place: Place, eu1: FakeCluster
) -> None:
    eu1.broken["list", "pods"] = status(403, "Forbidden")
    eu1.put("virtualservices", "db", metadata={"annotations": SUBSET}, spec=ROUTE)

    async def use(place: Place) -> None:
        assert place.names() == ["db"]
        await asyncio.sleep(0.5)
        assert place.why() is None

    on(place, {"eu1": eu1}, use)
    assert eu1.count("list", "pods") == 2


def test_too_many_objects_make_a_cluster_unknown(
    place: Place, eu1: FakeCluster
) -> None:
    async def use(place: Place) -> None:
        world = place.watcher._world
        await place.until(lambda: eu1.count("watch") == 5)
        clusters = place.watcher._watches[0]._members._watches  # type: ignore[union-attr]
        store = clusters["eu1"][0]._store
        store._items = 3
        object.__setattr__(world.limits, "items", 3)
        for number in range(5):
            eu1.put("services", f"s{number}")
        await place.until(lambda: place.why() is Why.INCOMPLETE)
        assert len(store._rows("services")) <= 4

    on(place, {"eu1": eu1}, use)


def test_fifty_clusters_need_no_more_threads_than_one(
    place: Place, eu1: FakeCluster
) -> None:
    counts = []

    async def use(place: Place) -> None:
        await place.until(lambda: place.watcher.counts.open == 5 * len(clusters))
        counts.append(threading.active_count())

    clusters = {"eu1": eu1}
    on(place, clusters, use)
    clusters = {f"c{number}": FakeCluster(f"uid-{number}") for number in range(50)}
    on(place, clusters, use)
    assert counts[0] == counts[1]


def test_all_kinds_have_a_path() -> None:
    assert set(KINDS) == {each.rpartition("/")[2] for each in KINDS.values()}

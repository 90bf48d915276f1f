"""Entries that claim one name or one id: the tables of `observe/distinct.py`, row by row."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from reconciler.model.access import Credentials
from reconciler.model.clusters import (
    ApiServer,
    ClusterEntry,
    ClusterObjects,
    ClusterState,
    ClusterView,
    Unknown,
    Why,
)
from reconciler.model.pins import Pin
from reconciler.observe.distinct import distinct, settled
from reconciler.observe.inventories import Server

OBJECTS = ClusterObjects()
SILENT = Unknown(why=Why.UNREACHABLE, message="no answer")


def view(
    inventory: str,
    uid: str = "",
    *,
    name: str = "eu1",
    said: str = "",
    master: str = "",
    state: ClusterState = ClusterState.READY,
    why: Unknown = SILENT,
) -> ClusterView:
    entry = ClusterEntry(
        name=name,
        inventory=inventory,
        cluster_id=uid,
        inventory_id=said,
        state=state,
        api_servers=(ApiServer(host=master, port=6443),) if master else (),
    )
    return ClusterView(entry=entry, objects=OBJECTS if uid else why)


KNOWN = Pin(cluster_id="uid", uid="uid", inventory="a", inventory_id="inv")
GONE = ClusterState.DELETED


def one(*views: ClusterView, pin: Pin | None = None) -> ClusterView:
    (found,) = distinct(views, {"eu1": pin} if pin is not None else {})
    return found


def why(found: ClusterView) -> Why | None:
    return found.objects.why if isinstance(found.objects, Unknown) else None


@pytest.mark.parametrize("pin", [None, KNOWN])
def test_one_cluster_in_several_inventories_is_one(pin: Pin | None) -> None:
    found = one(view("a", "uid", master="10.0.0.1"), view("b", "uid"), pin=pin)
    assert (why(found), found.entry.inventory, found.entry.also) == (None, "a", ("b",))
    assert found.entry.against == ()


def test_the_first_that_can_read_a_new_cluster_counts() -> None:
    found = one(view("a"), view("b", "uid", master="10.0.0.2"))
    assert (found.entry.inventory, found.entry.also) == ("b", ("a",))
    assert found.entry.api_servers == (ApiServer(host="10.0.0.2", port=6443),)


def test_the_inventory_that_git_knows_gives_the_masters_also_when_another_reads() -> (
    None
):
    mine = view("a", said="inv", master="10.0.0.1")
    other = view("b", "uid", master="10.0.0.2")
    for views in ((mine, other), (other, mine)):
        found = one(*views, pin=KNOWN)
        assert (found.entry.inventory, found.entry.cluster_id) == ("a", "uid")
        assert found.entry.api_servers == mine.entry.api_servers
        assert found.objects is OBJECTS


def test_an_entry_without_any_proof_gives_nothing() -> None:
    """Whoever can add an object of somebody's name would else move somebody's API route."""
    impostor = view("b", master="10.6.6.6")
    mine = view("a", "uid", said="inv", master="10.0.0.1")
    for views in ((impostor, mine), (mine, impostor)):
        found = one(*views, pin=KNOWN)
        assert found.entry.api_servers == mine.entry.api_servers
        assert found.objects is OBJECTS
    unread = view("a", said="inv", master="10.0.0.1")
    assert one(impostor, unread, pin=KNOWN).entry.inventory == "a"


def test_of_different_ids_the_one_that_git_knows_is_believed_and_the_others_told() -> (
    None
):
    for views in (
        (view("a", "uid"), view("b", "uid2")),
        (view("b", "uid2"), view("a", "uid")),
    ):
        found = one(*views, pin=KNOWN)
        assert (found.entry.cluster_id, why(found)) == ("uid", None)
        (told,) = found.entry.against
        assert "inventory b" in told
        assert "uid2" in told
        assert found.entry.also == ()


def test_of_different_ids_nobody_is_believed_when_git_knows_none() -> None:
    views = (view("a", "uid2"), view("b", "uid3"))
    assert why(one(*views)) is Why.DUPLICATE
    assert why(one(*views, pin=KNOWN)) is Why.DUPLICATE


def test_a_recreated_cluster_is_another_one_in_each_of_its_inventories() -> None:
    found = one(view("a", "uid2"), view("b", "uid2"), pin=KNOWN)
    assert (found.entry.cluster_id, why(found)) == ("uid2", None)


def test_whom_people_accept_is_believed() -> None:
    pin = replace(KNOWN, accept=("uid2",))
    found = one(view("a", "uid"), view("b", "uid2"), pin=pin)
    assert found.entry.cluster_id == "uid2"
    awaited = Pin(cluster_id="", accept=("uid3",))
    found = one(view("a", "uid"), view("b", "uid3"), pin=awaited)
    assert found.entry.cluster_id == "uid3"


def test_silent_entries_are_one_only_where_something_says_so() -> None:
    assert why(one(view("a", said="x"), view("b", said="y"))) is Why.DUPLICATE
    same = (view("a", said="x", master="10.0.0.1"), view("b", master="10.0.0.1"))
    assert why(one(*same)) is Why.UNREACHABLE
    making = ClusterState.PROVISIONING
    assert why(one(view("a", state=making), view("b", state=making))) is Why.UNREACHABLE
    assert one(view("b"), view("a"), pin=KNOWN).entry.inventory == "a"


def test_a_new_name_waits_until_all_who_have_it_were_listed_once() -> None:
    waits = view("b", why=Unknown(why=Why.NOT_YET, message="not listed yet"))
    assert why(one(view("a", "uid"), waits)) is Why.NOT_YET
    assert why(one(view("a", "uid"), waits, pin=KNOWN)) is None


@pytest.mark.parametrize("pin", [None, KNOWN])
def test_deleted_here_and_alive_there_is_a_disagreement(pin: Pin | None) -> None:
    for views in (
        (view("a", said="inv", state=GONE), view("b", "uid")),
        (view("b", "uid"), view("a", said="inv", state=GONE)),
        (view("a", "uid", said="inv"), view("b", state=GONE)),
    ):
        found = one(*views, pin=pin)
        assert why(found) is Why.DISAGREE
        assert found.entry.state is ClusterState.READY
        assert isinstance(found.objects, Unknown)
        assert "nothing is removed" in found.objects.message


def test_deleted_everywhere_is_deleted() -> None:
    found = one(view("a", said="inv", state=GONE), view("b", state=GONE), pin=KNOWN)
    assert found.entry.state is GONE


def test_the_old_one_may_be_deleted_while_another_has_its_name() -> None:
    """What is alive is not the cluster that Git knows: the word about that one counts."""
    found = one(view("a", said="inv", state=GONE), view("b", "uid2"), pin=KNOWN)
    assert (found.entry.state, found.entry.cluster_id) == (GONE, "")
    moved = one(
        view("a", "uid", said="inv"), view("a", said="old", state=GONE), pin=KNOWN
    )
    assert why(moved) is None


def test_a_stolen_id_does_not_touch_its_owner() -> None:
    views = (view("a", "uid", name="thief"), view("a", "uid"))
    thief, victim = distinct(views, {"eu1": KNOWN})
    assert why(victim) is None
    assert why(thief) is Why.DUPLICATE
    assert isinstance(thief.objects, Unknown)
    assert "names: {thief: eu1}" in thief.objects.message
    pins = {"eu1": KNOWN, "thief": Pin(cluster_id="mine", uid="mine")}
    thief, victim = distinct(views, pins)
    assert why(victim) is None
    assert isinstance(thief.objects, Unknown)
    assert "swapped" in thief.objects.message
    assert {why(each) for each in distinct(views)} == {Why.DUPLICATE}


def test_the_order_of_entries_decides_nothing_about_whom_git_knows() -> None:
    views = [
        view("a", "uid", said="inv"),
        view("b", "uid2"),
        view("c"),
        view("d", "uid"),
        view("e", "uid", name="thief"),
    ]
    random = Random(7)
    for _ in range(50):
        random.shuffle(views)
        found = {each.entry.name: each for each in distinct(views, {"eu1": KNOWN})}
        assert found["eu1"].entry.inventory == "a"
        assert set(found["eu1"].entry.also) == {"c", "d"}
        assert why(found["thief"]) is Why.DUPLICATE


def server(said: str, host: str) -> Server:
    entry = ClusterEntry(
        name="eu1", inventory="a", inventory_id=said, origin=f"Cluster {said}/eu1"
    )
    access = Credentials(server=f"https://{host}:6443")
    return Server(entry=entry, credentials=access)


def test_of_one_inventory_only_the_entry_that_git_knows_is_asked() -> None:
    mine, other = server("inv", "10.0.0.1"), server("team-b", "10.6.6.6")
    (found,) = settled((other, mine), {"eu1": KNOWN})
    assert isinstance(found, Server)
    assert found.credentials == mine.credentials
    (told,) = found.entry.against
    assert "Cluster team-b/eu1" in told


def test_of_one_inventory_nobody_is_asked_when_git_knows_none() -> None:
    (found,) = settled((server("x", "10.0.0.1"), server("y", "10.0.0.2")), {})
    assert isinstance(found, ClusterView)
    assert why(found) is Why.DUPLICATE
    assert (found.entry.inventory_id, found.entry.api_servers) == ("", ())
    assert isinstance(found.objects, Unknown)
    assert "Cluster x/eu1, Cluster y/eu1" in found.objects.message

"""What is known of a watched cluster: lists and events become objects and changes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.clusters import ClusterObjects, Endpoint, EndpointSlice
from reconciler.model.updates import Delta
from reconciler.observe.watching.kinds import PODS, sources
from reconciler.observe.watching.store import (
    Changes,
    Kind,
    Overfull,
    Row,
    Store,
    difference,
)

CONVERT = {each.kind: each.convert for each in sources("/istio", rules=True)}
CONVERT[Kind.PODS] = PODS.convert
SUBSET = {"tcp": [{"route": [{"destination": {"host": "db", "subset": "v1"}}]}]}
POD_BACKEND = {"wharfinger.dev/expose": "tcp", "wharfinger.dev/backend": "pod"}


def body(name: str, **parts: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", **parts.pop("metadata", {})}
    return {"metadata": metadata, **parts}


def row(kind: Kind, name: str, **parts: Any) -> Row:
    return CONVERT[kind](body(name, **parts))


def a_slice(name: str, *pods: str) -> Row:
    endpoints = [
        {"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "name": pod}}
        for pod in pods
    ]
    labels = {"kubernetes.io/service-name": "db"}
    return row(
        Kind.ENDPOINT_SLICES, name, metadata={"labels": labels}, endpoints=endpoints
    )


def pod(name: str, version: str) -> Row:
    return row(Kind.PODS, name, metadata={"labels": {"version": version}})


def labels(store: Store) -> list[Any]:
    return [
        endpoint.pod_labels
        for each in store.objects().endpoint_slices
        for endpoint in each.endpoints
    ]


def store(**limits: int) -> Store:
    found = Store(**{"items": 1000, "size": 10_000_000, **limits})
    for kind in Kind:
        if kind is not Kind.PODS:
            found.listed(kind, (), 0)
    return found


def only(changes: Changes) -> Delta:
    (delta,) = changes.values()
    return delta


def test_an_event_that_says_nothing_new_is_no_change() -> None:
    known = store()
    first = row(Kind.NODES, "n1")
    assert only(known.put(Kind.NODES, first)).old is None
    again = row(Kind.NODES, "n1", status={"images": ["new"]})
    assert known.put(Kind.NODES, again) == {}
    assert only(known.drop(Kind.NODES, first.key)).new is None
    assert known.drop(Kind.NODES, first.key) == {}


def test_a_new_list_is_told_by_its_difference() -> None:
    known = store()
    known.listed(Kind.SERVICES, [row(Kind.SERVICES, "a"), row(Kind.SERVICES, "b")], 100)
    other = row(Kind.SERVICES, "b", spec={"type": "NodePort"})
    changes = known.listed(Kind.SERVICES, [other, row(Kind.SERVICES, "c")], 100)
    told = {
        (getattr(each.old, "name", ""), getattr(each.new, "name", ""))
        for each in changes.values()
    }
    assert told == {("a", ""), ("b", "b"), ("", "c")}
    assert [each.name for each in known.objects().services] == ["b", "c"]


def test_a_list_with_an_object_twice_is_refused() -> None:
    twice = [row(Kind.SERVICES, "a"), row(Kind.SERVICES, "a")]
    with pytest.raises(ValueError, match="twice"):
        store().listed(Kind.SERVICES, twice, 100)


def test_objects_come_in_the_order_of_a_list() -> None:
    known = store()
    for name in ("b", "c", "a"):
        known.put(Kind.SERVICES, row(Kind.SERVICES, name))
    assert [each.name for each in known.objects().services] == ["a", "b", "c"]


def test_labels_of_pods_are_joined_and_kept_up_to_date() -> None:
    known = store()
    known.put(Kind.ENDPOINT_SLICES, a_slice("db-1", "p1", "p2"))
    assert labels(known) == [None, None]
    delta = only(known.listed(Kind.PODS, [pod("p1", "v1")], 100))
    assert labels(known) == [(("version", "v1"),), ()]
    assert isinstance(delta.old, EndpointSlice)
    assert delta.old.endpoints[0].pod_labels is None
    assert known.put(Kind.PODS, pod("other", "v1")) == {}
    assert len(known.put(Kind.PODS, pod("p2", "v2"))) == 1
    assert labels(known) == [(("version", "v1"),), (("version", "v2"),)]
    known.put(Kind.ENDPOINT_SLICES, a_slice("db-1", "p2"))
    assert known.put(Kind.PODS, pod("p1", "v9")) == {}
    assert labels(known) == [(("version", "v2"),)]
    assert len(known.drop(Kind.PODS, ("shop", "p2"))) == 1
    assert labels(known) == [()]
    assert len(known.forget_pods()) == 1
    assert labels(known) == [None]
    assert known.forget_pods() == {}


def test_pods_are_needed_while_an_exposure_names_a_subset() -> None:
    known = store()
    needy = row(
        Kind.VIRTUAL_SERVICES, "db", metadata={"annotations": POD_BACKEND}, spec=SUBSET
    )
    known.put(Kind.VIRTUAL_SERVICES, needy)
    assert known.needs_pods
    known.put(Kind.VIRTUAL_SERVICES, row(Kind.VIRTUAL_SERVICES, "db"))
    assert not known.needs_pods
    known.put(Kind.VIRTUAL_SERVICES, needy)
    known.drop(Kind.VIRTUAL_SERVICES, needy.key)
    assert not known.needs_pods


def test_a_cluster_has_so_many_objects_and_so_much_memory() -> None:
    known = store(items=2)
    known.put(Kind.SERVICES, row(Kind.SERVICES, "a"))
    known.put(Kind.SERVICES, row(Kind.SERVICES, "b"))
    with pytest.raises(Overfull, match="more than 2"):
        known.put(Kind.SERVICES, row(Kind.SERVICES, "c"))
    known = store(size=20_000)
    large = {"type": "x" * 15_000}
    first = row(Kind.SERVICES, "a", spec=large)
    for _ in range(5):
        known.put(Kind.SERVICES, first)
    second = row(Kind.SERVICES, "b", spec=large)
    with pytest.raises(Overfull, match="memory"):
        known.put(Kind.SERVICES, second)
    # What was refused is not known, so that a later list tells it as new.
    assert [each.name for each in known.objects().services] == ["a"]
    assert only(known.listed(Kind.SERVICES, [first, second], 100)).old is None


def test_folders_differ_by_the_content_of_slices_which_have_no_names() -> None:
    def a(address: str) -> EndpointSlice:
        endpoint = Endpoint(addresses=(address,), ready=True, node_name="")
        return EndpointSlice(
            namespace="shop", service="db", ports=(), endpoints=(endpoint,)
        )

    old = ClusterObjects(endpoint_slices=(a("10.0.0.1"), a("10.0.0.2")))
    new = ClusterObjects(endpoint_slices=(a("10.0.0.2"), a("10.0.0.3")))
    told = set(difference(old, new).values())
    assert told == {
        Delta(old=a("10.0.0.1"), new=None),
        Delta(old=None, new=a("10.0.0.3")),
    }
    assert difference(old, old) == {}


NAMES = st.sampled_from(("a", "b", "c"))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), NAMES, st.sampled_from(("p1", "p2"))),
        st.tuples(st.just("drop"), NAMES, st.just("")),
        st.tuples(st.just("pod"), st.sampled_from(("p1", "p2")), NAMES),
        st.tuples(st.just("no pod"), st.sampled_from(("p1", "p2")), st.just("")),
        st.tuples(st.just("no pods"), st.just(""), st.just("")),
    ),
    max_size=25,
)


@given(STEPS)
def test_changes_lead_from_what_was_to_what_is(
    steps: list[tuple[str, str, str]],
) -> None:
    known = store()
    known.listed(Kind.PODS, (), 0)
    seen: dict[object, Any] = {}
    for what, name, other in steps:
        changes: Changes = {}
        match what:
            case "put":
                changes = known.put(Kind.ENDPOINT_SLICES, a_slice(name, other))
            case "drop":
                changes = known.drop(Kind.ENDPOINT_SLICES, ("shop", name))
            case "pod":
                if Kind.PODS not in known._tables:
                    changes = known.listed(Kind.PODS, (), 0)
                    follow(seen, changes)
                changes = known.put(Kind.PODS, pod(name, other))
            case "no pod":
                if Kind.PODS in known._tables:
                    changes = known.drop(Kind.PODS, ("shop", name))
            case "no pods":
                changes = known.forget_pods()
        follow(seen, changes)
        assert sorted(map(repr, seen.values())) == sorted(
            map(repr, known.objects().endpoint_slices)
        )


def follow(seen: dict[object, Any], changes: Changes) -> None:
    for key, delta in changes.items():
        assert seen.pop(key, None) == delta.old
        if delta.new is not None:
            seen[key] = delta.new


def test_equal_slices_of_a_folder_go_one_by_one() -> None:
    one = a_slice("db", "p1").value
    folders = [ClusterObjects(endpoint_slices=(one,) * count) for count in (2, 1, 0)]
    gone = Delta(old=one, new=None)
    assert list(difference(folders[0], folders[1]).values()) == [gone]
    assert list(difference(folders[1], folders[2]).values()) == [gone]
    assert list(difference(folders[0], folders[2]).values()) == [gone, gone]
    assert difference(folders[0], folders[0]) == {}

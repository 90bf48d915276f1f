"""Clusters in a directory: whole or unknown, and as an API server would have them."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler import yamlio
from reconciler.directory import read_folder
from reconciler.model.clusters import (
    ApiServer,
    ClusterObjects,
    ClusterState,
    InventoryFailure,
    Snapshot,
    Unknown,
    Why,
)
from reconciler.observe import observe
from tests import builders
from tests.observing import (
    ISTIO,
    Lab,
    cluster,
    names,
    namespace,
    service,
    virtual_service,
)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A directory with the cluster eu1: a Namespace and one VirtualService."""
    made = Lab(tmp_path / "clusters")
    made.write("eu1/namespace.yaml", namespace())
    made.write("eu1/db.yaml", virtual_service())
    return made


def test_files_of_all_kinds_anywhere_in_the_folder(lab: Lab) -> None:
    lab.write("eu1/a/b/c.yml", virtual_service("c"), service("c"))
    lab.write("eu1/a/d.json", virtual_service("d"))
    listed = [virtual_service("e"), virtual_service("f")]
    lab.write("eu1/list.json", {"apiVersion": "v1", "kind": "List", "items": listed})
    lab.write("eu1/README.md", "not yaml: [")
    lab.write("eu1/.hidden.yaml", "not yaml: [")
    lab.write("eu1/.git/x.yaml", "not yaml: [")
    lab.write("eu1/map.yaml", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}})  # fmt: skip
    objects = lab.objects()
    assert names(objects) == [f"shop/{name}" for name in ("c", "d", "db", "e", "f")]
    assert [each.name for each in objects.services] == ["c"]
    assert objects.one_look_is_proof


def test_items_of_a_typed_list_have_its_type(lab: Lab) -> None:
    bare = {key: value for key, value in virtual_service("g").items() if key in ("metadata", "spec")}  # fmt: skip
    body = {"apiVersion": ISTIO, "kind": "VirtualServiceList", "items": [bare]}
    lab.write("eu1/list.yaml", body)
    assert names(lab.objects()) == ["shop/db", "shop/g"]


def test_as_kubectl_prints_it(lab: Lab) -> None:
    text = """\
apiVersion: v1
items:
- apiVersion: networking.istio.io/v1
  kind: VirtualService
  metadata:
    annotations:
      wharfinger.dev/expose: tcp
    creationTimestamp: "2026-01-01T00:00:00Z"
    generation: 2
    name: orders
    namespace: shop
    resourceVersion: "812"
    uid: 2b1d6c1e-7b0a-4d1c-9f5e-0a1b2c3d4e5f
  spec:
    hosts:
    - orders
    tcp:
    - route:
      - destination:
          host: orders
          port:
            number: 5432
kind: List
metadata:
  resourceVersion: ""
"""
    lab.write("eu1/db.yaml", text)
    (found,) = lab.objects().virtual_services
    assert (found.name, found.generation, found.resource_version) == (
        "orders",
        2,
        "812",
    )


@pytest.mark.parametrize("version", ["v1", "v1beta1", "v1alpha3"])
def test_all_versions_of_virtual_services(lab: Lab, version: str) -> None:
    body = {**virtual_service(), "apiVersion": f"networking.istio.io/{version}"}
    lab.write("eu1/db.yaml", body)
    assert names(lab.objects()) == ["shop/db"]


def test_an_object_without_a_namespace_is_in_default(lab: Lab) -> None:
    body = virtual_service()
    del body["metadata"]["namespace"]
    lab.write("eu1/db.yaml", body)
    assert names(lab.objects()) == ["default/db"]


def test_a_file_that_is_gone_is_a_complete_read_without_it(lab: Lab) -> None:
    (lab.root / "eu1/db.yaml").unlink()
    assert lab.objects().virtual_services == ()


UNREADABLE: dict[str, tuple[object, str]] = {
    "empty": ("", "empty"),
    "blank": (" \n\n", "empty"),
    "comments": ("# all gone\n", "empty"),
    "separators": ("---\n---\n", "empty"),
    "yaml": ("kind: [", "db.yaml:"),
    "tabs": ("kind:\n\tx: 1\n", "db.yaml:2"),
    "binary": (b"\x00\x01\xff", "db.yaml"),
    "not utf-8": (b"a: \xff\n", "UTF-8"),
    "a text": ("just words\n", "no Kubernetes object"),
    "a list": ("- a\n", "no Kubernetes object"),
    "no kind": ("apiVersion: v1\nmetadata: {name: x}\n", "kind"),
    "no version": ("kind: Service\nmetadata: {name: x}\n", "apiVersion"),
    "no metadata": ("apiVersion: v1\nkind: Service\n", "metadata"),
    "no name": ("apiVersion: v1\nkind: Pod\nmetadata: {namespace: x}\n", "name"),
    "name is a number": ("apiVersion: v1\nkind: Pod\nmetadata: {name: 1}\n", "name"),
    "namespace is a number": (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: x, namespace: 1}\n",
        "namespace",
    ),
    "key twice": ("apiVersion: v1\nkind: Pod\nkind: Pod\n", "twice"),
    "alias": ("a: &x 1\nb: *x\n", "aliases"),
    "tag": ("a: !!python/object/new:os.system [x]\n", "tags"),
    "items are no list": ("apiVersion: v1\nkind: List\nitems: {}\n", "list"),
    "an item is none": ("apiVersion: v1\nkind: List\nitems: [1]\n", "object"),
    "unknown version": (
        yamlio.dump({**virtual_service("x"), "apiVersion": "networking.istio.io/v9"}),
        "networking.istio.io/v9",
    ),
    "annotations are a list": (
        yamlio.dump(virtual_service("x", annotations=["wharfinger.dev/expose"])),
        "annotations",
    ),
}


@pytest.mark.parametrize(("content", "words"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_makes_the_cluster_unknown(
    lab: Lab, content: str | bytes, words: str
) -> None:
    lab.write("us1/namespace.yaml", namespace("uid-us1"))
    lab.write("eu1/db.yaml", content)
    unknown = lab.unknown()
    assert unknown.why is Why.UNREADABLE
    assert words in unknown.message
    assert lab.objects("us1").virtual_services == ()


@pytest.mark.parametrize("content", ["", "{", '{"a": NaN}', '{"a":1,"a":2}', "[]", '"\\ud800"'])  # fmt: skip
def test_json_that_cannot_be_read(lab: Lab, content: str) -> None:
    file = lab.write("eu1/x.json", content)
    unknown = lab.unknown()
    assert unknown.why is Why.UNREADABLE
    assert str(file) in unknown.message


TEXT = yamlio.dump(virtual_service())
WHOLE = TEXT.rstrip("\n")


@pytest.mark.parametrize("end", range(0, TEXT.index("- destination")))
def test_half_of_a_file_is_never_a_shorter_cluster(lab: Lab, end: int) -> None:
    """Cut anywhere before its routes: unknown, or still exposed as a malformed wish."""
    file = lab.write("eu1/db.yaml", TEXT[:end])
    found = read_folder(file.parent)
    if not isinstance(found, Unknown):
        annotations = found[0].body["metadata"].get("annotations")
        assert annotations == {"wharfinger.dev/expose": "tcp"}


def test_an_editor_that_leaves_out_the_last_line_end_is_fine(lab: Lab) -> None:
    lab.write("eu1/db.yaml", WHOLE)
    assert names(lab.objects()) == ["shop/db"]


@pytest.mark.parametrize(
    "cut", ["apiVersion: v1\nkind: Service\nmetadata:\n  name: db\n", "apiVersion: v1\nkind: Node\nmetadata:\n  name: n1\n"]
)  # fmt: skip
def test_other_objects_without_their_last_part_are_cut(lab: Lab, cut: str) -> None:
    lab.write("eu1/x.yaml", cut)
    assert "cut off" in lab.unknown().message


def test_an_object_that_is_there_twice(lab: Lab) -> None:
    lab.write("eu1/again.yaml", {**virtual_service(), "apiVersion": "networking.istio.io/v1beta1"})  # fmt: skip
    message = lab.unknown().message
    assert "VirtualService shop/db is also in" in message
    assert "again.yaml" in message


def test_one_name_in_two_namespaces_is_two_objects(lab: Lab) -> None:
    lab.write("eu1/other.yaml", virtual_service(namespace="bar"))
    assert names(lab.objects()) == ["bar/db", "shop/db"]


def plant_pipe(lab: Lab) -> None:
    os.mkfifo(lab.root / "eu1/pipe.yaml")


def plant_dangling(lab: Lab) -> None:
    (lab.root / "eu1/link.yaml").symlink_to("gone.yaml")


def plant_leading_out(lab: Lab) -> None:
    outside = lab.root.parent / "outside.yaml"
    outside.write_text(yamlio.dump(virtual_service("outside")))
    (lab.root / "eu1/link.yaml").symlink_to(outside)


def plant_folder_link(lab: Lab) -> None:
    lab.write("us1/namespace.yaml", namespace("uid-us1"))
    (lab.root / "eu1/link").symlink_to(lab.root / "us1")


def plant_loop(lab: Lab) -> None:
    (lab.root / "eu1/link.yaml").symlink_to("link.yaml")


def plant_large(lab: Lab) -> None:
    with (lab.root / "eu1/large.yaml").open("wb") as file:
        file.truncate(yamlio.MAX_BYTES + 1)


@pytest.mark.parametrize(
    "plant",
    [
        plant_pipe,
        plant_dangling,
        plant_leading_out,
        plant_folder_link,
        plant_loop,
        plant_large,
    ],
)
def test_traps_among_the_files(lab: Lab, plant: Callable[[Lab], None]) -> None:
    plant(lab)
    assert lab.unknown().why is Why.UNREADABLE


def test_a_folder_that_is_a_link_is_not_a_cluster(lab: Lab) -> None:
    (lab.root / "us1").symlink_to(lab.root / "eu1")
    assert lab.unknown("us1").why is Why.UNREADABLE
    assert names(lab.objects("eu1")) == ["shop/db"]


def test_a_link_within_the_directory_is_read(lab: Lab) -> None:
    lab.write("eu1/..data/x.yaml", virtual_service("x"))
    (lab.root / "eu1/x.yaml").symlink_to("..data/x.yaml")
    assert names(lab.objects()) == ["shop/db", "shop/x"]


@pytest.mark.parametrize("where", ["top", "spec", "uid"])
def test_a_cluster_document_gives_the_id(lab: Lab, where: str) -> None:
    said: dict[str, Any] = {
        "top": {"id": "id-1"},
        "spec": {"spec": {"id": "id-1"}},
        "uid": {"metadata": {"uid": "id-1", "name": "eu1"}},
    }
    (lab.root / "eu1/namespace.yaml").unlink()
    lab.write("eu1/cluster.yaml", cluster(**said[where]))
    assert lab.view().entry.cluster_id == "id-1"
    lab.objects()


def test_the_namespace_counts_more_than_the_document(lab: Lab) -> None:
    lab.write("eu1/cluster.yaml", cluster(id="id-1"))
    assert lab.view().entry.cluster_id == "uid-eu1"
    lab.write("eu1/namespace.yaml", namespace(uid=None))
    assert lab.view().entry.cluster_id == "id-1"


def test_a_cluster_without_an_id_is_unknown(lab: Lab) -> None:
    lab.write("eu1/namespace.yaml", namespace(uid=None))
    assert lab.unknown().why is Why.NO_ID
    (lab.root / "eu1/namespace.yaml").unlink()
    assert lab.unknown().why is Why.NO_ID
    (lab.root / "eu1/db.yaml").unlink()
    assert lab.unknown().why is Why.NO_ID  # a folder that was emptied


@pytest.mark.parametrize("under_spec", [False, True])
def test_what_a_cluster_document_says(lab: Lab, under_spec: bool) -> None:
    said = {
        "apiServers": [{"host": "10.0.0.2", "port": 6443}, {"host": "10.0.0.1", "port": 6443}],
        "caBundle": "QUJD",
        "certificateNames": ["kubernetes", "eu1.k8s.example.com"],
        "state": "provisioning",
    }  # fmt: skip
    lab.write("eu1/cluster.yaml", cluster(**({"spec": said} if under_spec else said)))
    entry = lab.view().entry
    assert entry.api_servers == (
        ApiServer(host="10.0.0.1", port=6443),
        ApiServer(host="10.0.0.2", port=6443),
    )
    assert entry.ca_bundle == "QUJD"
    assert entry.certificate_names == ("eu1.k8s.example.com", "kubernetes")
    assert entry.state is ClusterState.PROVISIONING


def test_without_words_nothing_is_known_of_the_api(lab: Lab) -> None:
    entry = lab.view().entry
    assert (entry.api_servers, entry.certificate_names) == ((), None)
    assert entry.state is ClusterState.READY


def test_a_cluster_that_is_being_deleted_says_so(lab: Lab) -> None:
    metadata = {"name": "eu1", "deletionTimestamp": "2026-01-01T00:00:00Z"}
    lab.write("eu1/cluster.yaml", cluster(metadata=metadata, state="ready"))
    assert lab.view().entry.state is ClusterState.DELETED


@pytest.mark.parametrize(
    "said",
    [
        {"state": "gone"},
        {"state": []},
        {"apiServers": {}},
        {"apiServers": ["10.0.0.1"]},
        {"apiServers": [{"host": "10.0.0.1"}]},
        {"apiServers": [{"host": "10.0.0.1", "port": "6443"}]},
        {"apiServers": [{"host": "10.0.0.1", "port": 65536}]},
        {"apiServers": [{"host": 1, "port": 6443}]},
        {"certificateNames": "kubernetes"},
        {"caBundle": 1},
        {"id": 7},
        {"id": "a b"},
    ],
)
def test_a_malformed_cluster_document(lab: Lab, said: dict[str, Any]) -> None:
    lab.write("eu1/cluster.yaml", cluster(**said))
    unknown = lab.unknown()
    assert unknown.why is Why.UNREADABLE
    assert "Cluster." in unknown.message


def test_odd_hosts_of_api_servers_are_left_to_be_rejected(lab: Lab) -> None:
    lab.write("eu1/cluster.yaml", cluster(apiServers=[{"host": "-X", "port": 1}]))
    assert lab.view().entry.api_servers == (ApiServer(host="-X", port=1),)


def test_a_directory_that_is_missing_is_a_failure(tmp_path: Path) -> None:
    snapshot = Lab(tmp_path / "none").snapshot()
    assert snapshot.clusters == ()
    (failure,) = snapshot.failures
    assert isinstance(failure, InventoryFailure)
    assert (failure.inventory, failure.reason.why) == ("lab", Why.UNREADABLE)


def test_a_directory_that_is_a_file_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert len(Lab(tmp_path / "file").snapshot().failures) == 1


def test_an_empty_directory_is_read(tmp_path: Path) -> None:
    assert Lab(tmp_path).snapshot() == Snapshot(clusters=())


def test_files_and_hidden_folders_beside_clusters_are_none(lab: Lab) -> None:
    lab.write("README.md", "x")
    lab.write(".git/x.yaml", "x")
    assert [each.entry.name for each in lab.snapshot().clusters] == ["eu1"]


@pytest.mark.parametrize("name", ["EU_1", "all", "a.b", "-x", "x" * 64, "ü\x1b[31m"])
def test_a_name_that_no_cluster_may_have(lab: Lab, name: str) -> None:
    lab.write(f"{name}/namespace.yaml", namespace("uid-odd"))
    snapshot = lab.snapshot()
    odd = [each for each in snapshot.clusters if isinstance(each.objects, Unknown)]
    assert [each.entry.name for each in odd] == [ascii(name)[1:-1]]
    assert "map it under names" in odd[0].objects.message  # type: ignore[union-attr]
    assert names(lab.objects("eu1")) == ["shop/db"]
    mapped = lab.snapshot(names={name: "mapped"})
    assert [each.entry.name for each in mapped.clusters] == ["eu1", "mapped"]


def test_only_some_clusters(lab: Lab) -> None:
    lab.write("us1/db.yaml", "broken: [")
    only = lab.snapshot(only=frozenset({"eu1"}))
    assert [each.entry.name for each in only.clusters] == ["eu1"]


def test_one_name_in_two_inventories_is_unknown(lab: Lab, tmp_path: Path) -> None:
    other = Lab(tmp_path / "other")
    other.write("eu1/namespace.yaml", namespace("uid-other"))
    other.write("us1/namespace.yaml", namespace("uid-us1"))
    inventories = [
        {"name": name, "directory": {"path": str(each.root)}}
        for name, each in (("a", lab), ("b", other))
    ]
    settings = builders.settings(inventories=inventories)
    eu1, us1 = asyncio.run(observe(settings)).clusters
    assert isinstance(eu1.objects, Unknown)
    assert eu1.objects.why is Why.DUPLICATE
    assert isinstance(us1.objects, ClusterObjects)


def test_one_id_under_two_names_is_unknown_for_both(lab: Lab) -> None:
    lab.write("us1/namespace.yaml", namespace())
    lab.write("us2/namespace.yaml", namespace("uid-us2"))
    whys = [
        each.objects.why if isinstance(each.objects, Unknown) else None
        for each in lab.snapshot().clusters
    ]
    assert whys == [Why.DUPLICATE, Why.DUPLICATE, None]


def test_order_of_files_does_not_matter(lab: Lab) -> None:
    body = [virtual_service(name) for name in ("a", "b", "c")]
    lab.write("eu1/z.yaml", *body, service("z"), service("a"))
    first = lab.objects()
    (lab.root / "eu1/z.yaml").unlink()
    lab.write("eu1/a.yaml", service("a"), *reversed(body), service("z"))
    assert lab.objects() == first


def test_ten_thousand_exposures_are_read_in_seconds(tmp_path: Path) -> None:
    lab, count = Lab(tmp_path), 10_000
    lab.write("eu1/namespace.yaml", namespace())
    made = [virtual_service(f"db-{index}") for index in range(count)]
    made += [service(f"db-{index}") for index in range(count)]
    lab.write("eu1/all.json", {"apiVersion": "v1", "kind": "List", "items": made})
    start = time.process_time()
    objects = lab.objects()
    taken = time.process_time() - start
    assert len(objects.virtual_services) == len(objects.services) == count
    assert taken < 15, f"{taken:.1f} s"

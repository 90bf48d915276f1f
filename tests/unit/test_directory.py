"""Folders of files as clusters: whole or unknown, and nothing in them ends a pass."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler import yamlio
from reconciler.claim import claim
from reconciler.directory import read_folder
from reconciler.model.clusters import ClusterState, ClusterView, Unknown
from reconciler.observe.folders import read_directory
from reconciler.settings import Inventory, Settings
from tests import builders, documents

ODD = (None, "", "x", 7, -1, 1.5, True, [], [None], ["x"], {}, {"x": {}}, [[]], "\x00")


def world() -> list[dict[str, Any]]:
    sliced = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "db-1",
            "namespace": "shop",
            "labels": {"kubernetes.io/service-name": "db"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "tcp", "port": 5432, "protocol": "TCP"}],
        "endpoints": [{"addresses": ["10.1.0.1"], "conditions": {"ready": True}}],
    }
    return [
        documents.namespace("id-eu1"),
        documents.node("n1", "10.20.0.1"),
        documents.service("db", 31000),
        documents.virtual_service("db"),
        sliced,
    ]


def inventory(root: Path) -> Inventory:
    return Inventory.model_validate({"name": "lab", "directory": {"path": str(root)}})


def write(root: Path, bodies: list[dict[str, Any]]) -> Path:
    folder = root / "eu1"
    folder.mkdir(exist_ok=True)
    (folder / "all.json").write_text(json.dumps(_list(bodies)))
    return folder


def _list(bodies: list[dict[str, Any]]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": bodies}


def view(root: Path) -> ClusterView:
    views = read_directory(inventory(root))
    assert not isinstance(views, Unknown)
    (found,) = views
    return found


def places(body: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place below the top of a document."""
    items: Any = ()
    if isinstance(body, dict):
        items = body.items()
    elif isinstance(body, list):
        items = enumerate(body)
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


def replaced(body: dict[str, Any], path: tuple[Any, ...], value: object) -> Any:
    made = copy.deepcopy(body)
    at: Any = made
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return made


@pytest.mark.parametrize("index", range(len(world())))
def test_no_odd_value_anywhere_ends_a_pass(tmp_path: Path, index: int) -> None:
    settings: Settings = builders.settings()
    bodies = world()
    for path in places(bodies[index]):
        for value in ODD:
            odd = [*bodies]
            odd[index] = replaced(bodies[index], path, value)
            write(tmp_path, odd)
            found = view(tmp_path)
            claim(found, settings, {}, builders.NOW)


def test_a_whole_folder_is_read(tmp_path: Path) -> None:
    write(tmp_path, world())
    found = view(tmp_path)
    assert found.entry.cluster_id == "id-eu1"
    assert not isinstance(found.objects, Unknown)
    assert [each.name for each in found.objects.virtual_services] == ["db"]
    assert len(found.objects.nodes) == 1


def test_files_documents_and_lists_are_the_same(tmp_path: Path) -> None:
    write(tmp_path, world())
    listed = view(tmp_path).objects
    (tmp_path / "eu1" / "all.json").unlink()
    (tmp_path / "eu1" / "deep").mkdir()
    (tmp_path / "eu1" / "deep" / "all.yml").write_text(yamlio.dump_all(world()))
    assert view(tmp_path).objects == listed
    (tmp_path / "eu1" / "deep" / "all.yml").unlink()
    for number, body in enumerate(world()):
        (tmp_path / "eu1" / f"{number}.yaml").write_text(yamlio.dump(body))
    assert view(tmp_path).objects == listed


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.json", b'{"a": 1, "a": 2}'),
        ("x.json", b"[" * 100_000),
        ("x.json", b""),
        ("x.json", b"null"),
        ("x.json", b"{}{}"),
        ("x.yaml", b"# only words\n"),
        ("x.yaml", b"apiVersion: v1\nkind: Service\nmetadata: {}\n"),
        ("x.yaml", b"apiVersion: v1\nkind: Service\nmetadata: {name: 5}\n"),
        ("x.yaml", b"apiVersion: v1\nkind: List\nitems: [1]\n"),
        ("x.yaml", b"apiVersion: v1\nkind: List\nitems: 5\n"),
        ("x.yaml", b"kind: Service\nmetadata: {name: x}\n"),
        ("x.yaml", b"a: &a [*a]\n"),
    ],
)
def test_a_file_that_is_not_whole_makes_the_cluster_unknown(
    tmp_path: Path, name: str, content: bytes
) -> None:
    folder = write(tmp_path, world())
    (folder / name).write_bytes(content)
    found = read_folder(folder)
    assert isinstance(found, Unknown), found
    assert name in found.message


def test_other_files_are_no_objects(tmp_path: Path) -> None:
    folder = write(tmp_path, world())
    for name in ("README.md", ".hidden.yaml", "x.yaml.bak", ".x.yaml.swp"):
        (folder / name).write_bytes(b"\xff{")
    assert not isinstance(read_folder(folder), Unknown)


def test_the_same_object_twice_is_no_answer(tmp_path: Path) -> None:
    folder = write(tmp_path, world())
    (folder / "b.yaml").write_text(yamlio.dump(documents.virtual_service("db")))
    assert isinstance(read_folder(folder), Unknown)


def test_a_dangling_link_and_a_file_without_leave_are_unknown(tmp_path: Path) -> None:
    folder = write(tmp_path, world())
    (folder / "gone.yaml").symlink_to(tmp_path / "nowhere")
    assert isinstance(read_folder(folder), Unknown)


def test_a_cluster_document_describes_the_cluster(tmp_path: Path) -> None:
    described = {
        "apiVersion": "wharfinger.dev/v1alpha1",
        "kind": "Cluster",
        "apiServers": [{"host": "10.20.0.9", "port": 6443}],
        "certificateNames": ["eu1.k8s.example.com"],
        "state": "deleted",
    }
    write(tmp_path, [*world(), described])
    entry = view(tmp_path).entry
    assert [(each.host, each.port) for each in entry.api_servers] == [
        ("10.20.0.9", 6443)
    ]
    assert entry.certificate_names == ("eu1.k8s.example.com",)
    assert entry.state is ClusterState.DELETED


def test_odd_cluster_documents_never_end_a_pass(tmp_path: Path) -> None:
    described: dict[str, Any] = {
        "apiVersion": "wharfinger.dev/v1alpha1",
        "kind": "Cluster",
        "metadata": {"name": "eu1", "uid": "id"},
        "id": "id-eu1",
        "apiServers": [{"host": "10.20.0.9", "port": 6443}],
        "certificateNames": ["a.example.com"],
        "caBundle": "x",
        "state": "x",
    }
    for path in places(described):
        for value in ODD:
            write(tmp_path, [*world(), replaced(described, path, value)])
            claim(view(tmp_path), builders.settings(), {}, builders.NOW)

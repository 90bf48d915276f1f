"""Write-back into real files: what people wrote stays, and nobody's change is overwritten."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler import yamlio
from reconciler.directory import read_folder
from reconciler.model.claims import Source
from reconciler.model.units import UnitId
from reconciler.settings import Settings
from reconciler.writeback import ObjectChange, Outcome, write_back
from reconciler.writeback.folders import CHANGED
from tests import documents

P = "wharfinger.dev/"
UNIT = UnitId(cluster="eu1", namespace="shop", name="orders")
READY = {f"{P}state": "Ready", f"{P}host": "tcp.example.com", f"{P}port": "20017"}
MANY = """\
# Everything of the shop.
---
# Source: shop/templates/service.yaml
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}   # flow style
spec: {ports: [{port: 5432,   nodePort: 31000}]}
---
---
# Source: shop/templates/vs.yaml
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  annotations:
    wharfinger.dev/expose: tcp  # open since May
    team: 'shop'

  # the name clients know
  name: orders
  namespace: shop
# who gets what
spec:
  hosts: ["*"]
  tcp:
  - route:
    - destination: {host: db, port: {number: 5432}}
      weight:   0100
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: other, namespace: shop, annotations: {wharfinger.dev/expose: tcp}}
spec: {hosts: ["*"], tcp: [{route: [{destination: {host: db}}]}]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "clusters" / "eu1"
    made.mkdir(parents=True)
    return made


def settings(folder: Path, **inventory: object) -> Settings:
    gateway = {
        "name": "public",
        "renderer": "envoy",
        "namespace": "ingress",
        "ports": {"range": "20000-20999"},
    }
    lab = {"name": "lab", "directory": {"path": str(folder.parent)}, **inventory}
    return Settings.model_validate(
        {
            "apiVersion": "wharfinger.dev/v1alpha1",
            "kind": "Settings",
            "domain": "example.com",
            "gateways": [gateway],
            "inventories": [lab],
            "tenants": [],
        }
    )


def source(folder: Path, unit: UnitId = UNIT) -> Source:
    """The object as observing sees it."""
    objects = read_folder(folder)
    assert isinstance(objects, tuple), objects
    (metadata,) = [
        each.body["metadata"]
        for each in objects
        if each.kind == "VirtualService" and each.body["metadata"]["name"] == unit.name
    ]
    return Source(
        unit=unit,
        uid=metadata.get("uid", ""),
        resource_version=metadata.get("resourceVersion", ""),
        generation=metadata.get("generation", 0),
        annotations=metadata.get("annotations") or {},
    )


def write(folder: Path, *sources: Source, mode: str = "on") -> tuple[Outcome, ...]:
    changes = [
        ObjectChange(source=each, inventory="lab", annotations=READY)
        for each in sources
    ]
    return asyncio.run(write_back(changes, settings(folder), mode, {}))


def test_comments_order_and_every_other_byte_stay(folder: Path) -> None:
    file = folder / "all.yaml"
    file.write_text(MANY)
    assert write(folder, source(folder)) == (Outcome(unit=UNIT, problem=""),)
    expose = "    wharfinger.dev/expose: tcp  # open since May\n"
    ours = (
        "    wharfinger.dev/state: Ready\n"
        "    wharfinger.dev/host: tcp.example.com\n"
        '    wharfinger.dev/port: "20017"\n'
    )
    assert file.read_text() == MANY.replace(expose, expose + ours)


@pytest.mark.parametrize("before", [b"\r\n", b"\n"])
def test_line_ends_and_a_byte_order_mark_stay(folder: Path, before: bytes) -> None:
    file = folder / "all.yaml"
    content = b"\xef\xbb\xbf" + MANY.encode().replace(b"\n", before)
    file.write_bytes(content)
    write(folder, source(folder))
    made = file.read_bytes()
    assert made.startswith(b"\xef\xbb\xbf")
    assert made.count(b"\n") == made.count(before)
    assert set(content.split(before)) <= set(made.split(before))


def test_several_objects_of_one_file_are_written_at_once(folder: Path) -> None:
    file = folder / "all.yaml"
    file.write_text(MANY)
    other = replace(UNIT, name="other")
    outcomes = write(folder, source(folder), source(folder, other))
    assert {each.problem for each in outcomes} == {""}
    for unit in (UNIT, other):
        assert READY.items() <= source(folder, unit).annotations.items()
    assert "metadata: {name: db, namespace: shop}   # flow style\n" in file.read_text()


def test_nothing_equal_is_written_again(folder: Path) -> None:
    file = folder / "all.yaml"
    file.write_text(MANY)
    write(folder, source(folder))
    before = file.stat()
    write(folder, source(folder))
    assert file.stat() == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("expose: tcp  #", "expose: tls  #"),
        ("  name: orders\n", "  name: orders\n  uid: another\n"),
        ("  name: orders\n", "  name: orders\n  resourceVersion: '9'\n"),
    ],
)
def test_an_object_that_changed_meanwhile_is_left_alone(
    folder: Path, old: str, new: str
) -> None:
    file = folder / "all.yaml"
    file.write_text(MANY)
    before, other = source(folder), source(folder, replace(UNIT, name="other"))
    changed = MANY.replace(old, new, 1)
    file.write_text(changed)
    problems = {each.unit.name: each.problem for each in write(folder, before, other)}
    assert problems == {"orders": CHANGED, "other": ""}
    assert file.read_text().startswith(changed[: changed.index("name: other")])


def test_an_object_that_moved_to_another_place_is_found_there(folder: Path) -> None:
    file = folder / "all.yaml"
    file.write_text(MANY)
    before = source(folder)
    file.unlink()
    (folder / "z.yaml").write_text(
        f"{yamlio.dump(documents.service('x', 1))}---\n{MANY}"
    )
    assert [each.problem for each in write(folder, before)] == [""]
    assert READY.items() <= source(folder).annotations.items()


def test_a_file_that_changes_while_it_is_written_is_left_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = folder / "all.yaml"
    file.write_text(MANY)
    before = source(folder)
    loads = yamlio.load

    def load(data: bytes) -> object:
        file.write_text(f"{MANY}# somebody was here\n")
        return loads(data)

    monkeypatch.setattr(yamlio, "load", load)
    assert [each.problem for each in write(folder, before)] == [CHANGED]
    assert file.read_text() == f"{MANY}# somebody was here\n"
    assert os.listdir(folder) == ["all.yaml"]


@pytest.mark.parametrize("indent", [None, 2, 4])
def test_json_keeps_its_order_and_indentation(folder: Path, indent: int | None) -> None:
    file = folder / "vs.json"
    body = {
        "kind": "List",
        "items": [documents.service("db", 1), documents.virtual_service("orders")],
        "apiVersion": "v1",
    }
    file.write_text(json.dumps(body, indent=indent) + "\n")
    assert [each.problem for each in write(folder, source(folder))] == [""]
    made = json.loads(file.read_text())
    assert list(made) == ["kind", "items", "apiVersion"]
    assert READY.items() <= made["items"][1]["metadata"]["annotations"].items()
    assert file.read_text() == json.dumps(made, indent=indent) + "\n"


def test_a_style_that_would_be_damaged_is_a_problem_and_no_change(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = folder / "all.yaml"
    text = yamlio.dump(documents.virtual_service("orders"))
    flow = text.replace("annotations:\n    ", "annotations: {").replace(
        "expose: tcp", "expose: tcp}", 1
    )
    file.write_text(flow)
    before = source(folder)
    monkeypatch.setattr(yamlio, "edited", lambda documents, like: b"kind: Other\n")
    (outcome,) = write(folder, before)
    assert "cannot be changed without damage" in outcome.problem
    assert file.read_text() == flow


def test_one_bad_cluster_does_not_stop_another(folder: Path) -> None:
    (folder / "all.yaml").write_text(MANY)
    other = replace(UNIT, cluster="eu2")
    good, bad = source(folder), replace(source(folder), unit=other)
    (folder.parent / "eu2").mkdir()
    (folder.parent / "eu2" / "half.yaml").write_text("kind: [")
    outcomes = {each.unit: each.problem for each in write(folder, bad, good)}
    assert outcomes[UNIT] == ""
    assert "half.yaml" in outcomes[other]


def test_off_writes_nothing(folder: Path) -> None:
    (folder / "all.yaml").write_text(MANY)
    assert write(folder, source(folder), mode="off") == ()
    assert (folder / "all.yaml").read_text() == MANY


def test_a_foreign_name_of_a_cluster_is_its_folder(folder: Path) -> None:
    foreign = folder.parent / "Gke_EU-1"
    folder.rename(foreign)
    (foreign / "all.yaml").write_text(MANY)
    change = ObjectChange(source=source(foreign), inventory="lab", annotations=READY)
    named = settings(folder, names={"Gke_EU-1": "eu1"})
    outcomes = asyncio.run(write_back([change], named, "on", {}))
    assert [each.problem for each in outcomes] == [""]
    assert READY.items() <= source(foreign).annotations.items()


def test_mode_and_neighbours_of_the_file_stay(folder: Path) -> None:
    file = folder / "all.yaml"
    file.write_text(MANY)
    file.chmod(0o604)
    write(folder, source(folder))
    assert file.stat().st_mode & 0o7777 == 0o604
    assert os.listdir(folder) == ["all.yaml"]

"""What is said on VirtualServices, and that it is written only onto what was seen."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import jsonpatch
import pytest

from reconciler import yamlio
from reconciler.directory import will_write
from reconciler.model.claims import Source
from reconciler.model.plans import State, UnitState
from reconciler.model.proofs import Proof, ServedEndpoint, Stage
from reconciler.model.repository import CommitId
from reconciler.model.units import UnitId
from reconciler.writeback import no_annotations, wanted_annotations
from reconciler.writeback.folders import write_folder
from reconciler.writeback.patches import annotation_patch
from tests import documents

UNIT = UnitId(cluster="eu1", namespace="shop", name="orders")
P = "wharfinger.dev/"
SERVED = {f"{P}host": "tcp.example.com", f"{P}port": "20017", f"{P}commit": "c0ffee"}


def source(**annotations: str) -> Source:
    """An object with these of our annotations beside those of its owner."""
    ours = {P + key.replace("_", "-"): value for key, value in annotations.items()}
    return Source(
        unit=UNIT,
        uid="u1",
        resource_version="7",
        generation=3,
        annotations={"owner": "shop", f"{P}expose": "tcp", **ours},
    )


def proof(stage: Stage, *routes: str) -> Proof:
    serves = tuple(
        ServedEndpoint(route=route, host="tcp.example.com", port=20017 + index)
        for index, route in enumerate(routes or ("tcp",))
    )
    return Proof(
        unit=UNIT,
        gateway="public",
        stage=stage,
        message=f"it is {stage}",
        serves=serves,
        commit=CommitId("c0ffee"),
    )


def state(of: State, degraded: str = "") -> UnitState:
    return UnitState(unit=UNIT, state=of, message=f"plan says {of}", degraded=degraded)


@pytest.mark.parametrize(
    ("planned", "stage", "served_before", "said"),
    [
        (State.PENDING, None, False, State.PENDING),
        (State.PENDING, Stage.SERVING, True, State.PENDING),
        (State.REJECTED, Stage.SERVING, True, State.REJECTED),
        (State.HELD, Stage.SERVING, True, State.HELD),
        (State.HELD, Stage.FAILING, True, State.HELD),
        (State.ALLOCATED, None, False, State.ALLOCATED),
        (State.ALLOCATED, Stage.UNSEEN, True, State.ALLOCATED),
        (State.ALLOCATED, Stage.WAITING, False, State.ALLOCATED),
        (State.ALLOCATED, Stage.APPLIED, False, State.APPLIED),
        (State.ALLOCATED, Stage.SERVING, False, State.READY),
        (State.ALLOCATED, Stage.SERVING, True, State.READY),
        (State.ALLOCATED, Stage.FAILING, False, State.APPLIED),
        (State.ALLOCATED, Stage.FAILING, True, State.DEGRADED),
    ],
)
def test_the_state_speaks_of_the_newest_wish(
    planned: State, stage: Stage | None, served_before: bool, said: State
) -> None:
    before = source(host="tcp.example.com", port="20017") if served_before else source()
    shown = proof(stage) if stage is not None else None
    change = wanted_annotations(before, state(planned), shown, gone=False)
    assert change[f"{P}state"] == said
    assert change[f"{P}observed-generation"] == "3"


@pytest.mark.parametrize("stage", [Stage.APPLIED, Stage.SERVING, Stage.FAILING])
def test_no_address_left_is_degraded(stage: Stage) -> None:
    planned = state(State.ALLOCATED, degraded="no address left")
    change = wanted_annotations(source(), planned, proof(stage), gone=False)
    assert change[f"{P}state"] == State.DEGRADED


def test_a_proof_brings_host_port_and_commit() -> None:
    change = wanted_annotations(
        source(), state(State.ALLOCATED), proof(Stage.SERVING), gone=False
    )
    assert {key: change[key] for key in SERVED} == SERVED
    assert f"{P}endpoints" not in change


def test_several_routes_are_one_list_and_no_single_port() -> None:
    before = source(host="tcp.example.com", port="20017")
    shown = proof(Stage.SERVING, "5672", "15672")
    change = wanted_annotations(before, state(State.ALLOCATED), shown, gone=False)
    assert (change[f"{P}host"], change[f"{P}port"]) == (None, None)
    listed = json.loads(str(change[f"{P}endpoints"]))
    assert {each["name"]: each["port"] for each in listed} == {
        "5672": 20017,
        "15672": 20018,
    }
    assert all(set(each) == {"name", "host", "port"} for each in listed)


@pytest.mark.parametrize("planned", [State.PENDING, State.REJECTED, State.ALLOCATED])
def test_host_and_port_stay_while_a_newer_wish_is_on_its_way(planned: State) -> None:
    before = source(host="tcp.example.com", port="20017", commit="c0ffee")
    change = wanted_annotations(before, state(planned), None, gone=False)
    assert not set(SERVED) & set(change)


def test_host_and_port_leave_when_the_route_is_reported_gone() -> None:
    before = source(host="tcp.example.com", port="20017", commit="c0ffee")
    change = wanted_annotations(before, state(State.PENDING), None, gone=True)
    assert {key: change[key] for key in SERVED} == dict.fromkeys(SERVED)


def test_an_object_that_is_not_exposed_keeps_its_port_until_it_is_gone() -> None:
    before = source(state="Ready", host="tcp.example.com", port="20017")
    assert set(no_annotations(before, gone=False)) == {f"{P}state"}
    gone = no_annotations(before, gone=True)
    assert gone == dict.fromkeys([f"{P}state", f"{P}host", f"{P}port"])


@pytest.mark.parametrize("planned", list(State))
def test_nothing_equal_is_written_again(planned: State) -> None:
    before = source()
    for stage in (None, *Stage):
        shown = proof(stage) if stage is not None else None
        change = wanted_annotations(before, state(planned), shown, gone=False)
        after = {**before.annotations, **change}
        now = Source(
            unit=UNIT,
            uid="u1",
            resource_version="8",
            generation=3,
            annotations={
                key: value for key, value in after.items() if value is not None
            },
        )
        again = wanted_annotations(now, state(planned), shown, gone=False)
        assert {key for key in again if key != f"{P}state"} == set()


def test_messages_are_one_short_line() -> None:
    planned = UnitState(
        unit=UNIT, state=State.REJECTED, message="a\nb\x1b[2J\u202e" + "x" * 9000
    )
    change = wanted_annotations(source(), planned, None, gone=False)
    message = str(change[f"{P}message"])
    assert message.isprintable()
    assert len(message) <= 512


def live(**metadata: object) -> dict[str, object]:
    before = {"owner": "shop", f"{P}expose": "tcp", f"{P}state": "Pending"}
    return {
        "metadata": {
            "uid": "u1",
            "resourceVersion": "7",
            "annotations": before,
            **metadata,
        }
    }


def test_a_patch_begins_with_the_tests_of_what_was_seen() -> None:
    operations = annotation_patch(
        source(state="Pending"), {f"{P}state": "Ready", f"{P}host": "h"}
    )
    assert [(each["op"], each["path"]) for each in operations[:2]] == [
        ("test", "/metadata/uid"),
        ("test", "/metadata/resourceVersion"),
    ]
    body = live()
    made = jsonpatch.apply_patch(copy.deepcopy(body), operations)
    assert made["metadata"]["annotations"] == {
        "owner": "shop",
        f"{P}expose": "tcp",
        f"{P}state": "Ready",
        f"{P}host": "h",
    }


@pytest.mark.parametrize("changed", [{"uid": "u2"}, {"resourceVersion": "8"}])
def test_a_patch_does_not_apply_to_another_object(changed: dict[str, object]) -> None:
    operations = annotation_patch(source(state="Pending"), {f"{P}state": "Ready"})
    with pytest.raises(jsonpatch.JsonPatchTestFailed):
        jsonpatch.apply_patch(live(**changed), operations)


def test_a_patch_makes_the_annotations_where_there_are_none() -> None:
    bare = Source(
        unit=UNIT, uid="u1", resource_version="7", generation=1, annotations={}
    )
    body = {"metadata": {"uid": "u1", "resourceVersion": "7"}}
    made = jsonpatch.apply_patch(body, annotation_patch(bare, {f"{P}state": "Ready"}))
    assert made["metadata"]["annotations"] == {f"{P}state": "Ready"}


def test_a_patch_removes_what_shall_not_be_there() -> None:
    operations = annotation_patch(source(state="Pending"), {f"{P}state": None})
    made = jsonpatch.apply_patch(live(), operations)
    assert made["metadata"]["annotations"] == {"owner": "shop", f"{P}expose": "tcp"}


def test_auto_is_off_only_in_a_work_tree_under_ci(tmp_path: Path) -> None:
    (tmp_path / "tree" / ".git").mkdir(parents=True)
    (tmp_path / "tree" / "clusters").mkdir()
    inside, outside = tmp_path / "tree" / "clusters", tmp_path / "clusters"
    ci = {"CI": "true"}
    assert not will_write("auto", inside, ci)
    assert will_write("auto", inside, {})
    assert will_write("auto", inside, {"CI": "false"})
    assert will_write("auto", outside, ci)
    assert will_write("on", inside, ci)
    assert not will_write("off", outside, {})


PLAIN = yamlio.dump(documents.virtual_service("orders"))
OTHER = yamlio.dump(documents.service("db", 31000))
FILES = {
    "plain": PLAIN,
    "second": f"{OTHER}---\n{PLAIN}",
    "separators": f"---\n{OTHER}---\n# nothing here\n---\n---\n{PLAIN}---\n",
    "helm": f"---\n# Source: chart/a.yaml\n{OTHER}---\n# Source: chart/b.yaml\n{PLAIN}",
    "list": yamlio.dump(
        {
            "apiVersion": "v1",
            "kind": "List",
            "items": [documents.service("db", 1), documents.virtual_service("orders")],
        }
    ),
    "flow": json.dumps(documents.virtual_service("orders")),
    "crlf": PLAIN.replace("\n", "\r\n"),
    "no newline": PLAIN.rstrip("\n"),
    "beginning": f"---\n{PLAIN}",
    "end": f"{PLAIN}...\n",
}


@pytest.mark.parametrize("content", FILES.values(), ids=FILES.keys())
def test_a_file_gets_the_annotations_and_keeps_its_lines(
    tmp_path: Path, content: str
) -> None:
    file = tmp_path / "all.yaml"
    file.write_bytes(content.encode())
    assert write_folder(tmp_path, {UNIT: {f"{P}state": "Ready"}}) == {}
    made = file.read_bytes().decode()
    bodies = [each.data for each in yamlio.load_all(made.encode())]
    objects = [
        item
        for body in bodies
        if isinstance(body, dict)
        for item in body.get("items", [body])
    ]
    (found,) = [each for each in objects if each["kind"] == "VirtualService"]
    assert found["metadata"]["annotations"][f"{P}state"] == "Ready"
    others = [each for each in objects if each["kind"] != "VirtualService"]
    assert not any("annotations" in each["metadata"] for each in others)
    if content.startswith("{"):
        return
    kept = [line for line in content.splitlines() if line not in made.splitlines()]
    assert kept == []
    assert ("\r\n" in made) == ("\r\n" in content)


def test_removing_again_gives_the_same_bytes(tmp_path: Path) -> None:
    for name, content in FILES.items():
        file = tmp_path / "all.yaml"
        file.write_bytes(content.encode())
        assert write_folder(tmp_path, {UNIT: {f"{P}state": "Ready"}}) == {}, name
        assert write_folder(tmp_path, {UNIT: {f"{P}state": None}}) == {}, name
        if name not in ("flow", "no newline"):
            assert file.read_bytes().decode() == content, name


def test_a_json_file_stays_json(tmp_path: Path) -> None:
    file = tmp_path / "vs.json"
    file.write_text(json.dumps(documents.virtual_service("orders"), indent=4) + "\n")
    before = file.read_text()
    assert write_folder(tmp_path, {UNIT: {f"{P}state": "Ready"}}) == {}
    body = json.loads(file.read_text())
    assert body["metadata"]["annotations"][f"{P}state"] == "Ready"
    assert write_folder(tmp_path, {UNIT: {f"{P}state": None}}) == {}
    assert file.read_text() == before


def test_an_object_that_is_gone_is_a_problem_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(PLAIN)
    gone = UnitId(cluster="eu1", namespace="shop", name="gone")
    change = {f"{P}state": "Ready"}
    problems = write_folder(tmp_path, {UNIT: change, gone: change})
    assert set(problems) == {gone}
    assert "Ready" in (tmp_path / "a.yaml").read_text()
    assert [each.name for each in tmp_path.iterdir()] == ["a.yaml"]


def test_a_folder_that_cannot_be_read_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(PLAIN)
    (tmp_path / "b.yaml").write_text("")
    problems = write_folder(tmp_path, {UNIT: {f"{P}state": "Ready"}})
    assert set(problems) == {UNIT}
    assert (tmp_path / "a.yaml").read_text() == PLAIN


def test_the_mode_and_a_link_stay(tmp_path: Path) -> None:
    real = tmp_path / "real.txt"
    real.write_text(PLAIN)
    real.chmod(0o640)
    folder = tmp_path / "eu1"
    folder.mkdir()
    (folder / "a.yaml").symlink_to(real)
    assert write_folder(folder, {UNIT: {f"{P}state": "Ready"}}) == {}
    assert (folder / "a.yaml").is_symlink()
    assert "Ready" in real.read_text()
    assert real.stat().st_mode & 0o777 == 0o640

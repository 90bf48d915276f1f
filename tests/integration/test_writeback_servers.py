"""Write-back to API servers that lie or fail; a real one is in tests/stack/test_prove_real.py."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from reconciler.model.claims import Source
from reconciler.model.units import UnitId
from reconciler.settings import Inventory, Kubeconfig, Settings
from reconciler.writeback import ObjectChange, Outcome, Refusals, write_back
from reconciler.writeback.kubernetes import ATTEMPTS, CHANGED
from tests.kubeserver import Answer, Handler, Request, ok, running, serving, status
from tests.rendering import settings

UNIT = UnitId(cluster="eu1", namespace="shop", name="orders")
STATE = "wharfinger.dev/state"
BEFORE = {"wharfinger.dev/expose": "tcp"}
ROOT = "/apis/networking.istio.io"


def change(name: str = "orders", **before: str) -> ObjectChange:
    source = Source(
        unit=UnitId(cluster="eu1", namespace="shop", name=name),
        uid="u1",
        resource_version="7",
        generation=1,
        annotations={**BEFORE, **before},
    )
    return ObjectChange(source=source, inventory="lab", annotations={STATE: "Ready"})


def body(annotations: Mapping[str, str], version: str = "7") -> dict[str, Any]:
    metadata = {"uid": "u1", "resourceVersion": version, "annotations": annotations}
    return {"kind": "VirtualService", "metadata": metadata}


class Fake:
    """A server of VirtualServices whose PATCH is answered by `patched`."""

    def __init__(self, patched: Handler, versions: tuple[str, ...] = ("v1",)) -> None:
        self.patched = patched
        self.versions = [{"version": each} for each in versions]
        self.live = body(BEFORE)
        self.patches: list[Request] = []

    def __call__(self, request: Request) -> Answer:
        if request.path == ROOT and not self.versions:
            return status(404, "NotFound")
        if request.path == ROOT:
            return ok({"kind": "APIGroup", "versions": self.versions})
        if request.method == "PATCH":
            self.patches.append(request)
            return self.patched(request)
        return ok(self.live)


def kubeconfig(folder: Path, port: int, ca: str) -> Path:
    cluster = {"server": f"https://127.0.0.1:{port}"}
    authority = folder / "ca.crt"
    authority.write_text(ca)
    cluster["certificate-authority"] = str(authority)
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "eu1", "cluster": cluster}],
        "users": [{"name": "eu1", "user": {"token": "t"}}],
        "contexts": [{"name": "eu1", "context": {"cluster": "eu1", "user": "eu1"}}],
    }
    path = folder / "kubeconfig"
    path.touch(mode=0o600)
    path.write_text(json.dumps(config))
    return path


def told(path: Path) -> Settings:
    lab = Inventory(name="lab", kubeconfig=Kubeconfig(path=str(path)))
    return settings().model_copy(update={"inventories": (lab,)})


def written(
    folder: Path, fake: Fake, *passes: list[ObjectChange], refusals: Refusals
) -> list[tuple[Outcome, ...]]:
    """The outcomes of several passes of one process."""

    async def run() -> list[tuple[Outcome, ...]]:
        async with running(serving(folder), fake) as server:
            known = told(kubeconfig(folder, server.port, server.ca))
            return [
                await write_back(each, known, "auto", {}, refusals) for each in passes
            ]

    return asyncio.run(run())


def test_a_server_that_drops_the_change_is_not_asked_for_ever(tmp_path: Path) -> None:
    fake = Fake(lambda _: ok(body(BEFORE, "8")))
    refusals: Refusals = {}
    passes = [[change()] for _ in range(ATTEMPTS + 2)]
    outcomes = written(tmp_path, fake, *passes, refusals=refusals)
    said = [outcome.problem for each in outcomes for outcome in each]
    assert said == [
        *["the API server did not keep the change"] * ATTEMPTS,
        *[f"not kept {ATTEMPTS} times, not sent again"] * 2,
    ]
    assert len(fake.patches) == ATTEMPTS


def test_an_object_that_changed_is_tried_again(tmp_path: Path) -> None:
    fake = Fake(lambda _: ok(body(BEFORE, "8")))
    refusals: Refusals = {}
    passes = [[change()] for _ in range(ATTEMPTS)]
    written(tmp_path, fake, *passes, [change(owner="me")], refusals=refusals)
    assert len(fake.patches) == ATTEMPTS + 1
    assert refusals[UNIT].count == 1


@pytest.mark.parametrize("annotations", [None, [], "x", {STATE: "Pending"}])
def test_an_answer_without_the_change_is_no_success(
    tmp_path: Path, annotations: object
) -> None:
    answer = {"kind": "VirtualService", "metadata": {"annotations": annotations}}
    fake = Fake(lambda _: ok(answer))
    (outcomes,) = written(tmp_path, fake, [change()], refusals={})
    assert [each.problem for each in outcomes] == [
        "the API server did not keep the change"
    ]


@pytest.mark.parametrize("code", [409, 422])
def test_a_failed_test_of_an_object_that_moved_on_is_a_change(
    tmp_path: Path, code: int
) -> None:
    fake = Fake(lambda _: status(code, "Invalid"))
    fake.live = body(BEFORE, "8")
    refusals: Refusals = {}
    passes = [[change()] for _ in range(ATTEMPTS + 1)]
    outcomes = written(tmp_path, fake, *passes, refusals=refusals)
    assert {outcome.problem for each in outcomes for outcome in each} == {CHANGED}
    assert not refusals


def test_one_failure_does_not_stop_the_others(tmp_path: Path) -> None:
    def patched(request: Request) -> Answer:
        if request.path.endswith("/bad"):
            return status(500, "InternalError", "secret of the server")
        return ok(body({**BEFORE, STATE: "Ready"}))

    changes = [change("bad"), change()]
    (outcomes,) = written(tmp_path, Fake(patched), changes, refusals={})
    problems = {each.unit.name: each.problem for each in outcomes}
    assert problems["orders"] == ""
    assert "500" in problems["bad"]
    assert "secret" not in problems["bad"]


def test_the_version_that_is_served_is_patched(tmp_path: Path) -> None:
    fake = Fake(
        lambda _: ok(body({**BEFORE, STATE: "Ready"})), versions=("v1alpha3", "v1beta1")
    )
    (outcomes,) = written(tmp_path, fake, [change()], refusals={})
    assert [each.problem for each in outcomes] == [""]
    expected = f"{ROOT}/v1beta1/namespaces/shop/virtualservices/orders"
    assert [each.path for each in fake.patches] == [expected]
    operations = json.loads(fake.patches[0].body)
    assert [each["op"] for each in operations] == ["test", "test", "add"]
    assert operations[2]["path"] == "/metadata/annotations/wharfinger.dev~1state"


def test_a_server_without_virtual_services_is_a_problem_of_each_unit(
    tmp_path: Path,
) -> None:
    fake = Fake(lambda _: ok(body(BEFORE)), versions=())
    (outcomes,) = written(tmp_path, fake, [change(), change("b")], refusals={})
    assert len(outcomes) == 2
    assert all(f"GET {ROOT}" in each.problem for each in outcomes)
    assert not fake.patches


def test_an_object_that_is_gone_is_said(tmp_path: Path) -> None:
    fake = Fake(lambda _: status(404, "NotFound"))
    (outcomes,) = written(tmp_path, fake, [change()], refusals={})
    assert [each.problem for each in outcomes] == ["the object is gone"]


@pytest.mark.parametrize(
    ("answer", "known"),
    [
        (body({**BEFORE, STATE: "Ready"}, "8"), True),
        (
            {
                "kind": "VirtualService",
                "metadata": {
                    "uid": "another",
                    "resourceVersion": "8",
                    "annotations": {**BEFORE, STATE: "Ready"},
                },
            },
            False,
        ),
        (body({**BEFORE, STATE: "Ready", "x": 1}, "8"), False),  # type: ignore[dict-item]
    ],
)
def test_the_object_after_our_change_is_known_from_the_answer(
    tmp_path: Path, answer: dict[str, Any], known: bool
) -> None:
    fake = Fake(lambda _: ok(answer))
    ((outcome,),) = written(tmp_path, fake, [change()], refusals={})
    assert outcome.problem == ""
    assert (outcome.now is not None) is known
    if outcome.now is not None:
        assert outcome.now.resource_version == "8"
        assert outcome.now.annotations == {**BEFORE, STATE: "Ready"}

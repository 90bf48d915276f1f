"""`wharfinger doctor` on directories and a real Git remote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ReconcileError, Unauthorised
from reconciler.repo import Repository
from tests.ingress import Ingress, Near
from tests.integration.remotes import Place, git, web


@pytest.fixture
def ingress(tmp_path: Path) -> Near:
    made = Near(tmp_path)
    made.start()
    return made


def findings(ingress: Ingress, code: int = 0) -> dict[tuple[str, str], dict[str, Any]]:
    done = ingress.run("doctor", "-o", "json")
    assert done.code == code, done.err
    items = done.plan["items"]
    return {(each["where"], each["check"]): each for each in items}


def test_a_healthy_place_has_nothing_to_do(ingress: Ingress) -> None:
    found = findings(ingress)
    assert found["repository", "push"]["result"] == "ok"
    assert found["inventory lab", "inventory"]["found"] == "1 cluster"
    assert found["cluster eu1", "cluster"]["result"] == "ok"
    assert "100 ports free" in found["gateway public", "room"]["found"]
    assert not [each for each in found.values() if each["result"] == "fail"]


def test_nothing_is_changed(ingress: Ingress) -> None:
    before = ingress.tip(), sorted(ingress.clusters.rglob("*"))
    findings(ingress)
    assert (ingress.tip(), sorted(ingress.clusters.rglob("*"))) == before


def test_a_cluster_that_cannot_be_read_fails_and_says_what_to_do(
    ingress: Ingress,
) -> None:
    (ingress.clusters / "eu1" / "orders.yaml").write_text("a: [")
    found = findings(ingress, 3)["cluster eu1", "cluster"]
    assert found["result"] == "fail"
    assert "orders.yaml" in found["found"]
    assert found["advice"]


def test_an_inventory_without_a_folder_fails(ingress: Ingress) -> None:
    lab = {"name": "lab", "directory": {"path": "nowhere"}}
    ingress.commit({"wharfinger.yaml": ingress.settings(inventories=[lab])}, "Move")
    assert findings(ingress, 3)["inventory lab", "inventory"]["result"] == "fail"


def test_a_platform_that_is_no_context_is_a_matter_of_credentials(
    ingress: Ingress,
) -> None:
    config = ingress.root / "kubeconfig"
    config.write_text("apiVersion: v1\nkind: Config\n")
    platform = {"context": "nobody", "kubeconfig": str(config)}
    ingress.commit({"wharfinger.yaml": ingress.settings(platform=platform)}, "Name it")
    found = findings(ingress, 4)["platform", "platform"]
    assert "there is no such context" in found["found"]


def _refusal(ours: Repository) -> ReconcileError | None:
    return ours.branches().push_refusal(ours.head().commit, "main")


def test_a_repository_that_takes_no_push_is_told(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.commits("a.yaml", "a: b\n")
    with web(tmp_path) as served:
        ours = place.open(f"{served.url}/remote.git")
        assert _refusal(ours) is None
        git(place.bare, "config", "http.receivepack", "false")
        refusal = _refusal(ours)
    assert isinstance(refusal, Unauthorised)
    assert refusal.hint


def test_asking_to_push_sends_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.commits("a.yaml", "a: b\n")
    before = git(place.bare, "for-each-ref")
    assert _refusal(place.open()) is None
    assert git(place.bare, "for-each-ref") == before


def test_the_table_is_for_people(ingress: Ingress) -> None:
    done = ingress.run("doctor")
    assert done.out.splitlines()[0].split() == [
        *("WHERE", "CHECK", "RESULT", "FOUND", "WHAT", "TO", "DO")
    ]
    assert " ok" in done.err

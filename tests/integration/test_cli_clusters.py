"""`get clusters` and `explain CLUSTER`: where clusters come from and why they are served or not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.ingress import Ingress, Near

SERVER = {"host": "10.20.0.10", "port": 6443}


@pytest.fixture
def ingress(tmp_path: Path) -> Near:
    """eu1 with an API and one exposure, served."""
    made = Near(tmp_path)
    made.start()
    described(made, "eu1")
    assert made.reconcile().code == 0
    return made


def described(ingress: Ingress, cluster: str, **said: Any) -> None:
    body = {
        "apiVersion": "wharfinger.dev/v1alpha1",
        "kind": "Cluster",
        "metadata": {"name": cluster},
        "apiServers": [SERVER],
        **said,
    }
    (ingress.clusters / cluster).mkdir(exist_ok=True)
    (ingress.clusters / cluster / "cluster.json").write_text(json.dumps(body))


def listed(ingress: Ingress, *flags: str) -> dict[str, dict[str, Any]]:
    done = ingress.run("get", "clusters", "-o", "json", *flags)
    assert done.code == 0, done.err
    return {each["cluster"]: each for each in done.plan["items"]}


def phase(ingress: Ingress, cluster: str = "eu1") -> tuple[str, str]:
    found = listed(ingress, "--live")[cluster]
    return found["state"], found["code"]


def test_a_cluster_that_is_served_says_where_it_is_and_from_where_it_came(
    ingress: Ingress,
) -> None:
    found = listed(ingress)["eu1"]
    assert found["state"] == "known"
    assert found["exposures"] == 1
    assert found["inventory"] == "lab"
    assert found["id"] == "id-eu1"
    assert found["api"] == "https://eu1.k8s.example.com:443"
    assert phase(ingress) == ("served", "")


def test_a_cluster_that_cannot_be_read_is_said_with_its_code(ingress: Ingress) -> None:
    (ingress.clusters / "eu1" / "orders.yaml").write_text("a: [")
    assert phase(ingress) == ("unreadable", "WHF307")
    assert "orders.yaml" in listed(ingress, "--live")["eu1"]["reason"]
    assert listed(ingress)["eu1"]["state"] == "known"


def test_a_vanished_a_new_and_an_unfinished_cluster_differ(ingress: Ingress) -> None:
    shutil.rmtree(ingress.clusters / "eu1")
    ingress.cluster("us1")
    described(ingress, "us2", state="provisioning", id="id-us2")
    found = listed(ingress, "--live")
    assert {name: each["state"] for name, each in found.items()} == {
        "eu1": "vanished",
        "us1": "served",
        "us2": "provisioning",
    }
    assert "accept-cluster eu1 --gone" in found["eu1"]["reason"]


def test_a_recreated_cluster_is_frozen_and_says_how_to_accept_it(
    ingress: Ingress,
) -> None:
    ingress.cluster("eu1", "id-other")
    assert phase(ingress) == ("frozen", "WHF203")
    found = listed(ingress, "--live")["eu1"]
    assert "accept-cluster eu1 id-other" in found["reason"]


def test_a_cluster_that_waits_for_approval_says_how_to_give_it(
    ingress: Ingress,
) -> None:
    lab = {
        "name": "lab",
        "directory": {"path": str(ingress.clusters)},
        "approval": True,
    }
    ingress.commit({"wharfinger.yaml": ingress.settings(inventories=[lab])}, "Ask")
    ingress.cluster("us1")
    assert phase(ingress, "us1") == ("unapproved", "WHF216")


def test_a_deleted_cluster_is_deleted(ingress: Ingress) -> None:
    described(ingress, "eu1", state="deleted", id="id-eu1")
    assert phase(ingress)[0] == "deleted"


def test_an_inventory_that_cannot_be_read_is_said_of_its_clusters(
    ingress: Ingress,
) -> None:
    shutil.rmtree(ingress.clusters)
    assert phase(ingress) == ("unreadable", "WHF306")


def test_the_story_of_a_cluster_has_all_that_is_pinned_and_its_commits(
    ingress: Ingress,
) -> None:
    ingress.run("hold", "eu1", "--reason", "freeze")
    ingress.run("accept-cluster", "eu1", "id-next")
    said = ingress.run("explain", "eu1").out
    for words in (
        "in Git: known, 1 exposure",
        "id: id-eu1",
        "from: inventory lab",
        "api: https://eu1.k8s.example.com:443 on gateway public (sni)",
        "accepted by people: id-next",
        "freeze",
        "Accept id-next as cluster eu1",
    ):
        assert words in said, said


def test_the_story_says_on_demand_how_it_stands_now(ingress: Ingress) -> None:
    assert "now: served" in ingress.run("explain", "eu1", "--live").out
    shutil.rmtree(ingress.clusters / "eu1")
    assert "now: vanished" in ingress.run("explain", "eu1", "--live").out
    assert "[WHF210]" in ingress.run("explain", "eu1", "--live").out


def test_of_a_cluster_that_nobody_knows_that_is_said(ingress: Ingress) -> None:
    said = ingress.run("explain", "us9").out
    assert "Git does not know it" in said
    assert "no inventory names it" in ingress.run("explain", "us9", "--live").out


def test_live_is_about_clusters_alone(ingress: Ingress) -> None:
    assert ingress.run("get", "ports", "--live").code == 2


def test_the_table_is_for_people(ingress: Ingress) -> None:
    first = ingress.run("get", "clusters", "--live").out.splitlines()[0].split()
    assert first == [
        *("CLUSTER", "STATE", "EXPOSURES", "API", "MODE"),
        *("INVENTORY", "ID", "ORIGIN", "CODE", "WHY"),
    ]


def test_a_released_port_says_until_when_it_waits(ingress: Ingress) -> None:
    (ingress.clusters / "eu1" / "orders.yaml").unlink()
    assert ingress.reconcile().code == 0
    (line,) = [
        each
        for each in ingress.run("get", "ports", "-o", "json").plan["items"]
        if each["state"] == "released"
    ]
    assert line["until"] > line["since"]

"""Inventories that say too little, too much or the wrong thing: rows C1, C2, C3 and C5 of the threats.

Each asserts the bytes at HEAD, the ports of the ledger, the exit code and the words for people.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from reconciler import yamlio
from tests import documents
from tests.ingress import Done, Near

HUB = {"name": "hub", "directory": {"path": "hub"}}


class Place(Near):
    """Two directories of clusters, `clusters` (inventory lab) and `hub`, beside a repository."""

    @property
    def hub(self) -> Path:
        return self.root / "hub"

    def settings(self, **overrides: object) -> bytes:
        self.hub.mkdir(parents=True, exist_ok=True)
        lab = {"name": "lab", "directory": {"path": "clusters"}}
        return super().settings(**{"inventories": [lab, HUB], **overrides})

    def describe(self, folder: Path, name: str, **said: object) -> None:
        """What a Cluster document of a folder says."""
        (folder / name).mkdir(parents=True, exist_ok=True)
        body = {
            "apiVersion": "wharfinger.dev/v1alpha1",
            "kind": "Cluster",
            "metadata": {"name": name},
            **said,
        }
        (folder / name / "cluster.yaml").write_text(yamlio.dump(body))

    def masters(self, folder: Path, name: str, *hosts: str, **said: object) -> None:
        servers = [{"host": host, "port": 6443} for host in hosts]
        self.describe(folder, name, apiServers=servers, **said)

    def everything(self) -> dict[str, str]:
        """All files at HEAD."""
        return {path: self.show(path) for path in self.files()}

    def told(self, done: Done) -> set[tuple[str, str, str]]:
        return {
            (row["op"], row["cluster"], row["code"]) for row in done.plan["changes"]
        }


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Clusters eu1 and eu2 are served, each with an API of its own."""
    made = Place(root=tmp_path / "place")
    made.start()
    made.cluster("eu2")
    made.expose("eu2", "billing")
    made.masters(made.clusters, "eu1", "10.20.1.1")
    made.masters(made.clusters, "eu2", "10.20.2.1")
    done = made.reconcile()
    assert done.code == 0, done.err
    return made


def reserved(place: Place) -> list[str]:
    """Paths of live ports."""
    ports = [path for path in place.files("ports")]
    assert all("state: active" in place.show(path) for path in ports)
    return ports


def test_an_empty_inventory_removes_nothing(place: Place) -> None:
    before = place.everything()
    shutil.rmtree(place.clusters)
    place.clusters.mkdir()
    done = place.reconcile()
    assert done.code == 3
    assert place.told(done) == {("skip", "eu1", "WHF210"), ("skip", "eu2", "WHF210")}
    assert "no proof that it was deleted" in done.plan["changes"][0]["reason"]
    assert place.everything() == before
    assert len(reserved(place)) == 2


def test_half_an_inventory_removes_nothing_and_the_rest_goes_on(place: Place) -> None:
    before = place.everything()
    shutil.rmtree(place.clusters / "eu2")
    place.expose("eu1", "more")
    done = place.reconcile()
    assert done.code == 3
    assert place.told(done) == {
        ("create", "eu1", "WHF501"),
        ("skip", "eu2", "WHF210"),
    }
    after = place.everything()
    assert {path: after[path] for path in before} == before
    assert len(reserved(place)) == 3


def test_a_person_says_that_a_vanished_cluster_is_gone(place: Place) -> None:
    shutil.rmtree(place.clusters / "eu2")
    assert place.reconcile().code == 3
    done = place.run("accept-cluster", "eu2", "--gone")
    assert done.code == 0, done.err
    assert "the next pass removes what it has" in done.out
    assert place.run("accept-cluster", "eu2", "--gone").code == 0
    done = place.reconcile()
    assert done.code == 0, done.err
    assert {row["cluster"] for row in done.rows("delete")} == {"eu2"}
    assert not [
        path for path in place.files() if "/eu2" in path and "hosts/" not in path
    ]
    assert place.reconcile().plan["changes"] == []


def test_the_word_that_a_cluster_is_gone_passes_the_gate(place: Place) -> None:
    base = place.tip()
    place.run("accept-cluster", "eu2", "--gone")
    done = place.run("check", "--base", base, "--head", "main")
    assert done.code == 0, done.out + done.err


@pytest.mark.parametrize("args", [("eu1",), ("eu1", "x", "--gone"), ("nope", "--gone")])
def test_what_cannot_be_said_of_a_cluster_is_usage(
    place: Place, args: tuple[str, ...]
) -> None:
    tip = place.tip()
    assert place.run("accept-cluster", *args).code == 2
    assert place.tip() == tip


def test_thousands_of_new_clusters_get_nothing_and_the_others_go_on(
    place: Place,
) -> None:
    """Ten thousand are planned in tests/unit/test_plan_arrivals.py; here they are read, too."""
    before = place.everything()
    for each in range(2_000):
        folder = place.hub / f"c{each}"
        folder.mkdir()
        (folder / "c.yaml").write_text(
            "{apiVersion: wharfinger.dev/v1alpha1, kind: Cluster, "
            f"metadata: {{name: c{each}}}, id: id-{each}, "
            "apiServers: [{host: 10.20.3.1, port: 6443}]}\n"
        )
    place.expose("eu1", "more")
    done = place.reconcile()
    assert done.code == 5
    assert done.plan["summary"]["create"] == 1
    assert done.plan["summary"]["withhold"] == 2_000
    waiting = done.rows("withhold")[0]
    assert waiting["code"] == "WHF217"
    assert "2000 new clusters at once beside 2 that Git knows" in waiting["reason"]
    after = place.everything()
    assert {path: after[path] for path in before} == before
    assert len(after) == len(before) + 3


def test_a_set_of_new_clusters_is_taken_by_its_digest_and_one_by_its_id(
    place: Place,
) -> None:
    for each in range(21):
        place.masters(place.hub, f"c{each}", "10.20.3.1", id=f"id-{each}")
    done = place.reconcile()
    assert done.code == 5
    digest = done.plan["withheld"]["digest"]
    assert f"--accept-arrivals={digest}" in place.run("plan").out
    assert place.reconcile("--accept-arrivals=0123456789abcdef").code == 5
    assert place.files("clusters") == ["clusters/eu1.yaml", "clusters/eu2.yaml"]
    assert place.run("accept-cluster", "c3", "id-3").code == 0
    done = place.reconcile()
    assert done.code == 0  # those that are left are few enough
    assert len(place.files("clusters")) == 23


def test_approval_lets_a_new_cluster_wait_for_a_person(place: Place) -> None:
    lab = {"name": "lab", "directory": {"path": "clusters"}}
    inventories = [lab, {**HUB, "approval": True}]
    place.commit({"wharfinger.yaml": place.settings(inventories=inventories)}, "Ask")
    place.masters(place.hub, "us1", "10.20.3.1", id="id-us1")
    before = place.everything()
    done = place.reconcile()
    assert done.code == 0
    assert place.told(done) == {("skip", "us1", "WHF216")}
    command = "wharfinger accept-cluster us1 id-us1"
    assert command in done.plan["changes"][0]["reason"]
    assert place.everything() == before
    base = place.tip()
    assert place.run(*command.split()[1:]).code == 0
    assert place.run("check", "--base", base, "--head", "main").code == 0
    done = place.reconcile()
    assert done.code == 0
    assert place.told(done) == {("create", "us1", "WHF501")}
    assert "accept" not in place.show("clusters/us1.yaml")


def test_another_cluster_of_a_served_name_is_told_and_not_believed(
    place: Place,
) -> None:
    before = place.everything()
    place.masters(place.hub, "eu1", "10.20.6.6", id="id-impostor")
    done = place.reconcile()
    assert done.code == 3
    assert place.told(done) == {("skip", "eu1", "WHF204")}
    assert "inventory hub" in done.plan["changes"][0]["reason"]
    assert place.everything() == before
    place.expose("eu1", "more")
    done = place.reconcile()
    assert place.told(done) == {("skip", "eu1", "WHF204"), ("create", "eu1", "WHF501")}


def test_a_new_name_of_two_ids_is_nobodys(place: Place) -> None:
    before = place.everything()
    for folder, host in ((place.clusters, "10.20.3.1"), (place.hub, "10.20.3.2")):
        place.masters(folder, "us1", host, id=f"id-{host}")
    done = place.reconcile()
    assert done.code == 3
    assert place.told(done) == {("skip", "us1", "WHF204")}
    assert place.everything() == before


def test_a_stolen_id_does_not_stop_its_owners_new_wishes(place: Place) -> None:
    before = place.everything()
    place.masters(place.hub, "thief", "10.20.6.6", id="id-eu1")
    place.expose("eu1", "more")
    done = place.reconcile()
    assert done.code == 3
    assert place.told(done) == {
        ("skip", "thief", "WHF204"),
        ("create", "eu1", "WHF501"),
    }
    after = place.everything()
    assert {path: after[path] for path in before} == before


def test_a_renamed_cluster_keeps_everything_once_its_name_is_mapped(
    place: Place,
) -> None:
    before = place.everything()
    (place.clusters / "eu2").rename(place.clusters / "paris")
    done = place.reconcile()
    assert done.code == 3
    assert place.told(done) == {("skip", "eu2", "WHF210"), ("skip", "paris", "WHF204")}
    reasons = {row["cluster"]: row["reason"] for row in done.plan["changes"]}
    assert "`names: {paris: eu2}` of inventory lab" in reasons["paris"]
    assert place.everything() == before
    lab = {
        "name": "lab",
        "directory": {"path": "clusters"},
        "names": {"paris": "eu2"},
    }
    settings = place.settings(inventories=[lab, HUB])
    place.commit({"wharfinger.yaml": settings}, "Map it")
    done = place.reconcile()
    assert (done.code, done.plan["changes"]) == (0, [])


def test_swapped_endpoints_freeze_both(place: Place) -> None:
    before = place.everything()
    place.write("eu1/kube-system.yaml", documents.namespace("id-eu2"))
    place.write("eu2/kube-system.yaml", documents.namespace("id-eu1"))
    place.masters(place.clusters, "eu1", "10.20.2.1")
    place.masters(place.clusters, "eu2", "10.20.1.1")
    done = place.reconcile()
    assert done.code == 5
    assert place.told(done) == {("skip", "eu1", "WHF203"), ("skip", "eu2", "WHF203")}
    assert place.everything() == before
    assert len(reserved(place)) == 2


def test_one_endpoint_that_leads_to_another_cluster_freezes_only_its_own(
    place: Place,
) -> None:
    before = place.everything()
    place.write("eu2/kube-system.yaml", documents.namespace("id-eu1"))
    place.expose("eu1", "more")
    done = place.reconcile()
    assert done.code == 3
    assert place.told(done) == {("skip", "eu2", "WHF204"), ("create", "eu1", "WHF501")}
    after = place.everything()
    assert {path: after[path] for path in before} == before


def test_deleted_here_and_alive_there_removes_nothing(place: Place) -> None:
    before = place.everything()
    place.describe(place.hub, "eu1", id="id-eu1", state="deleted")
    for _ in range(5):
        done = place.reconcile()
        assert done.code == 3
        assert place.told(done) == {("skip", "eu1", "WHF214")}
    reason = done.plan["changes"][0]["reason"]
    assert "inventory hub says that it was deleted, inventory lab that" in reason
    assert place.everything() == before
    shutil.rmtree(place.clusters / "eu1")
    done = place.reconcile()
    assert done.code == 0
    assert {row["cluster"] for row in done.rows("delete")} == {"eu1"}


def test_two_sources_with_other_masters_do_not_take_turns(place: Place) -> None:
    place.masters(place.hub, "eu1", "10.20.1.9", id="id-eu1")
    tip = place.tip()
    for _ in range(5):
        done = place.reconcile()
        assert (done.code, done.plan["changes"]) == (0, [])
    assert place.tip() == tip
    kept = place.clusters / "eu1" / "half.yaml"
    kept.write_text("{")  # unreadable where Git knows it from
    for _ in range(3):
        done = place.reconcile()
    assert "inventory: hub" in place.show("clusters/eu1.yaml")
    tip = place.tip()
    kept.unlink()
    for _ in range(3):
        assert place.reconcile().code == 0
    assert place.tip() == tip


def test_masters_that_come_and_go_are_addresses_and_no_decision(place: Place) -> None:
    endpoints = "manifests/public/eu1/api.endpoints.yaml"
    for hosts in (
        ("10.20.1.1", "10.20.1.2", "10.20.1.3"),
        ("10.20.1.2",),
        ("10.20.1.8",),
    ):
        before = place.everything()
        place.masters(place.clusters, "eu1", *hosts)
        done = place.reconcile()
        assert done.code == 0
        assert place.told(done) == {("update", "eu1", "WHF503")}
        after = place.everything()
        assert {p for p in after if after[p] != before.get(p)} == {endpoints}
        for host in hosts:
            assert host in after[endpoints]


def test_a_cluster_in_the_making_is_served_when_it_is_ready(place: Place) -> None:
    before = place.everything()
    place.masters(place.hub, "us1", "10.20.3.1", id="id-us1", state="provisioning")
    done = place.reconcile()
    assert done.code == 0
    assert place.told(done) == {("skip", "us1", "WHF215")}
    assert place.everything() == before
    place.masters(place.hub, "us1", "10.20.3.1", id="id-us1")
    done = place.reconcile()
    assert place.told(done) == {("create", "us1", "WHF501")}

"""A TKGI cluster's whole life through the real command: its API route follows what the API says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.mounted import VARIABLE
from tests.ingress import Done, Near
from tests.tkgi import Tkgi, serving
from tests.tlsweb import Said

ONE, TWO, THREE = "10.20.0.11", "10.20.0.12", "10.20.0.13"
WISH = "manifests/public/k1/api.yaml"
ADDRESSES = "manifests/public/k1/api.endpoints.yaml"


class Life(Near):
    """An ingress repository whose clusters a TKGI API lists."""

    tkgi: Tkgi

    def look(self, *flags: str) -> Done:
        return self.reconcile(*flags)

    def addresses(self) -> str:
        return self.show(ADDRESSES)


@pytest.fixture
def life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Life]:
    tkgi = Tkgi()
    with serving(tkgi, tmp_path / "tkgi") as folder:
        made = Life(tmp_path / "ingress", {VARIABLE: str(folder.parent)})
        made.tkgi = tkgi
        pks = {"name": "pks", "tkgi": {"credentials": folder.name}}
        made.start(inventories=[pks])
        yield made


def served(life: Life) -> Life:
    life.tkgi.create("k1")
    life.tkgi.done("k1", ONE)
    life.look()
    assert ONE in life.addresses()
    return life


def test_a_cluster_that_is_being_made_is_no_failure_and_writes_nothing(
    life: Life,
) -> None:
    tip = life.tip()
    life.tkgi.create("k1")
    done = life.look()
    assert done.code == 0, done.err
    assert [row["code"] for row in done.rows("skip")] == ["WHF215"]
    assert life.tip() == tip


def test_its_api_route_comes_with_its_masters_and_follows_them(life: Life) -> None:
    served(life)
    wish = life.show(WISH)
    for masters in ((ONE, TWO, THREE), (TWO, THREE)):
        life.tkgi.begin("k1", "UPDATE")
        before = life.tip()
        life.look()
        assert life.tip() == before, "an update in progress changes nothing"
        life.tkgi.done("k1", *masters)
        life.look()
        assert all(each in life.addresses() for each in masters)
        assert life.show(WISH) == wish, "addresses are nobody's decision"
    assert ONE not in life.addresses()


def test_masters_that_are_not_listed_for_a_while_lose_nothing(life: Life) -> None:
    served(life)
    tip = life.tip()
    life.tkgi.begin("k1", "UPGRADE")
    life.tkgi.clusters["k1"]["kubernetes_master_ips"] = []
    done = life.look()
    assert done.code == 3
    assert life.tip() == tip


def test_a_cluster_that_the_api_calls_deleted_is_removed(life: Life) -> None:
    served(life)
    life.tkgi.begin("k1", "DELETE")
    done = life.look()
    assert [row["code"] for row in done.rows("delete")] == ["WHF508"]
    assert WISH not in life.files()


def test_a_cluster_that_merely_vanished_is_reported_and_kept(life: Life) -> None:
    served(life)
    tip = life.tip()
    life.tkgi.clusters.clear()
    done = life.look()
    assert done.code == 3
    assert [row["code"] for row in done.rows("skip")] == ["WHF210"]
    assert life.tip() == tip


def test_an_api_that_fails_changes_nothing(life: Life) -> None:
    served(life)
    tip = life.tip()
    life.tkgi.fails = [Said(status=503)]
    done = life.look()
    assert done.code == 3
    assert "WHF306" in done.err + done.out
    assert life.tip() == tip


def test_a_cluster_made_anew_under_its_name_is_frozen_until_people_accept(
    life: Life,
) -> None:
    served(life)
    tip = life.tip()
    life.tkgi.create("k1")
    life.tkgi.clusters["k1"]["uuid"] = "another"
    life.tkgi.done("k1", THREE)
    done = life.look()
    assert done.code == 5
    assert [row["code"] for row in done.rows("skip")] == ["WHF203"]
    assert life.tip() == tip
    assert life.run("accept-cluster", "k1", "another").code == 0
    life.look()
    assert THREE in life.addresses()


def test_nothing_secret_reaches_the_repository_or_the_output(life: Life) -> None:
    served(life)
    done = life.run("get", "clusters", "--live", "-o", "json")
    everything = "".join(life.show(path) for path in life.files()) + done.out + done.err
    assert "canary" not in everything
    assert done.plan["items"][0]["origin"] == "TKGI cluster k1"

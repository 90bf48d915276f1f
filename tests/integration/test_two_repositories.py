"""Two ingress repositories, one set of clusters: each serves its own, and no annotation flaps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reconciler import yamlio
from tests import documents
from tests.ingress import Done, Ingress, Near

FOREIGN = {"wharfinger.dev/gateway": "dmz"}


class Pair:
    """The platform's repository and the network's, beside one directory of clusters."""

    def __init__(self, root: Path) -> None:
        self.platform = Near(root=root / "platform")
        self.network = Near(root=root / "network")
        lab = [{"name": "lab", "directory": {"path": str(self.platform.clusters)}}]
        self.platform.start(foreignGateways=["dmz"])
        self.network.start(
            gateways=[self.gateway("dmz", "30000-30099")],
            tenants=[self.tenant("dmz")],
            inventories=lab,
            claims="named",
            apis={"mode": "off"},
        )

    def gateway(self, name: str, ports: str) -> dict[str, object]:
        return {
            "name": name,
            "renderer": "envoy",
            "namespace": "ingress",
            "host": f"{name}.example.com",
            "ports": {"range": ports},
        }

    def tenant(self, gateway: str) -> dict[str, object]:
        return {
            "clusters": ["*"],
            "gateways": [gateway],
            "endpoints": ["10.20.0.0/16"],
        }

    def expose(self, name: str, **annotations: str) -> None:
        self.platform.expose("eu1", name, annotations=annotations)

    def both(self) -> tuple[Done, Done]:
        args = ("reconcile", "-o", "json", "--write-back=on")
        return self.platform.run(*args), self.network.run(*args)

    def wishes(self, place: Ingress) -> set[str]:
        found = (path.split("/")[-1] for path in place.files("manifests"))
        return {each for each in found if ".endpoints." not in each}

    def written(self) -> dict[str, bytes]:
        folder = self.platform.clusters / "eu1"
        return {each.name: each.read_bytes() for each in sorted(folder.iterdir())}

    def told(self, name: str) -> dict[str, str]:
        body = yamlio.load(self.written()[f"{name}.yaml"])
        assert isinstance(body, dict)
        return dict(body["metadata"]["annotations"])


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    made = Pair(tmp_path)
    made.expose("edge", **FOREIGN)
    made.expose("typo", **{"wharfinger.dev/gateway": "dmx"})
    return made


def test_each_serves_its_own_and_both_are_stable(pair: Pair) -> None:
    first, second = pair.both()
    assert (first.code, second.code) == (0, 0)
    assert pair.wishes(pair.platform) == {"vs-orders.yaml"}
    assert pair.wishes(pair.network) == {"vs-edge.yaml"}
    assert pair.told("edge")["wharfinger.dev/state"] == "Allocated"
    assert pair.told("orders")["wharfinger.dev/state"] == "Allocated"
    assert pair.told("typo")["wharfinger.dev/state"] == "Rejected"
    assert "dmx" in pair.told("typo")["wharfinger.dev/message"]
    before = pair.written()
    for _ in range(3):
        first, second = pair.both()
        assert first.plan["summary"]["create"] == second.plan["summary"]["create"] == 0
        assert first.plan["commit"] is second.plan["commit"] is None
        assert pair.written() == before


def test_one_rejection_is_told_by_one_repository(pair: Pair) -> None:
    first, second = pair.both()
    assert [row["name"] for row in first.rows("reject")] == ["typo"]
    assert second.rows("reject") == []


def test_a_cluster_without_a_tenants_entry_is_no_matter_of_who_claims_by_name(
    pair: Pair,
) -> None:
    tenant = {**pair.tenant("dmz"), "clusters": ["us*"]}
    text = pair.network.settings(
        gateways=[pair.gateway("dmz", "30000-30099")],
        tenants=[tenant],
        inventories=[{"name": "lab", "directory": {"path": str(pair.platform.clusters)}}],
        claims="named",
        apis={"mode": "off"},
    )  # fmt: skip
    pair.network.commit({"wharfinger.yaml": text}, "Serve us alone")
    _, second = pair.both()
    assert [row["name"] for row in second.rows("reject")] == ["edge"]
    assert [row["code"] for row in second.rows("reject")] == ["WHF127"]


def test_a_move_to_the_other_repository_is_a_guarded_deletion_here(pair: Pair) -> None:
    pair.both()
    pair.expose("orders", **FOREIGN)
    first, second = pair.both()
    assert [(row["name"], row["code"]) for row in first.rows("delete")] == [
        ("orders", "WHF641")
    ]
    assert [row["name"] for row in second.rows("create")] == ["orders"]
    assert pair.wishes(pair.network) == {"vs-edge.yaml", "vs-orders.yaml"}
    before = pair.written()
    first, second = pair.both()
    assert first.plan["changes"] == [
        row for row in first.plan["changes"] if row["name"] == "typo"
    ]
    assert second.plan["changes"] == []
    assert pair.written() == before


def test_what_is_not_exposed_any_more_is_cleaned_by_who_served_it(pair: Pair) -> None:
    pair.both()
    plain: dict[str, Any] = documents.virtual_service("edge")
    state = {
        key: value
        for key, value in pair.told("edge").items()
        if key.startswith("wharfinger.dev/") and key not in ("wharfinger.dev/expose", *FOREIGN)
    }  # fmt: skip
    assert state
    plain["metadata"]["annotations"] = state
    pair.platform.write("eu1/edge.yaml", plain)
    before = pair.written()
    pair.platform.run("reconcile", "-o", "json", "--write-back=on")
    assert pair.written() == before
    done = pair.network.run("reconcile", "-o", "json", "--write-back=on")
    assert [row["name"] for row in done.rows("delete")] == ["edge"]
    assert b"wharfinger.dev/state" not in pair.written()["edge.yaml"]


def test_a_gateway_of_both_kinds_is_refused(pair: Pair) -> None:
    text = pair.platform.settings(foreignGateways=["public"])
    pair.platform.commit({"wharfinger.yaml": text}, "Contradict")
    done = pair.platform.reconcile()
    assert done.code == 2
    assert "public is a gateway of this repository" in done.err
    assert json.loads(done.out)["commit"] is None

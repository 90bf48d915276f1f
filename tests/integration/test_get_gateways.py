"""`get gateways`: the capacity report of a real repository, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.ingress import Ingress, Near


@pytest.fixture
def ingress(tmp_path: Path) -> Ingress:
    gateways = [
        {
            "name": name,
            "renderer": "envoy",
            "namespace": "ingress",
            "host": f"{name}.example.com",
            "ports": {"range": ports},
            "limits": {"listeners": 6},
        }
        for name, ports in (("public", "20000-20099"), ("second", "21000-21099"))
    ]
    tenant = {"clusters": ["*"], "gateways": ["public", "second"], "placement": "overflow"}  # fmt: skip
    made = Near(root=tmp_path).start(gateways=gateways, tenants=[tenant])
    for index in range(6):
        made.expose("eu1", f"more{index}")
    assert made.reconcile().code == 0
    return made


def test_the_report_counts_what_git_has_and_names_the_next_limit(
    ingress: Ingress,
) -> None:
    done = ingress.run("get", "gateways", "-o", "json")
    public, second = json.loads(done.out)["items"]
    assert public == {
        "gateway": "public",
        "level": "full",
        "fillPercent": 100,
        "headroom": 0,
        "limit": "limits.listeners",
        "range": "20000-20099",
        "usable": 100,
        "live": 5,
        "draining": 0,
        "quarantined": 0,
        "reserved": 0,
        "free": 95,
        "hosts": 0,
        "tenants": {"*": 5},
    }
    assert (second["live"], second["level"], second["headroom"]) == (2, "ok", 3)


def test_a_removed_route_waits_out_its_quarantine(ingress: Ingress) -> None:
    (ingress.clusters / "eu1" / "more1.yaml").unlink()
    assert ingress.reconcile().code == 0
    public, second = json.loads(ingress.run("get", "gateways", "-o", "json").out)[
        "items"
    ]
    assert public["quarantined"] + second["quarantined"] == 1
    assert public["live"] + second["live"] == 6


def test_people_get_a_table(ingress: Ingress) -> None:
    text = ingress.run("get", "gateways").out.splitlines()
    assert text[0].split()[:5] == ["GATEWAY", "LEVEL", "FULL", "ROOM", "LIMIT"]
    assert text[1].split()[:5] == ["public", "full", "100%", "0", "limits.listeners"]
    assert ingress.run("get", "gateways", "-o", "markdown").out.startswith("| GATEWAY")

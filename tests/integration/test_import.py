"""`wharfinger import`: what is served already keeps its port, and nothing changes by it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reconciler import yamlio
from reconciler.ledger_file import parse_entry
from tests import documents
from tests.ingress import Done, Ingress, Near


@pytest.fixture
def ingress(tmp_path: Path) -> Near:
    """eu1 serves `orders`; `billing` has a Service and no VirtualService yet."""
    made = Near(tmp_path)
    made.start()
    assert made.reconcile().code == 0
    made.write("eu1/svc-billing.yaml", documents.service("billing", 20077))
    return made


def listed(ingress: Ingress, text: str, name: str = "ports.csv") -> Done:
    (ingress.root / name).write_text(text)
    return ingress.run("import", "--ports", name)


def ledger(ingress: Ingress) -> dict[int, str]:
    """port -> `state cluster/namespace/name/route` of every port file."""
    found = {}
    for path in ingress.files("ports"):
        entry = parse_entry(path, ingress.show(path).encode())
        owner = f"{entry.owner.unit}/{entry.owner.route}" if entry.owner else "nobody"
        found[int(entry.key)] = f"{entry.state} {owner}"
    return found


def manifests(ingress: Ingress) -> dict[str, str]:
    return {path: ingress.show(path) for path in ingress.files("manifests")}


LIST = "port,cluster,namespace,name,route\n20042,eu1,shop,billing,tcp\n"


def test_a_listed_port_waits_for_its_exposure_and_nothing_else_changes(
    ingress: Ingress,
) -> None:
    before = manifests(ingress)
    done = listed(ingress, LIST)
    assert done.code == 0, done.err
    assert "nothing that is served changes" in done.err
    assert ledger(ingress)[20042] == "reserved eu1/shop/billing/tcp"
    assert manifests(ingress) == before
    assert ingress.reconcile().plan["changes"] == []

    ingress.expose("eu1", "other", annotations={"wharfinger.dev/request-port": "20042"})
    assert [row["code"] for row in ingress.reconcile().rows("reject")] == ["WHF123"]

    ingress.expose("eu1", "billing")
    (row,) = ingress.reconcile().rows("create")
    assert (row["name"], row["port"]) == ("billing", 20042)
    assert ledger(ingress)[20042] == "active eu1/shop/billing/tcp"


def test_the_commit_is_a_persons_and_check_finds_nothing_wrong(
    ingress: Ingress,
) -> None:
    base = ingress.tip()
    assert listed(ingress, LIST).code == 0
    said = ingress.git("log", "-1", "--format=%an%n%B", at=ingress.remote)
    assert said.splitlines()[:2] == ["Ada Person", "Adopt ports of gateway public"]
    assert "Wharfinger" not in said
    done = ingress.run("check", "--base", base)
    assert done.code == 0, done.out + done.err


def test_importing_again_makes_no_commit(ingress: Ingress) -> None:
    assert listed(ingress, LIST).code == 0
    tip = ingress.tip()
    done = listed(ingress, LIST)
    assert done.code == 0
    assert "0 to adopt, 1 there already" in done.err
    assert ingress.tip() == tip


def test_a_dry_run_shows_and_writes_nothing(ingress: Ingress) -> None:
    tip = ingress.tip()
    (ingress.root / "p.csv").write_text(LIST)
    done = ingress.run("import", "--ports", "p.csv", "--dry-run", "-o", "json")
    assert [each["port"] for each in done.plan["items"]] == [20042]
    assert done.plan["items"][0]["state"] == "adopted"
    assert ingress.tip() == tip


def test_a_yaml_list_is_a_list_too(ingress: Ingress) -> None:
    rows = [
        {"port": 20042, "cluster": "eu1", "namespace": "shop", "name": "billing"},
        {"port": 20043},
    ]
    done = listed(ingress, yamlio.dump(rows), "ports.yaml")
    assert done.code == 0, done.err
    assert ledger(ingress)[20042] == "reserved eu1/shop/billing/tcp"
    assert ledger(ingress)[20043] == "reserved nobody"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("20042,eu1,shop,billing,nope", "route: expected a port number"),
        ("20042,eu1,shop,,", "expected cluster, namespace and name"),
        ("20042,EU1,shop,billing,", "expected cluster, namespace and name"),
        ("20042,eu1,../x,billing,", "expected cluster, namespace and name"),
        ("20042,us9,shop,billing,", "cluster us9 is not known"),
        ("19999,eu1,shop,billing,", "port 19999 is outside of ports.range"),
        ("x,eu1,shop,billing,", "port: expected a number"),
        ("٤٢,eu1,shop,billing,", "port: expected a number"),
        ("99999,eu1,shop,billing,", "port: expected a number"),
        ("20042,eu1,shop,billing,tcp,more", "unknown column"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_written(
    ingress: Ingress, row: str, words: str
) -> None:
    tip = ingress.tip()
    done = listed(ingress, f"# ours\nport,cluster,namespace,name,route\n{row}\n")
    assert done.code == 2
    assert f"ports.csv:3: {words}" in done.err
    assert ingress.tip() == tip


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ("20042,eu1,shop,other,tcp", "port 20042 is also in ports.csv:"),
        ("20043,eu1,shop,billing,tcp", "one route has one port of a gateway"),
    ],
)
def test_what_is_named_twice_is_refused(
    ingress: Ingress, second: str, words: str
) -> None:
    done = listed(ingress, f"{LIST}{second}\n")
    assert done.code == 2
    assert words in done.err


def test_a_port_that_another_exposure_has_is_refused(ingress: Ingress) -> None:
    (taken,) = ledger(ingress)
    done = listed(ingress, LIST.replace("20042", str(taken)))
    assert done.code == 2
    assert f"port {taken} is active of eu1/shop/orders" in done.err


def test_the_port_that_an_exposure_has_already_is_there(ingress: Ingress) -> None:
    (taken,) = ledger(ingress)
    row = f"port,cluster,namespace,name\n{taken},eu1,shop,orders\n"
    done = listed(ingress, row)
    assert done.code == 0, done.err
    assert "1 there already" in done.err


def test_a_route_that_has_another_port_already_keeps_it(ingress: Ingress) -> None:
    (taken,) = ledger(ingress)
    done = listed(ingress, LIST.replace("billing", "orders"))
    assert done.code == 2
    assert f"route tcp of eu1/shop/orders has port {taken} already" in done.err


def test_node_ports_of_routes_that_are_served_are_left_out(ingress: Ingress) -> None:
    ingress.write("eu1/svc-orders.yaml", documents.service("orders", 20055))
    assert ingress.reconcile().code == 0
    done = ingress.run("import", "--nodeports")
    assert done.code == 0, done.err
    assert 20055 not in ledger(ingress)
    assert 20077 in ledger(ingress)


def test_what_a_hand_made_gateway_has_open_for_a_served_route_is_nobodys(
    ingress: Ingress,
) -> None:
    ingress.write("eu1/svc-orders.yaml", documents.service("orders", 20077))
    ingress.write("eu1/svc-billing.yaml", documents.service("billing", 20078))
    assert ingress.reconcile().code == 0
    assert imported(ingress, gateway_objects("10.20.0.1")).code == 0
    assert ledger(ingress)[20060] == "reserved nobody"


def test_node_ports_keep_their_numbers(ingress: Ingress) -> None:
    ingress.write("eu1/svc-far.yaml", documents.service("far", 31999))
    done = ingress.run("import", "--nodeports")
    assert done.code == 0, done.err
    assert "1 NodePort is outside of ports.range" in done.err
    assert ledger(ingress)[20077] == "reserved eu1/shop/billing/tcp"


def gateway_objects(*addresses: str) -> list[dict[str, Any]]:
    """A hand-made Gateway with the ports 20060 and 20061; 20060 leads to these addresses."""
    endpoints = [{"ip": {"address": each, "port": 20077}} for each in addresses]
    named = {"name": "old", "namespace": "edge"}
    listeners = [
        {"name": f"p{n}", "port": n, "protocol": "TCP"} for n in (20060, 20061)
    ]
    parent = {"name": "old", "sectionName": "p20060"}
    rules = [{"backendRefs": [{"name": "back", "kind": "Backend"}]}]
    return [
        {"kind": "Gateway", "metadata": named, "spec": {"listeners": listeners}},
        {
            "kind": "TCPRoute",
            "metadata": {"name": "r", "namespace": "edge"},
            "spec": {"parentRefs": [parent], "rules": rules},
        },
        {
            "kind": "Backend",
            "metadata": {"name": "back", "namespace": "edge"},
            "spec": {"endpoints": endpoints},
        },
    ]


def imported(ingress: Ingress, objects: list[dict[str, Any]]) -> Done:
    body = {"apiVersion": "v1", "kind": "List", "items": objects}
    (ingress.root / "old.yaml").write_text(json.dumps(body))
    return ingress.run("import", "--gateways", "old.yaml")


def test_ports_of_a_hand_made_gateway_go_to_whom_they_lead(ingress: Ingress) -> None:
    done = imported(ingress, gateway_objects("10.20.0.1"))
    assert done.code == 0, done.err
    assert ledger(ingress)[20060] == "reserved eu1/shop/billing/tcp"
    assert ledger(ingress)[20061] == "reserved nobody"


@pytest.mark.parametrize("addresses", [("10.9.9.9",), ("10.20.0.1", "10.9.9.9"), ()])
def test_a_port_that_leads_elsewhere_too_is_nobodys(
    ingress: Ingress, addresses: tuple[str, ...]
) -> None:
    assert imported(ingress, gateway_objects(*addresses)).code == 0
    assert ledger(ingress)[20060] == "reserved nobody"


def test_istios_hand_made_gateways_are_followed_too(ingress: Ingress) -> None:
    port = {"number": 20060, "name": "tcp", "protocol": "TCP"}
    route = {"destination": {"host": "billing.eu1", "port": {"number": 20077}}}
    objects: list[dict[str, Any]] = [
        {
            "kind": "Gateway",
            "metadata": {"name": "old", "namespace": "edge"},
            "spec": {"servers": [{"port": port, "hosts": ["*"]}]},
        },
        {
            "kind": "VirtualService",
            "metadata": {"name": "old", "namespace": "edge"},
            "spec": {"tcp": [{"match": [{"port": 20060}], "route": [route]}]},
        },
        {
            "kind": "ServiceEntry",
            "metadata": {"name": "old", "namespace": "edge"},
            "spec": {
                "hosts": ["billing.eu1"],
                "ports": [{"number": 20077, "name": "tcp"}],
                "endpoints": [{"address": "10.20.0.1"}],
            },
        },
    ]
    assert imported(ingress, objects).code == 0
    assert ledger(ingress)[20060] == "reserved eu1/shop/billing/tcp"


ODD = [None, True, 0, -1, 1.5, "", "x", [], [1], {}, {"a": 1}]


@pytest.mark.parametrize("value", ODD, ids=ascii)
@pytest.mark.parametrize("key", ["metadata", "spec"])
def test_odd_objects_are_no_reason_to_fail(
    ingress: Ingress, key: str, value: object
) -> None:
    objects = [{**each, key: value} for each in gateway_objects("10.20.0.1")]
    assert imported(ingress, objects).code in (0, 2)


def test_without_a_source_it_says_what_to_name(ingress: Ingress) -> None:
    done = ingress.run("import")
    assert done.code == 2
    assert "--ports, --nodeports or --gateways" in done.err

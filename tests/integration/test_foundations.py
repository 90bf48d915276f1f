"""Foundations beside clusters behind one gateway, by the real command and real servers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reconciler import yamlio
from reconciler.codes import Code
from reconciler.mounted import VARIABLE
from reconciler.wishes import parse_wish
from tests.foundries import Foundry, failure, serving
from tests.ingress import Near
from tests.tlsweb import Asked, Said

Doc = dict[str, Any]
APPS, SYSTEM = "_wildcard.apps.blue.example.com", "_wildcard.sys.blue.example.com"


@dataclass(slots=True, kw_only=True)
class House:
    """A gateway with the foundations blue and green and the clusters eu1 and eu2."""

    ingress: Near
    blue: Foundry
    green: Foundry

    def settings(
        self, shares: Doc | None = None, hosts: str = ".example.com", **overrides: Any
    ) -> bytes:
        inventories = [
            {"name": "lab", "directory": {"path": str(self.ingress.clusters)}},
            _inventory("blue", "10.30.0", shares=shares or {}),
            _inventory("green", "10.40.0"),
        ]
        tenant = {"gateways": ["public"], "endpoints": ["10.20.0.0/16"]}
        foundation = {"gateways": ["public"], "hosts": [hosts]}
        tenants = [
            {
                "clusters": ["blue", "green"],
                "endpoints": ["10.30.0.0/24", "10.40.0.0/24"],
                **foundation,
            },
            {"clusters": ["*"], **tenant},
        ]
        apis = {"hostname": "{cluster}.k8s.{domain}"}
        body = {"inventories": inventories, "tenants": tenants, "apis": apis}
        return self.ingress.settings(domain="ingress.example.com", **body, **overrides)

    def reconcile(self, *args: str) -> Any:
        return self.ingress.reconcile(*args)

    def placement(self, path: str) -> Any:
        found = parse_wish(self.ingress.show(path).encode())
        assert found is not None, self.ingress.show(path)
        return found

    def settle(self, **settings: Any) -> None:
        """Settings of this kind, and a pass."""
        files = {"wharfinger.yaml": self.settings(**settings)}
        self.ingress.commit(files, "Set up")
        done = self.reconcile()
        assert done.code == 0, done.err + done.out


def _inventory(name: str, network: str, **rest: Any) -> Doc:
    source = {
        "credentials": name,
        "systemDomain": f"sys.{name}.example.com",
        "routers": [f"{network}.10", f"{network}.11"],
        "tcpRouters": [f"{network}.20"],
        **rest,
    }
    return {"name": name, "cloudFoundry": source}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    blue, green = Foundry(name="blue"), Foundry(name="green")
    ingress = Near(root=tmp_path / "ingress").start()
    ingress.cluster("eu2")
    ingress.expose("eu2", "orders")
    for foundry in (blue, green):
        foundry.domain(f"apps.{foundry.name}.example.com")
        tcp = foundry.domain(f"tcp.{foundry.name}.example.com", tcp=True)
        foundry.tcp_route(tcp, 20050)
    with ExitStack() as stack:
        for foundry in (blue, green):
            stack.enter_context(serving(foundry, tmp_path))
        ingress.environment[VARIABLE] = str(tmp_path / "credentials")
        yield House(ingress=ingress, blue=blue, green=green)


def test_foundations_and_clusters_are_behind_one_gateway(house: House) -> None:
    house.settle()
    files = house.ingress.files()
    of = "manifests/public/blue"
    assert [each for each in files if each.startswith(of)] == [
        f"{of}/cf.domain/domain-apps.blue.example.com.endpoints.yaml",
        f"{of}/cf.domain/domain-apps.blue.example.com.yaml",
        f"{of}/cf.domain/domain-sys.blue.example.com.endpoints.yaml",
        f"{of}/cf.domain/domain-sys.blue.example.com.yaml",
        f"{of}/cf.tcp/tcp-tcp.blue.example.com-20050.endpoints.yaml",
        f"{of}/cf.tcp/tcp-tcp.blue.example.com-20050.yaml",
    ]
    assert [each for each in files if each.startswith("hosts/")] == [
        f"hosts/public/{name}.yaml"
        for name in (
            APPS,
            "_wildcard.apps.green.example.com",
            SYSTEM,
            "_wildcard.sys.green.example.com",
        )
    ]
    assert len([each for each in files if each.startswith("ports/")]) == 4
    assert f'host: "*.{APPS.partition(".")[2]}"' in house.ingress.show(
        f"hosts/public/{APPS}.yaml"
    )
    assert house.blue.guid in house.ingress.show("clusters/blue.yaml")
    tip = house.ingress.tip()
    done = house.reconcile()
    assert (done.code, house.ingress.tip()) == (0, tip), done.out
    assert house.ingress.run("check").code == 0, house.ingress.run("check").out


def test_two_foundations_that_want_one_number_both_get_a_port(house: House) -> None:
    house.settle()
    rows = [
        each
        for each in house.ingress.run("get", "routes", "-o", "json").plan["items"]
        if "/cf.tcp/" in each["unit"]
    ]
    ports = {int(each["port"]) for each in rows}
    assert len(ports) == 2
    assert 20050 in ports


def test_a_route_may_ask_for_a_port_and_policy_by_annotations(house: House) -> None:
    tcp = house.blue.domains[1]
    house.blue.tcp_route(tcp, 1030, request_port="20077", idle_timeout="10m")
    house.blue.tcp_route(tcp, 1031, request_port="31000")
    house.blue.tcp_route(tcp, 1032, backend="pod")
    house.settle()
    path = "manifests/public/blue/cf.tcp/tcp-tcp.blue.example.com-1030.yaml"
    placement = house.placement(path)
    assert placement.routes[0].ports == (20077,)
    assert placement.wish.policy.idle_timeout_seconds == 600
    rejected = {each["name"]: each["code"] for each in house.reconcile().rows("reject")}
    assert rejected == {
        "tcp.blue.example.com-1031": Code.PORT_NOT_PERMITTED,
        "tcp.blue.example.com-1032": Code.INVALID_ANNOTATION,
    }


def test_a_foundation_that_cannot_be_read_keeps_everything(house: House) -> None:
    house.settle()
    before = house.ingress.files()
    for said in (failure(10001), Said(body=b"{"), failure(10003)):
        house.blue.meddle = lambda asked, right, said=said: (
            said if asked.path == "/v3/routes" else right
        )
        done = house.reconcile()
        assert done.code == 3, done.out
        skipped = {(e["cluster"], e["code"][:4]) for e in done.rows("skip")}
        assert skipped == {("blue", "WHF3")}
        assert house.ingress.files() == before


def test_half_of_the_routes_are_not_the_others_deletion(house: House) -> None:
    for port in range(1100, 1130):
        house.blue.tcp_route(house.blue.domains[1], port)
    house.settle()
    before = house.ingress.files()

    def half(asked: Asked, said: Said) -> Said:
        if asked.path == "/v3/routes" and isinstance(said.body, dict):
            found = said.body["resources"]
            return Said(body={**said.body, "resources": found[: len(found) // 2]})
        return said

    house.blue.meddle = half
    assert house.reconcile().code == 3
    assert house.ingress.files() == before
    house.blue.meddle = None
    del house.blue.routes[1:]
    done = house.reconcile()
    assert done.code == 5, done.out
    assert done.plan["withheld"]["digest"]
    assert house.ingress.files() == before


def test_a_deleted_route_is_removed_after_a_second_look(house: House) -> None:
    extra = house.blue.tcp_route(house.blue.domains[1], 1040)
    house.settle()
    path = "manifests/public/blue/cf.tcp/tcp-tcp.blue.example.com-1040.yaml"
    port = house.placement(path).routes[0].ports[0]
    house.blue.routes.remove(extra)
    assert house.reconcile("--no-wait").code == 5
    assert path in house.ingress.files()
    looked = len([a for a in house.blue.asked if a.path == "/v3/routes"])
    done = house.reconcile()
    assert done.code == 0, done.out
    assert len([a for a in house.blue.asked if a.path == "/v3/routes"]) == looked + 2
    assert path not in house.ingress.files()
    assert "state: released" in house.ingress.show(f"ports/public/{port}.yaml")
    house.blue.tcp_route(house.blue.domains[1], 1040)
    assert house.reconcile().code == 0
    assert house.placement(path).routes[0].ports == (port,)


def test_a_foundation_with_another_id_is_frozen_until_people_accept_it(
    house: House,
) -> None:
    house.settle()
    before = house.ingress.files()
    house.blue.recreate()
    del house.blue.routes[:]
    done = house.reconcile()
    assert done.code == 5
    assert [each["code"] for each in done.rows("skip")] == [Code.CLUSTER_RECREATED]
    assert house.ingress.files() == before
    done = house.ingress.run("accept-cluster", "blue", house.blue.guid)
    assert done.code == 0, done.err
    house.blue.tcp_route(house.blue.domains[1], 20050)
    assert house.reconcile().code == 0
    assert house.ingress.files() == before


def test_a_tenant_must_be_permitted_the_names_and_the_routers(house: House) -> None:
    body = house.settings(hosts=".blue.example.com")
    body = body.replace(b"10.40.0.0/24", b"10.41.0.0/24")
    house.ingress.commit({"wharfinger.yaml": body}, "Set up")
    done = house.reconcile()
    rejected = {(e["cluster"], e["name"], e["code"]) for e in done.rows("reject")}
    assert rejected == {
        ("green", "apps.green.example.com", Code.HOST_NOT_ALLOWED),
        ("green", "sys.green.example.com", Code.HOST_NOT_ALLOWED),
        ("green", "tcp.green.example.com-20050", Code.ENDPOINT_NOT_ALLOWED),
    }


def test_no_domain_takes_names_of_the_platform(house: House) -> None:
    for name in ("k8s.ingress.example.com", "ingress.example.com", "example.com"):
        house.blue.domain(name)
    house.settle()
    done = house.reconcile()
    rejected = {(each["name"], each["code"]) for each in done.rows("reject")}
    assert rejected == {
        (name, Code.HOST_NOT_ALLOWED)
        for name in ("k8s.ingress.example.com", "ingress.example.com", "example.com")
    }


def test_two_foundations_share_a_domain_and_a_port_by_weights(house: House) -> None:
    house.green.domain("apps.blue.example.com")
    shared = house.green.domain("tcp.blue.example.com", tcp=True)
    house.green.tcp_route(shared, 20050)
    shares = {
        "*.apps.blue.example.com": {"blue": 90, "green": 10},
        "tcp.blue.example.com:20050": {"blue": 1, "green": 3},
    }
    house.settle(shares=shares)
    done = house.reconcile()
    assert done.plan["summary"]["reject"] == 0, done.out
    domain = house.placement(
        "manifests/public/blue/cf.domain/domain-apps.blue.example.com.yaml"
    )
    assert [(each.key, each.weight) for each in domain.routes[0].wish.destinations] == [
        ("router/blue:443", 90),
        ("router/green:443", 10),
    ]
    tcp = house.placement(
        "manifests/public/blue/cf.tcp/tcp-tcp.blue.example.com-20050.yaml"
    )
    assert [(each.key, each.weight) for each in tcp.routes[0].wish.destinations] == [
        ("tcp-router/blue:20050", 1),
        ("tcp-router/green:20050", 3),
    ]
    endpoints = house.ingress.show(
        "manifests/public/blue/cf.domain/domain-apps.blue.example.com.endpoints.yaml"
    )
    assert "10.40.0.10:443" in endpoints
    green = house.ingress.files("manifests/public/green")
    assert not [each for each in green if "blue" in each.rpartition("/")[2]]
    assert house.ingress.run("check").code == 0


def test_a_name_that_is_served_already_goes_to_its_share_by_a_transfer(
    house: House,
) -> None:
    house.green.domain("apps.shared.example.com")
    house.settle()
    house.blue.domain("apps.shared.example.com")
    name = "*.apps.shared.example.com"
    house.settle(shares={name: {"blue": 9, "green": 1}})
    rejected = {
        (each["cluster"], each["code"]) for each in house.reconcile().rows("reject")
    }
    assert rejected == {
        ("blue", Code.HOST_TAKEN),
        ("green", Code.SHARED_ELSEWHERE),
    }
    to = "blue/cf.domain/apps.shared.example.com"
    done = house.ingress.run("transfer", f"public/{name}", to)
    assert done.code == 0, done.err
    done = house.reconcile()
    assert done.code == 0, done.out
    placement = house.placement(
        "manifests/public/blue/cf.domain/domain-apps.shared.example.com.yaml"
    )
    assert [each.weight for each in placement.wish.routes[0].destinations] == [9, 1]
    green = house.ingress.files("manifests/public/green/cf.domain")
    assert not [each for each in green if "shared" in each]
    assert house.reconcile().plan["summary"]["reject"] == 0


def test_a_revert_holds_and_routers_are_followed_meanwhile(house: House) -> None:
    house.settle()
    unit = "blue/cf.domain/apps.blue.example.com"
    done = house.ingress.run("hold", unit, "--reason", "migration")
    assert done.code == 0, done.err
    body = house.settings().replace(b"10.30.0.10", b"10.30.0.15")
    house.ingress.commit({"wharfinger.yaml": body}, "Another router")
    done = house.reconcile()
    assert {each["name"] for each in done.rows("hold")} == {"apps.blue.example.com"}
    path = "manifests/public/blue/cf.domain/domain-apps.blue.example.com.endpoints.yaml"
    assert "10.30.0.15:443" in house.ingress.show(path)
    assert house.ingress.run("history", unit).code == 0
    explained = house.ingress.run("explain", unit)
    assert "migration" in explained.out
    asked = house.ingress.run("history", "*.apps.blue.example.com")
    assert unit in asked.out, asked.err


def test_a_foundation_that_settings_no_longer_name_has_vanished(house: House) -> None:
    house.settle()
    before = house.ingress.files()
    body = yamlio.load(house.settings())
    assert isinstance(body, dict)
    del body["inventories"][1]
    files = {"wharfinger.yaml": yamlio.dump(body).encode()}
    house.ingress.commit(files, "Take blue away")
    done = house.reconcile()
    assert done.code == 3
    assert {e["code"] for e in done.rows("skip")} == {Code.CLUSTER_VANISHED}
    assert house.ingress.files() == before


def test_a_foundation_under_another_name_is_an_impostor(house: House) -> None:
    house.settle()
    before = house.ingress.files()
    body = house.settings().replace(b"name: blue", b"name: azure")
    body = body.replace(b"- blue", b"- azure")
    house.ingress.commit({"wharfinger.yaml": body}, "Call blue azure")
    done = house.reconcile()
    assert done.code in (3, 5)
    codes = {(e["cluster"], e["code"]) for e in done.rows("skip")}
    assert codes == {
        ("azure", Code.DUPLICATE_CLUSTER),
        ("blue", Code.CLUSTER_VANISHED),
    }
    assert house.ingress.files() == before


def test_nothing_is_written_into_a_foundation(house: House) -> None:
    files = {"wharfinger.yaml": house.settings()}
    house.ingress.commit(files, "Set up")
    done = house.ingress.run("reconcile", "--write-back", "on")
    assert done.code == 0, done.err
    assert {each.method for each in house.blue.asked} == {"GET"}
    assert "blue" not in done.err

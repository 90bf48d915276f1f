"""`wharfinger transfer` as a real process on a real repository, and real bytes meanwhile."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from reconciler import yamlio
from tests.documents import virtual_service
from tests.envoys import RealEnvoy
from tests.ingress import Done, Ingress, Near
from tests.rendering import destination, tcp
from tests.stack.network import free_port
from tests.stack.process import wait_until
from tests.stack.workloads import FAILED, Workload, ask, spread

HOST = "127.0.0.1"
OLD = "manifests/public/eu1/shop/vs-orders.yaml"
NEW = "manifests/public/eu2/shop/vs-orders.yaml"
UNIT = "eu2/shop/orders"


@pytest.fixture
def ingress(tmp_path: Path) -> Ingress:
    """eu1/shop/orders is served; eu2 is known and exposes nothing."""
    made = Near(root=tmp_path).start()
    made.cluster("eu2")
    done = made.reconcile()
    assert done.code == 0, done.err
    return made


def place(ingress: Ingress) -> str:
    (path,) = ingress.files("ports")
    return path.removeprefix("ports/").removesuffix(".yaml")


def owner(ingress: Ingress, where: str) -> tuple[str, str]:
    body = yamlio.load(ingress.show(f"ports/{where}.yaml").encode())
    assert isinstance(body, dict)
    return body["owner"]["cluster"], body.get("next", "")


def subjects(ingress: Ingress, since: str) -> list[str]:
    log = ("log", "--format=%s", f"{since}..main")
    return ingress.git(*log, at=ingress.remote).splitlines()


def give(ingress: Ingress, *args: str) -> Done:
    return ingress.run("transfer", *args)


def test_a_port_goes_to_another_cluster(ingress: Ingress) -> None:
    where = place(ingress)
    given = give(ingress, where, UNIT)
    assert given.code == 0, given.err
    assert f"ports/{where}.yaml goes to {UNIT} (" in given.out
    assert owner(ingress, where) == ("eu1", UNIT)
    author = ingress.git("log", "-1", "--format=%an", "main", at=ingress.remote)
    assert author.strip() == "Ada Person"
    assert UNIT in ingress.run("get", "ports").out
    tip = ingress.tip()
    waiting = ingress.reconcile()
    assert (waiting.code, ingress.tip()) == (0, tip)
    assert [row["code"] for row in waiting.rows("skip")] == ["WHF514"]
    ingress.expose("eu2", "orders")
    done = ingress.reconcile()
    assert done.code == 0, done.err
    assert subjects(ingress, tip) == [
        f"Transfer {where} from eu1/shop/orders to {UNIT}"
    ]
    assert owner(ingress, where) == ("eu2", "")
    files = ingress.files()
    assert NEW in files
    assert OLD not in files
    assert ingress.run("check").code == 0
    tip = ingress.tip()
    again = ingress.reconcile()
    assert (again.code, ingress.tip()) == (0, tip)


def test_both_workloads_are_told(ingress: Ingress) -> None:
    where = place(ingress)
    give(ingress, where, UNIT)
    ingress.expose("eu2", "orders")
    assert ingress.run("reconcile", "--write-back=on").code == 0
    old = (ingress.clusters / "eu1" / "orders.yaml").read_text()
    new = (ingress.clusters / "eu2" / "orders.yaml").read_text()
    assert "state: Pending" in old
    assert f"to {UNIT}" in " ".join(old.split())
    assert "state: Allocated" in new


def test_the_old_cluster_may_be_lost(ingress: Ingress) -> None:
    where = place(ingress)
    give(ingress, where, UNIT)
    ingress.expose("eu2", "orders")
    (ingress.clusters / "eu1" / "kube-system.yaml").write_text("{")
    done = ingress.reconcile()
    assert done.code == 3, done.err
    assert owner(ingress, where) == ("eu2", "")
    assert OLD not in ingress.files()


def test_a_reverted_transfer_gives_the_port_back(ingress: Ingress) -> None:
    where = place(ingress)
    give(ingress, where, UNIT)
    ingress.expose("eu2", "orders")
    ingress.reconcile()
    ingress.pull()
    ingress.git("revert", "--no-edit", "HEAD")
    ingress.git("push", "-q", "origin", "main")
    tip = ingress.tip()
    done = ingress.reconcile()
    assert (done.code, ingress.tip()) == (0, tip), done.err
    assert owner(ingress, where) == ("eu1", UNIT)
    (held,) = done.rows("hold")
    assert tip[:7] in held["reason"]
    released = ingress.run("release", UNIT)
    assert released.code == 0, released.err
    assert owner(ingress, where) == ("eu2", "")


def test_cancel_takes_it_back(ingress: Ingress) -> None:
    where = place(ingress)
    before = ingress.git("rev-parse", "main^{tree}", at=ingress.remote)
    give(ingress, where, UNIT)
    done = give(ingress, where, "--cancel")
    assert done.code == 0, done.err
    assert ingress.git("rev-parse", "main^{tree}", at=ingress.remote) == before
    tip = ingress.tip()
    assert give(ingress, where, "--cancel").code == 0
    assert ingress.tip() == tip


def test_the_same_transfer_again_makes_no_commit(ingress: Ingress) -> None:
    where = place(ingress)
    give(ingress, where, UNIT)
    tip = ingress.tip()
    again = give(ingress, where, UNIT)
    assert (again.code, ingress.tip()) == (0, tip)
    assert "already" in again.out


NONSENSE = (
    ("public/1", UNIT, "there is no ports/public/1.yaml"),
    ("public/020000", UNIT, "is no port or host"),
    ("public", UNIT, "is no port or host"),
    ("../x/1", UNIT, "is no port or host"),
    ("public/a.example.com", UNIT, "there is no hosts/public/a.example.com.yaml"),
    ("", UNIT, "is no port or host"),
    ("=", "eu2", "is no unit"),
    ("=", "", "the unit is missing"),
    ("=", "eu2/shop/\x1b[31m", "is no unit"),
    ("=", "eu1/shop/orders", "already"),
)


def test_nonsense_is_usage(ingress: Ingress) -> None:
    tip, there = ingress.tip(), place(ingress)
    for where, unit, words in NONSENSE:
        done = give(ingress, there if where == "=" else where, unit)
        assert (done.code, words in done.err, "\x1b" in done.err) == (2, True, False)
    assert ingress.tip() == tip


def test_what_is_released_or_forbidden_is_usage(tmp_path: Path) -> None:
    ingress = Near(root=tmp_path).start(
        tenants=[
            {"clusters": ["eu1"], "gateways": ["public"], "endpoints": ["10.20.0.0/16"]}
        ]
    )
    ingress.reconcile()
    where = place(ingress)
    done = give(ingress, where, UNIT)
    assert (done.code, "may not use gateway public" in done.err) == (2, True)
    ingress.write(
        "eu1/orders.yaml",
        {
            **virtual_service("orders"),
            "metadata": {"name": "orders", "namespace": "shop"},
        },
    )
    ingress.reconcile("--no-wait")
    done = give(ingress, where, UNIT)
    assert (done.code, "is released" in done.err) == (2, True)


class Clients:
    """One client after the other asks the port; `heard` is what each was told."""

    def __init__(self, port: int) -> None:
        self.heard: list[str] = []
        self._port = port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def _ask(self) -> None:
        while not self._stop.is_set() and len(self.heard) < 20_000:
            try:
                self.heard.append(ask(HOST, self._port))
            except OSError as exc:
                self.heard.append(f"{FAILED}: {exc}")

    def __enter__(self) -> Clients:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=10)


@pytest.mark.envoy
def test_no_connection_fails_while_a_port_changes_hands(tmp_path: Path) -> None:
    port = free_port()
    with (
        RealEnvoy(tmp_path) as envoy,
        Workload("old", free_port(), HOST) as old,
        Workload("new", free_port(), HOST) as new,
    ):
        former = tcp(destination("db", 1, f"{HOST}:{old.port}"), port=port, name="old")
        heir = tcp(destination("db", 1, f"{HOST}:{new.port}"), port=port, name="new")
        envoy.serve(former)
        wait_until(lambda: spread(HOST, port, 10) == {"old": 10}, "the old one serves")
        with Clients(port) as clients:
            wait_until(lambda: clients.heard[-5:] == ["old"] * 5, "clients come")
            envoy.serve(heir)
            wait_until(lambda: clients.heard[-50:] == ["new"] * 50, "clients moved")
        first = clients.heard.index("new")
        assert clients.heard == ["old"] * first + ["new"] * (len(clients.heard) - first)

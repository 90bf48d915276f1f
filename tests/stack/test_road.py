"""An annotation becomes a working host:port through a real forge, engine and data plane."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.stack.engines import (  # noqa: F401 - fixtures
    argocd,
    flux,
    gitea,
    remote,
)
from tests.stack.gitea import GitRemote
from tests.stack.istio import Ingress
from tests.stack.kube import Cluster
from tests.stack.process import wait_until
from tests.stack.road import Road, answers
from tests.stack.workloads import spread

pytestmark = pytest.mark.stack

CELLS = [
    ("envoy-gateway", "flux"),
    ("envoy-gateway", "argocd"),
    ("istio", "flux"),
    ("istio", "argocd"),
    ("istio-classic", "flux"),
]
Address = Callable[[], str]


@pytest.fixture(params=CELLS, ids=["-".join(cell) for cell in CELLS])
def road(
    request: pytest.FixtureRequest,
    hub: Cluster,
    workload_1: Cluster,
    remote: GitRemote,  # noqa: F811
    namespace: str,
    address: str,
    tmp_path: Path,
) -> Iterator[Road]:
    """A road for one cell of the matrix."""
    renderer, engine = request.param
    made = Road(
        hub=hub,
        workload=workload_1,
        remote=remote,
        folder=tmp_path,
        renderer=renderer,
        engine=request.getfixturevalue(engine),
        namespace=namespace,
        node=address,
        first_port=20032,
    )
    made.prepare()
    yield made
    made.forget()


@pytest.fixture
def serving(road: Road, request: pytest.FixtureRequest) -> Iterator[Address]:
    """The data plane of the road; gives the address that clients dial."""
    if road.renderer == "envoy-gateway":
        controller = request.getfixturevalue("envoy_gateway")
        yield lambda: controller.address(road.gateway, road.namespace)
        return
    istio = request.getfixturevalue("istio")
    labels = (("istio", road.gateway),)
    proxy = istio.ingress(
        Ingress(service=road.gateway, namespace=road.namespace, labels=labels)
    )
    yield lambda: proxy.wait_address()
    proxy.close()


def hears(address: str, port: int, wanted: str) -> None:
    wait_until(
        lambda: answers(address, port) == wanted, f"{wanted!r} at {address}:{port}"
    )


def test_an_annotation_becomes_a_working_port_and_goes_away_again(
    road: Road, serving: Address
) -> None:
    with road.service("blue"), road.service("green"):
        road.expose({"blue": 1})
        road.wharfinger("reconcile")
        before = road.annotations()
        assert before["state"] == "Allocated"
        assert "host" not in before
        assert "port" not in before

        road.follow()
        road.apply()
        where = serving()
        found = road.prove_until("Ready")
        port = int(found["port"])
        assert found["host"] == "tcp.example.com"
        hears(where, port, "blue")

        road.expose({"green": 1})
        road.wharfinger("reconcile")
        road.wharfinger("prove")  # the engine may be at an older revision still
        assert road.annotations()["port"] == str(port), (
            "it stays while a newer wish is on its way"
        )
        assert road.annotations()["state"] in ("Allocated", "Applied", "Ready")
        road.apply()
        hears(where, port, "green")
        road.prove_until("Ready")

        road.expose({"blue": 90, "green": 10})
        road.wharfinger("reconcile")
        road.apply()
        road.prove_until("Ready")
        wait_until(lambda: len(spread(where, port, 60)) == 2, "both are reached")
        counts = spread(where, port, 1000)
        assert counts == Counter(blue=counts["blue"], green=counts["green"]), counts
        assert 50 <= counts["green"] <= 160, counts

        road.expose({"blue": 1}, request_port="20050")
        road.wharfinger("reconcile")
        road.apply()
        moved = road.prove_until("Ready")
        assert moved["port"] == "20050"
        hears(where, 20050, "blue")
        hears(where, port, "blue")
        road.wharfinger("reconcile")
        road.apply()
        wait_until(lambda: answers(where, port) == "", "the old port is closed")
        hears(where, 20050, "blue")

        with road.replaced_node("blue", "blue on another node"):
            road.wharfinger("reconcile")
            road.apply()
            hears(where, 20050, "blue on another node")

        road.unexpose()
        road.wharfinger("reconcile")
        road.apply()
        wait_until(lambda: answers(where, 20050) == "", "the port is closed")
        road.wharfinger("prove")
        assert road.annotations() == {}
        assert not [path for path in road.files() if "vs-orders" in path]

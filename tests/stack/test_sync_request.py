"""A push is applied at once although the engine by itself would look in ten minutes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from tests.stack.argocd import Argocd
from tests.stack.engines import argocd, flux, gitea, remote  # noqa: F401 - fixtures
from tests.stack.envoy_gateway import EnvoyGateway
from tests.stack.flux import Flux
from tests.stack.gitea import GitRemote
from tests.stack.kube import Cluster
from tests.stack.process import wait_until
from tests.stack.road import Road, answers

pytestmark = pytest.mark.stack
PATIENCE = 600


def patient(engine: Argocd | Flux) -> AbstractContextManager[None]:
    """Our stand-in for source-controller never fetches by itself; Argo CD is told not to."""
    if isinstance(engine, Argocd):
        return engine.patient(PATIENCE)
    return nullcontext()


def asked(engine: Argocd | Flux, road: Road) -> AbstractContextManager[None]:
    """Git as the engine finds it when it is asked to look."""
    if isinstance(engine, Argocd):
        return nullcontext()
    return engine.asked_only(road.gateway, road.remote.bare)


@pytest.fixture(params=["argocd", "flux"])
def road(
    request: pytest.FixtureRequest,
    hub: Cluster,
    workload_1: Cluster,
    remote: GitRemote,  # noqa: F811
    namespace: str,
    address: str,
    tmp_path: Path,
) -> Iterator[Road]:
    """A road whose engine is patient, with one route that is served."""
    engine = request.getfixturevalue(request.param)
    made = Road(
        hub=hub,
        workload=workload_1,
        remote=remote,
        folder=tmp_path,
        renderer="envoy-gateway",
        engine=engine,
        namespace=namespace,
        node=address,
        first_port=20032,
    )
    made.prepare()
    with patient(engine):
        yield made
        made.forget()


def test_a_push_is_served_long_before_the_engine_would_look_by_itself(
    road: Road, envoy_gateway: EnvoyGateway
) -> None:
    with road.service("blue"), road.service("green"):
        road.expose({"blue": 1})
        road.wharfinger("reconcile")
        road.follow()
        road.apply()
        where = envoy_gateway.address(road.gateway, road.namespace)
        port = int(road.prove_until("Ready")["port"])
        wait_until(lambda: answers(where, port) == "blue", "blue is served")

        with asked(road.engine, road):
            road.expose({"green": 1})
            done = road.wharfinger("reconcile")
            assert "not asked" not in done.err
            wait_until(lambda: answers(where, port) == "green", "green is served")

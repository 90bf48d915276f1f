"""Fixtures of the real control planes: one stack per pytest process, started lazily."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest

from tests.stack.envoy_gateway import EnvoyGateway
from tests.stack.istio import Istio
from tests.stack.kube import Cluster, ClusterSpec
from tests.stack.network import give_back, take_address
from tests.stack.stack import HUB_CRDS, WORKLOAD_CRDS, Stack
from tests.stack.workloads import Workload

DOMAIN = "example.com"
# The certificate of the first carries the name that clients use for its API, the
# certificate of the second does not.
NAMED, UNNAMED = "workload-1", "workload-2"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Everything that this process starts; logs are kept when a test failed."""
    with Stack() as started:
        yield started
        started.failed = request.session.testsfailed > 0


@pytest.fixture(scope="session")
def clusters(stack: Stack) -> dict[str, Cluster]:
    """The hub and both workload clusters, started at the same time."""
    specs = [
        ClusterSpec(name="hub", crds=HUB_CRDS),
        ClusterSpec(name=NAMED, crds=WORKLOAD_CRDS, names=(f"{NAMED}.k8s.{DOMAIN}",)),
        ClusterSpec(name=UNNAMED, crds=WORKLOAD_CRDS),
    ]
    return {cluster.name: cluster for cluster in stack.clusters(specs)}


@pytest.fixture(scope="session")
def hub(clusters: dict[str, Cluster]) -> Cluster:
    """The platform cluster, with the CRDs of Gateway API, Envoy Gateway and Istio."""
    return clusters["hub"]


@pytest.fixture(scope="session")
def workload_1(clusters: dict[str, Cluster]) -> Cluster:
    """A workload cluster; its certificate carries ``workload-1.k8s.example.com``."""
    return clusters[NAMED]


@pytest.fixture(scope="session")
def workload_2(clusters: dict[str, Cluster]) -> Cluster:
    """A workload cluster whose certificate carries no such name."""
    return clusters[UNNAMED]


@pytest.fixture(scope="session")
def envoy_gateway(hub: Cluster, stack: Stack) -> EnvoyGateway:
    """Envoy Gateway on the hub."""
    return stack.envoy_gateway()


@pytest.fixture(scope="session")
def istio(hub: Cluster, stack: Stack) -> Istio:
    """istiod on the hub."""
    return stack.istio()


@pytest.fixture
def namespace(hub: Cluster) -> Iterator[str]:
    """A new namespace of the hub; what was made in it is deleted after the test."""
    name = hub.namespace(f"test-{os.getpid()}-{next(_numbers)}")
    yield name
    hub.empty(name)


@pytest.fixture
def blue() -> Iterator[Workload]:
    """A workload that answers ``blue``."""
    with Workload("blue") as workload:
        yield workload


@pytest.fixture
def green() -> Iterator[Workload]:
    """A workload that answers ``green``."""
    with Workload("green") as workload:
        yield workload


@pytest.fixture
def address() -> Iterator[str]:
    """An address of this machine that pods reach."""
    taken = take_address()
    yield taken
    give_back(taken)

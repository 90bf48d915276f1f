"""The installed role of workload clusters is enough for `run`, and no verb of it is spare."""

from __future__ import annotations

import asyncio

import pytest

from reconciler.model.clusters import ClusterObjects, ClusterView, Unknown, Why
from reconciler.observe.watching import Pace, Watcher
from reconciler.settings import Settings
from tests import builders
from tests.stack.kube import Cluster
from tests.stack.stack import WORKLOAD_CRDS, Stack
from tests.stack.test_permissions import WORKLOAD, install, own_kubeconfig, without

pytestmark = pytest.mark.stack
# Nobody connects when a test ends: tries are rare.
PACE = Pace(steady=0.5, relist=0.5, deadline=2.0, backoff=20.0, backoff_longest=20.0, inventory=0.5)  # fmt: skip
KINDS = ("virtualservices", "services", "nodes", "endpointslices", "destinationrules")


@pytest.fixture(scope="module")
def cluster(stack: Stack) -> Cluster:
    """A cluster of its own, since its role is changed."""
    return stack.cluster("permitted", crds=WORKLOAD_CRDS)


@pytest.fixture
def settings(cluster: Cluster) -> Settings:
    install(cluster, WORKLOAD)
    inventory = {"name": "lab", "kubeconfig": {"path": own_kubeconfig(cluster)}}
    return builders.settings(inventories=[inventory])


async def _until(watcher: Watcher, cluster: Cluster, wanted: object) -> ClusterView:
    """What is known when the cluster is as wanted: whole, or unknown for a reason."""
    async with asyncio.timeout(30):
        while True:
            view = watcher.view(cluster.name)
            if view is not None and _is(view) == wanted:
                return view
            await asyncio.sleep(0.05)


def _is(view: ClusterView) -> object:
    return view.objects.why if isinstance(view.objects, Unknown) else ClusterObjects


def watched(settings: Settings, cluster: Cluster, wanted: object) -> tuple[int, str]:
    """Open watches when the cluster is as wanted, and its message when that is unknown."""

    async def use() -> tuple[int, str]:
        watcher = Watcher(settings, pace=PACE)
        task = asyncio.create_task(watcher.run())
        try:
            view = await _until(watcher, cluster, wanted)
            async with asyncio.timeout(30):
                while wanted is ClusterObjects and watcher.counts.open < len(KINDS):
                    await asyncio.sleep(0.05)
            unknown = view.objects
            said = unknown.message if isinstance(unknown, Unknown) else ""
            return watcher.counts.open, said
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    return asyncio.run(use())


def test_the_installed_role_watches_all_that_run_watches(
    settings: Settings, cluster: Cluster
) -> None:
    assert watched(settings, cluster, ClusterObjects) == (len(KINDS), "")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("verb", ["list", "watch"])
def test_without_one_verb_the_cluster_is_unknown_and_it_is_said_which(
    settings: Settings, cluster: Cluster, kind: str, verb: str
) -> None:
    without(cluster, WORKLOAD, kind, verb)
    _, message = watched(settings, cluster, Why.FORBIDDEN)
    assert kind in message

"""Credentials that are replaced, on a real API server: watches go on as somebody else, unlisted."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler import kubeconfig, kubeplugin
from reconciler.model.clusters import ClusterObjects
from reconciler.observe.inventories import hub
from reconciler.observe.watching import Outside, Pace, Watcher
from tests import builders, documents
from tests.plugins import V1, Plugins
from tests.stack.api import Access
from tests.stack.documents import Document, Ref, load
from tests.stack.kube import Cluster
from tests.stack.stack import WORKLOAD_CRDS, Stack

pytestmark = pytest.mark.stack

ROLE = Path(__file__).parents[2] / "manifests" / "rbac-workload.yaml"
SPACE = "wharfinger"
PACE = Pace(watch=(3.0, 4.0), steady=1.0, relist=2.0, backoff=0.1, backoff_longest=0.5, inventory=0.2, tend=1.0)  # fmt: skip


@pytest.fixture(scope="module")
def cluster(stack: Stack) -> Cluster:
    found = stack.cluster("rotated", crds=WORKLOAD_CRDS)
    found.api.apply(load(ROLE.read_text()))
    return found


class Accounts:
    """ServiceAccounts with the role of a workload cluster, which go away when a test says so."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.made = 0

    def new(self) -> tuple[str, Access]:
        """Another account, and access as it."""
        self.made += 1
        name = f"reader-{self.made}"
        access = self.cluster.service_account(name, SPACE)
        subject = {"kind": "ServiceAccount", "name": name, "namespace": SPACE}
        binding: Document = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "wharfinger-workload",
            },
            "subjects": [subject],
        }
        self.cluster.api.apply(binding)
        return name, access

    def end(self, name: str) -> None:
        """The account is gone: its tokens are refused from now on."""
        self.cluster.api.delete(Ref("v1", "ServiceAccount", name, SPACE))


@pytest.fixture
def accounts(cluster: Cluster) -> Accounts:
    return Accounts(cluster)


async def beside(job: Callable[[], Any]) -> Any:
    return await asyncio.get_running_loop().run_in_executor(None, job)


async def until(condition: Callable[[], bool], seconds: float = 40.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.05)


@asynccontextmanager
async def watching(
    file: Path, *, source: Document | None = None, **allow: object
) -> AsyncIterator[Watcher]:
    named = source or {"kubeconfig": {"path": str(file)}}
    inventory = {"name": "kube", "allow": allow, **named}
    settings = builders.settings(inventories=[inventory])
    outside = Outside(chance=random.Random(3))
    watcher = Watcher(settings, pace=PACE, outside=outside)
    task = asyncio.create_task(watcher.run())
    try:
        await watcher.settled()
        yield watcher
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def goes_on(watcher: Watcher, cluster: Cluster, name: str) -> None:
    """All watches are opened anew, more than once, and what happens still comes; nothing is listed."""
    counts = watcher.counts
    began, listed = counts.traffic.requests["watch"], counts.traffic.requests["list"]
    await until(lambda: counts.traffic.requests["watch"] >= began + 10)
    made: Any = documents.virtual_service(name, {name: 1}, None, SPACE)
    await beside(lambda: cluster.api.apply(made))

    def there() -> bool:
        view = watcher.view("rotated")
        objects = view.objects if view is not None else None
        assert isinstance(objects, ClusterObjects), objects
        return any(each.name == name for each in objects.virtual_services)

    await until(there)
    assert counts.traffic.requests["list"] == listed
    assert counts.restarts == 0
    ref = Ref("networking.istio.io/v1", "VirtualService", name, SPACE)
    await beside(lambda: cluster.api.delete(ref))


def on(use: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(use())  # type: ignore[arg-type]


def test_a_kubeconfig_that_is_written_anew(
    cluster: Cluster, accounts: Accounts, tmp_path: Path
) -> None:
    file = tmp_path / "kubeconfig"
    (old, first), (_, second) = accounts.new(), accounts.new()
    file.write_text(cluster.kubeconfig(first))

    async def use() -> None:
        async with watching(file) as watcher:
            file.write_text(cluster.kubeconfig(second))
            await until(lambda: token_of(watcher) == second.token)
            await beside(lambda: accounts.end(old))
            await goes_on(watcher, cluster, "file")

    on(use)


def test_a_client_certificate_that_is_replaced_by_another(
    cluster: Cluster, tmp_path: Path
) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(cluster.kubeconfig(cluster.user("one", ("system:masters",))))
    second = cluster.kubeconfig(cluster.user("two", ("system:masters",)))

    async def use() -> None:
        async with watching(file) as watcher:
            before = access_of(watcher)
            file.write_text(second)
            await until(lambda: access_of(watcher) != before)
            await goes_on(watcher, cluster, "certificate")

    on(use)


def test_a_plugin_whose_answers_end(
    cluster: Cluster,
    accounts: Accounts,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plugins = Plugins(tmp_path / "plugins")
    monkeypatch.setenv(kubeplugin.FOLDER, str(plugins.folder))
    kubeplugin.forget()
    (old, first), (_, second) = accounts.new(), accounts.new()
    file = tmp_path / "kubeconfig"
    body = json.loads(cluster.kubeconfig(first))
    body["users"][0]["user"] = {"exec": {"apiVersion": V1, "command": "who"}}
    file.write_text(json.dumps(body))
    ends = datetime.now(UTC) + timedelta(seconds=4)
    plugins.say(token=first.token, expirationTimestamp=ends.isoformat())

    async def use() -> None:
        async with watching(file, exec=["who"]) as watcher:
            plugins.say(token=second.token)
            await until(lambda: len(plugins.runs()) == 2)
            await beside(lambda: accounts.end(old))
            await goes_on(watcher, cluster, "plugin")
            assert len(plugins.runs()) == 2

    on(use)


def test_a_plugin_whose_answer_is_refused_before_its_end(
    cluster: Cluster,
    accounts: Accounts,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plugins = Plugins(tmp_path / "plugins")
    monkeypatch.setenv(kubeplugin.FOLDER, str(plugins.folder))
    monkeypatch.setattr(kubeplugin, "AGAIN", 0.5)
    kubeplugin.forget()
    (old, first), (_, second) = accounts.new(), accounts.new()
    file = tmp_path / "kubeconfig"
    body = json.loads(cluster.kubeconfig(first))
    body["users"][0]["user"] = {"exec": {"apiVersion": V1, "command": "who"}}
    file.write_text(json.dumps(body))
    plugins.say(token=first.token)

    async def use() -> None:
        async with watching(file, exec=["who"]) as watcher:
            plugins.say(token=second.token)
            await beside(lambda: accounts.end(old))
            await until(lambda: len(plugins.runs()) == 2)
            await goes_on(watcher, cluster, "refused")

    on(use)


def argocd_secret(cluster: Cluster, access: Access) -> Document:
    """The cluster as Argo CD knows it, with this token."""
    config = json.dumps(
        {
            "bearerToken": access.token,
            "tlsClientConfig": {"caData": encoded(cluster.ca)},
        }
    )
    data = {"name": "rotated", "server": access.server, "config": config}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "cluster-rotated",
            "namespace": cluster.namespace("argocd"),
            "labels": {"argocd.argoproj.io/secret-type": "cluster"},
        },
        "data": {key: encoded(text) for key, text in data.items()},
    }


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_a_secret_of_a_hub_that_is_written_anew_and_a_hub_with_another_token(
    cluster: Cluster,
    accounts: Accounts,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (old, first), (_, second) = accounts.new(), accounts.new()
    cluster.api.apply(argocd_secret(cluster, first))
    # The hub is seen as a pod sees it: its token is a file that a kubelet writes anew.
    pod = tmp_path / "serviceaccount"
    pod.mkdir()
    (pod / "ca.crt").write_text(cluster.ca)
    hubs = [cluster.service_account(name, "argocd") for name in ("hub-1", "hub-2")]
    cluster.api.apply(reads_secrets("hub-1", "hub-2"))
    (pod / "token").write_text(hubs[0].token)
    monkeypatch.setattr(hub, "in_cluster", lambda: kubeconfig.in_cluster(pod))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", cluster.host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(cluster.port))

    async def use() -> None:
        async with watching(tmp_path, source={"argocd": {}}) as watcher:
            assert token_of(watcher) == first.token
            await beside(lambda: cluster.api.apply(argocd_secret(cluster, second)))
            await until(lambda: token_of(watcher) == second.token)
            await beside(lambda: accounts.end(old))
            (pod / "token").write_text(hubs[1].token)
            ref = Ref("v1", "ServiceAccount", "hub-1", "argocd")
            await asyncio.sleep(2 * PACE.tend)
            await beside(lambda: cluster.api.delete(ref))
            await goes_on(watcher, cluster, "secret")
            # The hub, too, is still heard, as the other account.
            third = (await beside(accounts.new))[1]
            await beside(lambda: cluster.api.apply(argocd_secret(cluster, third)))
            await until(lambda: token_of(watcher) == third.token)
            assert watcher.snapshot().failures == ()

    on(use)


def reads_secrets(*names: str) -> list[Document]:
    """A role for these accounts of `argocd`."""
    metadata = {"name": "hub", "namespace": "argocd"}
    rbac, group = "rbac.authorization.k8s.io/v1", "rbac.authorization.k8s.io"
    verbs = ["get", "list", "watch"]
    rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": verbs}
    role = {"apiVersion": rbac, "kind": "Role", "metadata": metadata, "rules": [rule]}
    binding = {
        "apiVersion": rbac,
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "hub"},
        "subjects": [
            {"kind": "ServiceAccount", "name": name, "namespace": "argocd"}
            for name in names
        ],
    }
    return [role, binding]


def access_of(watcher: Watcher) -> Any:
    view = watcher.view("rotated")
    assert view is not None
    assert view.access is not None
    return view.access


def token_of(watcher: Watcher) -> str:
    return str(access_of(watcher).token)

"""A cluster's whole life in each inventory on real API servers, with what its manifest grants."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from reconciler import kubeplugin
from reconciler.model.clusters import (
    ApiServer,
    ClusterObjects,
    ClusterState,
    ClusterView,
    Snapshot,
    Unknown,
    Why,
)
from reconciler.observe import observe
from reconciler.observe.watching import Watcher
from reconciler.settings import Settings
from tests import builders
from tests.hub_objects import inventory
from tests.plugins import Plugins
from tests.stack.behind import path_behind
from tests.stack.conftest import DOMAIN, NAMED
from tests.stack.documents import Document, Ref, load
from tests.stack.garden import garden_behind
from tests.stack.kube import Cluster
from tests.stack.lives import ELSEWHERE, NAME, Life, Ways, definitions, life
from tests.stack.process import wait_until
from tests.stack.stack import Stack
from tests.watching import FAST

pytestmark = pytest.mark.stack
MANIFESTS = Path(__file__).parents[2] / "manifests"
SOURCES = {
    "cluster_profile": "cluster-profile",
    "open_cluster_management": "open-cluster-management",
    "flux": "flux",
    "rancher": "rancher",
    "karmada": "karmada",
    "gardener": "gardener",
}
CRDS = (
    *("crds/cluster-inventory", "crds/open-cluster-management"),
    *("crds/flux", "crds/flux-helm"),
)
# Short watches: who was refused is known at the next request.
PACE = replace(FAST, watch=(1.0, 1.5))
MOVED = ApiServer(host=ELSEWHERE, port=6443)
RBAC = "rbac.authorization.k8s.io/v1"
_accounts = itertools.count(1)


@pytest.fixture(scope="module")
def hub(stack: Stack) -> Cluster:
    """An API server with the definitions of all of them."""
    made = stack.cluster("inventories", crds=CRDS)
    made.define([each for path in definitions() for each in load(path.read_text())])
    return made


@pytest.fixture(scope="module")
def workload(stack: Stack) -> Cluster:
    """The cluster that all of them tell of."""
    return stack.cluster(NAMED, names=(f"{NAMED}.k8s.{DOMAIN}",))


@pytest.fixture(scope="module")
def lives(hub: Cluster, workload: Cluster) -> Iterator[dict[str, Life]]:
    """The life of one cluster in each inventory."""
    path = "/k8s/clusters/c-m-7xk2v9qz"
    with garden_behind(hub) as garden, path_behind(workload, path) as behind:
        ways = Ways(workload=workload, behind=behind)
        yield {source: life(source, hub, ways, garden) for source in SOURCES}


@pytest.fixture(params=sorted(SOURCES))
def told(request: pytest.FixtureRequest, lives: dict[str, Life]) -> Iterator[Life]:
    """One of them; nothing of it is left afterwards."""
    found = lives[request.param]
    grant(found)
    yield found
    found.forget()
    for each in manifest(found):
        if each["kind"].endswith("Binding"):  # the next one has its own and no more
            found.hub.api.delete(Ref.of(each, ""))


def manifest(told: Life) -> list[Document]:
    name = f"rbac-inventory-{SOURCES[told.source]}.yaml"
    return load((MANIFESTS / name).read_text())


def verbs(documents: list[Document]) -> Iterator[tuple[Document, int, str]]:
    """(role, index of its rule, verb) of all that is granted."""
    for each in documents:
        for index, rule in enumerate(each.get("rules", ())):
            yield from ((each, index, verb) for verb in rule["verbs"])


def grant(told: Life) -> None:
    """What the manifest grants; a namespace that a Role is for is somebody else's."""
    for each in manifest(told):
        if each["kind"] == "Role":
            told.hub.namespace(each["metadata"]["namespace"])
    told.hub.api.apply(manifest(told))
    for role, index, verb in verbs(manifest(told)):
        wait_until(partial(may, told.hub, role, index, verb), f"{verb} is granted")


def may(hub: Cluster, role: Document, index: int, verb: str) -> bool:
    """Whether the ServiceAccount has what a rule grants."""
    rule, where = role["rules"][index], role["metadata"].get("namespace", "")
    resource, _, subresource = rule["resources"][0].partition("/")
    asked = {
        "group": rule["apiGroups"][0],
        "resource": resource,
        "subresource": subresource,
        "name": rule.get("resourceNames", [""])[0],
        "namespace": where,
        "verb": verb,
    }
    version = "authorization.k8s.io/v1"
    review = {
        "apiVersion": version,
        "kind": "SubjectAccessReview",
        "spec": {
            "user": "system:serviceaccount:wharfinger:wharfinger",
            "resourceAttributes": asked,
        },
    }
    answer = hub.api.call("POST", f"/apis/{version}/subjectaccessreviews", review)
    return bool(answer["status"]["allowed"])


@pytest.fixture
def settings(told: Life, tmp_path: Path) -> Settings:
    return settings_of(told, tmp_path)


def settings_of(told: Life, folder: Path, **more: object) -> Settings:
    """Settings with this inventory, read as the manifest's ServiceAccount."""
    account = told.hub.service_account("wharfinger", "wharfinger")
    path = folder / "hub.yaml"
    path.write_text(told.hub.kubeconfig(account))
    hub = {"context": told.hub.name, "kubeconfig": str(path)}
    lab = inventory(told.source, {**told.settings, "hub": hub, **more})
    entry = lab.model_dump(by_alias=True, exclude_defaults=True)
    return builders.settings(inventories=[entry], apis={"mode": "off"})


class Accounts:
    """Tokens of the workload cluster; each ends with its ServiceAccount."""

    def __init__(self, workload: Cluster) -> None:
        self._workload = workload
        self._last: list[str] = []

    def token(self) -> str:
        """A token of a new account that may read."""
        name = f"inventories-{next(_accounts)}"
        self._last.append(name)
        subject = {"kind": "ServiceAccount", "name": name, "namespace": "default"}
        role = {"kind": "ClusterRole", "name": "cluster-admin"}
        binding = {
            "apiVersion": RBAC,
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", **role},
            "subjects": [subject],
        }
        access = self._workload.service_account(name)
        self._workload.api.apply(binding)
        return access.token

    def end(self, *, all: bool = False) -> None:
        """The older accounts are gone, and what they were given is worth nothing."""
        while len(self._last) > (0 if all else 1):
            name = self._last.pop(0)
            for ref in (
                Ref("v1", "ServiceAccount", name, "default"),
                Ref(RBAC, "ClusterRoleBinding", name),
            ):
                self._workload.api.delete(ref)


@pytest.fixture
def accounts(workload: Cluster) -> Iterator[Accounts]:
    made = Accounts(workload)
    yield made
    made.end(all=True)


Seen = Callable[[ClusterView | None], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something happens, and after it the cluster is seen like this."""

    do: Callable[[], object]
    seen: Seen


def unknown(view: ClusterView | None) -> bool:
    return view is not None and isinstance(view.objects, Unknown)


def known(uid: str, token: str) -> Seen:
    def seen(view: ClusterView | None) -> bool:
        return (
            view is not None
            and isinstance(view.objects, ClusterObjects)
            and view.entry.state is ClusterState.READY
            and view.entry.cluster_id == uid
            and view.access is not None
            and view.access.token == token
        )

    return seen


def deleted(view: ClusterView | None) -> bool:
    return view is not None and view.entry.state is ClusterState.DELETED


def moved(view: ClusterView | None) -> bool:
    """Its API route follows, whether or not it is reached there."""
    return view is not None and view.entry.api_servers == (MOVED,)


def gone(view: ClusterView | None) -> bool:
    return view is None


def gone_or_deleted(view: ClusterView | None) -> bool:
    """Who has watched remembers the last word for a while."""
    return gone(view) or deleted(view)


def steps(
    told: Life, workload: Cluster, accounts: Accounts, *, rotated: bool = True
) -> list[Step]:
    """Appears, provisioned, credentials rotated, masters replaced, deleted."""
    first, second = accounts.token(), accounts.token()

    def rotate() -> None:
        told.rotate(second)
        accounts.end()

    found = [
        Step(do=told.appear, seen=unknown),
        Step(do=lambda: told.provision(first), seen=known(workload.uid, first)),
    ]
    if rotated:
        found.append(Step(do=rotate, seen=known(workload.uid, second)))
    if told.source not in ("flux", "rancher"):  # addresses stand in their kubeconfigs
        found.append(Step(do=told.move, seen=moved))
    if told.source != "flux":  # has no word for a cluster's deletion
        found.append(Step(do=told.delete, seen=deleted))
    return found


def cluster(snapshot: Snapshot) -> ClusterView | None:
    assert snapshot.failures == ()
    return next((each for each in snapshot.clusters if each.entry.name == NAME), None)


def test_a_whole_life_as_one_pass_after_the_other_reads_it(
    told: Life, workload: Cluster, accounts: Accounts, settings: Settings
) -> None:
    last = Step(do=told.vanish, seen=gone)
    for step in [*steps(told, workload, accounts), last]:
        step.do()
        view = cluster(asyncio.run(observe(settings)))
        assert step.seen(view), view


def test_a_whole_life_as_it_is_watched(
    told: Life, workload: Cluster, accounts: Accounts, settings: Settings
) -> None:
    # A server takes a token for ten seconds more, and what follows then is one for all.
    rotated = told.source in ("flux", "gardener")
    life = steps(told, workload, accounts, rotated=rotated)
    life.append(Step(do=told.vanish, seen=gone_or_deleted))

    async def follow() -> None:
        watcher = Watcher(settings, pace=PACE)
        task = asyncio.create_task(watcher.run())
        try:
            await watcher.settled()
            for step in life:
                await asyncio.to_thread(step.do)
                async with asyncio.timeout(20):
                    while not step.seen(cluster(watcher.snapshot())):
                        await asyncio.sleep(0.02)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(follow())


def test_addresses_and_ids(
    told: Life, workload: Cluster, accounts: Accounts, settings: Settings
) -> None:
    told.appear()
    told.provision(accounts.token())
    view = cluster(asyncio.run(observe(settings)))
    assert view is not None
    direct = ApiServer(host=workload.host, port=workload.port)
    # A path behind Rancher is no address of an API server.
    expected = () if told.source == "rancher" else (direct,)
    assert view.entry.api_servers == expected
    match told.source:
        case "karmada":
            stable = workload.uid
        case "flux":
            stable = "flux-system/eu1-kubeconfig"
        case "gardener":
            stable = told.golden.body["status"]["uid"]
        case _:
            stable = told.hub.api.get(told.ref)["metadata"]["uid"]
    assert view.entry.inventory_id == stable


def test_a_profile_is_read_as_whom_the_plugin_of_the_settings_says(
    lives: dict[str, Life],
    workload: Cluster,
    accounts: Accounts,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = lives["cluster_profile"]
    plugins, token = Plugins(tmp_path / "plugins"), accounts.token()
    monkeypatch.setenv(kubeplugin.FOLDER, str(plugins.folder))
    kubeplugin.forget()
    plugins.say("fleet-login", token=token)
    grant(told)
    told.appear()
    told.provision("not-a-token-of-anybody")
    providers = {"token": {"command": "fleet-login"}}
    seen = asyncio.run(observe(settings_of(told, tmp_path, providers=providers)))
    view = cluster(seen)
    assert view is not None
    assert isinstance(view.objects, ClusterObjects), view.objects
    assert view.entry.cluster_id == workload.uid
    (run,) = plugins.runs("fleet-login")
    assert run["argv"] == []
    told.forget()


def without(role: Document, index: int, verb: str) -> Document:
    rules: list[dict[str, Any]] = [dict(each) for each in role["rules"]]
    rules[index]["verbs"] = [each for each in rules[index]["verbs"] if each != verb]
    return {**role, "rules": [each for each in rules if each["verbs"]]}


def test_no_verb_of_the_manifest_is_spare(
    told: Life, accounts: Accounts, settings: Settings
) -> None:
    def reason() -> Why | None:
        snapshot = asyncio.run(observe(settings))
        if snapshot.failures:
            return snapshot.failures[0].reason.why
        (view,) = snapshot.clusters
        return view.objects.why if isinstance(view.objects, Unknown) else None

    told.appear()
    told.provision(accounts.token())
    wait_until(lambda: reason() is None, "all is granted")
    for role, index, verb in verbs(manifest(told)):
        if verb == "watch" or role["rules"][index]["resources"] == ["configmaps"]:
            continue  # one pass watches nothing, and this cluster has a Secret
        told.hub.api.apply(without(role, index, verb))
        wait_until(lambda: reason() is Why.FORBIDDEN, f"{verb} is missed", seconds=5)
        told.hub.api.apply(role)
        wait_until(lambda: reason() is None, "all is granted again", seconds=5)

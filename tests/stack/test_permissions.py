"""The roles in manifests/ are enough for the whole road, and none of their verbs is spare."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.kube import KubeError
from reconciler.prove import reflecting
from reconciler.prove.asking import Asked, Asks, ask_to_sync
from reconciler.prove.views import Collection
from reconciler.prove.watched import Watched
from reconciler.settings import Platform, Proof, Settings
from tests.rendering import settings
from tests.stack.argocd import ARGO
from tests.stack.documents import Ref, load
from tests.stack.engines import flux, gitea, remote  # noqa: F401 - fixtures
from tests.stack.envoy_gateway import EnvoyGateway
from tests.stack.flux import CRDS, KUSTOMIZE, SOURCES, Flux
from tests.stack.gitea import GitRemote
from tests.stack.kube import Cluster
from tests.stack.process import wait_until
from tests.stack.road import Road, answers

pytestmark = pytest.mark.stack

MANIFESTS = Path(__file__).parents[2] / "manifests"
WORKLOAD, PLATFORM = "rbac-workload.yaml", "rbac-platform.yaml"


def install(cluster: Cluster, manifest: str) -> None:
    """The role as it is installed."""
    cluster.api.apply(load((MANIFESTS / manifest).read_text()))


def without(cluster: Cluster, manifest: str, resource: str, verb: str) -> None:
    """The role again, with one verb on one resource less."""
    documents = load((MANIFESTS / manifest).read_text())
    (role,) = [each for each in documents if each["kind"] == "ClusterRole"]
    role["rules"] = [
        rule for each in role["rules"] for rule in _split(each, resource, verb)
    ]
    cluster.api.apply(role)


def _split(rule: dict[str, Any], resource: str, verb: str) -> Iterator[dict[str, Any]]:
    """The rule for all other resources, and for this one without the verb."""
    if others := [each for each in rule["resources"] if each != resource]:
        yield {**rule, "resources": others}
    verbs = [each for each in rule["verbs"] if each != verb]
    if resource in rule["resources"] and verbs:
        yield {**rule, "resources": [resource], "verbs": verbs}


def own_kubeconfig(cluster: Cluster) -> str:
    """A kubeconfig of the ServiceAccount that the role is bound to."""
    access = cluster.service_account("wharfinger", "wharfinger")
    return str(cluster.kubeconfig_file(access))


@pytest.fixture
def road(
    hub: Cluster,
    workload_1: Cluster,
    remote: GitRemote,  # noqa: F811
    flux: Flux,  # noqa: F811
    namespace: str,
    address: str,
    tmp_path: Path,
) -> Iterator[Road]:
    """A road on which Wharfinger has its own ServiceAccounts and nothing else."""
    install(hub, PLATFORM)
    install(workload_1, WORKLOAD)
    own = {"path": own_kubeconfig(workload_1)}
    made = Road(
        hub=hub,
        workload=workload_1,
        remote=remote,
        folder=tmp_path,
        renderer="envoy-gateway",
        engine=flux,
        namespace=namespace,
        node=address,
        first_port=20032,
        extra={
            "platform": {"context": hub.name, "kubeconfig": own_kubeconfig(hub)},
            "inventories": [{"name": "lab", "kubeconfig": own}],
        },
    )
    made.prepare()
    yield made
    made.forget()
    install(hub, PLATFORM)
    install(workload_1, WORKLOAD)


def stages(road: Road) -> dict[str, str]:
    """unit -> the stage that is proven now."""
    done = road.wharfinger("prove", "-o", "json")
    return {each["unit"]: each["stage"] for each in json.loads(done.out)["items"]}


def test_the_installed_roles_walk_the_whole_road_and_no_verb_is_spare(
    road: Road, envoy_gateway: EnvoyGateway
) -> None:
    with road.service("blue"):
        road.expose({"blue": 1})
        road.wharfinger("reconcile")
        road.follow()
        road.apply()
        where = envoy_gateway.address(road.gateway, road.namespace)
        port = int(road.prove_until("Ready")["port"])
        wait_until(lambda: answers(where, port) == "blue", "blue is served")
        proven = stages(road)
        assert len(set(proven.values())) == 1, proven

        for resource in ("kustomizations", "gateways", "listenersets", "tcproutes"):
            without(road.hub, PLATFORM, resource, "list")
            wait_until(
                lambda: not set(stages(road).values()) & set(proven.values()),
                f"nothing is proven without {resource}",
            )
            assert road.annotations()["port"] == str(port), resource
            install(road.hub, PLATFORM)
            wait_until(lambda: stages(road) == proven, f"{resource} can be read again")

        head = road.head()
        for resource, verb in (("namespaces", "get"), ("virtualservices", "list")):
            without(road.workload, WORKLOAD, resource, verb)
            road.wharfinger("reconcile", code=3)
            assert road.head() == head, resource
            install(road.workload, WORKLOAD)
        assert answers(where, port) == "blue"


def test_a_state_that_may_not_be_written_is_told_and_stops_nothing_else(
    road: Road,
) -> None:
    with road.service("blue"):
        road.expose({"blue": 1})
        without(road.workload, WORKLOAD, "virtualservices", "patch")
        done = road.wharfinger("reconcile")
        unit = f"{road.workload.name}/{road.space}/orders"
        assert unit in done.err
        assert "403" in done.err or "forbidden" in done.err.lower(), done.err
        assert "state" not in road.annotations()
        assert [path for path in road.files() if "orders" in path]

        install(road.workload, WORKLOAD)
        road.wharfinger("reconcile")
        assert road.annotations()["state"] == "Allocated"


@pytest.fixture(scope="module")
def engine_kinds(hub: Cluster) -> None:
    """The kinds of both engines, without the engines."""
    hub.install("crds/argocd", *CRDS)


@pytest.fixture
def platform(engine_kinds: None, hub: Cluster, namespace: str) -> Iterator[Settings]:
    """Objects of both engines that apply `eu1`, and settings whose role is the installed one."""
    install(hub, PLATFORM)
    hub.api.apply([each | {"metadata": _named(each, namespace)} for each in OBJECTS])
    known = Platform(context=hub.name, kubeconfig=own_kubeconfig(hub))
    yield settings().model_copy(update={"platform": known})
    install(hub, PLATFORM)
    for each in OBJECTS:
        hub.api.delete(Ref.of(each | {"metadata": _named(each, namespace)}))


SOURCE = {"repoURL": "https://forge.example.com/ingress.git", "targetRevision": "main"}
DESTINATION = {"server": "https://kubernetes.default.svc", "namespace": "ingress"}
OBJECTS: list[dict[str, Any]] = [
    {
        "apiVersion": ARGO,
        "kind": "Application",
        "spec": {
            "project": "default",
            "source": {
                **SOURCE,
                "path": "manifests/public/eu1",
                "directory": {"recurse": True},
            },
            "destination": DESTINATION,
        },
    },
    {
        "apiVersion": ARGO,
        "kind": "ApplicationSet",
        "spec": {
            "generators": [
                {
                    "git": {
                        "repoURL": SOURCE["repoURL"],
                        "revision": "main",
                        "directories": [{"path": "manifests/public/*"}],
                    }
                }
            ],
            "template": {
                "metadata": {"name": "x"},
                "spec": {
                    "project": "default",
                    "source": {**SOURCE, "path": "x"},
                    "destination": DESTINATION,
                },
            },
        },
    },
    {
        "apiVersion": SOURCES,
        "kind": "GitRepository",
        "spec": {"url": SOURCE["repoURL"], "interval": "10m"},
    },
    {
        "apiVersion": KUSTOMIZE,
        "kind": "Kustomization",
        "spec": {
            "path": "./manifests/public/eu1",
            "sourceRef": {"kind": "GitRepository", "name": "ingress"},
            "interval": "10m",
            "prune": True,
        },
    },
]


def _named(document: dict[str, Any], namespace: str) -> dict[str, str]:
    return {"name": "ingress", "namespace": namespace}


def _with_proof(about: Settings, engine: str, namespace: str) -> Settings:
    proof = Proof.model_validate({engine: [f"{namespace}/ingress*"]})
    gateway = about.gateways[0].model_copy(update={"proof": proof})
    return about.model_copy(update={"gateways": (gateway,)})


def ask(about: Settings, cluster: str) -> tuple[Asked, ...]:
    """The outcome of asking, for a process that remembers nothing."""
    path = f"manifests/public/{cluster}/shop/vs-orders.yaml"
    return asyncio.run(ask_to_sync(about, [path], Asks()))


@pytest.mark.parametrize(
    "case",
    [
        ("argocd", "eu1", "applications", "applications"),
        ("argocd", "new", "applicationsets", "applicationsets"),
        ("flux", "eu1", "gitrepositories", "kustomizations"),
    ],
)
def test_engines_are_asked_with_the_installed_role_and_no_verb_is_spare(
    platform: Settings,
    hub: Cluster,
    namespace: str,
    case: tuple[str, str, str, str],
) -> None:
    engine, cluster, resource, reads = case
    about = _with_proof(platform, engine, namespace)
    asked = (Asked(what=f"{resource} {namespace}/ingress"),)
    wait_until(lambda: ask(about, cluster) == asked, f"{resource} are asked")

    for refused, verb in ((resource, "patch"), (reads, "list")):
        without(hub, PLATFORM, refused, verb)
        what = f"{verb} {refused}"
        wait_until(
            lambda what=what: any(  # type: ignore[misc]
                each.what.startswith(what) and "403" in each.problem
                for each in ask(about, cluster)
            ),
            f"that it may not {what} is told",
        )
        install(hub, PLATFORM)


def test_what_is_watched_costs_one_list_and_needs_its_verb(
    platform: Settings,
    hub: Cluster,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reflecting, "PATIENCE", 0.0)
    known = platform.platform
    assert known is not None
    collection = Collection(
        version=KUSTOMIZE, plural="kustomizations", namespace=namespace
    )
    ref = Ref(KUSTOMIZE, "Kustomization", "ingress", namespace)

    async def generations(watched: Watched) -> list[int]:
        async with watched.look(known) as view:
            found = await view.objects(collection)
        return [each["metadata"]["generation"] for each in found]

    async def until(watched: Watched, wanted: list[int]) -> None:
        async with asyncio.timeout(30):
            while await generations(watched) != wanted:
                await asyncio.sleep(0.02)

    async def run() -> None:
        watched = Watched()
        try:
            await until(watched, [1])
            hub.api.patch(ref, {"spec": {"interval": "11m"}})
            await until(watched, [2])
            hub.api.delete(ref)
            await until(watched, [])
            assert watched.lists == 1
        finally:
            await watched.close()
        without(hub, PLATFORM, "kustomizations", "watch")
        watched = Watched()
        try:
            with pytest.raises(KubeError, match="403"):
                await _refused(watched, generations)
        finally:
            await watched.close()

    asyncio.run(run())


async def _refused(
    watched: Watched, generations: Callable[[Watched], Awaitable[list[int]]]
) -> None:
    """Look until it is refused; what was listed counts for no time."""
    async with asyncio.timeout(30):
        while True:
            await generations(watched)
            await asyncio.sleep(0.05)

"""The life of a cluster that Cluster API or Argo CD tells of, on real API servers and Envoy."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from reconciler.model.clusters import Unknown
from reconciler.observe.inventories import Found
from reconciler.observe.watching import Watcher
from reconciler.observe.watching.members import Members
from reconciler.settings_file import parse
from tests import documents, hubs
from tests.envoys import RealEnvoy
from tests.hub_places import read
from tests.ingress import COMMAND, PERSON, Ingress
from tests.stack import pins
from tests.stack.api import Access, Api
from tests.stack.conftest import DOMAIN, NAMED
from tests.stack.documents import Document, Ref, load
from tests.stack.kube import Cluster
from tests.stack.process import run, wait_until
from tests.stack.relay import Relay
from tests.stack.stack import WORKLOAD_CRDS, Stack
from tests.watching import FAST

pytestmark = [pytest.mark.stack, pytest.mark.envoy]
MANIFESTS = Path(__file__).parents[2] / "manifests"
CAPI = "cluster.x-k8s.io/v1beta2"
TEAM, ARGO = "team-a", "argocd"
API = f"manifests/public/{NAMED}/api.yaml"
ENDPOINTS = f"manifests/public/{NAMED}/api.endpoints.yaml"
NAME = f"{NAMED}.k8s.{DOMAIN}"
QUICK = {"quiet": "0s", "longest": "1s"}
HOLD = {"metadata": {"finalizers": ["wharfinger.dev/held-by-a-test"]}}
FREE: Document = {"metadata": {"finalizers": []}}


@pytest.fixture(scope="module")
def hub(stack: Stack) -> Cluster:
    """A management cluster with the public CRD of Cluster API."""
    made = stack.cluster("capi", crds=("crds/cluster-api",))
    made.namespace(TEAM)
    made.namespace(ARGO)
    return made


def manifest(source: str) -> list[Document]:
    """Our exact permissions at a hub of this kind."""
    name = {"clusterApi": "cluster-api", "argocd": "argocd"}[source]
    return load((MANIFESTS / f"rbac-inventory-{name}.yaml").read_text())


@pytest.fixture(scope="module")
def workload(stack: Stack) -> Cluster:
    """The cluster that is told of; its certificate carries its name."""
    made = stack.cluster(NAMED, names=(NAME,), crds=WORKLOAD_CRDS)
    made.api.apply(load((MANIFESTS / "rbac-workload.yaml").read_text()))
    return made


@dataclass(slots=True)
class Life:
    """An ingress repository, `wharfinger run` beside it, a hub, a cluster, and an Envoy."""

    hub: Cluster
    workload: Cluster
    place: Ingress
    envoy: RealEnvoy
    accounts: int = 0
    process: subprocess.Popen[str] | None = field(default=None)

    def start(self, source: str, **asked: Any) -> None:
        """Settings whose only inventory is the hub, as our own ServiceAccount there."""
        self.hub.api.apply(manifest(source))
        access = self.hub.service_account("wharfinger", "wharfinger")
        file = self.hub.kubeconfig_file(access)
        at = {"context": self.hub.name, "kubeconfig": str(file)}
        gateway = {
            "name": "public",
            "renderer": "envoy",
            "namespace": "ingress",
            "ports": {"range": "20000-20099"},
            "tlsPort": self.envoy.tls_port,
        }
        self.place.start(
            gateways=[gateway],
            inventories=[{"name": "fleet", source: {"hub": at, **asked}}],
            watch=QUICK,
            guards={"grace": "1s"},
        )

    @contextmanager
    def running(self) -> Iterator[None]:
        """`wharfinger run`, which must be the same process at the end."""
        place = self.place
        with (place.root / "run.log").open("w") as log:
            self.process = subprocess.Popen(
                [str(COMMAND), "run", "--interval", "0.5"],
                cwd=place.root,
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": os.environ.get("HOME", "/"),
                    **PERSON,
                    "XDG_CACHE_HOME": str(place.root / "run-cache"),
                    "WHARFINGER_REPO": str(place.remote),
                },
                stdout=log,
                stderr=log,
                text=True,
            )
            try:
                yield
                assert self.process.poll() is None, "it ended"
            finally:
                self.process.kill()
                self.process.wait(timeout=30)
        said = (place.root / "run.log").read_text()
        assert "Traceback" not in said, said

    def until(self, condition: Callable[[], bool], what: str) -> float:
        """Seconds until something is so."""
        since = time.monotonic()
        try:
            wait_until(condition, what, seconds=60)
        except TimeoutError:
            print((self.place.root / "run.log").read_text()[-6000:])
            raise
        return time.monotonic() - since

    def has(self, path: str) -> bool:
        return path in self.place.files()

    def says(self, path: str, text: str) -> bool:
        return self.has(path) and text in self.file(path)

    def file(self, path: str) -> str:
        return self.place.git("show", f"main:{path}", at=self.place.remote)

    def told(self) -> list[dict[str, Any]]:
        """What a plan says of the cluster as a whole."""
        done = self.place.run("plan", "-o", "json")
        rows = done.plan["changes"]
        return [row for row in rows if row["cluster"] == NAMED and not row["name"]]

    def credentials(self) -> Access:
        """Who we are in the workload cluster, somebody else each time; the last is nobody."""
        name = f"wharfinger-{self.accounts}"
        if self.accounts:
            last = f"wharfinger-{self.accounts - 1}"
            access = self._account(name)
            self.workload.api.delete(Ref("v1", "ServiceAccount", last, "wharfinger"))
        else:
            access = self._account(name)
        self.accounts += 1
        return access

    def _account(self, name: str) -> Access:
        access = self.workload.service_account(name, "wharfinger")
        subject = {"kind": "ServiceAccount", "name": name, "namespace": "wharfinger"}
        role = {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "wharfinger-workload",
        }
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": role,
            "subjects": [subject],
        }
        self.workload.api.apply(binding)
        return access

    def sync(self) -> None:
        """Bring Envoy to the branch."""
        options = self.envoy.options
        done = self.place.run(
            "envoy-sync",
            "--once",
            *("--out", str(options.folder), "--status", str(options.status)),
            *("--admin", options.admin, "--bind", options.bind),
        )
        assert done.code == 0, done

    def uid_by_name(self) -> str:
        """The cluster's id as real kubectl gets it through Envoy at the cluster's name."""
        through = self.workload.through(
            f"https://{self.envoy.options.bind}:{self.envoy.tls_port}", server_name=NAME
        )
        file = self.workload.kubeconfig_file(through)
        what = ("get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}")
        return run(str(pins.binary("kubectl")), f"--kubeconfig={file}", *what)

    def expose(self, name: str) -> None:
        """An exposure in the workload cluster."""
        space = self.workload.namespace("hub-shop")
        service = documents.service(name, 0, space)
        del service["spec"]["clusterIP"]  # type: ignore[attr-defined]
        del service["spec"]["ports"][0]["nodePort"]  # type: ignore[index]
        node: Any = documents.node("hub-node", "10.20.0.1")
        self.workload.api.apply(node)
        self.workload.api.patch_status(Ref("v1", "Node", "hub-node"), node["status"])
        wish = documents.virtual_service(name, space=space)
        self.workload.api.apply([service, dict(wish)])


@pytest.fixture
def life(hub: Cluster, workload: Cluster, tmp_path: Path) -> Iterator[Life]:
    """Nothing is known of the cluster yet."""
    with RealEnvoy(tmp_path) as envoy:
        place = Ingress(root=tmp_path / "place")
        yield Life(hub=hub, workload=workload, place=place, envoy=envoy)
    for source in ("clusterApi", "argocd"):
        for each in manifest(source):
            if each["kind"].endswith("Binding"):  # the next one has its own and no more
                hub.api.delete(Ref.of(each))
    for kind in (
        Ref("networking.istio.io/v1", "VirtualService", "", "hub-shop"),
        Ref("v1", "Service", "", "hub-shop"),
    ):
        workload.api.call("DELETE", workload.api.path(kind))
    workload.api.delete(Ref("v1", "Node", "hub-node"))


def cluster(**spec: Any) -> Document:
    wished = {"paused": False, **spec}
    return {
        "apiVersion": CAPI,
        "kind": "Cluster",
        "metadata": {"name": NAMED, "namespace": TEAM},
        "spec": wished,
    }


def endpoint(host: str, port: int) -> Mapping[str, Any]:
    return {"controlPlaneEndpoint": {"host": host, "port": port}}


CLUSTER = Ref(CAPI, "Cluster", NAMED, TEAM)


def give_credentials(life: Life) -> None:
    text = life.workload.kubeconfig(life.credentials())
    secret = hubs.capi_secret(NAMED, text, namespace=TEAM)
    life.hub.api.apply(secret)


def test_a_cluster_of_cluster_api_lives(life: Life) -> None:
    api, workload, uid = life.hub.api, life.workload, life.workload.uid
    life.start("clusterApi")
    with life.running(), Relay(workload.host, workload.port) as relay:
        api.apply(cluster())
        wait_until(lambda: bool(life.told()), "the cluster is told of")
        (told,) = life.told()
        assert (told["op"], told["code"]) == ("skip", "WHF215")
        assert life.place.run("plan", "-o", "json").code == 0
        assert not any(NAMED in path for path in life.place.files())

        give_credentials(life)
        api.patch(CLUSTER, {"spec": endpoint(workload.host, workload.port)})
        initialized = {"initialization": {"controlPlaneInitialized": True}}
        api.patch_status(CLUSTER, initialized)
        seconds = life.until(lambda: life.has(API), "the API route is in Git")
        print(f"provisioned to Git: {seconds:.1f} s")
        assert f"{workload.host}" in life.file(ENDPOINTS)
        life.sync()
        assert life.uid_by_name() == uid

        api.patch(CLUSTER, {"spec": endpoint(relay.address, relay.port)})
        seconds = life.until(
            lambda: life.says(ENDPOINTS, relay.address), "the masters are followed"
        )
        print(f"other masters to Git: {seconds:.1f} s")
        life.sync()
        assert life.uid_by_name() == uid
        assert relay.carried

        give_credentials(life)
        life.expose("orders")
        wish = f"manifests/public/{NAMED}/hub-shop/vs-orders.yaml"
        life.until(lambda: life.has(wish), "what happens is seen with new credentials")
        assert life.place.run("plan", "-o", "json").code == 0

        _vanish_and_return(life)

        api.patch(CLUSTER, HOLD)
        api.delete(CLUSTER)
        life.until(lambda: not life.has(API), "a deleted cluster's route is removed")
        life.until(lambda: not life.has(wish), "and its exposures are")
        api.patch(CLUSTER, FREE)


def _vanish_and_return(life: Life) -> None:
    """An object that merely vanished removes nothing; the same cluster under another is it."""
    api, before = life.hub.api, life.place.tip()
    spec = api.get(CLUSTER)["spec"]
    api.delete(CLUSTER)
    done = life.place.run("plan", "-o", "json")
    assert done.code == 3
    assert [row["code"] for row in done.plan["changes"]] == ["WHF210"]
    assert life.has(API)
    api.apply({**cluster(), "spec": spec})
    initialized = {"initialization": {"controlPlaneInitialized": True}}
    api.patch_status(CLUSTER, initialized)
    wait_until(
        lambda: life.place.run("plan", "-o", "json").code == 0, "it is known again"
    )
    assert life.has(API)
    changed = life.place.git(
        "diff", "--name-only", before, "main", "--", "manifests", at=life.place.remote
    )
    assert changed == ""


SECRET = Ref("v1", "Secret", f"cluster-{NAMED}", ARGO)


def register(life: Life, **metadata: Any) -> None:
    """As `argocd cluster add` does."""
    access = life.credentials()
    config = hubs.argocd_config(life.workload.ca, access.token)
    made = hubs.argocd_secret(NAMED, access.server, config, **metadata)
    del made["metadata"]["uid"]
    made["metadata"]["namespace"] = ARGO
    life.hub.api.apply(made)


def test_a_cluster_of_argo_cd_lives(life: Life) -> None:
    api = life.hub.api
    life.start("argocd")
    with life.running():
        register(life)
        seconds = life.until(lambda: life.has(API), "the API route is in Git")
        print(f"registered to Git: {seconds:.1f} s")
        life.sync()
        assert life.uid_by_name() == life.workload.uid

        register(life)
        life.expose("carts")
        wish = f"manifests/public/{NAMED}/hub-shop/vs-carts.yaml"
        life.until(lambda: life.has(wish), "what happens is seen with new credentials")

        api.delete(SECRET)
        done = life.place.run("plan", "-o", "json")
        assert done.code == 3
        assert {row["code"] for row in done.plan["changes"]} == {"WHF210"}
        # A Secret that is written anew is another object, and the cluster is the same.
        register(life, annotations={"argocd.argoproj.io/skip-reconcile": "true"})
        wait_until(
            lambda: life.place.run("plan", "-o", "json").code == 0, "it is known again"
        )
        assert life.has(API)
        assert life.has(wish)

        api.patch(SECRET, HOLD)
        api.delete(SECRET)
        life.until(lambda: not life.has(API), "a deleted cluster's route is removed")
        api.patch(SECRET, FREE)


@pytest.mark.parametrize(
    ("source", "resource"),
    [("clusterApi", "clusters"), ("clusterApi", "secrets"), (ARGO, "secrets")],
)
def test_without_a_verb_the_inventory_is_unreadable_and_not_empty(
    life: Life, source: str, resource: str
) -> None:
    life.start(source)
    (role,) = [each for each in manifest(source) if each["kind"].endswith("Role")]
    less = [each for each in role["rules"] if resource not in each["resources"]]
    assert life.place.run("plan", "-o", "json").code == 0
    life.hub.api.apply({**role, "rules": less})
    try:
        wait_until(
            lambda: life.place.run("plan", "-o", "json").code == 3, "it is missed"
        )
    finally:
        life.hub.api.apply(role)


def test_watching_and_one_reading_agree_on_a_real_hub(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Found] = []

    class Recorded(Members):
        def take(self, found: Found) -> None:
            taken.append(found)
            self.settled.set()

    monkeypatch.setattr("reconciler.observe.watching.inventory.Members", Recorded)
    life.start("clusterApi")
    settings = parse(life.file("wharfinger.yaml").encode())
    (inventory,) = settings.inventories

    async def use() -> None:
        watcher = Watcher(settings, pace=FAST)
        task = asyncio.create_task(watcher.run())
        await watcher.settled()
        for step in steps(life.hub.api):
            await asyncio.to_thread(step)
            wanted = await read(inventory)
            assert not isinstance(wanted, Unknown), wanted
            async with asyncio.timeout(20):
                while taken[-1] != wanted:
                    await asyncio.sleep(0.05)
        assert watcher.counts.traffic.requests["list"] == 2
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(use())


def steps(api: Api) -> Iterator[Callable[[], object]]:
    """What happens to a hub, one after another; nothing is left at the end."""
    text = hubs.kubeconfig("https://192.0.2.7:6443", "", "t0ken")
    secret = hubs.capi_secret(NAMED, text, namespace=TEAM)
    ref, up = Ref.of(secret), {"controlPlaneInitialized": True}
    yield partial(api.apply, cluster())
    yield partial(api.patch, CLUSTER, {"spec": endpoint("192.0.2.7", 6443)})
    yield partial(api.patch_status, CLUSTER, {"initialization": up})
    yield partial(api.apply, secret)
    other = hubs.kubeconfig("https://192.0.2.7:6443", "", "an0ther")
    yield partial(api.patch, ref, {"data": {"value": hubs.encoded(other)}})
    label = "cluster.x-k8s.io/cluster-name"
    yield partial(api.patch, ref, {"metadata": {"labels": {label: None}}})
    yield partial(api.patch, ref, {"metadata": {"labels": {label: NAMED}}})
    yield partial(api.patch, CLUSTER, {"spec": {"paused": True}})
    yield partial(api.delete, ref)
    yield partial(api.patch, CLUSTER, HOLD)
    yield partial(api.delete, CLUSTER)
    moved = {"clusterctl.cluster.x-k8s.io/delete-for-move": ""}
    yield partial(api.patch, CLUSTER, {"metadata": {"annotations": moved}})
    yield partial(api.patch, CLUSTER, FREE)

"""What `wharfinger init` writes for Argo CD and for Flux, given to the real engines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.stack.argocd import NAMESPACE as ARGOCD
from tests.stack.argocd import Argocd
from tests.stack.checkout import Checkout
from tests.stack.documents import Document, Ref, load
from tests.stack.flux import Flux
from tests.stack.gitea import GitRemote
from tests.stack.kube import Cluster

pytestmark = pytest.mark.stack
TARGET = "platform-ingress"


def config_map(name: str) -> str:
    metadata = f"{{name: {name}, namespace: {TARGET}}}"
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {metadata}\n"


# One object for the gateway itself and one per cluster.
MANIFESTS = {
    "manifests/public/gateway.yaml": config_map("gateway"),
    "manifests/public/eu1/api.yaml": config_map("eu1"),
    "manifests/public/us1/shop/vs-orders.yaml": config_map("us1"),
}


def initialised(engine: str, remote: GitRemote, checkout: Checkout) -> list[Document]:
    """Run `init` on the forge; commit MANIFESTS; the engine's objects."""
    checkout.commit({"README.md": "routes\n"})
    checkout.push()
    command = ("-m", "reconciler", "init", "--domain", "ingress.example.com")
    done = subprocess.run(
        [sys.executable, *command, "--engine", engine, "--repo", remote.url],
        env={
            **os.environ,
            "WHARFINGER_GIT_USERNAME": remote.account.user,
            "WHARFINGER_GIT_PASSWORD": remote.account.token,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    checkout.pull()
    text = (checkout.folder / "engine" / f"{engine}.yaml").read_text()
    checkout.commit(dict(MANIFESTS))
    checkout.push()
    return load(text)


@pytest.fixture
def target(hub: Cluster) -> Iterator[Cluster]:
    """The hub; what tests here make in the namespace of `init` is deleted."""
    yield hub
    for name in ("gateway", "eu1", "us1"):
        hub.api.delete(Ref("v1", "ConfigMap", name, TARGET))


def applied(hub: Cluster) -> set[str]:
    found = hub.api.list(Ref("v1", "ConfigMap", namespace=TARGET))
    return {o["metadata"]["name"] for o in found} & {"gateway", "eu1", "us1"}


def test_argo_cd_gets_an_application_per_cluster_and_one_for_the_gateway(
    target: Cluster, argocd: Argocd, remote: GitRemote, checkout: Checkout
) -> None:
    objects = initialised("argocd", remote, checkout)
    argocd.hub.api.apply(objects)
    names = {"ingress-public", "ingress-public-eu1", "ingress-public-us1"}
    try:
        for name in sorted(names):
            seen = argocd.wait_synced(name, checkout.head)
            managed = {r["name"] for r in seen["status"]["resources"]}
            own = name.removeprefix("ingress-public").lstrip("-") or "gateway"
            assert managed - {TARGET} == {own}
        assert applied(target) == {"gateway", "eu1", "us1"}
    finally:
        argocd.hub.api.delete(
            Ref(objects[-1]["apiVersion"], "ApplicationSet", "ingress-public", ARGOCD)
        )
        for name in names:
            argocd.forget(name)


def test_flux_keeps_the_gateway_apart_from_the_clusters(
    target: Cluster, flux: Flux, remote: GitRemote, checkout: Checkout
) -> None:
    objects = initialised("flux", remote, checkout)
    target.namespace(TARGET)
    target.api.apply(objects)
    template = objects[-1]
    for cluster in ("eu1", "us1"):
        # What the comment in the file tells people to do.
        text = json.dumps(template).replace("example-cluster", cluster)
        copied = json.loads(text)
        target.api.apply({**copied, "spec": {**copied["spec"], "suspend": False}})
    names = ["ingress-public", "ingress-public-eu1", "ingress-public-us1"]
    for source in ("ingress", "ingress-gateways"):
        flux.publish(source, remote.bare)
    try:
        for name in names:
            seen = flux.wait_applied(name, checkout.head)
            entries = {e["id"] for e in seen["status"]["inventory"]["entries"]}
            own = name.removeprefix("ingress-public").lstrip("-") or "gateway"
            assert entries == {f"{TARGET}_{own}__ConfigMap"}
    finally:
        for name in [*names, template["metadata"]["name"]]:
            flux.forget(name)
    assert applied(target) == set()

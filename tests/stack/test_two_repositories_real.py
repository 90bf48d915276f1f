"""Two repositories that serve one real cluster: both run, and no object is written to in turns."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import documents
from tests.ingress import COMMAND, PERSON, Ingress
from tests.stack.documents import Document, Ref
from tests.stack.kube import Cluster
from tests.stack.process import wait_until
from tests.stack.stack import Stack

pytestmark = pytest.mark.stack

SPACE = "shop"
ISTIO = "networking.istio.io/v1"
NAME = "two-repositories"
ASKED = {"orders": "", "edge": "dmz", "typo": "dmx"}


@pytest.fixture(scope="module")
def cluster(stack: Stack) -> Cluster:
    """A node, and three exposures: of no gateway, of the other repository's, of nobody's."""
    made = stack.cluster(NAME)
    made.namespace(SPACE)
    node: Any = documents.node("n1", "10.20.0.1")
    made.api.apply(node)
    made.api.patch_status(Ref("v1", "Node", "n1"), node["status"])
    for name, gateway in ASKED.items():
        expose(made, name, gateway)
    return made


def expose(cluster: Cluster, name: str, gateway: str) -> None:
    service: Any = documents.service(name, 0, SPACE)
    del service["spec"]["clusterIP"], service["spec"]["ports"][0]["nodePort"]
    asked = {"wharfinger.dev/gateway": gateway} if gateway else {}
    exposure: Any = documents.virtual_service(name, annotations=asked, space=SPACE)
    cluster.api.apply([service, exposure])


def metadata(cluster: Cluster, name: str) -> Document:
    ref = Ref(ISTIO, "VirtualService", name, SPACE)
    return dict(cluster.api.get(ref)["metadata"])


def state(cluster: Cluster, name: str) -> str:
    found = metadata(cluster, name).get("annotations", {})
    return str(found.get("wharfinger.dev/state", ""))


def repository(root: Path, cluster: Cluster, gateway: str, **more: object) -> Ingress:
    place = Ingress(root=root)
    kubeconfig = str(cluster.kubeconfig_file())
    return place.start(
        gateways=[
            {
                "name": gateway,
                "renderer": "envoy",
                "namespace": "ingress",
                "host": f"{gateway}.example.com",
                "ports": {"range": "20000-20099"},
            }
        ],
        inventories=[{"name": "lab", "kubeconfig": {"path": kubeconfig}}],
        tenants=[{"clusters": ["*"], "gateways": [gateway]}],
        watch={"quiet": "0s", "longest": "1s"},
        **more,
    )


@contextmanager
def running(place: Ingress) -> Iterator[Path]:
    log = place.root / "run.log"
    keep = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    cache = {"XDG_CACHE_HOME": str(place.root / "cache")}
    with log.open("w") as out:
        process = subprocess.Popen(
            [str(COMMAND), "run", "--interval=0.5"],
            cwd=place.root,
            env={**keep, **PERSON, **cache, "WHARFINGER_REPO": str(place.remote)},
            stdout=out,
            stderr=out,
            text=True,
        )
        try:
            yield log
        finally:
            process.terminate()
            try:
                process.wait(timeout=30)
            finally:
                process.kill()
    assert "Traceback" not in log.read_text(), log.read_text()


def test_each_writes_on_its_own_and_then_nobody_writes(
    cluster: Cluster, tmp_path: Path
) -> None:
    platform = repository(tmp_path / "platform", cluster, "public", foreignGateways=["dmz"])  # fmt: skip
    network = repository(
        tmp_path / "network", cluster, "dmz", claims="named", apis={"mode": "off"}
    )
    wanted = {"orders": "Allocated", "edge": "Allocated", "typo": "Rejected"}

    def told() -> dict[str, str]:
        return {name: state(cluster, name) for name in ASKED}

    with ExitStack() as open_:
        for place in (platform, network):
            open_.enter_context(running(place))
        wait_until(lambda: told() == wanted, f"{wanted}", seconds=60)
        versions = {name: metadata(cluster, name)["resourceVersion"] for name in ASKED}
        # Both pass, prove and write back again because of others.
        for name, gateway in (("late", ""), ("late-edge", "dmz")):
            expose(cluster, name, gateway)
        wait_until(
            lambda: (
                {state(cluster, each) for each in ("late", "late-edge")}
                == {"Allocated"}
            ),
            "both served",
            seconds=60,
        )
        assert {name: metadata(cluster, name)["resourceVersion"] for name in ASKED} == versions  # fmt: skip
        assert told() == wanted
    assert "public" in json.dumps(platform.files("manifests"))
    assert not any("vs-edge" in path for path in platform.files("manifests"))
    assert not any("vs-orders" in path for path in network.files("manifests"))

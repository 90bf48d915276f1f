"""Every rendered object is accepted: by the API server, Envoy Gateway's and Istio's validators."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.render import gateway_files, render
from reconciler.settings import Renderer
from tests.rendering import CASES, settings
from tests.stack import pins
from tests.stack.documents import Document, Ref, dump, load
from tests.stack.kube import Cluster
from tests.stack.process import run

pytestmark = pytest.mark.stack
KUBERNETES = (Renderer.ENVOY_GATEWAY, Renderer.ISTIO, Renderer.ISTIO_CLASSIC)
ISTIO = (Renderer.ISTIO, Renderer.ISTIO_CLASSIC)


def units(renderer: Renderer, namespace: str) -> Iterator[tuple[str, str]]:
    """(case, documents) of a gateway: its own files and every case that it can do."""
    made = settings(renderer=renderer, namespace=namespace)
    gateway = made.gateways[0]
    for each in gateway_files(gateway, made, frozenset({20017}), {}):
        yield each.path, (each.data or b"").decode()
    for name, case in CASES.items():
        if case.works_on(gateway):
            files = render(case.placement, case.addresses, gateway, made)
            yield name, f"{files.wish.decode()}---\n{files.endpoints.decode()}"


def everything(renderer: Renderer, namespace: str) -> list[Document]:
    """All objects of all cases; a name that two cases share is there once."""
    found: dict[Ref, Document] = {}
    for _, text in units(renderer, namespace):
        for document in load(text):
            found[Ref.of(document)] = document
    return list(found.values())


@pytest.mark.parametrize("renderer", KUBERNETES)
def test_the_api_server_takes_every_object_and_a_second_time_nothing_changes(
    hub: Cluster, namespace: str, renderer: Renderer, tmp_path: Path
) -> None:
    kubectl = (
        *(str(pins.binary("kubectl")), f"--kubeconfig={hub.kubeconfig_file()}"),
        *("apply", "--server-side", "-o", "json", "-f"),
    )
    for name, text in units(renderer, namespace):
        path = tmp_path / "all.yaml"
        path.write_text(text)
        first, second = (_objects(run(*kubectl, str(path))) for _ in range(2))
        assert first == second, name


def _objects(text: str) -> dict[tuple[str, str, int], str]:
    """(kind, name, generation) -> what was asked for, of what kubectl printed.

    Controllers that watch the hub write status meanwhile; that is not ours and not compared.
    """
    body = json.loads(text)
    return {
        (
            item["kind"],
            item["metadata"]["name"],
            item["metadata"].get("generation", 0),
        ): json.dumps(
            [
                item.get("spec"),
                item["metadata"].get("labels"),
                item["metadata"].get("annotations"),
            ],
            sort_keys=True,
        )
        for item in body.get("items", [body])
    }


def test_envoy_gateway_validates_every_object(tmp_path: Path) -> None:
    for name, text in units(Renderer.ENVOY_GATEWAY, "ingress"):
        path = tmp_path / "all.yaml"
        path.write_text(text)
        # It always ends with 0: what it says counts.
        said = run(str(pins.binary("egctl")), "x", "validate", "-f", str(path))
        assert "OK" in said, name
        assert "rror" not in said, f"{name}: {said}"


@pytest.mark.parametrize("renderer", ISTIO)
def test_istio_validates_every_object(renderer: Renderer, tmp_path: Path) -> None:
    path = tmp_path / "all.yaml"
    path.write_text(dump(everything(renderer, "ingress")))
    run(str(pins.binary("istioctl")), "validate", "-f", str(path))

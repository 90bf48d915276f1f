"""Each forbidden construct, in the objects of each inventory that keeps kubeconfigs: one cluster's trouble."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from reconciler.model.clusters import ClusterView, Unknown, Why
from reconciler.observe.inventories import HUBS, Member, Server
from reconciler.observe.inventories.source import Objects, keyed
from tests import hubs
from tests.hub_objects import (
    Golden,
    encoded,
    inventory,
    kustomization,
    rancher_cluster,
    read_one,
    secret,
    shoot,
)
from tests.integration.test_forbidden_kubeconfigs import (
    ARGOCD,
    CANARY,
    CASES,
    kubeconfig,
)

KUBECONFIGS = {
    name.partition(": ")[2]: str(case["text"])
    for name, case in CASES.items()
    if name.startswith("kubeconfig: ")
}


def _golden(source: str, golden: Golden, text: str) -> Member:
    (path,) = golden.answers
    answer = golden.answers[path]
    if "status" in answer:
        status = {**answer["status"], "kubeconfig": encoded(text)}
        changed: Any = {**answer, "status": status}
    else:
        changed = secret(value=text)
    return read_one(source, golden, answers={path: changed})


def _hub(source: str, **objects: list[dict[str, Any]]) -> Member:
    lab = inventory(source)
    of = {
        kind.called: dict(
            pair
            for body in objects.get(kind.plural, [])
            if (pair := keyed(_placed(body), kind)) is not None
        )
        for kind in HUBS[source].kinds(lab)
    }
    (found,) = HUBS[source].clusters(lab, Objects(of=of), {})
    return found


def _placed(body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "metadata": {**body["metadata"], "namespace": "argocd"}}


def _capi(text: str) -> Member:
    cluster = hubs.capi_cluster("eu1", "api.eu1.example.net", 6443)
    secrets = [hubs.capi_secret("eu1", text)]
    return _hub("cluster_api", clusters=[cluster], secrets=secrets)


SOURCES: dict[str, Callable[[str], Member]] = {
    "cluster_api": _capi,
    "flux": lambda text: _golden("flux", kustomization(), text),
    "rancher": lambda text: _golden("rancher", rancher_cluster(), text),
    "gardener": lambda text: _golden("gardener", shoot(), text),
}


def refused(found: Member, *whys: Why) -> str:
    assert isinstance(found, ClusterView), found
    assert isinstance(found.objects, Unknown)
    assert found.objects.why in (whys or (Why.UNREADABLE,))
    assert found.access is None
    assert CANARY not in repr(found)
    return found.objects.message


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("construct", KUBECONFIGS)
def test_a_secret_with_a_forbidden_kubeconfig(source: str, construct: str) -> None:
    found = SOURCES[source](KUBECONFIGS[construct])
    assert refused(found, Why.UNREADABLE, Why.UNAUTHORISED, Why.INCOMPLETE)


@pytest.mark.parametrize("source", SOURCES)
def test_a_plain_kubeconfig_is_taken_from_the_same_place(source: str) -> None:
    assert isinstance(SOURCES[source](kubeconfig()), Server)


def _argocd(config: str) -> Member:
    secrets = [hubs.argocd_secret("eu1", "https://10.0.0.1:6443", config)]
    return _hub("argocd", secrets=secrets)


@pytest.mark.parametrize("construct", ARGOCD)
def test_an_argocd_secret_with_a_forbidden_config(construct: str) -> None:
    config = json.dumps({"bearerToken": CANARY, **ARGOCD[construct]})
    assert refused(_argocd(config))


def test_a_plain_argocd_secret_is_taken() -> None:
    assert isinstance(_argocd(json.dumps({"bearerToken": CANARY})), Server)

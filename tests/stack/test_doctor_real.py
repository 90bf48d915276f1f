"""The doctor on a real API server, with the role as it is installed and with one verb less."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.doctor import Finding, Level, clusters, exit_of, platform
from reconciler.errors import Exit
from reconciler.model.pins import NO_PINS
from reconciler.settings import Settings
from tests import builders
from tests.stack.kube import Cluster
from tests.stack.stack import WORKLOAD_CRDS, Stack
from tests.stack.test_permissions import (
    PLATFORM,
    WORKLOAD,
    install,
    own_kubeconfig,
    without,
)

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def cluster(stack: Stack) -> Cluster:
    """A cluster of its own, since its roles are changed."""
    return stack.cluster("examined", crds=WORKLOAD_CRDS)


@pytest.fixture
def settings(cluster: Cluster) -> Settings:
    install(cluster, WORKLOAD)
    lab = {"name": "lab", "kubeconfig": {"path": own_kubeconfig(cluster)}}
    return builders.settings(inventories=[lab])


def examined(settings: Settings) -> dict[str, list[Finding]]:
    found = asyncio.run(clusters.examine(settings, NO_PINS, datetime.now(UTC)))
    by_check: dict[str, list[Finding]] = {}
    for each in found:
        by_check.setdefault(each.check, []).append(each)
    return by_check


def test_the_installed_role_is_enough(settings: Settings) -> None:
    found = examined(settings)
    assert [each.level for each in found["permissions"]] == [Level.OK]
    assert [each.level for each in found["clock"]] == [Level.OK]
    assert [each.level for each in found["Istio"]] == [Level.OK]
    assert [each.level for each in found["API server"]] == [Level.OK]
    assert found["certificate"][0].found.startswith("valid until")
    assert found["API name"][0].level is Level.WARN
    assert exit_of(each for all_of in found.values() for each in all_of) is Exit.DONE


@pytest.mark.parametrize(
    ("resource", "verb", "level"),
    [
        ("virtualservices", "list", Level.FAIL),
        ("endpointslices", "list", Level.FAIL),
        ("services", "watch", Level.WARN),
        ("virtualservices", "patch", Level.WARN),
        ("pods", "list", Level.WARN),
    ],
)
def test_one_verb_less_is_named_with_what_to_do(
    settings: Settings, cluster: Cluster, resource: str, verb: str, level: Level
) -> None:
    without(cluster, WORKLOAD, resource, verb)
    (found,) = examined(settings)["permissions"]
    assert found.level is level
    assert f"may not {verb} {resource}" in found.found
    assert "rbac-workload.yaml" in found.advice


def test_refused_credentials_are_a_matter_of_credentials(
    settings: Settings, cluster: Cluster
) -> None:
    kubeconfig = settings.inventories[0].kubeconfig
    assert kubeconfig is not None
    file = Path(kubeconfig.path or "")
    text = file.read_text()
    file.write_text(re.sub(r"(token\W+)(?=\w{20})", r"\1x", text))
    assert file.read_text() != text
    (found,) = examined(settings)["API server"]
    assert found.level is Level.FAIL
    assert found.exit is Exit.CREDENTIALS


def test_a_platform_without_gateway_api_says_which_kinds_lack(
    cluster: Cluster,
) -> None:
    install(cluster, PLATFORM)
    known = builders.settings(
        platform={"context": cluster.name, "kubeconfig": own_kubeconfig(cluster)},
        gateways=[
            {
                "name": "public",
                "renderer": "envoy-gateway",
                "namespace": "ingress",
                "ports": {"range": "20000-20099"},
                "proof": {"argocd": ["argocd/*"]},
            }
        ],
    )
    found = asyncio.run(platform.examine(known, datetime.now(UTC)))
    by_check = {(each.check, each.level) for each in found}
    assert ("permissions", Level.OK) in by_check
    assert ("CRDs", Level.FAIL) in by_check
    assert ("engine", Level.FAIL) in by_check

"""The admission policies of `policies/`, judged by a real API server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.api import ApiError
from tests.stack.documents import Ref, load
from tests.stack.kube import Cluster
from tests.stack.process import wait_until

pytestmark = pytest.mark.stack

POLICIES = Path(__file__).parents[2] / "policies"
GROUP = "admissionregistration.k8s.io/v1"


@pytest.fixture
def policies(hub: Cluster) -> Iterator[None]:
    """All policies applied, and gone afterwards."""
    documents = [
        document
        for file in sorted(POLICIES.glob("*.yaml"))
        for document in load(file.read_text())
    ]
    hub.api.apply(documents)
    yield
    for document in documents:
        name = document["metadata"]["name"]
        hub.api.delete(Ref(document["apiVersion"], document["kind"], name))


def backend(namespace: str, address: str) -> list[dict[str, object]]:
    return load(f"""
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {{name: tried, namespace: {namespace}}}
spec: {{endpoints: [{{ip: {{address: "{address}", port: 80}}}}]}}
""")


def is_denied(hub: Cluster, namespace: str, address: str) -> bool:
    try:
        hub.api.apply(backend(namespace, address))
    except ApiError as error:
        return "must not point at" in str(error)
    return False


def test_a_backend_never_points_at_the_proxy_itself(
    hub: Cluster, namespace: str, policies: None
) -> None:
    wait_until(lambda: is_denied(hub, namespace, "127.0.0.1"), "the policy works")
    for address in ("127.9.9.9", "169.254.169.254", "0.0.0.0", "fe80::1"):
        assert is_denied(hub, namespace, address), address
    for address in ("10.20.0.5", "255.255.255.255", "2001:db8::1"):
        assert not is_denied(hub, namespace, address), address

"""The harness's istiod and Envoy do what tests rely on, in both of Istio's modes."""

from __future__ import annotations

import json

import pytest

from tests.stack.documents import Ref, condition
from tests.stack.istio import Ingress, IngressGateway, Istio
from tests.stack.manifests import classic_route, gateway, service_entry, tcp_route
from tests.stack.process import listens, wait_until
from tests.stack.workloads import FAILED, Workload, ask, spread, wait_served

pytestmark = pytest.mark.stack
GATEWAY_API = "gateway.networking.k8s.io/v1"


def ingress(istio: Istio, namespace: str, ports: tuple[int, ...]) -> IngressGateway:
    labels = (("istio", namespace),)
    spec = Ingress(service="ingress", namespace=namespace, labels=labels, ports=ports)
    return istio.ingress(spec)


def test_istio_serves_weighted_workloads_through_the_gateway_api(
    istio: Istio, namespace: str, blue: Workload, green: Workload
) -> None:
    hub = istio.hub
    proxy = ingress(istio, namespace, (443, 20000))
    service = f"ingress.{namespace}.svc.cluster.local"
    extra = f"addresses: [{{type: Hostname, value: {service}}}]"
    references = ", ".join(
        f"{{group: networking.istio.io, kind: Hostname, port: 8080, weight: {weight},"
        f" name: {workload.name}.{namespace}.internal}}"
        for workload, weight in ((blue, 3), (green, 1))
    )
    hub.api.apply(gateway(namespace, "istio", extra))
    hub.api.apply(
        tcp_route(namespace, 20000, references)
        + service_entry(namespace, blue)
        + service_entry(namespace, green)
    )
    hub.wait_programmed("public", namespace)
    wait_served(proxy.wait_address(), 20000, {"blue", "green"})
    counted = spread(proxy.address, 20000, 100)
    assert counted[FAILED] == 0
    assert counted["blue"] > counted["green"] > 0


def test_one_port_that_the_service_lacks_takes_programmed_from_the_whole_gateway(
    istio: Istio, namespace: str
) -> None:
    hub = istio.hub
    ingress(istio, namespace, (443,))
    service = f"ingress.{namespace}.svc.cluster.local"
    extra = f"addresses: [{{type: Hostname, value: {service}}}]"
    hub.api.apply(gateway(namespace, "istio", extra))
    hub.wait_programmed("public", namespace)
    reference = "{group: networking.istio.io, kind: Hostname, name: none, port: 80}"
    hub.api.apply(tcp_route(namespace, 20000, reference))
    listeners = Ref(GATEWAY_API, "ListenerSet", "orders", namespace)
    whole = Ref(GATEWAY_API, "Gateway", "public", namespace)
    for ref in (listeners, whole):
        seen = hub.api.wait_for(ref, lambda s: condition(s, "Programmed") == "False")
        assert "port 20000 not found" in json.dumps(seen["status"])


def test_istio_classic_serves_the_ports_of_a_service_from_git(
    istio: Istio, namespace: str, blue: Workload
) -> None:
    hub = istio.hub
    proxy = ingress(istio, namespace, ())
    hub.api.apply(proxy.service((20001,)))
    hub.api.apply(
        classic_route(namespace, 20000, "blue") + service_entry(namespace, blue)
    )
    address = proxy.wait_address()
    wait_until(listens(proxy.pod.address, 20000), "the listener in the pod")
    with pytest.raises(OSError, match=r"refused|reset"):
        ask(address, 20000)
    hub.api.apply(proxy.service((20000, 20001)))
    wait_served(address, 20000, {"blue"})

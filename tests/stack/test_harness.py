"""The harness itself: real API servers, gateways and proxies do what tests rely on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stack import pins
from tests.stack.documents import Ref, condition
from tests.stack.envoy_gateway import EnvoyGateway
from tests.stack.istio import Ingress, IngressGateway, Istio
from tests.stack.kube import Cluster
from tests.stack.process import ProcessError, listens, run, wait_until
from tests.stack.workloads import FAILED, Workload, ask, spread

pytestmark = pytest.mark.stack
GATEWAY_API = "gateway.networking.k8s.io/v1"


def kubectl(kubeconfig: Path, *arguments: str) -> str:
    return run(str(pins.binary("kubectl")), f"--kubeconfig={kubeconfig}", *arguments)


def gateway(namespace: str, gateway_class: str, extra: str = "") -> str:
    return f"""
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: public, namespace: {namespace}}}
spec:
  gatewayClassName: {gateway_class}
  {extra}
  listeners:
  - name: tls
    port: 443
    protocol: TLS
    hostname: "*.k8s.example.com"
    tls: {{mode: Passthrough}}
  allowedListeners: {{namespaces: {{from: Same}}}}
"""


def tcp_route(namespace: str, port: int, references: str) -> str:
    return f"""
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {{name: orders, namespace: {namespace}}}
spec:
  parentRef: {{name: public}}
  listeners: [{{name: tcp-{port}, port: {port}, protocol: TCP}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {{name: orders, namespace: {namespace}}}
spec:
  parentRefs: [{{kind: ListenerSet, name: orders, sectionName: tcp-{port},
                 group: gateway.networking.k8s.io}}]
  rules: [{{backendRefs: [{references}]}}]
"""


def envoy_backend(namespace: str, name: str, address: str, port: int) -> str:
    return f"""
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{endpoints: [{{ip: {{address: {address}, port: {port}}}}}]}}
"""


def envoy_reference(name: str, weight: int) -> str:
    group = "group: gateway.envoyproxy.io, kind: Backend"
    return f"{{{group}, name: {name}, weight: {weight}}}"


def service_entry(namespace: str, workload: Workload) -> str:
    return f"""
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {workload.name}, namespace: {namespace}}}
spec:
  hosts: [{workload.name}.{namespace}.internal]
  exportTo: ["."]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{{number: 8080, name: tcp, protocol: TCP}}]
  endpoints: [{{address: {workload.address}, ports: {{tcp: {workload.port}}}}}]
"""


def programmed(hub: Cluster, namespace: str) -> None:
    ref = Ref(GATEWAY_API, "Gateway", "public", namespace)
    hub.api.wait_for(ref, lambda seen: condition(seen, "Programmed") == "True")


def wait_served(address: str, port: int, answers: set[str]) -> None:
    def served() -> bool:
        try:
            return ask(address, port, 2.0) in answers
        except OSError:
            return False

    wait_until(served, f"{address}:{port} serves {answers}")


def test_an_api_server_enforces_rbac_for_a_service_account(hub: Cluster) -> None:
    reader = hub.service_account("reader", "test-rbac")
    kubeconfig = hub.kubeconfig_file(reader)
    with pytest.raises(ProcessError, match="Forbidden"):
        kubectl(kubeconfig, "get", "gateways.gateway.networking.k8s.io", "-A")
    kubectl(
        hub.kubeconfig_file(),
        *("create", "clusterrole", "reader", "--verb=get,list"),
        "--resource=gateways.gateway.networking.k8s.io",
    )
    kubectl(
        hub.kubeconfig_file(),
        *("create", "clusterrolebinding", "reader", "--clusterrole=reader"),
        "--serviceaccount=test-rbac:reader",
    )

    def allowed() -> bool:
        answer = kubectl(hub.kubeconfig_file(), *can_list)
        return answer.strip() == "yes"

    user = "--as=system:serviceaccount:test-rbac:reader"
    can_list = (
        "auth",
        "can-i",
        "list",
        "gateways.gateway.networking.k8s.io",
        "-A",
        user,
    )
    wait_until(allowed, "the role is bound")
    kubectl(kubeconfig, "get", "gateways.gateway.networking.k8s.io", "-A")


def test_a_client_certificate_is_a_user_with_groups(workload_1: Cluster) -> None:
    kubeconfig = workload_1.kubeconfig_file(workload_1.user("eve", ("ops", "dev")))
    seen = json.loads(kubectl(kubeconfig, "auth", "whoami", "-o", "json"))
    info = seen["status"]["userInfo"]
    assert info["username"] == "eve"
    assert {"ops", "dev"} <= set(info["groups"])


def test_clusters_are_told_apart_by_their_identity(
    workload_1: Cluster, workload_2: Cluster
) -> None:
    assert workload_1.uid != workload_2.uid


def test_envoy_gateway_serves_weighted_workloads(
    envoy_gateway: EnvoyGateway, namespace: str, blue: Workload, green: Workload
) -> None:
    hub = envoy_gateway.hub
    references = f"{envoy_reference('blue', 3)}, {envoy_reference('green', 1)}"
    hub.api.apply(gateway(namespace, "envoy"))
    hub.api.apply(
        tcp_route(namespace, 20000, references)
        + envoy_backend(namespace, "blue", blue.address, blue.port)
        + envoy_backend(namespace, "green", green.address, green.port)
    )
    address = envoy_gateway.address("public", namespace)
    wait_served(address, 20000, {"blue", "green"})
    counted = spread(address, 20000, 100)
    assert counted[FAILED] == 0
    assert counted["blue"] > counted["green"] > 0


def test_a_load_balancer_opens_only_the_ports_of_its_service(
    envoy_gateway: EnvoyGateway, namespace: str
) -> None:
    envoy_gateway.hub.api.apply(gateway(namespace, "envoy"))
    proxy = envoy_gateway.kubelet.proxy("public", namespace)
    programmed(envoy_gateway.hub, namespace)
    wait_until(listens(proxy.pod.address, 19003), "the readiness port of the pod")
    assert not listens(proxy.address, 19003)()


def test_a_paused_kubelet_leaves_a_gateway_without_address(
    envoy_gateway: EnvoyGateway, namespace: str
) -> None:
    hub = envoy_gateway.hub
    ref = Ref(GATEWAY_API, "Gateway", "public", namespace)
    envoy_gateway.kubelet.pause()
    try:
        hub.api.apply(gateway(namespace, "envoy"))
        seen = hub.api.wait_for(ref, lambda g: condition(g, "Programmed") == "False")
        assert not seen["status"].get("addresses")
    finally:
        envoy_gateway.kubelet.resume()
    programmed(hub, namespace)


def test_a_crashed_envoy_refuses_and_comes_back(
    envoy_gateway: EnvoyGateway, namespace: str, blue: Workload
) -> None:
    hub = envoy_gateway.hub
    hub.api.apply(gateway(namespace, "envoy"))
    hub.api.apply(
        tcp_route(namespace, 20000, envoy_reference("blue", 1))
        + envoy_backend(namespace, "blue", blue.address, blue.port)
    )
    proxy = envoy_gateway.kubelet.proxy("public", namespace)
    wait_served(proxy.address, 20000, {"blue"})
    proxy.stop()
    with pytest.raises(OSError, match=r"refused|reset"):
        ask(proxy.address, 20000)
    ref = Ref(GATEWAY_API, "Gateway", "public", namespace)
    hub.api.wait_for(ref, lambda g: condition(g, "Programmed") == "False")
    proxy.start()
    wait_served(proxy.address, 20000, {"blue"})


def test_kubectl_reaches_another_api_server_by_sni(
    envoy_gateway: EnvoyGateway, namespace: str, workload_1: Cluster
) -> None:
    hub, name = envoy_gateway.hub, "workload-1.k8s.example.com"
    route = f"""
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {{name: api, namespace: {namespace}}}
spec:
  parentRefs: [{{name: public, sectionName: tls}}]
  hostnames: [{name}]
  rules: [{{backendRefs: [{envoy_reference("api", 1)}]}}]
"""
    hub.api.apply(gateway(namespace, "envoy"))
    backend = envoy_backend(namespace, "api", workload_1.host, workload_1.port)
    hub.api.apply(route + backend)
    address = envoy_gateway.address("public", namespace)
    through = workload_1.through(f"https://{address}:443", server_name=name)
    kubeconfig = workload_1.kubeconfig_file(through)

    def reached() -> bool:
        try:
            return "kube-system" in kubectl(kubeconfig, "get", "namespaces")
        except ProcessError:
            return False

    wait_until(reached, "kubectl through the gateway")
    uid = ("-o", "jsonpath={.metadata.uid}")
    assert kubectl(kubeconfig, "get", "ns", "kube-system", *uid) == workload_1.uid


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
    programmed(hub, namespace)
    wait_served(proxy.wait_address(), 20000, {"blue", "green"})
    counted = spread(proxy.address, 20000, 100)
    assert counted[FAILED] == 0
    assert counted["blue"] > counted["green"] > 0


def test_istio_classic_serves_the_ports_of_a_service_from_git(
    istio: Istio, namespace: str, blue: Workload
) -> None:
    hub = istio.hub
    proxy = ingress(istio, namespace, ())
    rendered = f"""
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: tcp-20000, namespace: {namespace}}}
spec:
  selector: {{istio: {namespace}}}
  servers: [{{port: {{number: 20000, name: tcp-20000, protocol: TCP}},
              hosts: ["./orders.internal"]}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: orders, namespace: {namespace}}}
spec:
  hosts: [orders.internal]
  gateways: [{namespace}/tcp-20000]
  tcp:
  - match: [{{port: 20000}}]
    route: [{{destination: {{host: blue.{namespace}.internal,
                             port: {{number: 8080}}}}}}]
"""
    hub.api.apply(proxy.service((20001,)))
    hub.api.apply(rendered + service_entry(namespace, blue))
    address = proxy.wait_address()
    wait_until(listens(proxy.pod.address, 20000), "the listener in the pod")
    with pytest.raises(OSError, match=r"refused|reset"):
        ask(address, 20000)
    hub.api.apply(proxy.service((20000, 20001)))
    wait_served(address, 20000, {"blue"})


CHILD = """
import sys
from pathlib import Path
from tests.stack.stack import Stack
stack = Stack(logs=Path(sys.argv[1]))
hub = stack.cluster("hub", crds=())
pod = stack.network.pod()
print(hub.daemon.pid, hub.address, hub.folder, pod.namespace, pod.link, flush=True)
sys.stdin.read()
"""


def alive(pid: str) -> bool:
    """Does the process run? One that init has not buried yet does not."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
    return "State:\tZ" not in status


def test_a_killed_run_leaves_nothing_behind(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path)],
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None
        pid, address, folder, pod, link = child.stdout.readline().split()
        assert alive(pid)
        child.kill()
        child.wait()

    # The folder is the last that goes.
    wait_until(lambda: not Path(folder).exists(), f"{folder} gone")
    assert not alive(pid)
    assert address not in run("ip", "addr", "show", "lo").split()
    assert pod not in run("ip", "netns", "list").split()
    assert f" {link}@" not in run("ip", "link", "show")

"""The harness itself: real API servers, gateways and proxies do what tests rely on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stack import pins
from tests.stack.documents import Ref, condition
from tests.stack.envoy_gateway import EnvoyGateway
from tests.stack.kube import Cluster
from tests.stack.manifests import (
    envoy_backend,
    envoy_reference,
    gateway,
    reader_role,
    tcp_route,
)
from tests.stack.process import ProcessError, listens, run, wait_until
from tests.stack.stack import EXTERNAL, Stack
from tests.stack.workloads import FAILED, SHARED, Workload, ask, spread, wait_served

pytestmark = pytest.mark.stack
ROOT = Path(__file__).resolve().parents[2]
GATEWAY_API = "gateway.networking.k8s.io/v1"


def kubectl(kubeconfig: Path, *arguments: str) -> str:
    return run(str(pins.binary("kubectl")), f"--kubeconfig={kubeconfig}", *arguments)


def test_an_api_server_enforces_rbac_for_a_service_account(
    hub: Cluster, namespace: str
) -> None:
    kubeconfig = hub.kubeconfig_file(hub.service_account("reader", namespace))
    listing = ("get", "gateways.gateway.networking.k8s.io", "-A")
    with pytest.raises(ProcessError, match="Forbidden"):
        kubectl(kubeconfig, *listing)
    hub.api.apply(reader_role(namespace))

    def allowed() -> bool:
        try:
            kubectl(kubeconfig, *listing)
        except ProcessError:
            return False
        return True

    wait_until(allowed, "the role is bound")


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
    envoy_gateway.hub.wait_programmed("public", namespace)
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
    hub.wait_programmed("public", namespace)


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


def test_a_certificate_without_the_name_needs_a_port_of_its_own(
    envoy_gateway: EnvoyGateway, namespace: str, workload_2: Cluster
) -> None:
    hub = envoy_gateway.hub
    hub.api.apply(gateway(namespace, "envoy"))
    backend = envoy_backend(namespace, "api", workload_2.host, workload_2.port)
    hub.api.apply(tcp_route(namespace, 20000, envoy_reference("api", 1)) + backend)
    address = envoy_gateway.address("public", namespace)
    wait_until(listens(address, 20000), "the port of the API")
    url = f"https://{address}:20000"
    named = workload_2.through(url, server_name="workload-2.k8s.example.com")
    with pytest.raises(ProcessError, match="not workload-2"):
        kubectl(workload_2.kubeconfig_file(named), "get", "namespaces")
    known = workload_2.through(url, server_name=workload_2.host)
    seen = kubectl(workload_2.kubeconfig_file(known), "get", "namespaces")
    assert "kube-system" in seen


def test_a_name_given_to_the_pods_is_a_backend(
    envoy_gateway: EnvoyGateway, namespace: str, blue: Workload
) -> None:
    name = f"blue.{namespace}.example.com"
    envoy_gateway.kubelet.hosts[name] = blue.address
    backend = f"""
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {{name: blue, namespace: {namespace}}}
spec: {{endpoints: [{{fqdn: {{hostname: {name}, port: {blue.port}}}}}]}}
"""
    hub = envoy_gateway.hub
    hub.api.apply(gateway(namespace, "envoy"))
    hub.api.apply(tcp_route(namespace, 20000, envoy_reference("blue", 1)) + backend)
    address = envoy_gateway.address("public", namespace)
    wait_served(address, 20000, {"blue"})


def test_the_same_tests_run_against_the_clusters_of_a_kubeconfig(
    stack: Stack, envoy_gateway: EnvoyGateway, address: str
) -> None:
    # The names of tests, and no `-n`: the child starts no cluster, only workloads.
    chosen = "envoy_gateway_serves or kubectl_reaches or rbac"
    quiet = ("-m", "pytest", "-q", "-p", "no:cacheprovider")
    done = subprocess.run(
        [sys.executable, *quiet, "-k", chosen, __file__],
        cwd=ROOT,
        env={
            **os.environ,
            EXTERNAL: str(stack.kubeconfig()),
            SHARED: address,
            "WHARFINGER_STACK": "require",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_a_stack_that_ends_leaves_others_alone_and_nothing_of_its_own(
    hub: Cluster, tmp_path: Path
) -> None:
    with Stack(logs=tmp_path / "logs") as other:
        cluster = other.cluster("hub", crds=())
        pod = other.network.pod()
        assert cluster.uid != hub.uid
        assert cluster.daemon is not None
        etcd = other.etcd().daemon
        pids = (cluster.daemon.pid, etcd.pid)
        assert all(alive(str(pid)) for pid in pids)
        pod.close()
    assert not any(alive(str(pid)) for pid in pids)
    assert cluster.address not in run("ip", "addr", "show", "lo")
    assert not (tmp_path / "logs").exists()
    assert hub.api.ready()


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
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path)],
        cwd=ROOT,
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
    # It was killed before that, and may take a moment to die.
    wait_until(lambda: not alive(pid), f"{pid} ended")
    assert address not in run("ip", "addr", "show", "lo").split()
    assert pod not in run("ip", "netns", "list").split()
    assert f" {link}@" not in run("ip", "link", "show")

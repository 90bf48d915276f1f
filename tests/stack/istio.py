"""istiod against the hub, and real Envoy as its ingress gateways (does I/O).

Gateway API (class `CLASS`) and Istio's own Gateways are both on. There is no
pilot-agent and no mesh: Envoy speaks plaintext xDS to istiod, which runs in a pod.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.stack import pins
from tests.stack.api import ApiError
from tests.stack.bootstrap import bootstrap
from tests.stack.documents import Document, Ref, dump
from tests.stack.kube import Cluster
from tests.stack.pods import Network
from tests.stack.process import (
    Command,
    Daemon,
    ProcessError,
    answers,
    scratch,
)
from tests.stack.services import LoadBalancer

NAMESPACE = "istio-system"
CLASS = "istio"
POLL = 0.2
# With auto-mTLS clusters would wait for ever for secrets that a pilot-agent serves; the
# default providers want filters that plain Envoy does not have.
MESH: Document = {
    "defaultConfig": {},
    "defaultProviders": {},
    "enableAutoMtls": False,
    "rootNamespace": NAMESPACE,
}
SETTINGS = {
    "ENABLE_CA_SERVER": "false",
    "PILOT_CERT_PROVIDER": "none",
    "XDS_AUTH": "false",
    "PILOT_ENABLE_METADATA_EXCHANGE": "false",
    "PILOT_FILTER_GATEWAY_CLUSTER_CONFIG": "true",
    "PILOT_ENABLE_GATEWAY_API": "true",
    "PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER": "false",
    "POD_NAMESPACE": NAMESPACE,
    "POD_NAME": "istiod-0",
    "INJECTION_WEBHOOK_CONFIG_NAME": "",
    "VALIDATION_WEBHOOK_CONFIG_NAME": "",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingress:
    """An ingress gateway: its Service, and the labels of its pod.

    With `ports` the Service is made here (the platform's, for class `istio`: it must
    list every port that a listener will ever use, or the listener is not programmed).
    Without, it is expected to come from elsewhere, as from a rendered manifest.
    """

    service: str
    namespace: str
    labels: tuple[tuple[str, str], ...]
    ports: tuple[int, ...] = ()


class Istio:
    """istiod; `ingress` starts gateways."""

    def __init__(self, hub: Cluster, network: Network, logs: Path) -> None:
        self.hub = hub
        self.network = network
        self.pod = network.pod()
        self.logs = logs
        self._daemon: Daemon | None = None
        self._gateways: list[IngressGateway] = []

    def start(self) -> Self:
        """Start istiod and wait until it is ready."""
        self.hub.namespace(NAMESPACE)
        mesh = scratch("istiod") / "mesh.yaml"
        mesh.write_text(dump(MESH))
        argv = (
            *(str(pins.binary("pilot-discovery")), "discovery"),
            f"--kubeconfig={self.hub.kubeconfig_file()}",
            f"--meshConfig={mesh}",
            *("--httpAddr=:8080", "--grpcAddr=:15010", "--monitoringAddr=:15014"),
            *("--secureGRPCAddr=", "--httpsAddr=", "--ctrlz_port=0"),
        )
        ready = answers(f"http://{self.pod.address}:8080/ready")
        command = Command(name="istiod", argv=argv, env=SETTINGS, ready=ready)
        self._daemon = Daemon(self.pod.command(command), self.logs).start()
        return self

    def ingress(self, spec: Ingress) -> IngressGateway:
        """Start an ingress gateway; it gets its address once its Service exists."""
        gateway = IngressGateway(self, spec)
        self._gateways.append(gateway)
        return gateway.start()

    def stop(self) -> None:
        """Stop the gateways and istiod."""
        for gateway in self._gateways:
            gateway.close()
        if self._daemon is not None:
            self._daemon.stop()
        self.pod.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class IngressGateway:
    """One Envoy that istiod knows as a gateway: a Pod, and the Service's endpoint."""

    def __init__(self, istio: Istio, spec: Ingress) -> None:
        self.spec = spec
        self.pod = istio.network.pod()
        self.balancer = LoadBalancer(istio.hub, self.pod, target=self._name)
        self._hub = istio.hub
        self._halt = threading.Event()
        self._error: ApiError | ProcessError | None = None
        self._thread = threading.Thread(target=self._loop, name=self._name, daemon=True)
        self._envoy = Daemon(self._command(istio.pod.address), istio.logs)

    @property
    def _name(self) -> str:
        return f"{self.spec.service}-0"

    @property
    def address(self) -> str:
        """The load balancer's address: only the ports of the Service are open."""
        return self.balancer.address

    @property
    def running(self) -> bool:
        """Does its Envoy run?"""
        return self._envoy.running

    def start(self) -> Self:
        """Start Envoy and begin to follow the Service."""
        self._hub.namespace(self.spec.namespace)
        if self.spec.ports:
            self._hub.api.apply(self.service(self.spec.ports))
        self._announce()
        self._envoy.start()
        self._thread.start()
        return self

    def service(self, ports: Iterable[int]) -> Document:
        """A Service for this gateway, as the platform or a rendered file has it."""
        spec = self.spec
        listed = [
            {"name": f"tcp-{port}", "port": port, "targetPort": port} for port in ports
        ]
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": spec.service,
                "namespace": spec.namespace,
                "labels": dict(spec.labels),
            },
            "spec": {
                "type": "LoadBalancer",
                "selector": dict(spec.labels),
                "ports": listed,
                "allocateLoadBalancerNodePorts": False,
            },
        }

    def crash(self) -> None:
        """Stop Envoy; the endpoint turns unready."""
        self._envoy.stop(patience=1.0)

    def recover(self) -> None:
        """Start Envoy again."""
        self._envoy.start()

    def close(self) -> None:
        """Stop everything; raises what following the Service died of."""
        self._halt.set()
        if self._thread.ident is not None:
            self._thread.join()
        self.crash()
        self.pod.close()
        if self._error is not None:
            raise self._error

    def wait_address(self, *, seconds: float = 30.0) -> str:
        """The address, as soon as the Service has it."""
        ref = Ref("v1", "Service", self.spec.service, self.spec.namespace)
        self._hub.api.wait_for(
            ref, lambda s: s["status"]["loadBalancer"].get("ingress"), seconds=seconds
        )
        return self.address

    def _command(self, control_plane: str) -> Command:
        given = json.dumps(self._bootstrap(control_plane))
        argv = (
            str(pins.envoy()),
            "--config-yaml",
            given,
            "--log-level",
            "warn",
        )
        ready = answers(f"http://{self.pod.address}:15000/stats?filter=x")
        name = f"istio-{self.spec.namespace}-{self._name}"
        return self.pod.command(Command(name=name, argv=argv, ready=ready))

    def _bootstrap(self, control_plane: str) -> Document:
        namespace = self.spec.namespace
        node = f"router~{self.pod.address}~{self._name}.{namespace}"
        identity = {
            "id": f"{node}~{namespace}.svc.cluster.local",
            "cluster": f"{self._name}.{namespace}",
            "metadata": {
                "NAMESPACE": namespace,
                "CLUSTER_ID": "Kubernetes",
                "ISTIO_VERSION": "1.31.0",
                "INSTANCE_IPS": self.pod.address,
                "LABELS": dict(self.spec.labels),
            },
        }
        return bootstrap(identity, control_plane)

    def _announce(self) -> None:
        """Make the Pod, with the status that a kubelet would write."""
        spec = self.spec
        document = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": self._name,
                "namespace": spec.namespace,
                "labels": dict(spec.labels),
            },
            "spec": {"containers": [{"name": "istio-proxy", "image": "none"}]},
        }
        self._hub.api.apply(document)
        status = {
            "phase": "Running",
            "podIP": self.pod.address,
            "podIPs": [{"ip": self.pod.address}],
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        self._hub.api.patch_status(Ref.of(document), status)

    def _loop(self) -> None:
        ref = Ref("v1", "Service", self.spec.service, self.spec.namespace)
        while not self._halt.wait(POLL):
            try:
                service = self._hub.api.find(ref)
                if service is not None:
                    self.balancer.serve(service, ready=self.running)
            except ApiError as error:
                if error.status not in (404, 409, 429, 503):
                    self._error = error
                    return
            except ProcessError as error:
                self._error = error
                return

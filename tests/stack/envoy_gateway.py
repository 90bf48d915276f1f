"""Envoy Gateway against the hub, with real Envoy (does I/O).

The controller runs as in a cluster, in a pod of its own; `kubelet.py` runs the proxies
that it asks for. The class of its Gateways is `CLASS`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from tests.stack import pins
from tests.stack.documents import Ref, dump
from tests.stack.kube import Cluster
from tests.stack.kubelet import Kubelet, volume
from tests.stack.pods import Network
from tests.stack.process import Command, Daemon, answers, run, scratch

NAMESPACE = "envoy-gateway-system"
CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"
CLASS = "envoy"
CONFIG = {
    "apiVersion": "gateway.envoyproxy.io/v1alpha1",
    "kind": "EnvoyGateway",
    "gateway": {"controllerName": CONTROLLER},
    "provider": {
        "type": "Kubernetes",
        "kubernetes": {"leaderElection": {"disable": True}},
    },
    "extensionApis": {"enableBackend": True},
    "runtimeFlags": {"enabled": ["XDSNameSchemeV2"]},
}
GATEWAY_CLASS = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "GatewayClass",
    "metadata": {"name": CLASS},
    "spec": {"controllerName": CONTROLLER},
}


class EnvoyGateway:
    """The controller. `kubelet.proxy(NAME, NAMESPACE)` is the Envoy of a Gateway."""

    def __init__(self, hub: Cluster, network: Network, logs: Path) -> None:
        self.hub = hub
        self.pod = network.pod()
        self.kubelet = Kubelet(hub, network, logs, xds=self.pod.address)
        self._logs = logs
        self._daemon: Daemon | None = None

    def start(self) -> Self:
        """Make its certificates and the GatewayClass, start it, wait until ready."""
        folder = scratch("envoy-gateway")
        environment = {
            "KUBECONFIG": str(self.hub.kubeconfig_file()),
            "ENVOY_GATEWAY_NAMESPACE": NAMESPACE,
        }
        program = str(pins.binary("envoy-gateway"))
        self.hub.namespace(NAMESPACE)
        pairs = (f"{name}={value}" for name, value in environment.items())
        run("env", *pairs, program, "certgen", "--disable-topology-injector")
        certificates = Ref("v1", "Secret", "envoy-gateway", NAMESPACE)
        self.pod.mounts["/certs"] = volume(self.hub, certificates, folder / "certs")
        config = folder / "config.yaml"
        config.write_text(dump(CONFIG))
        command = Command(
            name="envoy-gateway",
            argv=(program, "server", f"--config-path={config}"),
            env=environment,
            ready=answers(f"http://{self.pod.address}:8081/readyz"),
        )
        self._daemon = Daemon(self.pod.command(command), self._logs).start()
        self.hub.api.apply(GATEWAY_CLASS)
        self.kubelet.start()
        return self

    def stop(self) -> None:
        """Stop the proxies and the controller."""
        self.kubelet.stop()
        if self._daemon is not None:
            self._daemon.stop()
        self.pod.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

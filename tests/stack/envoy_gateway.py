"""Envoy Gateway against the hub, with real Envoy (does I/O).

The controller runs as in a cluster, in a pod of its own; `kubelet.py` runs the proxies
that it asks for. The class of its Gateways is `CLASS`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from tests.stack import pins
from tests.stack.documents import Ref, condition, dump
from tests.stack.kube import Cluster
from tests.stack.kubelet import Kubelet, volume
from tests.stack.pods import Network
from tests.stack.process import (
    Command,
    Daemon,
    ProcessError,
    answers,
    run,
    scratch,
)

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
    """The controller. `kubelet.proxy(NAME, NAMESPACE)` is the Envoy of a Gateway.

    Without a `network` it is expected to be installed on the hub already, as on kind:
    nothing is started then and there is no `kubelet` to control.
    """

    def __init__(self, hub: Cluster, network: Network | None, logs: Path) -> None:
        self.hub = hub
        self._logs = logs
        self._daemon: Daemon | None = None
        self._kubelet: Kubelet | None = None
        if network is not None:
            self.pod = network.pod()
            self._kubelet = Kubelet(hub, network, logs, xds=self.pod.address)

    @property
    def kubelet(self) -> Kubelet:
        """The stand-in kubelet; raises ProcessError where there is a real one."""
        if self._kubelet is None:
            raise ProcessError(
                f"Envoy Gateway on {self.hub.name} is not ours to control"
            )
        return self._kubelet

    def address(self, gateway: str, namespace: str) -> str:
        """The address of a Gateway, as soon as it is programmed."""
        seen = self.hub.wait_programmed(gateway, namespace)
        return str(seen["status"]["addresses"][0]["value"])

    def start(self) -> Self:
        """Start it and the kubelet; return when its GatewayClass is accepted."""
        if self._kubelet is not None:
            self._daemon = Daemon(self.pod.command(self._command()), self._logs).start()
            self._kubelet.start()
        self.hub.api.apply(GATEWAY_CLASS)
        ref = Ref.of(GATEWAY_CLASS)
        self.hub.api.wait_for(ref, lambda c: condition(c, "Accepted") == "True")
        return self

    def _command(self) -> Command:
        """Make its certificates and its configuration."""
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
        return Command(
            name="envoy-gateway",
            argv=(program, "server", f"--config-path={config}"),
            env=environment,
            ready=answers(f"http://{self.pod.address}:8081/readyz"),
        )

    def stop(self) -> None:
        """Stop the proxies and the controller, where they are ours."""
        if self._kubelet is None:
            return
        self._kubelet.stop()
        if self._daemon is not None:
            self._daemon.stop()
        self.pod.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

"""Stands in for scheduler, kubelet and cloud of Envoy Gateway's proxies (does I/O).

Watches the Deployments and Services that Envoy Gateway makes, and for each runs real
Envoy in a pod with the Deployment's own arguments, reports readiness, publishes the
EndpointSlice and gives the Service its load-balancer address.
"""

from __future__ import annotations

import base64
import threading
from pathlib import Path
from typing import Any, Self

from tests.stack import pins
from tests.stack.api import ApiError
from tests.stack.documents import Document, Ref
from tests.stack.kube import Cluster
from tests.stack.pods import Network, expand
from tests.stack.process import (
    Command,
    Daemon,
    ProcessError,
    answers,
    scratch,
    wait_until,
)
from tests.stack.services import LoadBalancer

OWNED = "app.kubernetes.io/managed-by=envoy-gateway"
OWNER = "gateway.envoyproxy.io/owning-gateway-"
CONTROL_PLANE = "envoy-gateway.envoy-gateway-system.svc.cluster.local."
POLL = 0.2
# Its own cluster's endpoints are all that Envoy waits for before it takes listeners, for
# 15 s, and Envoy Gateway never sends them without a topology webhook.
OWN_ENDPOINTS = "eds_config:\n        ads: {}\n"
OWN_ENDPOINTS_SOON = f"{OWN_ENDPOINTS}        initial_fetch_timeout: 0.2s\n"


def volume(cluster: Cluster, ref: Ref, folder: Path) -> Path:
    """Write the entries of a Secret or ConfigMap into `folder`, as a volume would be."""
    found = cluster.api.wait_for(ref, lambda seen: "data" in seen)
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in found["data"].items():
        plain = base64.b64decode(value) if ref.kind == "Secret" else value.encode()
        (folder / name).write_bytes(plain)
    return folder


def _envoy(deployment: Document) -> dict[str, Any]:
    containers = deployment["spec"]["template"]["spec"]["containers"]
    return next(dict(c) for c in containers if c["name"] == "envoy")


class Proxy:
    """One Envoy in its pod, for one Deployment.

    ``balancer.published = False`` takes the address of the Gateway away.
    """

    def __init__(
        self, balancer: LoadBalancer, deployment: Document, logs: Path
    ) -> None:
        self.balancer = balancer
        self.pod = balancer.pod
        self.deployment = Ref.of(deployment)
        self.arguments: tuple[str, ...] = ()
        self.wanted = True
        self._logs = logs
        self._daemon: Daemon | None = None

    @property
    def address(self) -> str:
        """The load balancer's address: only the ports of the Service are open."""
        return self.balancer.address

    @property
    def running(self) -> bool:
        """Does its Envoy run?"""
        return self._daemon is not None and self._daemon.running

    @property
    def ready(self) -> bool:
        """What the readiness probe says."""
        return self.running and answers(f"http://{self.pod.address}:19003/ready")()

    def start(self) -> None:
        """Start Envoy; the kubelet then watches its readiness."""
        self.wanted = True
        values = {
            "ENVOY_POD_NAME": f"{self.deployment.name}-0",
            "ENVOY_POD_NAMESPACE": self.deployment.namespace,
            "ENVOY_SERVICE_ZONE": "",
        }
        argv = (str(pins.envoy()), *expand(self.arguments, values))
        command = Command(name=self.deployment.name, argv=argv, env=values)
        self._daemon = Daemon(self.pod.command(command), self._logs).launch()

    def stop(self) -> None:
        """Stop Envoy as a crash would; it stays stopped until `start`."""
        self.wanted = False
        if self._daemon is not None:
            self._daemon.stop(patience=1.0)

    def close(self) -> None:
        """Stop Envoy and remove its pod."""
        self.stop()
        self.pod.close()


class Kubelet:
    """The loop; `proxies` has one entry per (namespace, name) of a Gateway.

    Names in `hosts` (name -> address) resolve in pods that are made afterwards.
    """

    def __init__(self, hub: Cluster, network: Network, logs: Path, *, xds: str) -> None:
        self.proxies: dict[tuple[str, str], Proxy] = {}
        self.hosts: dict[str, str] = {}
        self._hub = hub
        self._network = network
        self._logs = logs
        self._xds = xds
        self._halt = threading.Event()
        self._paused = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="kubelet", daemon=True)
        self._error: ApiError | ProcessError | None = None

    def start(self) -> Self:
        """Begin to watch."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop watching, and all proxies. Raises what the loop died of."""
        self._halt.set()
        if self._thread.ident is not None:
            self._thread.join()
        for proxy in self.proxies.values():
            proxy.close()
        if self._error is not None:
            raise self._error

    def pause(self) -> None:
        """Do nothing any more: new Gateways get no pod and no address."""
        self._paused.set()

    def resume(self) -> None:
        """Go on, also with what came in the meantime."""
        self._paused.clear()

    def proxy(self, gateway: str, namespace: str, *, seconds: float = 30.0) -> Proxy:
        """The proxy of a Gateway, as soon as it was started."""
        key = (namespace, gateway)
        what = f"a proxy for Gateway {namespace}/{gateway}"
        wait_until(lambda: key in self.proxies or self._dead(), what, seconds=seconds)
        return self.proxies[key]

    def _dead(self) -> bool:
        if self._error is not None:
            raise self._error
        return False

    def _loop(self) -> None:
        while not self._halt.wait(POLL):
            if self._paused.is_set():
                continue
            try:
                self._pass()
            except ApiError as error:
                # An object that went away meanwhile, or a newer one: look again.
                if error.status not in (404, 409, 429, 503):
                    self._error = error
                    return
            except ProcessError as error:
                self._error = error
                return

    def _pass(self) -> None:
        everywhere = Ref("apps/v1", "Deployment")
        deployments = self._hub.api.list(everywhere, OWNED)
        services = {
            (s["metadata"]["namespace"], s["metadata"]["name"]): s
            for s in self._hub.api.list(Ref("v1", "Service"), OWNED)
        }
        seen = set()
        for deployment in deployments:
            metadata = deployment["metadata"]
            labels = metadata["labels"]
            key = (labels[f"{OWNER}namespace"], labels[f"{OWNER}name"])
            seen.add(key)
            proxy = self._keep_running(key, deployment)
            ready = proxy.ready
            proxy.balancer.report(Ref.of(deployment), _status(deployment, ready))
            service = services.get((metadata["namespace"], metadata["name"]))
            if service is not None:
                proxy.balancer.serve(service, ready=ready)
        for key in self.proxies.keys() - seen:
            self.proxies.pop(key).close()

    def _keep_running(self, key: tuple[str, str], deployment: Document) -> Proxy:
        arguments = self._arguments(deployment)
        proxy = self.proxies.get(key)
        if proxy is None:
            proxy = Proxy(self._balancer(deployment), deployment, self._logs)
            self.proxies[key] = proxy
        if proxy.arguments != arguments:
            proxy.arguments = arguments
            if proxy.wanted:
                proxy.stop()
                proxy.start()
        return proxy

    def _arguments(self, deployment: Document) -> tuple[str, ...]:
        given = _envoy(deployment)["args"]
        # There is no cluster DNS, and Envoy's resolver leaves names with a final dot out
        # of the hosts file.
        given = [argument.replace(CONTROL_PLANE, self._xds) for argument in given]
        return tuple(a.replace(OWN_ENDPOINTS, OWN_ENDPOINTS_SOON) for a in given)

    def _balancer(self, deployment: Document) -> LoadBalancer:
        metadata = deployment["metadata"]
        name, namespace = metadata["name"], metadata["namespace"]
        folder = scratch(f"pod-{name}")
        certificates = Ref("v1", "Secret", "envoy", namespace)
        secrets = Ref("v1", "ConfigMap", name, namespace)
        mounts = {
            "/certs": volume(self._hub, certificates, folder / "certs"),
            "/sds": volume(self._hub, secrets, folder / "sds"),
        }
        pod = self._network.pod(mounts=mounts, hosts=self.hosts)
        return LoadBalancer(self._hub, pod)


def _status(deployment: Document, ready: bool) -> Document:
    return {
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": 1,
        "updatedReplicas": 1,
        "readyReplicas": int(ready),
        "availableReplicas": int(ready),
        "unavailableReplicas": int(not ready),
    }

"""Stands in for the cloud and kube-proxy: gives a Service an address (does I/O)."""

from __future__ import annotations

from tests.stack.documents import Document, Ref
from tests.stack.kube import Cluster
from tests.stack.pods import Pod


class LoadBalancer:
    """One Service of type LoadBalancer whose only endpoint is `pod`.

    `address` is stable; it is in the Service's status while `published` is true. Only
    the ports of the Service are open on it.
    """

    def __init__(self, hub: Cluster, pod: Pod, target: str = "") -> None:
        self.pod = pod
        self.published = True
        self._hub = hub
        self._target = target
        self._reported: dict[Ref, Document] = {}

    @property
    def address(self) -> str:
        """The address that clients use."""
        return self.pod.service

    def serve(self, service: Document, *, ready: bool) -> None:
        """Make ports, EndpointSlice and status follow the Service and the pod."""
        ports = service["spec"].get("ports", [])
        wanted = self._slice(service, ready)
        ref = Ref.of(wanted)
        if self._reported.get(ref) != wanted:
            self.pod.expose({p["port"]: int(p["targetPort"]) for p in ports})
            self._hub.api.apply(wanted, manager="kubelet")
            self._reported[ref] = wanted
        ingress = [{"ip": self.address}] if self.published else []
        self.report(Ref.of(service), {"loadBalancer": {"ingress": ingress}})

    def report(self, ref: Ref, status: Document) -> None:
        """Patch a status unless it was reported before."""
        if self._reported.get(ref) != status:
            self._hub.api.patch_status(ref, status)
            self._reported[ref] = status

    def _slice(self, service: Document, ready: bool) -> Document:
        metadata = service["metadata"]
        name, namespace = metadata["name"], metadata["namespace"]
        endpoint: Document = {
            "addresses": [self.pod.address],
            "conditions": {"ready": ready},
        }
        if self._target:
            target = {"kind": "Pod", "name": self._target, "namespace": namespace}
            endpoint["targetRef"] = target
        ports = [
            {"name": p.get("name", ""), "port": int(p["targetPort"]), "protocol": "TCP"}
            for p in service["spec"].get("ports", [])
        ]
        return {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": f"{name}-0",
                "namespace": namespace,
                "labels": {"kubernetes.io/service-name": name},
            },
            "addressType": "IPv4",
            "endpoints": [endpoint],
            "ports": ports,
        }

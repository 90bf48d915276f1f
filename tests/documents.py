"""Kubernetes objects as plain documents, for directories of clusters."""

from __future__ import annotations

from collections.abc import Mapping

Doc = dict[str, object]


def namespace(uid: str) -> Doc:
    """kube-system, whose uid is the cluster's id."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "kube-system", "uid": uid},
    }


def node(name: str, address: str, *, ready: bool = True) -> Doc:
    """A node with one internal address."""
    condition = {
        "type": "Ready",
        "status": "True" if ready else "False",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "status": {
            "addresses": [{"type": "InternalIP", "address": address}],
            "conditions": [condition],
        },
    }


def service(name: str, node_port: int, space: str = "shop") -> Doc:
    """A NodePort Service with one port 5432."""
    port = {"name": "tcp", "port": 5432, "nodePort": node_port, "protocol": "TCP"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": space},
        "spec": {
            "type": "NodePort",
            "clusterIP": "10.96.0.1",
            "selector": {"app": name},
            "ports": [port],
        },
    }


def virtual_service(
    name: str,
    destinations: Mapping[str, int] | None = None,
    annotations: Mapping[str, str] | None = None,
    space: str = "shop",
) -> Doc:
    """An exposed VirtualService with one tcp entry; `destinations` are weights by Service."""
    weights = destinations or {name: 100}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {
            "name": name,
            "namespace": space,
            "annotations": {"wharfinger.dev/expose": "tcp", **(annotations or {})},
        },
        "spec": {
            "hosts": [f"{name}.{space}.svc.cluster.local"],
            "tcp": [
                {
                    "route": [
                        {
                            "destination": {"host": host, "port": {"number": 5432}},
                            "weight": weight,
                        }
                        for host, weight in weights.items()
                    ]
                }
            ],
        },
    }

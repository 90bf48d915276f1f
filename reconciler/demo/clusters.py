"""The demo's two clusters as files, as `kubectl get -o yaml` would print them; pure."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler import yamlio

CLUSTERS = ("eu1", "us1")
NAMESPACE = "shop"
DOMAIN = "ingress.localhost"


def cluster_files(
    name: str, ports: Mapping[str, int], api_port: int
) -> dict[str, bytes]:
    """The files of one cluster's folder; `ports` maps Service names to node ports."""
    return {
        "cluster.yaml": _yaml(
            {
                "apiVersion": "wharfinger.dev/v1alpha1",
                "kind": "Cluster",
                "metadata": {"name": name},
                "apiServers": [{"host": "127.0.0.1", "port": api_port}],
                "certificateNames": [f"*.k8s.{DOMAIN}", "kubernetes"],
            },
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": "kube-system", "uid": f"5eed0000-demo-{name}"},
            },
            _node(name),
        ),
        "services.yaml": _yaml(*(_service(each, port) for each, port in ports.items())),
        **{
            f"{each}.yaml": virtual_service(each, destinations)
            for each, destinations in _exposures(name).items()
        },
    }


def _exposures(cluster: str) -> dict[str, dict[str, int]]:
    if cluster == "eu1":
        return {
            "orders": {"orders-blue": 90, "orders-green": 10},
            "sessions": {"sessions": 100},
        }
    return {"reports": {"reports": 100}}


def virtual_service(name: str, destinations: Mapping[str, int]) -> bytes:
    """An annotated VirtualService that a team would write, with a comment of theirs."""
    head = f"# The team's own file: {name} for everybody outside of the cluster.\n"
    return head.encode() + _yaml(
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {
                "name": name,
                "namespace": NAMESPACE,
                "annotations": {"wharfinger.dev/expose": "tcp"},
            },
            "spec": {
                "hosts": [f"{name}.{NAMESPACE}.svc.cluster.local"],
                "tcp": [
                    {
                        "route": [
                            {
                                "destination": {
                                    "host": service,
                                    "port": {"number": 5432},
                                },
                                "weight": weight,
                            }
                            for service, weight in destinations.items()
                        ]
                    }
                ],
            },
        }
    )


def settings_yaml(folder: str, ports: str, tls_port: int, status: str) -> bytes:
    """The demo's `wharfinger.yaml`: what a platform team writes once."""
    return f"""\
apiVersion: wharfinger.dev/v1alpha1
kind: Settings
domain: {DOMAIN}
gateways:
  - name: public
    renderer: envoy            # on a platform cluster: envoy-gateway or istio
    namespace: ingress
    host: localhost            # what clients dial
    ports: {{range: {ports}}}
    tlsPort: {tls_port}
    proof: {{envoySync: {yamlio.scalar(status)}}}
inventories:
  - name: demo
    directory: {{path: {yamlio.scalar(folder)}}}
tenants:
  - clusters: ["*"]
    gateways: [public]
    endpoints: [127.0.0.0/8]   # loopback only because it is listed here
""".encode()


def _yaml(*documents: Mapping[str, object]) -> bytes:
    return yamlio.dump_all(documents).encode()


def _node(cluster: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": f"{cluster}-node-1"},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True",
                    "lastTransitionTime": "2026-01-01T00:00:00Z",
                }
            ],
        },
    }


def _service(name: str, node_port: int) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "type": "NodePort",
            "clusterIP": "10.96.0.10",
            "selector": {"app": name},
            "ports": [
                {"name": "tcp", "port": 5432, "nodePort": node_port, "protocol": "TCP"}
            ],
        },
    }

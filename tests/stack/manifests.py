"""Hand-written manifests of gateways and routes, for tests of the harness (pure)."""

from __future__ import annotations

from tests.stack.workloads import Workload


def reader_role(namespace: str) -> str:
    return f"""
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: {namespace}}}
rules:
- apiGroups: [gateway.networking.k8s.io]
  resources: [gateways]
  verbs: [get, list]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: {namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {namespace}}}
subjects: [{{kind: ServiceAccount, name: reader, namespace: {namespace}}}]
"""


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


def classic_route(namespace: str, port: int, service: str) -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: tcp-{port}, namespace: {namespace}}}
spec:
  selector: {{istio: {namespace}}}
  servers:
  - port: {{number: {port}, name: tcp-{port}, protocol: TCP}}
    hosts: ["./orders.internal"]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: orders, namespace: {namespace}}}
spec:
  hosts: [orders.internal]
  gateways: [{namespace}/tcp-{port}]
  tcp:
  - match: [{{port: {port}}}]
    route:
    - destination: {{host: {service}.{namespace}.internal, port: {{number: 8080}}}}
"""

"""Objects as admission policies see them: built as we write them, and with one thing changed."""

from __future__ import annotations

from typing import Any

GATEWAY_API = "gateway.networking.k8s.io/v1"
ENVOY_GATEWAY = "gateway.envoyproxy.io/v1alpha1"
ISTIO = "networking.istio.io/v1"
NAMESPACE = "ingress"

Doc = dict[str, Any]


def made(version: str, kind: str, spec: Doc, **annotations: str) -> Doc:
    """An object named `tried`."""
    metadata: Doc = {"name": "tried", "namespace": NAMESPACE}
    if annotations:
        metadata["annotations"] = annotations
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def backend(*addresses: str) -> Doc:
    """A Backend with these IP addresses."""
    endpoints = [{"ip": {"address": each, "port": 80}} for each in addresses]
    return made(ENVOY_GATEWAY, "Backend", {"endpoints": endpoints})


def named(hostname: str) -> Doc:
    """A Backend with a DNS name."""
    endpoint = {"fqdn": {"hostname": hostname, "port": 80}}
    return made(ENVOY_GATEWAY, "Backend", {"endpoints": [endpoint]})


def entry(*addresses: str, **changes: Any) -> Doc:
    """A ServiceEntry as we write it; a change of None leaves a field out."""
    spec = {
        "hosts": [f"w-a.{NAMESPACE}.internal"],
        "exportTo": ["."],
        "location": "MESH_EXTERNAL",
        "resolution": "STATIC",
        "ports": [{"number": 5000, "name": "tcp", "protocol": "TCP"}],
        "endpoints": [{"address": each, "ports": {"tcp": 31000}} for each in addresses],
        **changes,
    }
    kept = {key: value for key, value in spec.items() if value is not None}
    return made(ISTIO, "ServiceEntry", kept)


def listener_set(*ports: int, **changes: Any) -> Doc:
    """A ListenerSet as we write it."""
    listeners = []
    for port in ports or (20017,):
        listener = {
            "name": f"tcp-{port}",
            "port": port,
            "protocol": "TCP",
            "allowedRoutes": {"namespaces": {"from": "Same"}},
            **changes,
        }
        listeners.append({k: v for k, v in listener.items() if v is not None})
    parent = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public"}
    return made(
        GATEWAY_API, "ListenerSet", {"parentRef": parent, "listeners": listeners}
    )


def route(
    kind: str, parent: Doc | None, backend_ref: Doc | None = None, **rest: Any
) -> Doc:
    """A TCPRoute or TLSRoute with one rule."""
    ref = backend_ref or {"group": "gateway.envoyproxy.io", "kind": "Backend"}
    spec = {"rules": [{"backendRefs": [{"name": "b", **ref}]}], **rest}
    if parent is not None:
        spec["parentRefs"] = [parent]
    if kind == "TLSRoute":
        spec.setdefault("hostnames", ["a.apps.example.com"])
    return made(GATEWAY_API, kind, spec)


SET = {
    "group": "gateway.networking.k8s.io",
    "kind": "ListenerSet",
    "name": "s",
    "sectionName": "tcp-20017",
}
GATEWAY = {"name": "public", "sectionName": "tls"}


def tcp_route(backend_ref: Doc | None = None, **changes: Any) -> Doc:
    """A TCPRoute on a listener of its own; changes are of the parent."""
    parent = {k: v for k, v in {**SET, **changes}.items() if v is not None}
    return route("TCPRoute", parent, backend_ref)


def tls_route(*hostnames: str, **changes: Any) -> Doc:
    """A TLSRoute on the shared listener; changes are of the parent."""
    parent = {k: v for k, v in {**GATEWAY, **changes}.items() if v is not None}
    return route("TLSRoute", parent, hostnames=list(hostnames) or ["a.example.com"])


def gateway(number: int, protocol: str = "TCP", **server: Any) -> Doc:
    """A Gateway of Istio as we write it for a port, with one server."""
    port = {"number": number, "name": "one", "protocol": protocol}
    servers = [{"port": port, "hosts": ["*"], **server}]
    spec = {"selector": {"istio": "public"}, "servers": servers}
    document = made(ISTIO, "Gateway", spec)
    document["metadata"]["name"] = "w-tried"
    return document


def virtual_service(**changes: Any) -> Doc:
    """A VirtualService of istio-classic; a change of None leaves a field out."""
    host = f"w-a.{NAMESPACE}.internal"
    spec = {
        "hosts": [host],
        "gateways": [f"{NAMESPACE}/public"],
        "exportTo": ["."],
        "tcp": [{"match": [{"port": 20017}], "route": [to(host)]}],
        **changes,
    }
    kept = {key: value for key, value in spec.items() if value is not None}
    return made(ISTIO, "VirtualService", kept)


def to(host: str) -> Doc:
    """A destination of a VirtualService."""
    return {"destination": {"host": host, "port": {"number": 5000}}}


def tenants(**annotations: str) -> Doc:
    """A tenant's VirtualService; `request_port` stands for `wharfinger.dev/request-port`."""
    spec = {"hosts": ["orders"], "tcp": [{"route": [to("orders")]}]}
    keys = {f"wharfinger.dev/{k.replace('_', '-')}": v for k, v in annotations.items()}
    return made(ISTIO, "VirtualService", spec, **keys)


def placed(value: Any, namespace: str) -> Any:
    """An object as it is in another namespace; names of hosts follow."""
    match value:
        case dict():
            return {key: placed(each, namespace) for key, each in value.items()}
        case list():
            return [placed(each, namespace) for each in value]
        case str():
            return value.replace(NAMESPACE, namespace)
    return value

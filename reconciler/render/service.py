"""The Service of an Istio ingress gateway: which ports it opens, ahead of need; pure.

A port that the Service lacks takes `Programmed` from the whole Gateway (Gateway API), or is
served by nobody (Istio's own). So a block of ports is there before the first unit that needs
one of them, in a file of the gateway. Only the ports are ours in it: the kind of the Service,
its annotations and ports of other names are people's once it is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from reconciler import yamlio
from reconciler.capacity import own_load_balancer_ports
from reconciler.model.repository import FileWrite
from reconciler.ports import contains
from reconciler.render.istioparts import selector
from reconciler.render.shapes import Doc, kubernetes
from reconciler.settings import Gateway

BLOCK = 64
STATUS_PORT = 15021  # where a load balancer asks Istio's proxy for its health


def service_name(gateway: Gateway) -> str:
    """The Service of the gateway's proxies."""
    return (gateway.service or gateway.name).partition(".")[0]


def service_file(
    gateway: Gateway, ports: frozenset[int], current: Mapping[str, bytes]
) -> tuple[FileWrite, ...]:
    """The write that opens what the ports in use need; none when they are open already."""
    path = f"manifests/{gateway.name}/service.yaml"
    wanted = _entries(gateway, open_ports(gateway, ports))
    data = _edited(current[path], wanted) if path in current else None
    if data is None:
        data = yamlio.dump(_service(gateway, wanted)).encode()
    return () if current.get(path) == data else (FileWrite(path=path, data=data),)


def open_ports(gateway: Gateway, ports: frozenset[int]) -> tuple[int, ...]:
    """The ports in use, their whole blocks and the block after each; sorted.

    One more port in use never closes another. Where the load balancer has a limit, as many are
    open ahead of need as it leaves: then a new route's port may close one that nobody uses.
    """
    used = {port // BLOCK for port in ports}
    first = min((each.first for each in gateway.ports.range), default=0)
    blocks = {first // BLOCK, *used, *(block + 1 for block in used)}
    ahead = {
        port
        for block in blocks
        for port in range(block * BLOCK, (block + 1) * BLOCK)
        if contains(gateway.ports.range, port)
        and not contains(gateway.ports.exclude, port)
    }
    most = gateway.limits.load_balancer_ports
    closed = sorted(ahead - ports)
    if most is not None:
        closed = closed[: max(0, most - own_load_balancer_ports(gateway) - len(ports))]
    return tuple(sorted(ports.union(closed)))


def _entries(gateway: Gateway, ports: Iterable[int]) -> list[Doc]:
    names = {port: f"tcp-{port}" for port in ports}
    names[gateway.tls_port] = "tls"
    return [
        {"name": name, "port": port, "targetPort": port, "protocol": "TCP"}
        for port, name in sorted(names.items())
    ]


def _service(gateway: Gateway, wanted: list[Doc]) -> Doc:
    document = kubernetes("v1", "Service", service_name(gateway), gateway.namespace)
    status = {
        "name": "tcp-status",
        "port": STATUS_PORT,
        "targetPort": STATUS_PORT,
        "protocol": "TCP",
    }
    document["spec"] = {
        "type": "LoadBalancer",
        "externalTrafficPolicy": "Local",
        "allocateLoadBalancerNodePorts": False,
        "selector": selector(gateway),
        "ports": [status, *wanted],
    }
    return document


def _edited(data: bytes, wanted: list[Doc]) -> bytes | None:
    """The file with the ports that are wanted, `None` where it is no Service any more."""
    try:
        before = yamlio.load(data)
    except yamlio.Unreadable:
        return None
    spec = before.get("spec") if isinstance(before, dict) else None
    ports = spec.get("ports") if isinstance(spec, dict) else None
    if spec is None or not isinstance(ports, list):
        return None
    if not all(isinstance(each, dict) for each in ports):
        return None
    theirs = [each for each in ports if not _is_ours(each)]
    if ports == [*theirs, *wanted]:
        return data
    if yamlio.dump(before).encode() == data:
        spec["ports"] = [*theirs, *wanted]
        return yamlio.dump(before).encode()
    documents: list[Any] = yamlio.edit(data)  # keeps the comments and order of people
    documents[0]["spec"]["ports"] = [*theirs, *wanted]
    return yamlio.edited(documents)


def _is_ours(entry: Mapping[str, object]) -> bool:
    name = str(entry.get("name"))
    return name == "tls" or name == f"tcp-{entry.get('port')}"

"""Finds the Service port behind a destination and where its addresses come from; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.claim.faults import Refused, shown
from reconciler.claim.routes import RawDestination
from reconciler.codes import Code
from reconciler.model.clusters import (
    ClusterObjects,
    EndpointSlice,
    Service,
    ServicePort,
)
from reconciler.model.units import Backend, Destination
from reconciler.names import is_label


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """A cluster's objects, indexed for resolving."""

    objects: ClusterObjects
    services: Mapping[tuple[str, str], Service]
    slices: Mapping[tuple[str, str], tuple[EndpointSlice, ...]]


def catalogue(objects: ClusterObjects) -> Catalogue:
    """Index a cluster's objects."""
    slices: dict[tuple[str, str], list[EndpointSlice]] = {}
    for each in objects.endpoint_slices:
        slices.setdefault((each.namespace, each.service), []).append(each)
    return Catalogue(
        objects=objects,
        services={(each.namespace, each.name): each for each in objects.services},
        slices={at: tuple(found) for at, found in slices.items()},
    )


def resolve(
    raw: RawDestination, namespace: str, asked: str, found: Catalogue
) -> Destination:
    """The destination that a host names, as Istio resolves it. Raises Refused."""
    service_name, service_namespace = _split(raw, namespace)
    service = found.services.get((service_namespace, service_name))
    if service is None:
        raise Refused(
            Code.SERVICE_NOT_FOUND,
            f"{raw.where}.host: there is no Service {service_namespace}/{service_name}",
        )
    port = _port(raw, service)
    backend = _backend(raw, service, asked)
    _check_kind(raw, service, backend)
    if raw.subset and backend is not Backend.POD:
        raise Refused(
            Code.SUBSET_UNSUPPORTED,
            f"{raw.where}.subset needs wharfinger.dev/backend: pod",
        )
    return Destination(
        namespace=service_namespace,
        service=service_name,
        port=port.port,
        backend=backend,
        weight=raw.weight,
        subset=raw.subset,
    )


def _split(raw: RawDestination, namespace: str) -> tuple[str, str]:
    parts = raw.host.split(".")
    rest = parts[2:]
    if rest not in ([], ["svc"], ["svc", "cluster", "local"]):
        raise Refused(
            Code.INVALID_DESTINATION,
            f"{raw.where}.host {shown(raw.host)} is no Service of this cluster; "
            "write name, name.namespace or name.namespace.svc.cluster.local",
        )
    name = parts[0]
    space = parts[1] if len(parts) > 1 else namespace
    if not is_label(name) or not is_label(space):
        raise Refused(
            Code.INVALID_DESTINATION, f"{raw.where}.host is no Service's name"
        )
    return name, space


def _port(raw: RawDestination, service: Service) -> ServicePort:
    where = f"{service.namespace}/{service.name}"
    if raw.port == 0:
        if len(service.ports) != 1:
            raise Refused(
                Code.INVALID_DESTINATION,
                f"{raw.where}.port.number is needed: Service {where} has {len(service.ports)} ports",
            )
        port = service.ports[0]
    else:
        same = [each for each in service.ports if each.port == raw.port]
        tcp = [each for each in same if each.protocol == "TCP"]
        if not same:
            raise Refused(
                Code.INVALID_DESTINATION,
                f"{raw.where}: Service {where} has no port {raw.port}",
            )
        port = (tcp or same)[0]
    if port.protocol != "TCP":
        raise Refused(
            Code.SERVICE_UNSUPPORTED,
            f"{raw.where}: port {port.port} of Service {where} is not TCP",
        )
    return port


def _backend(raw: RawDestination, service: Service, asked: str) -> Backend:
    if asked != "auto":
        return Backend(asked)
    match service.type:
        case "LoadBalancer":
            return Backend.LOAD_BALANCER
        case "NodePort":
            return Backend.NODE_PORT
        case "ExternalName":
            raise _external(raw, service)
    raise Refused(
        Code.BACKEND_UNSUPPORTED,
        f"{raw.where}: Service {service.namespace}/{service.name} has type {shown(service.type)}, "
        "which cannot be reached from outside; make it NodePort or LoadBalancer, or ask for backend pod",
    )


def _external(raw: RawDestination, service: Service) -> Refused:
    return Refused(
        Code.SERVICE_UNSUPPORTED,
        f"{raw.where}: Service {service.namespace}/{service.name} is an ExternalName, which may point anywhere",
    )


def _check_kind(raw: RawDestination, service: Service, backend: Backend) -> None:
    where = f"{raw.where}: Service {service.namespace}/{service.name}"
    if service.type == "ExternalName":
        raise _external(raw, service)
    if service.headless:
        raise Refused(Code.SERVICE_UNSUPPORTED, f"{where} is headless")
    if not service.has_selector:
        raise Refused(
            Code.SERVICE_UNSUPPORTED,
            f"{where} has no selector: its endpoints could be anything",
        )
    if backend is Backend.LOAD_BALANCER and service.type != "LoadBalancer":
        raise Refused(Code.BACKEND_UNSUPPORTED, f"{where} is not of type LoadBalancer")
    if backend is Backend.NODE_PORT and service.type not in (
        "NodePort",
        "LoadBalancer",
    ):
        raise Refused(
            Code.BACKEND_UNSUPPORTED, f"{where} has no node port; make it NodePort"
        )

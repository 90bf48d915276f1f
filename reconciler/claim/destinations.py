"""Checks every destination against the Service it names, and how it can be reached; pure."""

from __future__ import annotations

from reconciler.claim.index import Index
from reconciler.claim.refusals import Refused, is_whole, quoted
from reconciler.claim.targets import Target
from reconciler.codes import Code
from reconciler.model.clusters import Service, ServicePort
from reconciler.model.units import Backend, Destination
from reconciler.settings import Tenant

_AUTO = {"LoadBalancer": Backend.LOAD_BALANCER, "NodePort": Backend.NODE_PORT}


def destinations(
    targets: tuple[Target, ...], backend: str, look: Index, tenant: Tenant
) -> tuple[Destination, ...]:
    """Destinations of one route, by key. Raises Refused for the first that cannot be.

    `backend` is the annotation's value. Whether a subset exists is seen with the addresses.
    """
    found: dict[str, Destination] = {}
    for target in targets:
        made = _destination(target, backend, look, tenant)
        if made.key in found:
            what = f"{made.key} is twice in this route; name it once, with the sum of the weights"
            raise Refused(Code.INVALID_DESTINATION, target.where, what)
        found[made.key] = made
    return tuple(found[key] for key in sorted(found))


def find_port(service: Service, number: int) -> ServicePort | None:
    """The TCP port of a Service by number; a number that is no port finds nothing."""
    if is_whole(number, 1, 65535):
        for each in service.ports:
            if each.port == number and each.protocol == "TCP":
                return each
    return None


def _destination(
    target: Target, backend: str, look: Index, tenant: Tenant
) -> Destination:
    service = look.service((target.namespace, target.service))
    name = f"{target.namespace}/{target.service}"
    if service is None:
        what = f"there is no Service {name} in this cluster"
        raise Refused(Code.SERVICE_NOT_FOUND, f"{target.where}.host", what)
    _check_service(service, name, target.where)
    port = _port(service, name, target)
    kind = _backend(service, name, backend, target.where)
    _check_backend(service, port, kind, target.where)
    _check_volatile(service, kind, tenant, target.where)
    if target.subset and kind is not Backend.POD:
        what = "a subset can only be reached with wharfinger.dev/backend: pod; remove it, or use Services of their own"
        raise Refused(Code.SUBSET_UNSUPPORTED, f"{target.where}.subset", what)
    return Destination(
        namespace=target.namespace,
        service=target.service,
        port=port.port,
        backend=kind,
        weight=target.weight,
        subset=target.subset,
    )


def _check_service(service: Service, name: str, where: str) -> None:
    if service.type == "ExternalName":
        what = f"Service {name} is an ExternalName, which leads out of the cluster"
    elif service.headless:
        what = f"Service {name} is headless (clusterIP: None)"
    elif not service.has_selector:
        what = f"Service {name} has no selector, so anybody may say where it leads"
    else:
        return
    raise Refused(
        Code.SERVICE_UNSUPPORTED, where, f"{what}; use one with pods behind it"
    )


def _port(service: Service, name: str, target: Target) -> ServicePort:
    if not target.port:
        if len(service.ports) != 1:
            what = f"is needed, because Service {name} has not exactly one port (it has {_known(service)})"
            raise Refused(Code.INVALID_DESTINATION, f"{target.where}.port.number", what)
        number = service.ports[0].port
    else:
        number = target.port
    found = find_port(service, number)
    if found is not None:
        return found
    if any(each.port == number for each in service.ports):
        what = f"port {quoted(number)} of Service {name} is no TCP port"
        raise Refused(Code.SERVICE_UNSUPPORTED, f"{target.where}.port.number", what)
    what = f"Service {name} has no port {quoted(number)}; it has {_known(service)}"
    raise Refused(Code.INVALID_DESTINATION, f"{target.where}.port.number", what)


def _known(service: Service) -> str:
    proper = [each.port for each in service.ports if is_whole(each.port, 1, 65535)]
    return ", ".join(map(str, proper[:8])) or "none"


def _backend(service: Service, name: str, wanted: str, where: str) -> Backend:
    if wanted != "auto":
        return Backend(wanted)
    found = _AUTO.get(service.type)
    if found is not None:
        return found
    what = (
        f"Service {name} is of type {quoted(service.type)}, which nothing outside reaches; "
        "make it NodePort or LoadBalancer, or set wharfinger.dev/backend: pod"
    )
    raise Refused(Code.BACKEND_UNSUPPORTED, where, what)


def _check_backend(
    service: Service, port: ServicePort, kind: Backend, where: str
) -> None:
    name = f"{service.namespace}/{service.name}"
    if kind is Backend.LOAD_BALANCER and service.type != "LoadBalancer":
        what = (
            f"Service {name} is no LoadBalancer, which wharfinger.dev/backend asks for"
        )
        raise Refused(Code.BACKEND_UNSUPPORTED, where, what)
    if kind is Backend.NODE_PORT and not _has_node_port(service, port):
        what = f"port {port.port} of Service {name} has no node port; make the Service NodePort"
        raise Refused(Code.BACKEND_UNSUPPORTED, where, what)


def _has_node_port(service: Service, port: ServicePort) -> bool:
    return service.type in _AUTO and 0 < port.node_port < 65536


def _check_volatile(
    service: Service, kind: Backend, tenant: Tenant, where: str
) -> None:
    local = kind is Backend.NODE_PORT and service.local_traffic_policy
    if tenant.volatile_backends or not (local or kind is Backend.POD):
        return
    cause = "externalTrafficPolicy: Local" if local else "wharfinger.dev/backend: pod"
    what = (
        f"with {cause} addresses change at every rollout; "
        "the platform team can permit it with volatileBackends: true"
    )
    raise Refused(Code.VOLATILE_BACKENDS, where, what)

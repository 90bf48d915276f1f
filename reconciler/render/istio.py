"""The Istio dialect of the Gateway API: ServiceEntries behind Hostname backendRefs; pure."""

from __future__ import annotations

from reconciler.model.units import PlacedRoute, Placement, UnitAddresses
from reconciler.names import object_name
from reconciler.render import gatewayapi, istioparts, service
from reconciler.render.shapes import Doc
from reconciler.settings import Gateway


def wish_documents(placement: Placement, gateway: Gateway) -> list[Doc]:
    """Policies, listeners and routes of a unit, in the order in which they are to be applied.

    A listener whose AuthorizationPolicy comes after it is open to everybody until then.
    """

    def backends(placement: Placement, route: PlacedRoute) -> list[Doc]:
        return [
            {
                "group": "networking.istio.io",
                "kind": "Hostname",
                "name": host,
                "port": istioparts.PORT,
                "weight": weight,
            }
            for host, weight in istioparts.hosts(placement, route, gateway)
        ]

    name = object_name(placement.wish.unit)
    return [
        *istioparts.rules(placement, gateway),
        *istioparts.client_rules(placement, gateway, name),
        *gatewayapi.core(placement, gateway, backends),
    ]


def endpoint_documents(addresses: UnitAddresses, gateway: Gateway) -> list[Doc]:
    """The ServiceEntries of a unit."""
    return istioparts.entries(addresses, gateway)


def gateway_documents(gateway: Gateway) -> list[Doc]:
    """The Gateway, attached to the Service that `service.yaml` keeps."""
    document = gatewayapi.gateway_document(gateway, gateway.gateway_class or "istio")
    spec = document["spec"]
    if isinstance(spec, dict):
        host = f"{service.service_name(gateway)}.{gateway.namespace}.svc.cluster.local"
        spec["addresses"] = [{"type": "Hostname", "value": host}]
    return [document]

"""Renders units for a gateway's data plane; pure: bytes are a function of the placement.

One contract for all renderers: weights split connections as written, an unreachable destination
fails its share (`failover: none`) or others take it over (`any`), a destination that is alone
is health-checked, and without any address the listener stays and clients are refused.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.model.repository import FileWrite
from reconciler.model.units import Placement, UnitAddresses, UnitFiles, Wish
from reconciler.render import (
    envoy,
    envoygateway,
    istio,
    istioclassic,
    istioparts,
    service,
)
from reconciler.render.shapes import Doc, addresses_file, wish_file
from reconciler.settings import Gateway, Renderer, Settings
from reconciler.versions import RENDERER_VERSION
from reconciler.yamlio import dump_all

__all__ = [
    "RENDERER_VERSION",
    "gateway_files",
    "render",
    "render_addresses",
    "render_wish",
    "unsupported",
]


def render(
    placement: Placement, addresses: UnitAddresses, gateway: Gateway, settings: Settings
) -> UnitFiles:
    """Both files of a unit on one gateway."""
    return UnitFiles(
        wish=render_wish(placement, gateway, settings),
        endpoints=render_addresses(addresses, gateway, settings),
    )


def render_wish(placement: Placement, gateway: Gateway, settings: Settings) -> bytes:
    """The wish file alone, from what its own head says."""
    match gateway.renderer:
        case Renderer.ENVOY_GATEWAY:
            documents = envoygateway.wish_documents(placement, gateway)
        case Renderer.ISTIO:
            documents = istio.wish_documents(placement, gateway)
        case Renderer.ISTIO_CLASSIC:
            documents = istioclassic.wish_documents(placement, gateway)
        case Renderer.ENVOY:
            documents = envoy.wish_documents(placement)
    return wish_file(placement, gateway, settings, documents)


def render_addresses(
    addresses: UnitAddresses, gateway: Gateway, settings: Settings
) -> bytes:
    """The addresses file alone, from what its own head says."""
    match gateway.renderer:
        case Renderer.ENVOY_GATEWAY:
            documents = envoygateway.endpoint_documents(addresses, gateway)
        case Renderer.ISTIO:
            documents = istio.endpoint_documents(addresses, gateway)
        case Renderer.ISTIO_CLASSIC:
            documents = istioclassic.endpoint_documents(addresses, gateway)
        case Renderer.ENVOY:
            documents = envoy.endpoint_documents(addresses)
    return addresses_file(addresses, documents)


def gateway_files(
    gateway: Gateway,
    settings: Settings,
    ports: frozenset[int],
    current: Mapping[str, bytes],
) -> tuple[FileWrite, ...]:
    """Files of the gateway itself that must be there before its units.

    `gateway.yaml` is written once, then people's. `ports` are those in use.
    """
    path = f"manifests/{gateway.name}/gateway.yaml"
    documents: list[Doc]
    opened: tuple[FileWrite, ...] = ()
    match gateway.renderer:
        case Renderer.ENVOY_GATEWAY:
            documents = envoygateway.gateway_documents(gateway)
        case Renderer.ISTIO:
            documents = istio.gateway_documents(gateway)
            opened = service.service_file(gateway, ports, current)
        case Renderer.ISTIO_CLASSIC:
            documents = istioclassic.gateway_documents(gateway)
            opened = service.service_file(gateway, ports, current)
        case Renderer.ENVOY:
            documents = []
    if path in current or not documents:
        return opened
    head = f"# Gateway {gateway.name}: written once by wharfinger, yours from now on.\n"
    data = f"{head}{dump_all(documents)}".encode()
    return (FileWrite(path=path, data=data), *opened)


def unsupported(wish: Wish, gateway: Gateway) -> str | None:
    """What of the wish's policy this gateway cannot do: refused, never ignored."""
    match gateway.renderer:
        case Renderer.ENVOY_GATEWAY:
            return envoygateway.unsupported(wish)
        case Renderer.ISTIO | Renderer.ISTIO_CLASSIC:
            return istioparts.unsupported(wish)
        case Renderer.ENVOY:
            return envoy.unsupported(wish)

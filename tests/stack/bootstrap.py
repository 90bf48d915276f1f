"""The bootstrap of an Envoy that takes everything from istiod (pure)."""

from __future__ import annotations

from tests.stack.documents import Document

ADMIN = 15000
XDS = 15010
HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def bootstrap(node: Document, control_plane: str) -> Document:
    """For an Envoy with this node identity and istiod at the address `control_plane`.

    xDS is plaintext gRPC: there is no pilot-agent that would have a certificate.
    """
    ads = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
    return {
        "node": node,
        "admin": {"address": _address("0.0.0.0", ADMIN)},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}],
            },
            "lds_config": ads,
            "cds_config": ads,
        },
        "static_resources": {"clusters": [_istiod(control_plane)]},
    }


def _istiod(control_plane: str) -> Document:
    endpoint = {"endpoint": {"address": _address(control_plane, XDS)}}
    return {
        "name": "xds-grpc",
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            HTTP: {
                "@type": f"type.googleapis.com/{HTTP}",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
        "load_assignment": {
            "cluster_name": "xds-grpc",
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
    }


def _address(host: str, port: int) -> Document:
    return {"socket_address": {"address": host, "port_value": port}}

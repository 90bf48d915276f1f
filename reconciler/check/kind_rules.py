"""Which objects manifests may hold: the renderer's kinds, in the gateway's namespace; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reconciler import yamlio
from reconciler.check.file_rules import GATEWAY_FILES
from reconciler.check.findings import Finding, finding
from reconciler.check.subject import Subject
from reconciler.codes import Code
from reconciler.model.repository import File
from reconciler.printable import one_line
from reconciler.settings import Gateway, Renderer

Kinds = Mapping[str, frozenset[str]]

_ROUTES = {
    "gateway.networking.k8s.io": frozenset({"ListenerSet", "TCPRoute", "TLSRoute"})
}
_ISTIO = {
    "networking.istio.io": frozenset(
        {"Gateway", "VirtualService", "ServiceEntry", "DestinationRule"}
    ),
    "security.istio.io": frozenset({"AuthorizationPolicy"}),
}
_ENVOY_GATEWAY = {
    "gateway.envoyproxy.io": frozenset(
        {
            "Backend",
            "BackendTrafficPolicy",
            "ClientTrafficPolicy",
            "SecurityPolicy",
        }
    )
}
# Of units. Plain Envoy's files are no objects: their bytes are judged as a whole (fresh.py).
_UNIT_KINDS: Mapping[Renderer, Kinds] = {
    Renderer.ENVOY_GATEWAY: {**_ROUTES, **_ENVOY_GATEWAY},
    Renderer.ISTIO: {**_ROUTES, **_ISTIO},
    Renderer.ISTIO_CLASSIC: _ISTIO,
    Renderer.ENVOY: {},
}
# Of the gateway's own files, which are people's: how its proxies listen and run, and nothing
# that gives rights or holds secrets.
_GATEWAY_KINDS: Kinds = {
    "gateway.networking.k8s.io": frozenset({"Gateway", "GatewayClass"}),
    "gateway.envoyproxy.io": frozenset(
        {
            "BackendTrafficPolicy",
            "ClientTrafficPolicy",
            "EnvoyProxy",
            "SecurityPolicy",
        }
    ),
    "networking.istio.io": frozenset({"Gateway", "DestinationRule"}),
    "security.istio.io": frozenset({"AuthorizationPolicy"}),
    "telemetry.istio.io": frozenset({"Telemetry"}),
    "": frozenset({"Service"}),
    "autoscaling": frozenset({"HorizontalPodAutoscaler"}),
    "policy": frozenset({"PodDisruptionBudget"}),
}
_CLUSTER_WIDE = frozenset({"GatewayClass"})


def kinds_fit(subject: Subject, fresh: frozenset[str]) -> Iterator[Finding]:
    """Kinds and namespaces of every object below `manifests/`, but for `fresh` files."""
    for path, file in subject.files.items():
        parts = path.split("/")
        if parts[0] != "manifests" or len(parts) < 3 or not path.endswith(".yaml"):
            continue
        if path in fresh:
            continue
        gateway = subject.settings.gateway(parts[1]) if subject.settings else None
        own = len(parts) == 3 and parts[2] in GATEWAY_FILES
        if gateway is not None:
            kinds = _GATEWAY_KINDS if own else _UNIT_KINDS[gateway.renderer]
            yield from _objects(path, file, gateway, kinds)


def _objects(
    path: str, file: File, gateway: Gateway, kinds: Kinds
) -> Iterator[Finding]:
    try:
        documents = yamlio.load_all(file.data, positions=True)
    except yamlio.Unreadable as exc:
        yield finding(Code.NOT_YAML, path, exc.what, (exc.line, exc.column))
        return
    for document in documents if kinds else ():
        yield from _object(path, document, gateway, kinds)


def _object(
    path: str, document: yamlio.Document, gateway: Gateway, kinds: Kinds
) -> Iterator[Finding]:
    body = document.data if isinstance(document.data, Mapping) else {}
    version, kind = str(body.get("apiVersion", "")), body.get("kind")
    group = version.rpartition("/")[0]
    metadata = body.get("metadata")
    namespace = metadata.get("namespace") if isinstance(metadata, Mapping) else None
    if not isinstance(kind, str) or kind not in kinds.get(group, frozenset()):
        shown = one_line(f"{kind} of group {group or 'core'}", 120)
        what = f"kind {shown} does not belong here"
        yield finding(Code.KIND_NOT_ALLOWED, path, what, document.position(("kind",)))
    elif namespace != gateway.namespace and kind not in _CLUSTER_WIDE:
        what = f"must be in namespace {gateway.namespace}"
        at = document.position(("metadata", "namespace"))
        yield finding(Code.FOREIGN_NAMESPACE, path, what, at)

"""Raw status objects and proof targets with defaults, for tests of prove (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reconciler import yamlio
from reconciler.model.proofs import ProofTarget, ServedEndpoint
from reconciler.model.repository import CommitId
from reconciler.model.units import UnitId
from reconciler.names import endpoints_path, wish_path
from reconciler.prove.checks import Evidence, blob_id
from reconciler.prove.engines import Applied
from reconciler.prove.gateways import Platform
from reconciler.settings import Gateway, Renderer

Json = dict[str, Any]
UNIT = UnitId(cluster="eu1", namespace="shop", name="orders")
HEAD = "a" * 40
OLDER = "b" * 40
API = "gateway.networking.k8s.io/v1"
EG = "gateway.envoyproxy.io/gatewayclass-controller"
ISTIO = "istio.io/gateway-controller"


def gateway(
    renderer: Renderer = Renderer.ENVOY_GATEWAY, **overrides: object
) -> Gateway:
    """The gateway `public` in namespace `ingress`."""
    base: dict[str, object] = {
        "name": "public",
        "renderer": renderer,
        "namespace": "ingress",
        "ports": {"range": "20000-20999"},
        "proof": {"argocd": ["argocd/ingress-*"]},
    }
    return Gateway.model_validate({**base, **overrides})


def condition(
    name: str, status: str = "True", *, generation: int = 2, reason: str = ""
) -> Json:
    """A condition, at the generation of all objects here unless told otherwise."""
    return {
        "type": name,
        "status": status,
        "observedGeneration": generation,
        "reason": reason or name,
    }


def conditions(*names: str) -> list[Json]:
    """Those conditions, all true."""
    return [condition(name) for name in names]


def live_object(kind: str, name: str, status: Mapping[str, object]) -> Json:
    """An object of the platform at generation 2."""
    metadata = {"name": name, "namespace": "ingress", "generation": 2}
    return {"apiVersion": API, "kind": kind, "metadata": metadata, "status": status}


def live_gateway(**overrides: object) -> Json:
    """A programmed Gateway at 192.0.2.1, its shared TLS listener with one route."""
    listener = {
        "name": "tls",
        "attachedRoutes": 1,
        "conditions": conditions("Programmed"),
    }
    status = {
        "conditions": conditions("Accepted", "Programmed"),
        "addresses": [{"type": "IPAddress", "value": "192.0.2.1"}],
        "listeners": [listener],
    }
    return live_object("Gateway", "public", {**status, **overrides})


def live_set(listener: Mapping[str, object] | None = None, **overrides: object) -> Json:
    """A programmed ListenerSet with the listener tcp-20017."""
    first = {
        "name": "tcp-20017",
        "attachedRoutes": 1,
        "conditions": [
            *conditions("Accepted", "Programmed", "ResolvedRefs"),
            condition("Conflicted", "False"),
        ],
        **(listener or {}),
    }
    status = {
        "conditions": conditions("Accepted", "Programmed"),
        "listeners": [first],
    }
    return live_object("ListenerSet", "set", {**status, **overrides})


def parent(controller: str = EG, **overrides: object) -> Json:
    """What a controller says of the route's one parent."""
    reference = {"group": "gateway.networking.k8s.io", "kind": "ListenerSet"}
    base = {
        "controllerName": controller,
        "parentRef": {**reference, "name": "set", "sectionName": "tcp-20017"},
        "conditions": conditions("Accepted", "ResolvedRefs"),
    }
    return {**base, **overrides}


def live_route(*parents: Mapping[str, object]) -> Json:
    """A TCPRoute that its parents accepted."""
    return live_object("TCPRoute", "route", {"parents": list(parents or (parent(),))})


def tls_parent() -> Json:
    """What Envoy Gateway says of a route on the shared TLS listener."""
    reference = {"kind": "Gateway", "name": "public", "sectionName": "tls"}
    return parent(parentRef=reference)


def platform(*objects: Mapping[str, Any]) -> Platform:
    """The platform with these objects."""
    return Platform(
        objects={(each["kind"], each["metadata"]["name"]): each for each in objects}
    )


def documents(kind: str = "TCPRoute") -> list[Json]:
    """The Gateway API documents of a unit's wish: on a port of its own, or on TLS."""
    named = {"namespace": "ingress"}
    parents: Json = {"kind": "ListenerSet", "name": "set", "sectionName": "tcp-20017"}
    found: list[Json] = []
    if kind == "TLSRoute":
        parents = {"kind": "Gateway", "name": "public", "sectionName": "tls"}
    else:
        spec = {"listeners": [{"name": "tcp-20017", "port": 20017}]}
        metadata = {"name": "set", **named}
        found = [
            {
                "apiVersion": API,
                "kind": "ListenerSet",
                "metadata": metadata,
                "spec": spec,
            }
        ]
    metadata = {"name": "route", **named}
    spec = {"parentRefs": [parents]}
    return [
        *found,
        {"apiVersion": API, "kind": kind, "metadata": metadata, "spec": spec},
    ]


def target(**overrides: object) -> ProofTarget:
    """The unit `eu1/shop/orders` on `public`, served at port 20017."""
    base: dict[str, object] = {
        "unit": UNIT,
        "gateway": "public",
        "wish_path": wish_path("public", UNIT),
        "wish": yamlio.dump_all(documents()).encode(),
        "endpoints": b"# addresses\n",
        "serves": (
            ServedEndpoint(route="tcp", host="tcp.ingress.example.com", port=20017),
        ),
        "tls": False,
        "allow_cidrs": (),
        "commit": CommitId(HEAD),
    }
    return ProofTarget(**{**base, **overrides})  # type: ignore[arg-type]


class Repository:
    """Blob ids by revision: `HEAD` has the target's files; other revisions as given."""

    def __init__(self, about: ProofTarget, **others: Mapping[str, str]) -> None:
        endpoints = endpoints_path(about.gateway, about.unit)
        self.files = {
            about.wish_path: blob_id(about.wish),
            endpoints: blob_id(about.endpoints),
        }
        self.revisions: dict[str, Mapping[str, str]] = {HEAD: self.files, **others}

    def content_at(
        self, revision: str, paths: Sequence[str]
    ) -> Mapping[str, str] | None:
        """As `Repository.content_at` of the real one."""
        tree = self.revisions.get(revision)
        if tree is None:
            return None
        return {path: tree[path] for path in paths if path in tree}


OBJECTS = frozenset(
    {
        ("gateway.networking.k8s.io", "ListenerSet", "ingress", "set"),
        ("gateway.networking.k8s.io", "TCPRoute", "ingress", "route"),
    }
)


def evidence(*answers: Applied, **overrides: object) -> Evidence:
    """All is applied at HEAD and programmed, unless told otherwise."""
    told = answers or (Applied(revision=HEAD, objects=OBJECTS),)
    base: dict[str, object] = {
        "applied": lambda folder: told,
        "platform": platform(live_gateway(), live_set(), live_route()),
        "addresses": ("192.0.2.1",),
        "connect": True,
    }
    return Evidence(**{**base, **overrides})  # type: ignore[arg-type]

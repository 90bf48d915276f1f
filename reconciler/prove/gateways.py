"""Whether Gateway API objects of a unit are programmed, each at its own generation; pure.

A ListenerSet reports Programmed even when no proxy runs, and a second route on a listener is
Accepted although it carries nothing: so Gateway, ListenerSet, listener and route are all asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.settings import Gateway, Renderer

Json = Mapping[str, Any]

CONTROLLERS = {
    Renderer.ENVOY_GATEWAY: "gateway.envoyproxy.io/gatewayclass-controller",
    Renderer.ISTIO: "istio.io/gateway-controller",
}
GROUP = "gateway.networking.k8s.io"
CLASSIC_GROUP = "networking.istio.io"


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """Raw objects of a gateway's namespace by (kind, name), and the gateway's addresses."""

    objects: Mapping[tuple[str, str], Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether all is programmed; `failing`: positively refused, not just not there yet."""

    ready: bool
    failing: bool = False
    message: str = ""


READY = Verdict(ready=True)


def _not_yet(message: str) -> Verdict:
    return Verdict(ready=False, message=message)


def _failing(message: str) -> Verdict:
    return Verdict(ready=False, failing=True, message=message)


def addresses(gateway: Json | None) -> tuple[str, ...]:
    """The addresses that a Gateway reports."""
    found = ((gateway or {}).get("status") or {}).get("addresses") or []
    return tuple(str(each["value"]) for each in found if each.get("value"))


def judge_gateway(gateway: Json | None, name: str) -> Verdict:
    """The Gateway itself: programmed, with an address.

    Without an address nobody can connect. With one, `Programmed` false is no refusal of a
    unit: Istio says it of all when one port is missing.
    """
    if gateway is None:
        return _not_yet(f"Gateway {name} is not there")
    status = gateway.get("status") or {}
    conditions, generation = status.get("conditions"), _generation(gateway)
    what = f"Gateway {name}"
    verdict = _conditions(conditions, generation, ("Accepted",), what)
    if not verdict.ready:
        return verdict
    verdict = _conditions(conditions, generation, ("Programmed",), what)
    if not addresses(gateway):
        none = f"{what} has no address"
        return _failing(none) if verdict.failing else _not_yet(none)
    return _not_yet(verdict.message) if verdict.failing else verdict


def judge_unit(
    documents: Iterable[Json], platform: Platform, gateway: Gateway
) -> Verdict:
    """All Gateway API objects of a unit, as its wish file names them."""
    for document in documents:
        kind, name = (
            str(document.get("kind")),
            str(document.get("metadata", {}).get("name")),
        )
        if not str(document.get("apiVersion", "")).startswith(f"{GROUP}/"):
            continue
        live = platform.objects.get((kind, name))
        if live is None:
            return _not_yet(f"{kind} {name} is not there")
        if kind == "ListenerSet":
            verdict = _listener_set(live, document, name)
        else:
            verdict = _route(live, document, platform, gateway)
        if not verdict.ready:
            return verdict
    return READY


def _generation(body: Json) -> int:
    return int(body.get("metadata", {}).get("generation") or 0)


def _conditions(
    conditions: object, generation: int, wanted: tuple[str, ...], what: str
) -> Verdict:
    found = {
        each.get("type"): each
        for each in (conditions if isinstance(conditions, list) else [])
        if isinstance(each, Mapping)
    }
    conflicted = found.get("Conflicted")
    if (
        conflicted
        and conflicted.get("status") == "True"
        and _current(conflicted, generation)
    ):
        return _failing(f"{what} is Conflicted: {_reason(conflicted)}")
    for each in wanted:
        condition = found.get(each)
        if condition is None or not _current(condition, generation):
            return _not_yet(f"{what} is not {each} at generation {generation} yet")
        waits = condition.get("reason") == "Pending"
        if condition.get("status") == "False" and not waits:
            return _failing(f"{what} is not {each}: {_reason(condition)}")
        if condition.get("status") != "True":
            return _not_yet(f"{what} is not {each} yet")
    return READY


def _current(condition: Json, generation: int) -> bool:
    return condition.get("observedGeneration") == generation


def _reason(condition: Json) -> str:
    return str(condition.get("reason") or "no reason given")[:64]


def _listener_set(live: Json, document: Json, name: str) -> Verdict:
    status = live.get("status") or {}
    generation = _generation(live)
    listeners = {each.get("name"): each for each in status.get("listeners") or []}
    names = [each["name"] for each in document.get("spec", {}).get("listeners", [])]
    for each in names:  # a conflict says more than the set's ListenersNotValid
        conditions = (listeners.get(each) or {}).get("conditions")
        conflict = _conditions(conditions, generation, (), f"listener {each}")
        if conflict.failing:
            return conflict
    verdict = _conditions(
        status.get("conditions"),
        generation,
        ("Accepted", "Programmed"),
        f"ListenerSet {name}",
    )
    for each in names if verdict.ready else ():
        verdict = _listener(listeners.get(each), each, generation, exactly_one=True)
        if not verdict.ready:
            break
    return verdict


def _listener(
    status: Json | None, name: str, generation: int, *, exactly_one: bool
) -> Verdict:
    if status is None:
        return _not_yet(f"listener {name} is not reported yet")
    verdict = _conditions(
        status.get("conditions"), generation, ("Programmed",), f"listener {name}"
    )
    if not verdict.ready:
        return verdict
    attached = int(status.get("attachedRoutes") or 0)
    if attached == 0:
        return _not_yet(f"listener {name} has no route attached yet")
    if exactly_one and attached != 1:
        return _failing(
            f"listener {name} has {attached} routes attached, only one of them is served"
        )
    return READY


def _route(live: Json, document: Json, platform: Platform, gateway: Gateway) -> Verdict:
    kind, name = str(document["kind"]), str(document["metadata"]["name"])
    parents = (live.get("status") or {}).get("parents") or []
    controller = CONTROLLERS.get(gateway.renderer)
    for wanted in document.get("spec", {}).get("parentRefs", []):
        where = f"{kind} {name} on {wanted.get('sectionName')}"
        # One parent may be told twice, by controllers that do not own it too.
        status = next(
            (
                each
                for each in parents
                if each.get("controllerName") == controller
                and _is_parent(each.get("parentRef") or {}, wanted, gateway)
            ),
            None,
        )
        if status is None:
            return _not_yet(f"{where} is not accepted yet")
        conditions, generation = status.get("conditions"), _generation(live)
        verdict = _conditions(
            conditions, generation, ("Accepted", "ResolvedRefs"), where
        )
        if verdict.ready and wanted.get("kind") == "Gateway":
            section = str(wanted.get("sectionName"))
            verdict = _shared_listener(platform, gateway.name, section)
        if not verdict.ready:
            return verdict
    return READY


def _shared_listener(platform: Platform, gateway: str, section: str) -> Verdict:
    live = platform.objects.get(("Gateway", gateway)) or {}
    listeners = (live.get("status") or {}).get("listeners") or []
    status = next((each for each in listeners if each.get("name") == section), None)
    return _listener(status, section, _generation(live), exactly_one=False)


def _is_parent(told: Json, wanted: Json, gateway: Gateway) -> bool:
    return (
        told.get("kind", "Gateway") == wanted.get("kind", "Gateway")
        and told.get("group", GROUP) == wanted.get("group", GROUP)
        and told.get("namespace", gateway.namespace) == gateway.namespace
        and told.get("name") == wanted.get("name")
        and told.get("sectionName") == wanted.get("sectionName")
    )


def judge_classic(documents: Iterable[Json], platform: Platform) -> Verdict:
    """Objects of Istio's own API carry no conditions: only error-level messages tell."""
    for document in documents:
        if not str(document.get("apiVersion", "")).startswith(f"{CLASSIC_GROUP}/"):
            continue
        kind = str(document.get("kind"))
        name = str(document.get("metadata", {}).get("name"))
        live = platform.objects.get((kind, name))
        if live is None:
            return _not_yet(f"{kind} {name} is not there")
        for message in (live.get("status") or {}).get("validationMessages") or []:
            if str(message.get("level", "")).upper() == "ERROR":
                code = (message.get("type") or {}).get("code", "an error")
                return _failing(f"{kind} {name}: Istio reports {code}")
    return READY

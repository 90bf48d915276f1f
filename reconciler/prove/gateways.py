"""Whether Gateway API objects of a unit are programmed, each at its own generation; pure.

A ListenerSet reports Programmed even when no proxy runs, and a second route on a listener is
Accepted although it carries nothing: so Gateway, ListenerSet, listener and route are all asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]

CONTROLLERS = frozenset(
    {"gateway.envoyproxy.io/gatewayclass-controller", "istio.io/gateway-controller"}
)
GROUP = "gateway.networking.k8s.io"


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
    """The Gateway itself: programmed, with an address."""
    if gateway is None:
        return _not_yet(f"Gateway {name} is not there")
    status = gateway.get("status") or {}
    verdict = _conditions(
        status.get("conditions"),
        _generation(gateway),
        ("Accepted", "Programmed"),
        f"Gateway {name}",
    )
    if not verdict.ready:
        return verdict
    return READY if addresses(gateway) else _not_yet(f"Gateway {name} has no address")


def judge_unit(documents: Iterable[Json], platform: Platform, gateway: str) -> Verdict:
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
        if condition.get("status") == "False":
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
    verdict = _conditions(
        status.get("conditions"),
        generation,
        ("Accepted", "Programmed"),
        f"ListenerSet {name}",
    )
    if not verdict.ready:
        return verdict
    listeners = {each.get("name"): each for each in status.get("listeners") or []}
    for wanted in document.get("spec", {}).get("listeners", []):
        verdict = _listener(
            listeners.get(wanted["name"]), wanted["name"], generation, exactly_one=True
        )
        if not verdict.ready:
            return verdict
    return READY


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


def _route(live: Json, document: Json, platform: Platform, gateway: str) -> Verdict:
    kind, name = str(document["kind"]), str(document["metadata"]["name"])
    generation = _generation(live)
    parents = (live.get("status") or {}).get("parents") or []
    for wanted in document.get("spec", {}).get("parentRefs", []):
        status = next((each for each in parents if _is_parent(each, wanted)), None)
        where = f"{kind} {name} on {wanted.get('sectionName')}"
        if status is None:
            return _not_yet(f"{where} is not accepted yet")
        verdict = _conditions(
            status.get("conditions"), generation, ("Accepted", "ResolvedRefs"), where
        )
        if not verdict.ready:
            return verdict
        if wanted.get("kind") == "Gateway":
            verdict = _shared_listener(
                platform, gateway, str(wanted.get("sectionName"))
            )
            if not verdict.ready:
                return verdict
    return READY


def _shared_listener(platform: Platform, gateway: str, section: str) -> Verdict:
    live = platform.objects.get(("Gateway", gateway)) or {}
    listeners = (live.get("status") or {}).get("listeners") or []
    status = next((each for each in listeners if each.get("name") == section), None)
    return _listener(status, section, _generation(live), exactly_one=False)


def _is_parent(status: Json, wanted: Json) -> bool:
    reference = status.get("parentRef") or {}
    return (
        status.get("controllerName") in CONTROLLERS
        and reference.get("kind", "Gateway") == wanted.get("kind", "Gateway")
        and reference.get("name") == wanted.get("name")
        and reference.get("sectionName") == wanted.get("sectionName")
    )


def classic_problem(documents: Iterable[Json], platform: Platform) -> Verdict:
    """Objects of Istio's own API carry no conditions: only error-level messages tell."""
    for document in documents:
        kind, name = (
            str(document.get("kind")),
            str(document.get("metadata", {}).get("name")),
        )
        live = platform.objects.get((kind, name))
        if live is None:
            continue
        for message in (live.get("status") or {}).get("validationMessages") or []:
            if str(message.get("level", "")).upper() == "ERROR":
                code = (message.get("type") or {}).get("code", "an error")
                return _failing(f"{kind} {name}: Istio reports {code}")
    return READY

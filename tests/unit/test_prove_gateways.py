"""Gateway API status: what counts as programmed, what is not yet, what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.prove.gateways import (
    Verdict,
    addresses,
    judge_classic,
    judge_gateway,
    judge_unit,
)
from reconciler.settings import Renderer
from tests.proving import (
    EG,
    ISTIO,
    Json,
    condition,
    conditions,
    documents,
    gateway,
    live_gateway,
    live_object,
    live_route,
    live_set,
    parent,
    platform,
    tls_parent,
)

STALE = 1


def judged(*objects: Json, kind: str = "TCPRoute") -> Verdict:
    return judge_unit(documents(kind), platform(*objects), gateway())


def test_all_conditions_at_their_generation_are_ready() -> None:
    assert judged(live_gateway(), live_set(), live_route()).ready


@pytest.mark.parametrize(
    ("listeners", "said"),
    [
        (live_set(conditions=conditions("Accepted")), "not Programmed at generation 2"),
        (live_set(conditions=[]), "ListenerSet set is not Accepted at generation 2"),
        (
            live_set(
                conditions=[
                    *conditions("Accepted"),
                    condition("Programmed", generation=STALE),
                ]
            ),
            "ListenerSet set is not Programmed at generation 2",
        ),
        (live_set(listeners=[]), "listener tcp-20017 is not reported yet"),
        (live_set({"attachedRoutes": 0}), "no route attached"),
        (live_set({"attachedRoutes": None}), "no route attached"),
        (
            live_set({"conditions": [condition("Programmed", generation=STALE)]}),
            "listener tcp-20017 is not Programmed at generation 2",
        ),
        (
            live_set({"conditions": [condition("Programmed", "Unknown")]}),
            "listener tcp-20017 is not Programmed yet",
        ),
        (
            live_set(
                {"conditions": [condition("Programmed", "False", reason="Pending")]}
            ),
            "listener tcp-20017 is not Programmed yet",
        ),
        (
            live_set(
                {
                    "conditions": [
                        *conditions("Programmed"),
                        condition("Conflicted", "True", generation=STALE),
                    ],
                    "attachedRoutes": 0,
                }
            ),
            "no route attached",  # the conflict was of an older generation
        ),
    ],
)
def test_listeners_that_are_on_their_way_are_not_refused(
    listeners: Json, said: str
) -> None:
    verdict = judged(live_gateway(), listeners, live_route())
    assert said in verdict.message
    assert not verdict.ready
    assert not verdict.failing


@pytest.mark.parametrize(
    ("listeners", "said"),
    [
        (
            live_set(
                {"conditions": [*conditions("Programmed"), condition("Conflicted")]}
            ),
            "listener tcp-20017 is Conflicted",
        ),
        (
            live_set(conditions=[*conditions("Accepted", "Programmed", "Conflicted")]),
            "ListenerSet set is Conflicted",
        ),
        (
            live_set(
                {"conditions": [condition("Conflicted", reason="PortUnavailable")]},
                conditions=[condition("Accepted", "False", reason="ListenersNotValid")],
            ),
            "listener tcp-20017 is Conflicted: PortUnavailable",
        ),
        (live_set({"attachedRoutes": 2}), "2 routes attached"),
        (
            live_set(conditions=[condition("Accepted", "False", reason="NotAllowed")]),
            "not Accepted: NotAllowed",
        ),
    ],
)
def test_listeners_that_are_refused_are_failing(listeners: Json, said: str) -> None:
    verdict = judged(live_gateway(), listeners, live_route())
    assert said in verdict.message
    assert verdict.failing


@pytest.mark.parametrize(
    "parents",
    [
        (parent(ISTIO),),
        (parent("example.com/other"),),
        (parent(parentRef={"kind": "ListenerSet", "name": "set", "sectionName": "x"}),),
        (parent(parentRef={"name": "set", "sectionName": "tcp-20017"}),),
        (parent(parentRef={**parent()["parentRef"], "namespace": "other"}),),
        (parent(conditions=conditions("Accepted")),),
        (parent(conditions=[condition("Accepted", generation=STALE)]),),
        (
            parent(
                conditions=[
                    condition("Accepted", "False", generation=STALE),
                    condition("ResolvedRefs"),
                ]
            ),
        ),
    ],
)
def test_a_route_is_not_accepted_by_others_elsewhere_or_earlier(
    parents: tuple[Json, ...],
) -> None:
    verdict = judged(live_gateway(), live_set(), live_route(*parents))
    assert not verdict.ready
    assert not verdict.failing


@pytest.mark.parametrize("name", ["Accepted", "ResolvedRefs"])
def test_a_route_that_is_refused_now_is_failing(name: str) -> None:
    told = {each: condition(each) for each in ("Accepted", "ResolvedRefs")}
    told[name] = condition(name, "False", reason="BackendNotFound")
    route = live_route(parent(conditions=list(told.values())))
    verdict = judged(live_gateway(), live_set(), route)
    assert verdict.failing
    assert verdict.message == (
        f"TCPRoute route on tcp-20017 is not {name}: BackendNotFound"
    )


def test_of_two_parents_only_the_right_controller_counts() -> None:
    refused = parent(ISTIO, conditions=[condition("Accepted", "False")])
    for parents in ((refused, parent()), (parent(), refused)):
        assert judged(live_gateway(), live_set(), live_route(*parents)).ready
    wrong = parent(EG, conditions=[condition("Accepted", "False")])
    assert judged(live_gateway(), live_set(), live_route(parent(ISTIO), wrong)).failing


def test_istio_routes_are_accepted_by_istio() -> None:
    seen = platform(live_gateway(), live_set(), live_route(parent(ISTIO)))
    assert judge_unit(documents(), seen, gateway(Renderer.ISTIO)).ready
    assert not judge_unit(documents(), seen, gateway(Renderer.ENVOY_GATEWAY)).ready


def test_several_routes_may_share_the_tls_listener() -> None:
    def seen(attached: int, generation: int = 2) -> Verdict:
        listener = {
            "name": "tls",
            "attachedRoutes": attached,
            "conditions": [condition("Programmed", generation=generation)],
        }
        route = live_object("TLSRoute", "route", {"parents": [tls_parent()]})
        return judged(live_gateway(listeners=[listener]), route, kind="TLSRoute")

    assert seen(1).ready
    assert seen(40).ready
    assert not seen(0).ready
    assert not seen(1, generation=STALE).ready


def test_objects_that_are_not_there_are_not_yet_served() -> None:
    for objects in ((), (live_gateway(), live_set()), (live_gateway(), live_route())):
        verdict = judged(*objects)
        assert "is not there" in verdict.message
        assert not verdict.failing


def test_objects_without_any_status_are_not_yet_served() -> None:
    bare = {"apiVersion": "v1", "metadata": {"name": "set"}, "kind": "ListenerSet"}
    verdict = judged(live_gateway(), bare, live_route())
    assert not verdict.ready
    assert not verdict.failing


NO_ADDRESS: dict[str, Any] = {"addresses": []}


@pytest.mark.parametrize(
    ("live", "failing", "said"),
    [
        (None, False, "Gateway public is not there"),
        (live_gateway(conditions=[]), False, "not Accepted at generation 2"),
        (
            live_gateway(
                conditions=[
                    *conditions("Accepted"),
                    condition("Programmed", generation=STALE),
                ]
            ),
            False,
            "not Programmed at generation 2",
        ),
        (live_gateway(**NO_ADDRESS), False, "has no address"),
        (live_gateway(addresses=None), False, "has no address"),
        (
            live_gateway(
                **NO_ADDRESS,
                conditions=[*conditions("Accepted"), condition("Programmed", "False")],
            ),
            True,
            "has no address",
        ),
        (  # a connection tells whether it serves: see test_prove_checks
            live_gateway(
                conditions=[*conditions("Accepted"), condition("Programmed", "False")]
            ),
            False,
            "is not Programmed: Programmed",
        ),
        (
            live_gateway(conditions=[condition("Accepted", "False")]),
            True,
            "not Accepted",
        ),
    ],
)
def test_a_gateway_must_be_programmed_and_have_an_address(
    live: Json | None, failing: bool, said: str
) -> None:
    verdict = judge_gateway(live, "public")
    assert said in verdict.message
    assert (verdict.ready, verdict.failing) == (False, failing)


def test_a_programmed_gateway_with_an_address_is_ready() -> None:
    assert judge_gateway(live_gateway(), "public").ready
    assert addresses(live_gateway()) == ("192.0.2.1",)
    assert addresses(None) == ()


CLASSIC: list[Json] = [
    {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "route", "namespace": "ingress"},
    }
]


@pytest.mark.parametrize(
    ("level", "failing"), [("ERROR", True), ("error", True), ("WARNING", False)]
)
def test_only_messages_of_level_error_refuse_objects_of_istio(
    level: str, failing: bool
) -> None:
    message = {
        "level": level,
        "type": {"code": "IST0101", "name": "ReferencedResource"},
    }
    live = live_object("VirtualService", "route", {"validationMessages": [message]})
    verdict = judge_classic(CLASSIC, platform(live))
    assert verdict.failing is failing
    assert verdict.ready is not failing


def test_objects_of_istio_without_status_are_ready_when_they_are_there() -> None:
    live = live_object("VirtualService", "route", {})
    assert judge_classic(CLASSIC, platform(live)).ready
    assert not judge_classic(CLASSIC, platform()).ready

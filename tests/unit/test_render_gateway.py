"""Files of a gateway: written once, then people's; ports of its Service in blocks."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from reconciler import yamlio
from reconciler.render import gateway_files
from reconciler.settings import Renderer, Settings
from tests.rendering import settings

# The machine may be busy; what takes long is no fault of the input.
steady = hypothesis_settings(deadline=None, max_examples=50)
GATEWAY = "manifests/public/gateway.yaml"
SERVICE = "manifests/public/service.yaml"
ISTIO = (Renderer.ISTIO, Renderer.ISTIO_CLASSIC)


def files(
    made: Settings, ports: set[int], current: dict[str, bytes] | None = None
) -> dict[str, bytes]:
    """The gateway's files after the writes; values are never None."""
    now = dict(current or {})
    for write in gateway_files(made.gateways[0], made, frozenset(ports), now):
        assert write.data is not None
        assert now.get(write.path) != write.data
        now[write.path] = write.data
    return now


def service(data: bytes) -> Any:
    return yamlio.load(data)


def opened(data: bytes) -> list[int]:
    return [each["port"] for each in service(data)["spec"]["ports"]]


@pytest.mark.parametrize("renderer", [*ISTIO, Renderer.ENVOY_GATEWAY])
def test_gateway_yaml_is_written_once_and_then_peoples(renderer: Renderer) -> None:
    made = settings(renderer=renderer)
    first = files(made, set())
    assert GATEWAY in first
    edited = {**first, GATEWAY: b"# ours now\n"}
    assert files(made, set(), edited) == edited


def test_plain_envoy_has_no_files_of_a_gateway() -> None:
    assert files(settings(renderer=Renderer.ENVOY), {20001}) == {}


@pytest.mark.parametrize("renderer", ISTIO)
def test_a_port_is_open_with_its_block_and_the_next(renderer: Renderer) -> None:
    made = settings(renderer=renderer, ports={"range": "20000-20999"})
    found = opened(files(made, {20017})[SERVICE])
    # 20017 is in the block 19968-20031, of which the range has the part from 20000.
    assert found == [15021, 443, *range(20000, 20096)]


def test_ports_are_open_before_the_first_unit() -> None:
    made = settings(renderer=Renderer.ISTIO_CLASSIC, ports={"range": "20000-20999"})
    assert opened(files(made, set())[SERVICE]) == [15021, 443, *range(20000, 20032)]


def test_excluded_ports_stay_closed_and_ports_out_of_a_smaller_range_open() -> None:
    made = settings(
        renderer=Renderer.ISTIO_CLASSIC,
        ports={"range": "20000-20031", "exclude": [20005]},
    )
    found = opened(files(made, {20001, 30000})[SERVICE])
    assert 20005 not in found
    assert found[-2:] == [20031, 30000]


def test_another_port_of_an_open_block_changes_nothing() -> None:
    made = settings(renderer=Renderer.ISTIO_CLASSIC)
    before = files(made, {20100})
    assert files(made, {20100, 20101}, before) == before
    assert files(made, {20101}, before) == before
    grown = files(made, {20100, 20500}, before)
    assert set(opened(before[SERVICE])) < set(opened(grown[SERVICE]))
    assert files(made, {20100}, grown) == before


@steady
@given(st.sets(st.integers(20000, 20999), max_size=20), st.sets(st.integers(20000, 20999), max_size=20))  # fmt: skip
def test_the_service_depends_on_the_ports_in_use_alone(
    before: set[int], now: set[int]
) -> None:
    made = settings(renderer=Renderer.ISTIO_CLASSIC)
    first = files(made, before)
    assert files(made, now, first)[SERVICE] == files(made, now)[SERVICE]
    assert set(opened(first[SERVICE])) >= before
    both = files(made, before | now, first)
    assert set(opened(both[SERVICE])) >= set(opened(first[SERVICE]))


def test_what_people_change_in_the_service_stays() -> None:
    made = settings(renderer=Renderer.ISTIO_CLASSIC)
    written = files(made, {20100})
    theirs = written[SERVICE].replace(
        b"  type: LoadBalancer\n",
        b"  type: NodePort # on bare metal\n",
    )
    theirs = theirs.replace(b"name: tcp-status", b"name: tcp-mine")
    kept = {**written, SERVICE: theirs}
    assert files(made, {20100}, kept) == kept
    grown = files(made, {20100, 20500}, kept)[SERVICE]
    assert b"type: NodePort # on bare metal\n" in grown
    assert service(grown)["spec"]["ports"][0]["name"] == "tcp-mine"
    assert set(opened(grown)) > set(opened(theirs))
    again = {**kept, SERVICE: grown}
    assert files(made, {20100, 20500}, again) == again


@pytest.mark.parametrize("broken", [b"", b"{", b"kind: Service\n", b"spec: {ports: [1]}\n", b"- 1\n"])  # fmt: skip
def test_a_service_that_is_none_any_more_is_written_again(broken: bytes) -> None:
    made = settings(renderer=Renderer.ISTIO_CLASSIC)
    written = files(made, {20100})
    assert files(made, {20100}, {**written, SERVICE: broken}) == written


def test_the_selector_and_the_service_are_those_of_the_settings() -> None:
    made = settings(
        renderer=Renderer.ISTIO_CLASSIC,
        selector={"istio": "edge", "app": "gw"},
        service="edge.ingress.svc.cluster.local",
    )
    body = service(files(made, set())[SERVICE])
    assert body["metadata"]["name"] == "edge"
    assert list(body["spec"]["selector"].items()) == [("app", "gw"), ("istio", "edge")]

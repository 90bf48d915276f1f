"""All claims of a cluster: what is exposed, what is not, its API, and what nothing follows from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.claim import claim
from reconciler.codes import Code
from reconciler.model.claims import ApiClaim, ClusterClaims, Rejection, Wanted
from reconciler.model.clusters import Unknown, Why
from reconciler.model.units import Backend, UnitId
from tests.builders import (
    NOW,
    node,
    service,
    settings,
    tenant,
    view,
    virtual_service,
)
from tests.claiming import ORDERS, claims, granted

LOOPBACK = settings(tenant(endpoints=["127.0.0.0/8"]))


def api(*servers: tuple[str, int], head=None, under=None, names=None):
    seen = view(api_servers=servers, certificate_names=names)
    return claim(seen, under or settings(), head or {}, NOW).api


def test_nothing_but_the_api_follows_from_unknown() -> None:
    seen = replace(
        view(api_servers=[("10.1.1.1", 6443)]),
        objects=Unknown(why=Why.TIMEOUT, message="too slow"),
    )
    head = {ORDERS: granted().addresses}
    found = claim(seen, settings(), head, NOW)
    assert found == ClusterClaims(view=seen, api=api(("10.1.1.1", 6443)))
    assert found.api is not None


def test_claims_are_sorted_and_carry_their_source() -> None:
    found = claims(
        virtual_service("b"), virtual_service("a"), virtual_service("a", namespace="a")
    )
    assert [(c.unit.namespace, c.unit.name) for c in found.claims] == [
        ("a", "a"),
        ("shop", "a"),
        ("shop", "b"),
    ]
    source = found.claims[1].source
    assert (source.uid, source.resource_version, source.generation) == (
        "uid-shop-a",
        "7",
        3,
    )


def test_what_is_not_exposed_is_told_apart_from_what_is_absent() -> None:
    ours = {"state": "Ready", "host": "tcp.example.com"}
    found = claims(
        virtual_service("plain", annotated={}),
        virtual_service("was", annotated=ours),
        virtual_service("going", deleting=True),
        virtual_service("other", annotated={"example.com/x": "y", "request-port": "1"}),
        virtual_service("stays"),
    )
    assert [unit.name for unit in found.unexposed] == ["going", "other", "plain", "was"]
    assert [source.unit.name for source in found.unexposed_sources] == ["was"]
    assert [each.unit.name for each in found.claims] == ["stays"]


def test_without_a_tenants_entry_nothing_is_exposed() -> None:
    under = settings(tenant(clusters=["prod-*"]))
    found = claims(
        virtual_service(), service(), node(), under=under, head={ORDERS: granted().addresses}
    )  # fmt: skip
    (only,) = found.claims
    assert isinstance(only.outcome, Rejection)
    assert only.outcome.code is Code.NO_TENANT
    assert "cluster eu1" in only.outcome.reason
    assert found.follow == ()


@pytest.mark.parametrize(
    ("namespace", "name"),
    [
        *(
            ("shop", "A"),
            ("shop", ".."),
            ("shop", "a/../../ports/g/30001"),
            ("shop", ""),
        ),
        *(("shop", ".git"), ("shop", "git~1"), ("shop", "a\x00"), ("shop", "x" * 4096)),
        *(
            ("Shop", "a"),
            ("shop.x", "a"),
            ("", "a"),
            ("", ""),
            ("shop", "a\n\nTrailer: x"),
        ),
        *(("shop", "a\u2215b"), ("shop", "\u0430"), ("shop", "a%2eb"), ("shop", "a_b")),
        *(("../x", "a"), ("shop", "e\u0301"), ("shop", "a."), ("shop", "-a")),
    ],
)
def test_names_that_are_no_dns_names_are_refused(namespace: str, name: str) -> None:
    found = claims(virtual_service(name, namespace=namespace), service(), node())
    (only,) = found.claims
    assert isinstance(only.outcome, Rejection)
    assert only.outcome.code is Code.INVALID_NAME
    assert not only.unit.is_api


@pytest.mark.parametrize(
    "name", ["kustomization", "all", "con", "a.b.chart", "x" * 253]
)
def test_odd_but_valid_names_are_fine(name: str) -> None:
    if len(name) > 63:
        name = ".".join(["x" * 63] * 3)
    (only,) = claims(virtual_service(name), service(), node()).claims
    assert isinstance(only.outcome, Wanted)


def test_two_objects_of_one_name_are_rejected_in_any_order() -> None:
    liar = replace(virtual_service(), uid="another")
    one = claims(virtual_service(), liar, service(), node()).claims
    other = claims(liar, virtual_service(), service(), node()).claims
    assert one == other
    assert isinstance(one[0].outcome, Rejection)
    assert one[0].outcome.code is Code.MALFORMED_OBJECT


def test_an_api_is_claimed_from_the_inventory() -> None:
    found = api(("10.1.1.2", 6443), ("10.1.1.1", 6443), names=("kubernetes",))
    assert isinstance(found, ApiClaim)
    assert found.unit == UnitId(cluster="eu1")
    assert found.certificate_names == ("kubernetes",)
    (route,) = found.addresses.routes
    (located,) = route.located
    assert route.name == "api"
    assert located.destination.backend is Backend.API_SERVER
    assert located.destination.key == "/:0"
    assert [str(each) for each in located.addresses] == [
        "10.1.1.1:6443",
        "10.1.1.2:6443",
    ]


def test_an_api_has_at_most_eight_sticky_servers() -> None:
    many = [(f"10.1.1.{index}", 6443) for index in range(20)]
    found = api(*many)
    assert isinstance(found, ApiClaim)
    first = found.addresses.routes[0].located[0].addresses
    assert len(first) == 8
    more = api(*many, ("10.1.1.99", 6443), head={found.unit: found.addresses})
    assert more == found


def test_no_api_without_servers_or_when_it_is_off() -> None:
    assert api() is None
    assert api(("10.1.1.1", 6443), under=settings(apis={"mode": "off"})) is None


def test_an_api_by_name() -> None:
    found = api(("API.example.com", 443))
    assert isinstance(found, ApiClaim)
    (address,) = found.addresses.routes[0].located[0].addresses
    assert (address.host, address.is_ip) == ("api.example.com", False)


@pytest.mark.parametrize(
    ("servers", "expected"),
    [
        ([("127.0.0.1", 6443)], Code.ENDPOINT_NOT_ALLOWED),
        ([("10.1.1.1", 6443), ("::1", 6443)], Code.ENDPOINT_NOT_ALLOWED),
        ([("localhost", 6443)], Code.ENDPOINT_NOT_ALLOWED),
        ([("0177.0.0.1", 6443)], Code.ENDPOINT_NOT_ALLOWED),
        ([("169.254.169.254", 80)], Code.ENDPOINT_NOT_ALLOWED),
        ([("10.1.1.1", 0)], Code.ENDPOINT_NOT_ALLOWED),
        ([("10.1.1.1", 65536)], Code.ENDPOINT_NOT_ALLOWED),
        ([("", 6443)], Code.ENDPOINT_NOT_ALLOWED),
        ([("10.1.1.1", 6443), ("api.example.com", 6443)], Code.MIXED_ADDRESSES),
    ],
)
def test_api_servers_that_may_not_be(
    servers: list[tuple[str, int]], expected: Code
) -> None:
    found = api(*servers)
    assert isinstance(found, Rejection)
    assert found.code is expected


def test_loopback_api_servers_need_a_listing() -> None:
    assert isinstance(api(("127.0.0.1", 6443), under=LOOPBACK), ApiClaim)


def test_an_api_needs_no_tenants_entry() -> None:
    under = settings(tenant(clusters=["prod-*"]))
    assert isinstance(api(("10.1.1.1", 6443), under=under), ApiClaim)
    assert isinstance(api(("127.0.0.1", 6443), under=under), Rejection)

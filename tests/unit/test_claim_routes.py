"""Routes have stable names, and every destination is checked, not the first one."""

from __future__ import annotations

import pytest

from reconciler.codes import Code
from reconciler.model.units import Backend
from tests.builders import (
    balanced,
    destination,
    node,
    service,
    service_port,
    settings,
    tcp_route,
    tenant,
    tls_route,
    virtual_service,
)
from tests.claiming import code, granted, refused


def names(spec: dict[str, object], expose: str = "tcp") -> list[str]:
    source = virtual_service(annotated={"expose": expose}, spec=spec)
    return [route.name for route in granted(source).wish.routes]


def tcp(*entries: object, **more: object):
    return virtual_service(spec={"tcp": list(entries), **more})


def http(*entries: object):
    return virtual_service(spec={"http": list(entries)})


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        pytest.param([tcp_route()], ["tcp"], id="single-without-port"),
        pytest.param([tcp_route(port=5432)], ["5432"], id="single-with-port"),
        pytest.param(
            [{**tcp_route(), "match": [{"port": 1}, {"port": 2}]}],
            ["tcp"],
            id="single-with-two-ports",
        ),
        pytest.param(
            [
                {
                    **tcp_route(),
                    "match": [{"port": 9, "gateways": ["mesh"]}, {"port": 9}],
                }
            ],
            ["9"],
            id="one-port-twice",
        ),
        pytest.param(
            [tcp_route(port=9), tcp_route(port=10)], ["10", "9"], id="several"
        ),
    ],
)
def test_a_tcp_route_is_named_by_its_one_port(
    entries: list[object], expected: list[str]
) -> None:
    assert names({"tcp": entries}) == expected


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param([tcp_route(), tcp_route()], id="no-ports"),
        pytest.param([tcp_route(port=1), tcp_route()], id="one-without"),
        pytest.param([tcp_route(port=1), tcp_route(port=1)], id="same-port"),
        pytest.param(
            [tcp_route(port=1), {**tcp_route(), "match": [{"port": 2}, {"port": 3}]}],
            id="two-ports-in-one",
        ),
        pytest.param([tcp_route(port=n + 1) for n in range(65)], id="too-many"),
    ],
)
def test_routes_that_only_their_place_tells_apart_are_rejected(
    entries: list[object],
) -> None:
    assert code(tcp(*entries)) is Code.AMBIGUOUS_ROUTES


def test_inserting_an_entry_renames_nothing() -> None:
    before = names({"tcp": [tcp_route(port=1), tcp_route(port=3)]})
    after = names({"tcp": [tcp_route(port=2), tcp_route(port=1), tcp_route(port=3)]})
    assert set(before) < set(after)


def test_a_tls_route_is_named_tls_or_by_its_first_host() -> None:
    one = tls_route("b.apps.example.com", "a.apps.example.com")
    other = tls_route("c.apps.example.com")
    assert names({"tls": [one]}, "tls") == ["tls"]
    assert names({"tls": [other, one]}, "tls") == [
        "a.apps.example.com",
        "c.apps.example.com",
    ]


@pytest.mark.parametrize(
    ("expose", "spec"),
    [
        ("tcp", {}),
        ("tcp", {"tcp": [], "http": []}),
        ("tcp", {"tls": [tls_route("a.apps.example.com")]}),
        ("tls", {"tcp": [tcp_route()]}),
        ("tcp", {"tcp": [{"route": []}]}),
        ("tcp", {"tcp": [{}]}),
    ],
)
def test_nothing_to_expose_is_rejected(expose: str, spec: dict[str, object]) -> None:
    source = virtual_service(annotated={"expose": expose}, spec=spec)
    assert code(source) is Code.NO_ROUTE


BOTH = [destination("db", weight=9), destination("green", weight=1)]


def test_uniform_http_is_one_route() -> None:
    source = http(
        {"match": [{"uri": {"prefix": "/a"}}], "route": BOTH},
        {"name": "rest", "route": list(reversed(BOTH))},
    )
    found = granted(source, service(), service("green"), node()).wish.routes
    assert [route.name for route in found] == ["tcp"]
    assert [each.weight for each in found[0].destinations] == [9, 1]


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param([{"route": BOTH}, {"route": BOTH[:1]}], id="destinations"),
        pytest.param(
            [{"route": BOTH}, {"route": [BOTH[0], destination("green", weight=2)]}],
            id="weights",
        ),
        pytest.param([{"route": BOTH, "timeout": "5s"}], id="timeout"),
        pytest.param([{"route": BOTH}, {"redirect": {}}], id="redirect"),
        pytest.param(
            [{"route": [{**destination(), "headers": {}}]}], id="route-headers"
        ),
        pytest.param(
            [{"route": [destination()]}, {"route": [destination(subset="v1")]}],
            id="subset",
        ),
    ],
)
def test_http_that_needs_http_is_rejected(entries: list[object]) -> None:
    found = code(http(*entries), service(), service("green"), node())
    assert found is Code.HTTP_NOT_UNIFORM


def test_tcp_entries_go_before_http() -> None:
    assert names({"tcp": [tcp_route(port=7)], "http": [{"redirect": {}}]}) == ["7"]


@pytest.mark.parametrize(
    "key", ["sourceLabels", "sourceSubnet", "sourceNamespace", "destinationSubnets"]
)
def test_conditions_on_clients_are_refused_not_dropped(key: str) -> None:
    found = refused(tcp({**tcp_route(), "match": [{key: ["10.0.0.0/8"]}]}))
    assert found.code is Code.POLICY_UNSUPPORTED
    assert f"spec.tcp[0].match[0].{key}" in found.reason


@pytest.mark.parametrize(
    "host", ["db", "db.shop", "db.shop.svc", "db.shop.svc.cluster.local"]
)
def test_hosts_resolve_as_in_istio(host: str) -> None:
    (route,) = granted(tcp(tcp_route(destination(host)))).wish.routes
    assert [each.key for each in route.destinations] == ["shop/db:5432"]


def test_a_service_of_another_namespace_is_found() -> None:
    source = tcp(tcp_route(destination("db.data")))
    found = granted(source, service(namespace="data"), node())
    assert found.wish.routes[0].destinations[0].key == "data/db:5432"


@pytest.mark.parametrize(
    "host",
    [
        *(
            "",
            ".",
            "db.",
            ".db",
            "db..shop",
            "db.shop.svc.cluster",
            "DB",
            "db.shop.svc.",
        ),
        *(
            "db.example.com",
            "10.20.0.1",
            "*.shop",
            "*",
            "db/../x",
            "db.shop.svc.evil.com",
        ),
        *("db:5432", "d\uff42", "db.shop.svc.cluster.local.", "x" * 64, "a." * 200000),
    ],
)
def test_hosts_outside_of_the_cluster_are_rejected(host: str) -> None:
    found = refused(tcp(tcp_route(destination(host))))
    assert found.code is Code.INVALID_DESTINATION
    assert "spec.tcp[0].route[0].destination.host" in found.reason
    assert len(found.reason) < 250


def test_the_only_port_needs_no_number() -> None:
    source = tcp(tcp_route(destination(port=None)))
    assert granted(source).wish.routes[0].destinations[0].port == 5432


def test_a_tcp_port_is_found_beside_udp_of_the_same_number() -> None:
    both = (service_port(53, protocol="UDP"), service_port(53, node_port=31053))
    source = tcp(tcp_route(destination(port=53)))
    found = granted(source, service(ports=both), node())
    assert str(found.addresses.routes[0].located[0].addresses[0]) == "10.20.0.1:31053"


TWO_PORTS = (service_port(1), service_port(2))


@pytest.mark.parametrize(
    ("target", "found", "expected"),
    [
        ("other", service(), Code.SERVICE_NOT_FOUND),
        ("db", service(type="ExternalName"), Code.SERVICE_UNSUPPORTED),
        ("db", service(headless=True), Code.SERVICE_UNSUPPORTED),
        ("db", service(has_selector=False), Code.SERVICE_UNSUPPORTED),
        ("db", service(ports=(service_port(9),)), Code.INVALID_DESTINATION),
        ("db", service(ports=()), Code.INVALID_DESTINATION),
        (
            "db",
            service(ports=(service_port(protocol="UDP"),)),
            Code.SERVICE_UNSUPPORTED,
        ),
        ("db", service(type="ClusterIP"), Code.BACKEND_UNSUPPORTED),
        ("db", service(type="Evil\x1b"), Code.BACKEND_UNSUPPORTED),
        (
            "db",
            service(ports=(service_port(node_port=0),)),
            Code.BACKEND_UNSUPPORTED,
        ),
    ],
    ids=lambda value: getattr(value, "name", None),
)
@pytest.mark.parametrize("position", [0, 1, 15])
def test_every_destination_is_checked(
    target: str, found: object, expected: Code, position: int
) -> None:
    good = [service(f"s{index:02}") for index in range(position)]
    source = tcp(
        tcp_route(
            *(destination(each.name, weight=1) for each in good),
            destination(target, weight=0 if good else 1),
        )
    )
    rejection = refused(source, found, *good, node())  # type: ignore[arg-type]
    assert rejection.code is expected
    assert f"spec.tcp[0].route[{position}].destination" in rejection.reason


def test_a_number_is_needed_among_several_ports() -> None:
    source = tcp(tcp_route(destination(port=None)))
    found = refused(source, service(ports=TWO_PORTS), node())
    assert found.code is Code.INVALID_DESTINATION
    assert "it has 1, 2" in found.reason


@pytest.mark.parametrize("number", [0, -1, 70000, 10**5000], ids=lambda _: "n")
def test_a_lying_services_port_is_no_port(number: int) -> None:
    source = tcp(tcp_route(destination(port=None)))
    for found in (
        service(ports=(service_port(number),)),
        balanced("10.20.9.9", ports=(service_port(number),)),
    ):
        assert isinstance(code(source, found, node()), Code)


@pytest.mark.parametrize("port", [0, 65536, "5432", True, 5432.0, None, {}, -1])
def test_port_numbers_are_integers(port: object) -> None:
    entry = {"destination": {"host": "db", "port": {"number": port}}}
    assert code(tcp(tcp_route(entry))) is Code.INVALID_DESTINATION


def test_a_destination_twice_is_rejected() -> None:
    source = tcp(
        tcp_route(destination("db", weight=1), destination("db.shop", None, weight=1))
    )
    found = refused(source)
    assert found.code is Code.INVALID_DESTINATION
    assert "shop/db:5432 is twice" in found.reason


@pytest.mark.parametrize(
    ("backend", "found", "expected"),
    [
        ("auto", service(), Backend.NODE_PORT),
        ("auto", balanced("10.20.9.9"), Backend.LOAD_BALANCER),
        ("node-port", balanced("10.20.9.9"), Backend.NODE_PORT),
        ("load-balancer", balanced("10.20.9.9"), Backend.LOAD_BALANCER),
        ("load-balancer", service(), None),
        ("node-port", service(type="ClusterIP"), None),
    ],
)
def test_the_kind_of_backend(
    backend: str, found: object, expected: Backend | None
) -> None:
    source = virtual_service(annotated={"expose": "tcp", "backend": backend})
    if expected is None:
        assert code(source, found, node()) is Code.BACKEND_UNSUPPORTED  # type: ignore[arg-type]
        return
    wish = granted(source, found, node()).wish  # type: ignore[arg-type]
    assert wish.routes[0].destinations[0].backend is expected


@pytest.mark.parametrize(
    ("backend", "found"),
    [("pod", service(type="ClusterIP")), ("auto", service(local_traffic_policy=True))],
)
def test_volatile_backends_need_permission(backend: str, found: object) -> None:
    source = virtual_service(annotated={"expose": "tcp", "backend": backend})
    assert code(source, found, node()) is Code.VOLATILE_BACKENDS  # type: ignore[arg-type]
    under = settings(tenant(volatileBackends=True))
    assert code(source, found, node(), under=under) is None  # type: ignore[arg-type]


def test_local_traffic_policy_matters_for_node_ports_only() -> None:
    found = balanced("10.20.9.9", local_traffic_policy=True)
    assert code(virtual_service(), found, node()) is None


@pytest.mark.parametrize(
    "spec",
    [
        *({"tcp": {}}, {"tcp": "x"}, {"tcp": [1]}, {"tcp": [[]]}, {"http": [None]}),
        {"tcp": [{"route": {}}]},
        {"tcp": [{"route": ["x"]}]},
        {"tcp": [{"route": [{}]}]},
        {"tcp": [{"route": [{"destination": {"host": 5}}]}]},
        {"tcp": [{"route": [{"destination": {"host": "db", "port": 5432}}]}]},
        {"tcp": [{**tcp_route(), "match": {}}]},
        {"tcp": [{**tcp_route(), "match": [{"port": "5432"}]}]},
        {"tcp": [{**tcp_route(), "match": [{"port": True}]}]},
    ],
    ids=str,
)
def test_malformed_specs_say_where(spec: dict[str, object]) -> None:
    found = refused(virtual_service(spec=spec))
    assert found.code is Code.MALFORMED_OBJECT
    assert found.reason.startswith("spec.")

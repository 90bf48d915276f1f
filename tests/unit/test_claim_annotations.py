"""Annotations are taken exactly: valid ones mean something, all others reject with a reason."""

from __future__ import annotations

import pytest

from reconciler.codes import Code
from reconciler.model.units import Failover, Policy, ProxyProtocol
from tests.builders import (
    destination,
    settings,
    tcp_route,
    tenant,
    tls_route,
    virtual_service,
)
from tests.claiming import claims, code, granted, refused

TWO_ROUTES = {
    "tcp": [tcp_route(port=5672), tcp_route(destination(weight=1), port=15672)]
}


def annotated(**values: str):
    named = {key.replace("_", "-"): value for key, value in values.items()}
    return virtual_service(annotated={"expose": "tcp", **named})


@pytest.mark.parametrize(
    ("key", "value", "policy"),
    [
        pytest.param("failover", "any", Policy(failover=Failover.ANY), id="failover"),
        pytest.param("failover", "none", Policy(), id="failover-default"),
        pytest.param("backend", "node-port", Policy(backend="node-port"), id="backend"),
        pytest.param(
            "allow-cidrs", "0.0.0.0/0", Policy(allow_cidrs=("0.0.0.0/0",)), id="all"
        ),
        pytest.param(
            "allow-cidrs",
            "2001:db8::/32,192.0.2.0/24,10.0.0.0/8",
            Policy(allow_cidrs=("10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32")),
            id="cidrs-sorted",
        ),
        pytest.param(
            "proxy-protocol", "v2", Policy(proxy_protocol=ProxyProtocol.V2), id="proxy"
        ),
        pytest.param("idle-timeout", "30s", Policy(idle_timeout_seconds=30), id="30s"),
        pytest.param(
            "idle-timeout", "1h30m", Policy(idle_timeout_seconds=5400), id="1h30m"
        ),
        pytest.param(
            "idle-timeout", "24h", Policy(idle_timeout_seconds=86400), id="24h"
        ),
        pytest.param("max-connections", "1", Policy(max_connections=1), id="one"),
        pytest.param(
            "max-connections", "1000000", Policy(max_connections=10**6), id="million"
        ),
    ],
)
def test_policy_is_what_is_written(key: str, value: str, policy: Policy) -> None:
    assert granted(annotated(**{key: value})).wish.policy == policy


@pytest.mark.parametrize(
    "value",
    ["", "TCP", "Tls", " tcp", "tcp ", "tcp\n", "true", "udp", "api", "tcp,tls"],
)
def test_expose_is_tcp_or_tls_and_nothing_else(value: str) -> None:
    found = refused(virtual_service(annotated={"expose": value}))
    assert found.code is Code.INVALID_EXPOSE
    assert "expected tcp or tls" in found.reason


WRONG = {
    "gateway": ["", "Public", "public ", "a.b", "-x", "\uff50ublic", "x" * 64],
    "request-port": [
        *("", "0", "020017", "+20017", " 20017", "20017 ", "20017,", ",20017", "1e4"),
        *(
            "65536",
            "99999999999",
            "-1",
            "0x4e21",
            "\uff12\uff10\uff10\uff11\uff17",
            "tcp=",
            "=20017",
            "tcp",
        ),
        *("tcp=20017,", "tcp=20017,tcp=20018", "tcp=20017;x=1", "tcp=20017, x=20018"),
        *("TCP=20017", "a/b=20017", "tcp = 20017", "a=20017,b=20017", "20017,20018"),
    ],
    "failover": ["", "ANY", "yes", "any "],
    "backend": ["", "nodeport", "NodePort", "api-server", "auto,pod"],
    "allow-cidrs": [
        *("", ",", "10.0.0.0/8,", "10.0.0.0/8, 192.0.2.0/24", "10.0.0.1/8", "10.0.0.1"),
        *("10.0.0.0/255.0.0.0", "010.0.0.0/8", "10/8", "10.0.0.0/33", "2001:DB8::/32"),
        *(
            "::ffff:10.0.0.0/104",
            "::ffff:a00:0/104",
            "fe80::%eth0/64",
            "10.0.0.0/8\n",
            "any",
            "10.0.0.0/08",
        ),
        "10.0.0.0/8,10.0.0.0/8",
        ",".join(f"10.0.{each}.0/24" for each in range(65)),
    ],
    "proxy-protocol": ["", "V1", "1", "v3", "true"],
    "idle-timeout": [
        *(
            "",
            "0",
            "0s",
            "30",
            "30 s",
            "-5s",
            "1.5h",
            "1d",
            "10ms",
            "s",
            "\u0663\u0660s",
            "721h",
        ),
        *("10m1h", "00030s", "99999999999s"),
    ],
    "max-connections": [
        "",
        "0",
        "-1",
        "1000001",
        "1e3",
        "01",
        "\u0661",
        "1_000",
        "many",
    ],
}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param(key, value, id=f"{key}-{index}")
        for key, values in WRONG.items()
        for index, value in enumerate(values)
    ],
)
def test_malformed_values_are_rejected_and_never_absent(key: str, value: str) -> None:
    found = refused(annotated(**{key: value}))
    assert found.code is Code.INVALID_ANNOTATION
    assert f"wharfinger.dev/{key}" in found.reason
    assert "expected" in found.reason


@pytest.mark.parametrize("key", sorted(WRONG))
def test_a_huge_value_is_rejected_before_it_is_parsed(key: str) -> None:
    found = refused(annotated(**{key: "1" * 262144}))
    assert found.code is Code.INVALID_ANNOTATION
    assert len(found.reason) < 300


def test_four_kibibytes_are_counted_in_bytes() -> None:
    found = refused(annotated(failover="é" * 2049))
    assert "at most 4096 bytes" in found.reason


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("wharfinger.dev/request-ports", "wharfinger.dev/request-port"),
        ("wharfinger.dev/Failover", "wharfinger.dev/failover"),
        ("wharfinger.dev/allow_cidrs", "wharfinger.dev/allow-cidrs"),
    ],
)
def test_a_typo_in_a_key_is_told(key: str, near: str) -> None:
    found = refused(virtual_service(annotated={"expose": "tcp", key: "1"}))
    assert found.code is Code.INVALID_ANNOTATION
    assert f"did you mean {near}?" in found.reason


def test_an_unknown_key_without_a_neighbour_is_told_too() -> None:
    found = refused(annotated(zzzzzzzz="1"))
    assert "no such annotation" in found.reason
    assert "did you mean" not in found.reason


def test_a_typo_of_expose_is_told_unless_the_unit_is_served() -> None:
    source = virtual_service(annotated={"exposed": "tcp"})
    assert "did you mean wharfinger.dev/expose?" in refused(source).reason
    served = granted().addresses
    found = claims(source, head={served.unit: served})
    assert found.claims == ()
    assert found.unexposed == (served.unit,)


def test_what_we_write_back_is_never_input() -> None:
    ours = {
        "state": "Ready",
        "message": "x" * 9000,
        "host": "evil.example.com",
        "port": "22",
        "endpoints": "[not json",
        "commit": "",
        "observed-generation": "-1",
    }
    assert granted(annotated(**ours)) == granted()


def test_annotations_of_others_mean_nothing() -> None:
    source = virtual_service(
        annotated={"wharfinger.dev/expose": "tcp", "example.com/expose": "x" * 9000}
    )
    assert granted(source) == granted()


@pytest.mark.parametrize("name", ["orders", "x" * 253])
@pytest.mark.parametrize("spec", [None, TWO_ROUTES], ids=["one", "two"])
def test_requests_by_route_name(name: str, spec: dict[str, object] | None) -> None:
    text = "15672=20018,5672=20017" if spec else "tcp=20017"
    source = virtual_service(
        annotated={"expose": "tcp", "request-port": text}, spec=spec
    )
    expected = (("15672", 20018), ("5672", 20017)) if spec else (("tcp", 20017),)
    assert granted(source).requests == expected


def test_a_bare_request_is_for_the_only_route() -> None:
    assert granted(annotated(request_port="20017")).requests == (("tcp", 20017),)


def test_a_bare_request_for_several_routes_is_rejected() -> None:
    source = virtual_service(
        annotated={"expose": "tcp", "request-port": "20017"}, spec=TWO_ROUTES
    )
    found = refused(source)
    assert found.code is Code.INVALID_ANNOTATION
    assert "15672, 5672" in found.reason


def test_requests_may_name_some_routes_only() -> None:
    source = virtual_service(
        annotated={"expose": "tcp", "request-port": "5672=20017"}, spec=TWO_ROUTES
    )
    assert granted(source).requests == (("5672", 20017),)


def test_an_unknown_route_is_rejected() -> None:
    assert code(annotated(request_port="5432=20017")) is Code.UNKNOWN_ROUTE


def test_tls_has_no_port_to_request() -> None:
    source = virtual_service(
        annotated={"expose": "tls", "request-port": "20017"},
        spec={"tls": [tls_route("a.apps.example.com")]},
    )
    assert code(source) is Code.INVALID_ANNOTATION


@pytest.mark.parametrize("gateway", ["private", "nowhere"])
def test_a_gateway_that_is_not_permitted_is_rejected(gateway: str) -> None:
    found = refused(annotated(gateway=gateway))
    assert found.code is Code.GATEWAY_NOT_ALLOWED
    assert "permitted: public" in found.reason


def test_a_gateway_that_only_the_tenants_entry_knows_is_rejected() -> None:
    under = settings(tenant(gateways=["public", "ghost"]))
    assert code(annotated(gateway="ghost"), under=under) is Code.GATEWAY_NOT_ALLOWED


def test_a_permitted_gateway_is_taken() -> None:
    assert granted(annotated(gateway="public")).gateway == "public"
    assert granted().gateway == ""


@pytest.mark.parametrize(
    "value",
    ["\x1b[31mred", 'a\n{"level":"info"}', "\u202egnp", "x\x00y", "\ud800", "'\"\\"],
    ids=["ansi", "newline", "bidi", "nul", "surrogate", "quotes"],
)
def test_messages_escape_what_tenants_write(value: str) -> None:
    for source in (
        annotated(failover=value),
        virtual_service(annotated={"expose": value}),
        virtual_service(annotated={"expose": "tcp", f"wharfinger.dev/{value}": "1"}),
        virtual_service(spec={"tcp": [tcp_route(destination(value))]}),
    ):
        reason = refused(source).reason
        assert reason.isascii()
        assert reason.isprintable()

"""Addresses that traffic may never go to, under any spelling, and those that settings permit."""

from __future__ import annotations

import pytest

from reconciler.codes import Code
from reconciler.settings import Tenant
from reconciler.tenants import address_refusal, api_server_refusal, canonical_host
from tests.builders import (
    balanced,
    destination,
    node,
    service,
    settings,
    tcp_route,
    tenant,
    virtual_service,
)
from tests.claiming import addresses, granted, refused

# Each is refused although 0.0.0.0/0 and ::/0 are permitted.
SPECIAL = [
    *("0.0.0.0", "0.1.2.3", "127.0.0.1", "127.1.2.3", "127.255.255.255"),
    *("169.254.0.1", "169.254.169.254", "169.254.170.2", "100.100.100.200"),
    *("168.63.129.16", "192.0.0.192", "224.0.0.1", "239.255.255.255", "240.0.0.1"),
    *(
        "255.255.255.255",
        "::",
        "::1",
        "0:0:0:0:0:0:0:1",
        "fe80::1",
        "febf::1",
        "fec0::1",
    ),
    *("ff02::1", "fd00:ec2::254", "fd20:ce::254", "fd00:42::42"),
    *("::ffff:127.0.0.1", "::ffff:7f00:1", "::FFFF:169.254.169.254", "::ffff:0.0.0.0"),
    *("::ffff:a9fe:a9fe", "::ffff:0:127.0.0.1", "::127.0.0.1", "::169.254.169.254"),
    *("64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1", "64:ff9b::"),
    *("64:ff9b:1::7f00:1", "2002:7f00:1::1", "2002:a9fe:a9fe::", "2001::1"),
    *("2002:e000:1::", "::ffff:224.0.0.1", "64:ff9b::ffff:ffff"),
]
NO_LITERALS = [
    *(
        "",
        " ",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "2130706433",
        "0x7f000001",
        "127.1",
        "127.0.1",
    ),
    *(
        "017700000001",
        "10.20.0.01",
        "010.20.0.1",
        "10.20.0.1 ",
        " 10.20.0.1",
        "10.20.0.1\n",
    ),
    *("10.20.0.1.", "10.20.0.256", "10.20.0", "10.20.0.1/32", "10.20.0.1:80", "[::1]"),
    *(
        "fe80::1%eth0",
        "fe80::1%25eth0",
        "::1%lo",
        "1::2::3",
        ":::",
        "::ffff:127.0.0.01",
    ),
    *(
        "1\u0660.20.0.1",
        "\uff11\uff10.20.0.1",
        "10\u300220.0.1",
        "+10.20.0.1",
        "1_0.20.0.1",
    ),
    *(
        "::ffff:0177.0.0.1",
        "12345::",
        "localhost",
        "example",
        "a.b.",
        "a..b",
        "*.example.com",
    ),
    *("-a.example.com", "a_b.example.com", "http://a.example.com", "a.example.com:80"),
    *(
        "a." * 200 + "com",
        "x" * 100000,
        "b\u00fccher.example.com",
        "a.0x7f",
        "1.2.3.4.5",
    ),
]


def under(*endpoints: str) -> Tenant:
    return settings(tenant(endpoints=list(endpoints))).tenants[0]


def test_the_table_has_sixty_addresses() -> None:
    assert len(set(SPECIAL)) + len(set(NO_LITERALS)) >= 60


@pytest.mark.parametrize("text", SPECIAL)
def test_special_addresses_are_refused_even_when_everything_is_listed(
    text: str,
) -> None:
    host = canonical_host(text)
    assert host is not None
    assert host[1]
    for permitted in (under("0.0.0.0/0", "::/0"), settings(
        {"clusters": ["*"], "gateways": ["public"]}
    ).tenants[0]):  # fmt: skip
        assert address_refusal(permitted, *host)
        assert address_refusal(permitted, text, True)
    assert api_server_refusal(None, *host)


@pytest.mark.parametrize(
    "text", [pytest.param(each, id=ascii(each[:40])) for each in NO_LITERALS]
)
def test_what_is_no_plain_literal_is_no_address(text: str) -> None:
    assert canonical_host(text) is None
    assert address_refusal(under("0.0.0.0/0"), text, True)
    assert address_refusal(under("0.0.0.0/0"), text, False)


@pytest.mark.parametrize(
    "text", [pytest.param(each, id=ascii(each[:40])) for each in SPECIAL + NO_LITERALS]
)
@pytest.mark.parametrize("position", [0, 2])
def test_a_forbidden_load_balancer_address_rejects_the_unit(
    text: str, position: int
) -> None:
    """Whichever destination it belongs to, also one of weight 0, and beside good ones."""
    good = [balanced("10.20.1.1", name=f"s{index}") for index in range(position)]
    source = virtual_service(
        spec={
            "tcp": [
                tcp_route(
                    *(destination(each.name, weight=1) for each in good),
                    destination("evil", weight=0 if good else 1),
                )
            ]
        }
    )
    evil = balanced("10.20.2.2", text, name="evil")
    wide = settings(tenant(endpoints=["0.0.0.0/0", "::/0", ".example.com"]))
    found = refused(source, *good, evil, under=wide)
    assert found.code is Code.ENDPOINT_NOT_ALLOWED
    assert found.reason.isprintable()
    assert found.reason.isascii()


@pytest.mark.parametrize(
    "text", [pytest.param(each, id=ascii(each[:40])) for each in SPECIAL + NO_LITERALS]
)
def test_a_forbidden_node_is_left_out_and_reported(text: str) -> None:
    wide = settings(tenant(endpoints=["0.0.0.0/0", "::/0"]))
    found = granted(
        virtual_service(), service(), node("n1"), node("evil", text), under=wide
    )
    assert addresses(found) == {"shop/db:5432": ["10.20.0.1:31000"]}
    assert len(found.left_out) == 1
    assert 'node "evil"' in found.left_out[0]


@pytest.mark.parametrize(
    ("listed", "host", "permitted"),
    [
        ("127.0.0.0/8", "127.0.0.1", True),
        ("127.0.0.1/32", "127.0.0.1", True),
        ("127.0.0.1/32", "::ffff:127.0.0.1", True),
        ("127.0.0.1/32", "127.0.0.2", False),
        ("126.0.0.0/7", "127.0.0.1", False),
        ("0.0.0.0/0", "127.0.0.1", False),
        ("::/0", "::1", False),
        ("::1/128", "::1", True),
        ("169.254.0.0/16", "169.254.1.1", True),
        ("169.254.0.0/16", "169.254.169.254", False),
        ("169.254.169.254/32", "169.254.169.254", True),
        ("169.254.0.0/15", "169.254.1.1", False),
        ("fe80::/10", "fe80::1", True),
        ("10.20.0.0/16", "2002:a14:1::1", True),
        ("10.20.0.0/16", "2002:a15:1::a14:1", False),
        ("0.0.0.0/8", "0.0.0.0", False),
        ("224.0.0.0/4", "224.0.0.1", False),
        ("255.255.255.255/32", "255.255.255.255", False),
        ("10.20.0.0/16", "10.20.255.255", True),
        ("10.20.0.0/16", "10.21.0.0", False),
        ("10.20.0.0/16", "::ffff:10.20.0.1", True),
        ("10.20.0.0/16", "64:ff9b::10.20.0.1", True),
        ("10.20.0.0/16", "64:ff9b::10.21.0.1", False),
        ("2001:db8::/32", "2001:db8::1", True),
        ("2001:db8::/32", "2001:DB8:0::1", True),
        ("100.64.0.0/10", "100.64.0.1", True),
        (".elb.example.com", "a.elb.example.com", True),
        (".elb.example.com", "A.ELB.example.com", True),
        (".elb.example.com", "elb.example.com", False),
        (".elb.example.com", "evilelb.example.com", False),
        ("elb.example.com", "elb.example.com", True),
        ("elb.example.com", "a.elb.example.com", True),
        ("elb.example.com", "evilelb.example.com", False),
        (".elb.example.com", "10.20.0.1", False),
        ("10.20.0.0/16", "a.elb.example.com", False),
    ],
)
def test_endpoints_permit_what_they_list(
    listed: str, host: str, permitted: bool
) -> None:
    found = canonical_host(host)
    assert found is not None
    assert (address_refusal(under(listed), *found) is None) is permitted


@pytest.mark.parametrize(
    ("endpoints", "host", "permitted"),
    [
        (None, "10.1.2.3", True),
        (None, "2001:db8::1", True),
        (None, "lb.example.com", True),
        (None, "metadata.google.internal", False),
        (None, "printer.local", False),
        (None, "db.shop.svc.cluster.local", False),
        (None, "a.localhost", False),
        ([".internal"], "a.internal", True),
        ([], "10.1.2.3", False),
        ([], "lb.example.com", False),
    ],
)
def test_a_tenant_without_endpoints_has_no_limit_but_the_special_ones(
    endpoints: list[str] | None, host: str, permitted: bool
) -> None:
    entry = {"clusters": ["*"], "gateways": ["public"]}
    given = {} if endpoints is None else {"endpoints": endpoints}
    found = canonical_host(host)
    assert found is not None
    who = settings({**entry, **given}).tenants[0]
    assert (address_refusal(who, *found) is None) is permitted


@pytest.mark.parametrize(
    ("host", "listed", "permitted"),
    [
        ("10.1.2.3", "10.20.0.0/16", True),
        ("api.example.com", "10.20.0.0/16", True),
        ("127.0.0.1", "10.20.0.0/16", False),
        ("127.0.0.1", "0.0.0.0/0", False),
        ("127.0.0.1", "127.0.0.0/8", True),
        ("0.0.0.0", "0.0.0.0/8", False),
    ],
)
def test_api_servers_are_limited_by_special_addresses_alone(
    host: str, listed: str, permitted: bool
) -> None:
    found = canonical_host(host)
    assert found is not None
    assert (api_server_refusal(under(listed), *found) is None) is permitted


def test_mapped_addresses_are_dialled_as_what_is_inside() -> None:
    assert canonical_host("::ffff:10.20.0.1") == ("10.20.0.1", True)
    assert canonical_host("64:ff9b::10.20.0.1") == ("64:ff9b::a14:1", True)

"""SNI hosts: only exact names under the tenant's suffixes, never a cluster's API name."""

from __future__ import annotations

import pytest

from reconciler.codes import Code
from reconciler.tenants import gateway_permitted, host_refusal, is_api_name
from tests.builders import settings, tenant, tls_route, virtual_service
from tests.claiming import code, granted, refused

SUFFIX = "apps.example.com"


def exposed(*hosts: str, expose: str = "tls"):
    return virtual_service(
        annotated={"expose": expose}, spec={"tls": [tls_route(*hosts)]}
    )


@pytest.mark.parametrize(
    "host",
    [
        f"a.{SUFFIX}",
        f"a.b.c.{SUFFIX}",
        f"xn--bcher-kva.{SUFFIX}",
        f"0.{SUFFIX}",
        f"{'a' * 63}.{SUFFIX}",
        f"a--b.{SUFFIX}",
        f"kustomization.{SUFFIX}",
        f"1.2.3.4.{SUFFIX}",
    ],
)
def test_exact_names_under_the_suffix_are_granted(host: str) -> None:
    assert granted(exposed(host)).wish.routes[0].hosts == (host,)


MALFORMED = [
    *("", ".", "*", f"*.{SUFFIX}", f"a*.{SUFFIX}", f"*.a.{SUFFIX}", "localhost", "com"),
    *(
        f"a.{SUFFIX}.",
        f".a.{SUFFIX}",
        f"a..{SUFFIX}",
        f"A.{SUFFIX}",
        "a.APPS.example.com",
    ),
    *(
        f" a.{SUFFIX}",
        f"a.{SUFFIX} ",
        f"a.{SUFFIX}\n",
        f"a\n.{SUFFIX}",
        f"a\x00.{SUFFIX}",
    ),
    *(
        f"a\t.{SUFFIX}",
        f"a b.{SUFFIX}",
        f"a_b.{SUFFIX}",
        f"-a.{SUFFIX}",
        f"a-.{SUFFIX}",
    ),
    *(
        f"a/b.{SUFFIX}",
        f"../a.{SUFFIX}",
        f"a%2e.{SUFFIX}",
        f"a:443.{SUFFIX}",
        f"a.{SUFFIX}:443",
    ),
    *(
        f"https://a.{SUFFIX}",
        f"a@b.{SUFFIX}",
        f"a,b.{SUFFIX}",
        f"a;b.{SUFFIX}",
        f"a'b.{SUFFIX}",
    ),
    *(f'a"b.{SUFFIX}', f"a${{X}}.{SUFFIX}", f"a{{{{x}}}}.{SUFFIX}", f"a#b.{SUFFIX}"),
    *(
        f"a&b.{SUFFIX}",
        f"a!b.{SUFFIX}",
        f"a\\b.{SUFFIX}",
        f"a|b.{SUFFIX}",
        f"a`b.{SUFFIX}",
    ),
    *(
        f"b\u00fccher.{SUFFIX}",
        f"a\u3002{SUFFIX}",
        f"a\uff0e{SUFFIX}",
        f"a\uff61{SUFFIX}",
    ),
    *(f"\u0430.{SUFFIX}", f"\uff41.{SUFFIX}", f"a\u200b.{SUFFIX}", f"a\u202e.{SUFFIX}"),
    *(
        f"a\u00ad.{SUFFIX}",
        f"\u2170.{SUFFIX}",
        f"a\u2215b.{SUFFIX}",
        f"e\u0301.{SUFFIX}",
    ),
    *(
        f"\u00e9.{SUFFIX}",
        f"\U0001f600.{SUFFIX}",
        f"\ufeffa.{SUFFIX}",
        f"a\u0130.{SUFFIX}",
    ),
    *(
        "10.20.0.1",
        "1.2",
        "0x7f.1",
        "2130706433",
        "[::1]",
        "::1",
        "a.0x7f",
        "example.123",
    ),
    *(f"{'a' * 64}.{SUFFIX}", f"{'a.' * 100}{SUFFIX}", "a" * 10**6, f"a.{SUFFIX}\r"),
    *(f"a\x85.{SUFFIX}", f"a\u2028.{SUFFIX}", f"a\ud800.{SUFFIX}", f"a\x7f.{SUFFIX}"),
]

FOREIGN = [
    *("a.example.com", SUFFIX, f"a{SUFFIX}", f"evil-{SUFFIX}", f"a.{SUFFIX}.evil.com"),
    *("eu1.k8s.ingress.example.com", "gone.k8s.ingress.example.com", "a.b"),
    *("tcp.ingress.example.com", "k8s.ingress.example.com", "apps-example.com"),
]


def test_there_are_eighty_variants() -> None:
    assert len({*MALFORMED, *FOREIGN}) >= 80


@pytest.mark.parametrize(
    "host", [pytest.param(each, id=ascii(each[:40])) for each in MALFORMED]
)
def test_malformed_names_are_rejected(host: str) -> None:
    found = refused(exposed(f"fine.{SUFFIX}", host))
    assert found.code is Code.INVALID_HOST
    assert "spec.tls[0].match[0].sniHosts[1]" in found.reason
    assert len(found.reason) < 300


@pytest.mark.parametrize("host", FOREIGN)
def test_foreign_names_are_not_granted(host: str) -> None:
    found = refused(exposed(host))
    assert found.code is Code.HOST_NOT_ALLOWED


@pytest.mark.parametrize(
    "host", ["eu1.k8s.ingress.example.com", "x.k8s.ingress.example.com"]
)
def test_api_names_are_refused_even_under_a_granted_suffix(host: str) -> None:
    under = settings(tenant(hosts=[".ingress.example.com", "k8s.ingress.example.com"]))
    found = refused(exposed(host), under=under)
    assert found.code is Code.HOST_NOT_ALLOWED
    assert "API" in found.reason


def test_a_gateways_own_name_is_refused() -> None:
    under = settings(tenant(hosts=[".ingress.example.com"]))
    assert (
        code(exposed("tcp.ingress.example.com"), under=under) is Code.HOST_NOT_ALLOWED
    )


def test_without_hosts_there_are_none() -> None:
    without = {key: value for key, value in tenant().items() if key != "hosts"}
    found = refused(exposed(f"a.{SUFFIX}"), under=settings(without))
    assert found.code is Code.HOST_NOT_ALLOWED
    assert "(none)" in found.reason


def test_a_suffix_without_a_dot_is_a_name_too() -> None:
    under = settings(tenant(hosts=[SUFFIX]))
    assert granted(exposed(SUFFIX), under=under).wish.routes[0].hosts == (SUFFIX,)
    assert code(exposed(f"evil{SUFFIX}"), under=under) is Code.HOST_NOT_ALLOWED


def test_hosts_of_all_matches_are_one_route() -> None:
    entry = tls_route(f"b.{SUFFIX}")
    entry["match"] = [
        {"port": 443, "sniHosts": [f"b.{SUFFIX}"]},
        {"port": 8443, "sniHosts": [f"a.{SUFFIX}", f"b.{SUFFIX}"]},
    ]
    source = virtual_service(annotated={"expose": "tls"}, spec={"tls": [entry]})
    assert granted(source).wish.routes[0].hosts == (f"a.{SUFFIX}", f"b.{SUFFIX}")


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([tls_route("a." + SUFFIX), tls_route("a." + SUFFIX)], Code.INVALID_HOST),
        ([tls_route()], Code.INVALID_HOST),
        ([{**tls_route(), "match": []}], Code.INVALID_HOST),
        ([{**tls_route(), "match": [{"port": 443}]}], Code.INVALID_HOST),
        ([tls_route(*(f"h{n}.{SUFFIX}" for n in range(17)))], Code.INVALID_HOST),
        ([{**tls_route(), "match": [{"sniHosts": "a." + SUFFIX}]}], Code.MALFORMED_OBJECT),
        ([{**tls_route(), "match": [{"sniHosts": [5]}]}], Code.MALFORMED_OBJECT),
    ],
    ids=["twice", "empty", "no-match", "no-hosts", "many", "no-list", "number"],
)  # fmt: skip
def test_entries_without_proper_hosts_are_rejected(
    entries: list[object], expected: Code
) -> None:
    source = virtual_service(annotated={"expose": "tls"}, spec={"tls": entries})
    assert code(source) is expected


@pytest.mark.parametrize(
    ("pattern", "host", "expected"),
    [
        ("{cluster}.k8s.{domain}", "eu1.k8s.ingress.example.com", True),
        ("{cluster}.k8s.{domain}", "a.eu1.k8s.ingress.example.com", False),
        ("{cluster}.k8s.{domain}", "eu1xk8s.ingress.example.com", False),
        ("{cluster}.k8s.{domain}", ".k8s.ingress.example.com", False),
        ("api-{cluster}.{domain}", "api-eu1.ingress.example.com", True),
        ("api-{cluster}.{domain}", "api-.ingress.example.com", False),
        ("api.{domain}", "api.ingress.example.com", True),
        ("{cluster}.example.net", "eu1.example.net", True),
        ("{cluster}.example.net", "eu1.example.net\n", False),
    ],
)
def test_the_pattern_of_api_names(pattern: str, host: str, expected: bool) -> None:
    assert is_api_name(settings(apis={"hostname": pattern}), host) is expected


def test_the_planner_asks_the_same_questions() -> None:
    under = settings()
    granted_to = under.tenants[0]
    assert host_refusal(under, granted_to, f"a.{SUFFIX}") is None
    assert host_refusal(under, granted_to, "a.example.com") is not None
    assert gateway_permitted(granted_to, "public")
    assert not gateway_permitted(granted_to, "private")

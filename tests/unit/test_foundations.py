"""What a foundation serves as units: names, paths, wildcard hosts, shares and routers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.audit.events import unit_of
from reconciler.audit.subjects import parse_key, parse_subject
from reconciler.claim import claim
from reconciler.codes import Code
from reconciler.errors import InvalidSettings
from reconciler.headers import parse_addresses, parse_wish_header
from reconciler.ledger_file import Entry, Malformed, format_entry, parse_entry
from reconciler.model.claims import Rejection, Wanted
from reconciler.model.clusters import (
    ClusterEntry,
    ClusterObjects,
    ClusterView,
    VirtualService,
)
from reconciler.model.units import Owner, PortState, UnitAddresses, UnitId
from reconciler.names import (
    KINDS,
    host_in_file,
    host_of_file,
    host_path,
    name_to_dial,
    unit_named,
    unit_stem,
    wish_path,
)
from reconciler.prove.checks import Dial
from reconciler.render import render
from reconciler.settings import Settings
from reconciler.settings_file import parse
from reconciler.tenants import host_refusal
from reconciler.wishes import parse_wish
from reconciler.yamlio import dump
from tests import builders
from tests.builders import NOW, tenant
from tests.rendering import CASES, RENDERERS
from tests.rendering import settings as rendering_settings

LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
NAME = st.lists(LABEL, min_size=1, max_size=3).map(".".join)
APPS = UnitId(cluster="blue", namespace="cf.domain", name="apps.example.com")
TCP = UnitId(cluster="blue", namespace="cf.tcp", name="tcp.example.com-1024")


@given(
    st.lists(
        st.builds(
            UnitId,
            cluster=LABEL,
            namespace=LABEL | st.sampled_from([*KINDS]),
            name=NAME | st.just("a.endpoints") | st.just("chart"),
        ),
        min_size=2,
        max_size=2,
        unique=True,
    )
)
def test_no_two_units_lie_on_one_path(units: list[UnitId]) -> None:
    one, other = (wish_path("public", unit) for unit in units)
    assert one != other
    for unit in units:
        assert unit_named(str(unit)) == unit
        if "--" not in unit_stem(unit).rpartition("/")[2]:
            assert unit_of(wish_path("public", unit)) == str(unit)


def test_a_unit_of_a_foundation_has_files_of_its_kind() -> None:
    assert unit_stem(APPS) == "blue/cf.domain/domain-apps.example.com"
    assert unit_stem(TCP) == "blue/cf.tcp/tcp-tcp.example.com-1024"
    mail = UnitId(cluster="eu1", namespace="shop", name="tcp.example.com-1024")
    assert unit_stem(mail) == "eu1/shop/vs-tcp.example.com-1024"
    assert unit_named("blue/cf.other/x") is None


@given(NAME)
def test_a_host_and_its_file_are_one_to_one(name: str) -> None:
    for host in (name, f"*.{name}"):
        assert host_of_file(host_in_file(host)) == host
    assert "*" not in host_path("public", f"*.{name}")
    for odd in (f"_{name}", f"_wildcard._wildcard.{name}", f"*.{name}", "_wildcard."):
        assert host_of_file(odd) is None


def test_a_wildcard_is_a_file_of_the_ledger_like_another() -> None:
    owner = Owner(
        cluster="blue",
        cluster_id="guid",
        namespace="cf.domain",
        name="apps.example.com",
        route="tls",
    )
    entry = Entry(
        gateway="public", key="*.apps.example.com", state=PortState.ACTIVE, owner=owner
    )
    data = format_entry(entry)
    assert entry.path == "hosts/public/_wildcard.apps.example.com.yaml"
    assert parse_entry(entry.path, data) == entry
    with pytest.raises(Malformed):
        parse_entry("hosts/public/apps.example.com.yaml", data)
    with pytest.raises(Malformed):
        parse_entry("hosts/public/*.apps.example.com.yaml", data)
    assert parse_key("*.apps.example.com") == entry.key
    assert str(parse_subject(str(APPS), ["public"], ["blue"]).unit) == str(APPS)  # type: ignore[union-attr]


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("name", ["foundation-domain", "foundation-tcp"])
def test_files_of_a_foundation_say_all_of_themselves(renderer: str, name: str) -> None:
    case, made = CASES[name], rendering_settings(renderer=renderer)
    files = render(case.placement, case.addresses, made.gateways[0], made)
    assert parse_addresses(files.endpoints) == case.addresses
    placement, header = parse_wish(files.wish), parse_wish_header(files.wish)
    assert placement is not None
    assert header is not None
    assert header.unit == case.addresses.unit
    assert placement.wish.unit == case.placement.wish.unit
    assert [e.key for r in placement.routes for e in r.wish.destinations] == [
        e.key for r in case.placement.routes for e in r.wish.destinations
    ]


def test_the_prover_says_a_name_below_a_wildcard() -> None:
    assert name_to_dial("*.apps.example.com") == "wharfinger.apps.example.com"
    assert name_to_dial("a.example.com") == "a.example.com"
    assert str(Dial(address="10.0.0.1", port=443)) == "10.0.0.1:443"


@pytest.mark.parametrize(
    ("host", "permitted"),
    [
        ("*.apps.example.com", True),
        ("*.eu.apps.example.com", True),
        ("*.example.com", False),
        ("*.apps.example.org", False),
        ("*.com", False),
        ("*.", False),
        ("*", False),
        ("*.*.apps.example.com", False),
        ("a.*.apps.example.com", False),
        ("*apps.example.com", False),
        ("*.k8s.example.com", False),
        ("*.eu1.k8s.example.com", True),
        ("*.tcp.example.com", True),
    ],
)
def test_a_wildcard_is_permitted_as_a_whole(host: str, permitted: bool) -> None:
    made = builders.settings(
        tenant(hosts=[".apps.example.com", "k8s.example.com", ".tcp.example.com"]),
        domain="example.com",
    )
    refusal = host_refusal(made, made.tenants[0], host)
    assert (refusal is None) is permitted, refusal


def test_no_wildcard_holds_names_of_the_platform() -> None:
    anything = tenant(hosts=["example.com", "com"])
    made = builders.settings(anything, domain="example.com")
    of = made.tenants[0]
    for host in ("*.example.com", "*.k8s.example.com", "*.com"):
        assert host_refusal(made, of, host) is not None
    deep = {"hostname": "api.{cluster}.k8s.{domain}"}
    made = builders.settings(anything, domain="example.com", apis=deep)
    assert host_refusal(made, made.tenants[0], "*.eu1.k8s.example.com") is not None


def inventories(**shares: Any) -> list[dict[str, Any]]:
    def foundation(name: str, network: str, **rest: Any) -> dict[str, Any]:
        source = {"credentials": name, "routers": [f"{network}.10"], **rest}
        return {"name": name, "cloudFoundry": source}

    return [
        foundation("blue", "10.20.1", tcpRouters=["10.20.1.20"], **shares),
        foundation("green", "10.20.2"),
    ]


def claimed(
    source: VirtualService,
    cluster: str = "blue",
    under: Settings | None = None,
    head: UnitAddresses | None = None,
) -> Wanted | Rejection | None:
    entry = ClusterEntry(name=cluster, inventory=cluster, cluster_id=f"id-{cluster}")
    view = ClusterView(entry=entry, objects=ClusterObjects(virtual_services=(source,)))
    made = under or builders.settings(inventories=inventories())
    known = {head.unit: head} if head is not None else {}
    found = claim(view, made, known, NOW).claims
    return found[0].outcome if found else None


def offered(
    namespace: str, name: str, spec: dict[str, object], **annotations: str
) -> VirtualService:
    expose = "tls" if namespace == "cf.domain" else "tcp"
    ours = {f"wharfinger.dev/{k}": text for k, text in annotations.items()}
    return VirtualService(
        namespace=namespace,
        name=name,
        uid="guid",
        resource_version="1",
        generation=0,
        deleting=False,
        annotations={"wharfinger.dev/expose": expose, **ours},
        spec=spec,
    )


def domain(name: str = "x.apps.example.com", **annotations: str) -> VirtualService:
    return offered("cf.domain", name, {"hosts": (f"*.{name}",)}, **annotations)


def route(port: int = 1024, **annotations: str) -> VirtualService:
    name = "tcp.example.com"
    spec = {"domain": name, "port": port}
    return offered("cf.tcp", f"{name}-{port}", spec, **annotations)


def code(found: Wanted | Rejection | None) -> Code:
    assert isinstance(found, Rejection), found
    return found.code


def test_what_means_nothing_for_a_foundation_is_refused() -> None:
    assert isinstance(claimed(domain()), Wanted)
    assert isinstance(claimed(route()), Wanted)
    assert code(claimed(route(backend="pod"))) is Code.INVALID_ANNOTATION
    assert code(claimed(route(expose="tls"))) is Code.INVALID_EXPOSE
    assert code(claimed(domain(expose="tcp"))) is Code.INVALID_EXPOSE
    assert code(claimed(route(gateway="private"))) is Code.GATEWAY_NOT_ALLOWED
    assert code(claimed(route(failover="maybe"))) is Code.INVALID_ANNOTATION
    assert code(claimed(domain("X.apps.example.com"))) is Code.INVALID_NAME
    assert code(claimed(domain("x.example.com"))) is Code.HOST_NOT_ALLOWED
    assert code(claimed(route(), "green")) is Code.NO_ROUTERS


def test_no_cluster_can_say_that_it_is_a_foundation() -> None:
    entry = ClusterEntry(name="eu1", inventory="lab", cluster_id="id")
    objects = ClusterObjects(virtual_services=(domain(), route()))
    view = ClusterView(entry=entry, objects=objects)
    found = claim(view, builders.settings(), {}, NOW).claims
    assert [code(each.outcome) for each in found] == [Code.INVALID_NAME] * 2
    mail = offered("shop", "mail", {})
    assert code(claimed(mail)) is Code.INVALID_NAME


def test_who_shares_a_name_and_does_not_own_it_leaves_it_alone() -> None:
    shares = {"*.x.apps.example.com": {"blue": 9, "green": 1}}
    under = builders.settings(inventories=inventories(shares=shares))
    owned = claimed(domain(), under=under)
    assert isinstance(owned, Wanted)
    (located,) = owned.addresses.routes
    assert [(str(e.addresses[0]), e.destination.weight) for e in located.located] == [
        ("10.20.1.10:443", 9),
        ("10.20.2.10:443", 1),
    ]
    assert claimed(domain(), "green", under) is None
    unit = UnitId(cluster="green", namespace="cf.domain", name="x.apps.example.com")
    head = UnitAddresses(unit=unit, failover=owned.addresses.failover, routes=())
    assert code(claimed(domain(), "green", under, head)) is Code.SHARED_ELSEWHERE


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ({"*.apps.example.com": {"green": 1}}, "expected blue among its shares"),
        ({"*.apps.example.com": {"blue": 0}}, "one of them above 0"),
        ({"*.apps.example.com": {"blue": 1, "red": 1}}, "red is no inventory"),
        ({"*.apps.example.com": {"blue": -1}}, "expected at least 0"),
        ({"apps.example.com": {"blue": 1}}, "expected *.DOMAIN or DOMAIN:PORT"),
        ({"tcp.example.com:0": {"blue": 1}}, "expected *.DOMAIN or DOMAIN:PORT"),
        ({"tcp.example.com:123456": {"blue": 1}}, "expected *.DOMAIN"),
    ],
)
def test_shares_that_cannot_be_meant_are_faults(
    shares: dict[str, Any], words: str
) -> None:
    body = {
        "apiVersion": "wharfinger.dev/v1alpha1",
        "kind": "Settings",
        "domain": "example.com",
        "gateways": [
            {
                "name": "public",
                "renderer": "envoy",
                "namespace": "ingress",
                "ports": {"range": "20000-20099"},
            }
        ],
        "inventories": inventories(shares=shares),
        "tenants": [],
    }
    with pytest.raises(InvalidSettings) as caught:
        parse(dump(body).encode())
    assert words in str(caught.value)

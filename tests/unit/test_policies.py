"""The policies of `policies/`, judged offline: what they refuse, and that we never write it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler import yamlio
from reconciler.claim.annotations import read
from reconciler.claim.refusals import Refused
from reconciler.policies.documents import PolicySet, parse_policies
from reconciler.policies.judge import Denial, Judge, Request
from reconciler.policies.sources import builtin_policies
from reconciler.settings import Renderer, Tenant
from reconciler.tenants import address_refusal, canonical_host
from tests import policy_cases as table
from tests import policy_expressions as expressions
from tests.policy_objects import backend, entry, tenants
from tests.rendering import RENDERERS

CASES = table.cases()
RENDERED = Path(__file__).resolve().parents[1] / "cases" / "render"
JUDGE = Judge.of(table.all_policies())
TRIED = Judge.of(
    parse_policies("tried.yaml", yamlio.dump_all(expressions.policy()).encode())
)


def judged(case: table.Case, judge: Judge = JUDGE) -> tuple[Denial, ...]:
    labels = {} if case.tenant else table.LABELS
    request = Request(object=case.document, user="admin", namespace_labels=labels)
    return judge.judge(request)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_an_object_is_refused_by_the_policy_that_it_offends_alone(
    case: table.Case,
) -> None:
    found = judged(case)
    assert [each.policy for each in found] == ([case.policy] if case.policy else [])
    assert all(case.words in each.message for each in found)


def without_one() -> Iterator[tuple[str, PolicySet]]:
    """The set with one validation less, for each."""
    whole = table.all_policies()
    for name, policy in whole.policies.items():
        for index, validation in enumerate(policy.validations):
            kept = policy.validations[:index] + policy.validations[index + 1 :]
            changed = {name: replace(policy, validations=kept)}
            yield (
                f"{name}: {validation.message}",
                PolicySet(
                    policies={**whole.policies, **changed}, bindings=whole.bindings
                ),
            )


@pytest.mark.parametrize(
    "reduced", [pytest.param(each, id=name) for name, each in without_one()]
)
def test_no_rule_of_a_policy_is_spare(reduced: PolicySet) -> None:
    judge = Judge.of(reduced)
    assert any(case.policy and not judged(case, judge) for case in CASES)


def golden() -> Iterator[tuple[Path, dict[str, object]]]:
    """Every object that a renderer for Kubernetes writes."""
    for path in sorted(RENDERED.glob("*/*.yaml")):
        if path.parent.name.startswith(kubernetes()):
            for document in yamlio.load_all(path.read_bytes()):
                assert isinstance(document.data, dict)
                yield path, document.data


def kubernetes() -> tuple[str, ...]:
    names = [f"{each}-" for each in RENDERERS if each is not Renderer.ENVOY]
    return tuple(each for each in names if each != "envoy-")


def test_nothing_that_we_write_is_refused() -> None:
    seen, refused = set(), []
    for path, document in golden():
        seen.add(document["kind"])
        request = Request(object=document, user="admin", namespace_labels=table.LABELS)
        refused += [f"{path.parent.name}: {each}" for each in JUDGE.judge(request)]
    assert not refused
    kinds = {"Backend", "ListenerSet", "TCPRoute", "TLSRoute"}
    assert seen >= kinds | {"ServiceEntry", "Gateway", "VirtualService"}


@pytest.mark.parametrize(
    ("text", "value"), expressions.EXPRESSIONS.items(), ids=expressions.EXPRESSIONS
)
def test_an_expression_has_the_value_that_it_has_on_a_server(
    text: str, value: str
) -> None:
    index = list(expressions.EXPRESSIONS).index(text)
    found = TRIED.judge(Request(object=expressions.config_map(index, "a")))
    if value == "error":
        assert len(found) == 1
        assert "resulted in error" in found[0].message
    else:
        said = [each.message for each in found]
        assert said == ([] if value == "true" else ["is false"])


WRAPPED = ("::ffff:0:{}", "64:ff9b::{}", "::{}")
NEAR = ("0.255.255.255", "1.0.0.0", "126.255.255.255", "127.0.0.0", "128.0.0.0")
EDGES = (*NEAR, "169.253.255.255", "169.254.0.0", "169.255.0.0", "223.255.255.255")
SPECIAL = ("224.0.0.0", "100.100.100.200", "168.63.129.16", "192.0.0.192")
V4 = st.one_of(
    st.ip_addresses(v=4).map(str), st.sampled_from([*EDGES, *SPECIAL, "240.0.0.1"])
)
V6 = st.one_of(
    st.ip_addresses(v=6).map(str),
    st.sampled_from(
        ["fe80::1", "febf::1", "fec0::1", "ff02::1", "2001::1", "2001:1::"]
    ),
    st.sampled_from(
        ["fd00:ec2::1", "fd20:ce::1", "fd00:42::42", "64:ff9b:1::1", "::2"]
    ),
    st.tuples(st.sampled_from(WRAPPED), V4).map(lambda made: made[0].format(made[1])),
    V4.map(lambda v4: f"2002:{_hex(v4)}::1"),
)
ANYWHERE = Tenant.model_validate({"clusters": ["*"], "gateways": ["public"]})


def _hex(v4: str) -> str:
    digits = f"{int(ipaddress.IPv4Address(v4)):08x}"
    return f"{digits[:4]}:{digits[4:]}"


@given(address=st.one_of(V4, V6))
def test_a_policy_and_the_reconciler_refuse_the_same_addresses(address: str) -> None:
    host = canonical_host(address)
    assert host is not None
    refused = address_refusal(ANYWHERE, *host) is not None
    expected = refused and address != "255.255.255.255"  # where nothing answers
    parsed = ipaddress.ip_address(address)
    mapped = parsed.version == 6 and parsed.ipv4_mapped is not None
    for document in (backend(address), entry(address)):
        request = Request(object=document, namespace_labels=table.LABELS)
        found = bool(JUDGE.judge(request))
        assert found == expected or (mapped and found), address


VALUES = st.one_of(
    st.sampled_from(
        ["", "tcp", "tls", "any", "none", "auto", "pod", "v1", "v2", "1", "65535"]
    ),
    st.sampled_from(
        ["65536", "a=1", "a=1,b=2", "a=1,a=2", "a=1,b=1", "1,2", "a", "x "]
    ),
    st.text(alphabet="a1=,.-Z \n\u0661", max_size=9),
)
KEYS = st.sampled_from(
    [
        "gateway",
        "request_port",
        "failover",
        "backend",
        "proxy_protocol",
        "max_connections",
        "state",
        "x",
    ]
)


@given(
    asked=st.dictionaries(KEYS, VALUES, max_size=3),
    expose=st.sampled_from(["tcp", "tls", "TCP"]),
)
def test_a_policy_and_the_reconciler_read_annotations_alike(
    asked: dict[str, str], expose: str
) -> None:
    document = tenants(expose=expose, **asked)
    try:
        read(document["metadata"]["annotations"])
        refused = False
    except Refused:
        refused = True
    found = JUDGE.judge(Request(object=document, user="admin"))
    assert bool([e for e in found if e.policy == table.ANNOTATIONS]) == refused


def test_who_writes_is_not_known_offline() -> None:
    faked = tenants(state="Ready")
    assert JUDGE.judge(Request(object=faked)) == ()
    assert [name for name, _ in JUDGE.unjudged()] == [table.WRITTEN]
    assert JUDGE.unjudged("admin") == ()


def test_the_package_brings_the_policies_of_the_platform_cluster_alone() -> None:
    found = builtin_policies()
    assert table.ANNOTATIONS not in found.policies
    assert set(found.policies) < set(table.all_policies().policies)
    assert Judge.of(found).unjudged() == ()

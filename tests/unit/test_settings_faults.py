"""Faults of settings that need more than one look: several at once, hints, contradictions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from reconciler import yamlio
from reconciler.errors import InvalidSettings
from reconciler.settings_file import json_schema, parse

BASE = """\
apiVersion: wharfinger.dev/v1alpha1
kind: Settings
domain: ingress.example.com
gateways:
  - name: public
    renderer: envoy
    namespace: ingress
    ports: {range: 20000-20099}
inventories:
  - name: lab
    directory: {path: clusters}
tenants:
  - clusters: ["*"]
    gateways: [public]
"""
FULL = """\
apiVersion: wharfinger.dev/v1alpha1
kind: Settings
domain: ingress.example.com
platform: {context: in-cluster}
gateways:
  - name: public
    renderer: envoy-gateway
    namespace: platform-ingress
    host: tcp.ingress.example.com
    ports: {range: 20000-29999, static: 20000-20127, exclude: [20443], max: 1000}
    tlsPort: 443
    proof: {argocd: [argocd/ingress-*]}
inventories:
  - name: lab
    directory: {path: /srv/clusters}
apis: {hostname: "{cluster}.k8s.{domain}", mode: auto, gateway: public}
tenants:
  - clusters: ["prod-*"]
    gateways: [public]
    endpoints: [10.20.0.0/16]
    hosts: [.apps.ingress.example.com]
    quota: {routes: 100, perNamespace: 20}
review: {mode: direct, maxOpen: 20}
guards: {deletions: {percent: 10, atLeast: 3}, rewrites: {percent: 10}, confirmations: 2, grace: 60s}
release: {quarantine: 24h, drain: 10m}
"""


def changed(*pairs: tuple[str, str], add: str = "", text: str = BASE) -> str:
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new, 1)
    return text + add


def faults(text: str) -> list[str]:
    with pytest.raises(InvalidSettings) as caught:
        parse(text.encode())
    return list(caught.value.faults)


def test_the_example_of_the_contract_is_valid() -> None:
    settings = parse(FULL.encode())
    assert settings.gateways[0].ports.max == 1000
    assert settings.tenants[0].quota.per_namespace == 20


def test_faults_of_every_kind_come_together_in_the_order_of_the_file() -> None:
    text = changed(
        ("domain: ingress", "domain: Ingress"),
        ("20000-20099}", "20000-20099, max: 101}"),
        ("[public]", "[publik]"),
        add="gaurds: {}\nkind: Settings\napis: {mode: x, gateway: nope}\n",
    )
    assert [each.partition(": ")[0] for each in faults(text)] == [
        "wharfinger.yaml:3:9 domain",
        "wharfinger.yaml:8:38 gateways[0].ports.max",
        "wharfinger.yaml:14:16 tenants[0].gateways[0]",
        "wharfinger.yaml:15:1 gaurds",
        "wharfinger.yaml:16:1 kind",
        "wharfinger.yaml:17:14 apis.mode",
        "wharfinger.yaml:17:26 apis.gateway",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (changed(("renderer:", "Renderer:")), "Renderer: unknown key, did you mean renderer?"),
        (changed(add="review: {max_open: 1}\n"), "max_open: unknown key, did you mean maxOpen?"),
        (changed(add="static: 1\n"), "static: unknown key, `wharfinger schema` lists"),
        (changed(add="release: {zzz: 1}\n"), "zzz: unknown key, expected one of drain, quarantine"),
        (changed(("20099}", "20099}\n    mirrors: public")), "mirrors: unknown key"),
        (changed(("20099}", "20099}\n    proof: {argo: [a]}")), "did you mean argocd?"),
    ],
)  # fmt: skip
def test_unknown_keys_come_with_a_hint_of_their_own_mapping(
    text: str, said: str
) -> None:
    assert any(said in each for each in faults(text)), faults(text)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            changed(("directory: {path: clusters}", "directory: {path: a}\n    kubeconfig: {}")),
            "10:5 inventories[0]: expected exactly one source: directory, kubeconfig, tkgi, clusterApi, clusterProfile, openClusterManagement, argocd, flux, rancher, karmada, gardener, cloudFoundry",
        ),
        (
            changed(add="watch: {quiet: 20s}\n"),
            "15:8 watch: expected longest to be no shorter than quiet",
        ),
        (
            changed(("20099}", "20099}\n    proof: {argocd: [a/b], flux: [c/d]}")),
            "9:12 gateways[0].proof: names two engines, expected one of argocd, flux, envoySync",
        ),
        (
            changed(("20000-20099}", "20000-20099, exclude: 20000-20099}")),
            "8:42 gateways[0].ports.exclude: excludes the whole range, expected some ports left",
        ),
        (
            changed(add="guards: {deletions: {percent: 101}}\n"),
            "15:31 guards.deletions.percent: expected at most 100 (found 101)",
        ),
        (
            changed(add="guards: {confirmations: 0}\n"),
            "15:25 guards.confirmations: expected at least 1 (found 0)",
        ),
        (
            changed(("[public]", "[]")),
            "14:15 tenants[0].gateways: expected at least 1 in the list (found an empty list)",
        ),
        (
            changed(add="    volatileBackends: yes\n"),
            "15:23 tenants[0].volatileBackends: expected true or false (found 'yes')",
        ),
        (
            changed(("domain: ingress.example.com", "domain:")),
            "3:8 domain: expected text (found nothing)",
        ),
        (
            changed(("directory:", "names: {old: all}\n    directory:")),
            "11:18 inventories[0].names.old: expected a cluster's name: "
            "a DNS label other than all (found 'all')",
        ),
        (
            changed(add="signing: {keys: [secret]}\n"),
            "15:18 signing.keys[0]: expected the line of a .pub file, "
            "such as ssh-ed25519 AAAA... (found 'secret')",
        ),
        (
            changed(("path: clusters", 'path: ""')),
            "11:23 inventories[0].directory.path: expected text that is not empty (found '')",
        ),
    ],
)  # fmt: skip
def test_a_fault_says_what_was_expected_in_plain_words(text: str, fault: str) -> None:
    assert faults(text) == [f"wharfinger.yaml:{fault}"]


@pytest.mark.parametrize(
    ("hostname", "said"),
    [
        ("api.{domain}", "{cluster} once as a label"),
        ("{cluster}.{cluster}.{domain}", "{cluster} once as a label"),
        ("k8s-{cluster}.{domain}", "{cluster} once as a label"),
        ("{cluster}.{domian}", "{cluster} once as a label"),
        ("{cluster}..{domain}", "{cluster} once as a label"),
        ("{cluster}.example.org", "below the domain ingress.example.com"),
        ("{cluster}.evilingress.example.com", "below the domain"),
    ],
)
def test_api_names_are_one_label_below_the_domain(hostname: str, said: str) -> None:
    (fault,) = faults(changed(add=f'apis: {{hostname: "{hostname}"}}\n'))
    assert fault.startswith("wharfinger.yaml:15:18 apis.hostname: ")
    assert said in fault


@pytest.mark.parametrize(
    "hostname",
    [
        "{cluster}.{domain}",
        "{cluster}.k8s.ingress.example.com",
        "api.{cluster}.{domain}",
    ],
)
def test_other_api_names_below_the_domain_are_fine(hostname: str) -> None:
    settings = parse(changed(add=f'apis: {{hostname: "{hostname}"}}\n').encode())
    assert settings.api_host("eu1").endswith(".ingress.example.com")


def test_ports_that_are_skipped_anyway_may_lie_in_the_range() -> None:
    """The TLS port, ports of the proxies and what `exclude` names outside of the range."""
    text = changed(
        ("20000-20099}", "[10000-20099, 20100-20200], exclude: [80, 10443]}\n    tlsPort: 15443")
    )  # fmt: skip
    assert parse(text.encode()).gateways[0].tls_port == 15443


def test_static_may_reach_over_ranges_that_touch() -> None:
    text = changed(("20000-20099}", "[20000-20049, 20050-20099], static: 20040-20060}"))
    assert len(parse(text.encode()).gateways[0].ports.static) == 1


def test_a_broken_gateway_is_not_reported_again_where_it_is_named() -> None:
    assert len(faults(changed(("name: public", "name: Public")))) == 1


def test_long_and_hostile_values_are_cut_and_escaped() -> None:
    text = changed(
        ("ingress.example.com", '"' + "x" * 500 + '\\e]0;evil\\a"'),
        add='"\\u202ekey\\e[31m": 1\n',
    )
    for fault in faults(text):
        assert fault.isprintable()
        assert len(fault) < 200


def accepts(schema: Mapping[str, Any], value: object, root: Mapping[str, Any]) -> bool:
    """The part of JSON Schema 2020-12 that our schema uses; other words are an error."""
    words = {
        "$ref": lambda ref: accepts(root["$defs"][ref.rpartition("/")[2]], value, root),
        "anyOf": lambda parts: any(accepts(part, value, root) for part in parts),
        "type": lambda name: is_type(value, name),
        "const": lambda wanted: value == wanted,
        "enum": lambda wanted: value in wanted,
        "pattern": lambda text: not isinstance(value, str) or bool(re.search(text, value)),
        "minLength": lambda least: not isinstance(value, str) or len(value) >= least,
        "maxLength": lambda most: not isinstance(value, str) or len(value) <= most,
        "minimum": lambda least: not is_type(value, "integer") or value >= least,
        "maximum": lambda most: not is_type(value, "integer") or value <= most,
        "minItems": lambda least: not isinstance(value, list) or len(value) >= least,
        "items": lambda part: not isinstance(value, list)
        or all(accepts(part, each, root) for each in value),
        "required": lambda keys: not isinstance(value, dict) or set(keys) <= set(value),
        "properties": lambda parts: not isinstance(value, dict)
        or all(accepts(parts[k], v, root) for k, v in value.items() if k in parts),
        "additionalProperties": lambda part: not isinstance(value, dict)
        or all(
            part is not False and accepts(part, v, root)
            for k, v in value.items()
            if k not in schema.get("properties", {})
        ),
    }  # fmt: skip
    silent = {"$schema", "$defs", "title", "description", "default"}
    return all(words[key](part) for key, part in schema.items() if key not in silent)


def is_type(value: object, name: str) -> bool:
    kinds = {
        "string": str,
        "array": list,
        "object": dict,
        "boolean": bool,
        "integer": int,
    }
    if name == "null":
        return value is None
    fits = isinstance(value, kinds[name])
    return fits and (name == "boolean" or not isinstance(value, bool))


VALID = [
    BASE,
    FULL,
    changed(("20000-20099", "[20000-20099, 30000]")),
    changed(("20099}", "20099}\n    proof: off")),
    changed(("20099}", "20099}\n    proof: {flux: [a/b], connect: false}")),
    changed(add="guards: {grace: 0s, confirmations: 1}\nrelease: {drain: 1h30m}\n"),
    changed(add="    endpoints: [10.0.0.0/8, fd00::/8, .elb.example.com]\n"),
    changed(("directory: {path: clusters}", "kubeconfig: {contexts: [prod-*]}")),
]
INVALID = [
    "{}\n",
    "[]\n",
    changed(("kind: Settings", "kind: Other")),
    changed(("renderer: envoy", "renderer: nginx")),
    changed(("20000-20099", "20000..20099")),
    changed(("name: public", "name: Pub_lic")),
    changed(("domain: ingress", "domain: -ingress")),
    changed(add="guards: {grace: soon}\n"),
    changed(add="guards: {grace: ''}\n"),
    changed(add="guards: {confirmations: 0}\n"),
    changed(add="guards: {at_least: 1}\n"),
    changed(add="    volatileBackends: 1\n"),
    changed(add="    endpoints: [10.0.0.1, 5]\n"),
    changed(add="review: {mode: pr}\n"),
    changed(add="more: 1\n"),
]


@pytest.mark.parametrize("text", VALID)
def test_schema_and_parser_accept_the_same_files(text: str) -> None:
    parse(text.encode())
    assert accepts(json_schema(), _plain(text), json_schema())


@pytest.mark.parametrize("text", INVALID)
def test_schema_and_parser_refuse_the_same_files(text: str) -> None:
    faults(text)
    assert not accepts(json_schema(), _plain(text), json_schema())


def _plain(text: str) -> object:
    return yamlio.load(text.encode())


def test_the_schema_writes_defaults_as_people_do() -> None:
    guards = json_schema()["$defs"]["Guards"]["properties"]
    release = json_schema()["$defs"]["Release"]["properties"]
    assert guards["grace"]["default"] == "60s"
    assert (release["quarantine"]["default"], release["drain"]["default"]) == (
        "24h",
        "10m",
    )


def test_the_schema_is_of_the_draft_that_editors_know_and_in_camel_case() -> None:
    schema = json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    keys = {
        key for each in schema["$defs"].values() for key in each.get("properties", {})
    }
    assert {"atLeast", "perNamespace", "maxOpen", "tlsPort", "envoySync"} <= keys
    assert not any("_" in key for key in keys)

"""Reading `wharfinger.yaml`: every fault at once, at its place, in words that help."""

from __future__ import annotations

from datetime import timedelta

import pytest

from reconciler.errors import Exit, InvalidSettings
from reconciler.settings import ApiMode
from reconciler.settings_file import json_schema, parse

MINIMAL = """\
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


def faults(text: str) -> list[str]:
    """The faults of a file, each checked to have the form of the contract."""
    with pytest.raises(InvalidSettings) as caught:
        parse(text.encode())
    assert caught.value.exit is Exit.USAGE
    assert "\n".join(caught.value.faults) == str(caught.value)
    for fault in caught.value.faults:
        place, _, rest = fault.partition(" ")
        file, line, column = place.split(":")
        assert file == "wharfinger.yaml"
        assert int(line) >= 1
        assert int(column) >= 1
        assert ": " in rest
    return list(caught.value.faults)


def changed(old: str, new: str) -> str:
    assert old in MINIMAL
    return MINIMAL.replace(old, new)


def test_the_required_keys_are_enough_and_defaults_are_the_contract() -> None:
    settings = parse(MINIMAL.encode())
    gateway = settings.gateways[0]
    assert settings.host(gateway) == "tcp.ingress.example.com"
    assert (gateway.tls_port, gateway.ports.static, gateway.proof) == (443, (), None)
    assert settings.platform is None
    assert settings.apis.mode is ApiMode.AUTO
    assert settings.api_host("eu1") == "eu1.k8s.ingress.example.com"
    assert (settings.guards.deletions.percent, settings.guards.rewrites.percent) == (
        10,
        10,
    )
    assert settings.guards.deletions.at_least == 3
    assert settings.guards.confirmations == 2
    assert settings.guards.grace == timedelta(seconds=60)
    assert settings.release.quarantine == timedelta(hours=24)
    assert settings.release.drain == timedelta(minutes=10)
    assert settings.tenants[0].quota.routes is None


def test_a_change_rests_two_seconds_and_fifteen_at_most() -> None:
    watch = parse(MINIMAL.encode()).watch
    assert (watch.quiet, watch.longest) == (timedelta(seconds=2), timedelta(seconds=15))
    text = MINIMAL + "watch: {quiet: 0s, longest: 0s}\n"
    assert parse(text.encode()).watch.quiet == timedelta(0)


def test_confirmations_may_be_one_and_grace_nothing() -> None:
    text = MINIMAL + "guards: {confirmations: 1, grace: 0s}\n"
    guards = parse(text.encode()).guards
    assert (guards.confirmations, guards.grace) == (1, timedelta(0))


def test_all_faults_come_at_once_each_at_its_value() -> None:
    text = changed("domain: ingress.example.com", "domain: 5").replace(
        "renderer: envoy", "renderer: nginx"
    )
    found = faults(text + "guards: {grace: soon}\n")
    assert [each.split(" ")[0] for each in found] == [
        "wharfinger.yaml:3:9",
        "wharfinger.yaml:6:15",
        "wharfinger.yaml:15:17",
    ]
    assert found[1].startswith("wharfinger.yaml:6:15 gateways[0].renderer: ")
    assert "envoy-gateway" in found[1]


@pytest.mark.parametrize(
    ("text", "place", "path", "said"),
    [
        (MINIMAL + "gaurds: {}\n", "15:1", "gaurds", "did you mean guards?"),
        (MINIMAL + "zzz: 1\n", "15:1", "zzz", "unknown key"),
        (
            changed("namespace: ingress", "namespace: ingress\n    tlsPrt: 443"),
            "8:5",
            "gateways[0].tlsPrt",
            "did you mean tlsPort?",
        ),
        (changed("domain: ingress.example.com\n", ""), "1:1", "domain", "is required"),
        (
            changed("    namespace: ingress\n", ""),
            "5:5",
            "gateways[0].namespace",
            "is required",
        ),
        (
            changed("gateways: [public]", "gateways: [pubic]"),
            "14:16",
            "tenants[0].gateways[0]",
            "there is no gateway pubic",
        ),
        (changed("20000-20099", "20099-20000"), "8:20", "gateways[0].ports.range", ""),
        (changed("20000-20099", "0-70000"), "8:20", "gateways[0].ports.range", ""),
        (
            changed("20000-20099}", "20000-20009, max: 11}"),
            "8:38",
            "gateways[0].ports.max",
            "only 10 ports",
        ),
        (
            changed("20000-20099}", "20000-20009, static: 1-2}"),
            "8:41",
            "gateways[0].ports.static",
            "not inside",
        ),
        (changed("domain: ing", "domain: ING"), "3:9", "domain", "DNS name"),
        (changed("name: public", "name: Pub_lic"), "5:11", "gateways[0].name", "label"),
        (changed("kind: Settings", "kind: Other"), "2:7", "kind", "Settings"),
        (
            changed("directory: {path: clusters}", "directory: {}"),
            "11:16",
            "inventories[0].directory.path",
            "is required",
        ),
        (
            changed("    directory: {path: clusters}\n", ""),
            "10:5",
            "inventories[0]",
            "exactly one source",
        ),
        (
            MINIMAL + "guards: {confirmations: 0}\n",
            "15:25",
            "guards.confirmations",
            "",
        ),
        (
            MINIMAL + 'guards: {confirmations: "2"}\n',
            "15:25",
            "guards.confirmations",
            "",
        ),
        (MINIMAL + "release: {drain: 10}\n", "15:18", "release.drain", "duration"),
        (
            MINIMAL + "    endpoints: [10.0.0.1/8]\n",
            "15:17",
            "tenants[0].endpoints[0]",
            "CIDR",
        ),
        (
            MINIMAL + 'apis: {hostname: "x.{domain}"}\n',
            "15:18",
            "apis.hostname",
            "{cluster}",
        ),
        (MINIMAL + "apis: {gateway: nope}\n", "15:17", "apis.gateway", "no gateway"),
    ],
)
def test_a_fault_names_the_offending_value(
    text: str, place: str, path: str, said: str
) -> None:
    (fault,) = faults(text)
    assert fault.startswith(f"wharfinger.yaml:{place} {path}: "), fault
    assert said in fault


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        (MINIMAL + "domain: other.example.com\n", "15:1", "twice"),
        (changed("name: public", "name: public\n    name: other"), "6:5", "twice"),
        ("a: [1\n", "2:1", ""),
        ("a: &x 1\n", "1:4", "anchors"),
        (MINIMAL + "---\n" + MINIMAL, "1:1", "one YAML document"),
        ("", "1:1", "one YAML document"),
        ("[]\n", "1:1", "expected a mapping"),
        ("just text\n", "1:1", "expected a mapping"),
    ],
)
def test_a_file_that_is_no_settings_is_one_fault(
    text: str, place: str, said: str
) -> None:
    (fault,) = faults(text)
    assert fault.startswith(f"wharfinger.yaml:{place} "), fault
    assert said in fault


def test_the_same_name_twice_is_a_fault_at_the_second() -> None:
    second = "  - {name: public, renderer: envoy, namespace: x, ports: {range: 1-2}}\n"
    text = changed("inventories:\n", f"{second}inventories:\n")
    (fault,) = faults(text)
    assert fault.startswith("wharfinger.yaml:9:12 gateways[1].name: ")


def test_control_characters_of_a_file_are_not_repeated() -> None:
    (fault,) = faults(MINIMAL + '"evil\\u001b[2J": 1\n')
    assert "\x1b" not in fault


def test_the_schema_names_what_is_required_and_forbids_the_rest() -> None:
    schema = json_schema()
    required = {"apiVersion", "kind", "domain", "gateways", "inventories", "tenants"}
    assert set(schema["required"]) == required
    assert schema["additionalProperties"] is False
    assert set(schema["$defs"]["Gateway"]["required"]) == {
        *("name", "renderer", "namespace", "ports"),
    }

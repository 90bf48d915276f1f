"""What the doctor says of what it saw: clocks, certificates, tokens, verbs."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.doctor import apis
from reconciler.doctor.findings import Level, exit_of, fail, ok, skipped, warn
from reconciler.doctor.permissions import (
    WORKLOAD,
    Need,
    hub_needs,
    platform_needs,
)
from reconciler.doctor.platform import SERVED
from reconciler.errors import Exit
from reconciler.kubesession import Certificate
from reconciler.model.access import Credentials
from reconciler.observe.inventories import HUBS
from reconciler.settings import Inventory, Renderer
from tests.builders import settings
from tests.stack.documents import load

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HOST = "eu1.k8s.example.com"
MANIFESTS = Path(__file__).parents[2] / "manifests"


def granted(manifest: str) -> set[tuple[str, str, str]]:
    """(group, resource, verb) of a ClusterRole in manifests/."""
    (role,) = [
        each
        for each in load((MANIFESTS / manifest).read_text())
        if each["kind"] == "ClusterRole"
    ]
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def asked(needs: tuple[Need, ...]) -> set[tuple[str, str, str]]:
    return {(each.group, each.resource, each.verb) for each in needs}


def test_what_is_asked_of_a_workload_cluster_is_what_its_role_grants() -> None:
    assert asked(WORKLOAD) == granted("rbac-workload.yaml")


def test_what_is_asked_of_the_platform_is_what_its_role_grants() -> None:
    gateways = [
        ("envoy-gateway", {"argocd": ["argocd/*"]}),
        ("istio-classic", {"flux": ["flux-system/*"]}),
    ]
    known = settings(
        gateways=[
            {
                "name": renderer,
                "renderer": renderer,
                "namespace": "ingress",
                "ports": {"range": f"{20000 + 100 * number}-{20099 + 100 * number}"},
                "proof": proof,
            }
            for number, (renderer, proof) in enumerate(gateways)
        ]
    )
    assert asked(platform_needs(known)) == granted("rbac-platform.yaml")


def test_plain_envoy_needs_nothing_of_the_platform() -> None:
    assert platform_needs(settings()) == ()


def test_every_renderer_says_which_kinds_it_needs() -> None:
    assert set(SERVED) == set(Renderer)


@pytest.mark.parametrize("source", sorted(HUBS))
def test_a_hub_is_asked_to_list_and_watch_what_its_inventory_reads(source: str) -> None:
    alias = Inventory.model_fields[source].alias or source
    inventory = Inventory.model_validate({"name": "hub", alias: {}})
    kinds = HUBS[source].kinds(inventory)
    needs = hub_needs(kinds, ("a", "b"))
    for kind in kinds:
        found = [each for each in needs if each.resource == kind.plural]
        assert {each.verb for each in found} == {"list", "watch"}
        spaces = {"a", "b"} if kind.namespaced else {""}
        assert {each.namespace for each in found} == spaces


@pytest.mark.parametrize(
    ("date", "level"),
    [
        ("Tue, 24 Nov 2026 12:00:10 GMT", Level.OK),
        ("Tue, 24 Nov 2026 11:59:31 GMT", Level.OK),
        ("Tue, 24 Nov 2026 12:05:00 GMT", Level.WARN),
        ("Tue, 24 Nov 2026 09:00:00 GMT", Level.WARN),
        ("", Level.SKIPPED),
        ("yesterday", Level.SKIPPED),
        ("Tue, 24 Nov 2026 12:00:10", Level.OK),
    ],
)
def test_a_clock_that_is_far_from_ours_is_told(date: str, level: Level) -> None:
    assert apis.clock("here", date, NOW).level is level


@pytest.mark.parametrize(
    ("names", "days", "levels"),
    [
        ((HOST,), 300, [Level.OK, Level.OK]),
        (("*.k8s.example.com",), 300, [Level.OK, Level.OK]),
        (("10.0.0.1", "kubernetes"), 300, [Level.WARN, Level.OK]),
        ((HOST,), 5, [Level.OK, Level.WARN]),
        ((HOST,), -1, [Level.OK, Level.FAIL]),
        ((), 300, [Level.WARN, Level.OK]),
    ],
)
def test_a_certificate_is_judged_by_its_names_and_its_end(
    names: tuple[str, ...], days: int, levels: list[Level]
) -> None:
    found = Certificate(names=names, until=NOW + timedelta(days=days))
    assert [e.level for e in apis.certificate("eu1", found, HOST, NOW)] == levels


def test_without_an_api_route_only_the_end_of_a_certificate_counts() -> None:
    found = Certificate(names=(), until=NOW + timedelta(days=300))
    assert [e.level for e in apis.certificate("eu1", found, "", NOW)] == [Level.OK]


def token(claims: object) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{body}.sig"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "opaque",
        "a.b",
        "a.!.c",
        token([]),
        token({}),
        token({"exp": "soon"}),
        token({"exp": True}),
        token({"exp": 10**30}),
    ],
)
def test_a_token_without_an_end_says_nothing(text: str) -> None:
    assert apis.token("eu1", Credentials(server="https://x", token=text), NOW) == []


def test_a_token_that_is_over_is_a_matter_of_credentials() -> None:
    over = token({"exp": int(NOW.timestamp()) - 1})
    (found,) = apis.token("eu1", Credentials(server="https://x", token=over), NOW)
    assert found.level is Level.FAIL
    assert exit_of([found]) is Exit.CREDENTIALS
    assert over not in repr(found)


def test_only_failures_change_the_exit_code() -> None:
    fine = [ok("a", "b", "c"), warn("a", "b", "c", "d"), skipped("a", "b", "c")]
    assert exit_of(fine) is Exit.DONE
    failed = fail("a", "b", "c", "d")
    assert exit_of([*fine, failed]) is Exit.INCOMPLETE

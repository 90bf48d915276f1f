"""Policies as people write them: what is read, what is refused, which requests they judge."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from reconciler import yamlio
from reconciler.errors import Usage
from reconciler.model.repository import BlobId, File
from reconciler.policies import cel
from reconciler.policies.documents import parse_policies
from reconciler.policies.judge import Judge, Request, plural
from reconciler.policies.manifests import Denied, judge_manifests
from reconciler.policies.sources import builtin_policies, policies_in
from tests.policy_cases import LABELS
from tests.policy_objects import backend, listener_set
from tests.rendering import settings

POLICY: dict[str, Any] = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicy",
    "metadata": {"name": "team"},
    "spec": {
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": ["gateway.envoyproxy.io"],
                    "apiVersions": ["v1alpha1"],
                    "operations": ["CREATE"],
                    "resources": ["backends"],
                }
            ]
        },
        "validations": [{"expression": "has(object.metadata.labels)"}],
    },
}
BINDING: dict[str, Any] = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicyBinding",
    "metadata": {"name": "team"},
    "spec": {"policyName": "team", "validationActions": ["Deny"]},
}


def written(policy: dict[str, Any], *more: dict[str, Any]) -> bytes:
    return yamlio.dump_all([policy, *(more or (BINDING,))]).encode()


def judge(binding: dict[str, Any] | None = None, **spec: Any) -> Judge:
    """The policy with fields of its spec changed."""
    policy = copy.deepcopy(POLICY)
    policy["spec"].update(spec)
    return Judge.of(parse_policies("team.yaml", written(policy, binding or BINDING)))


def said(made: Judge, **request: Any) -> list[str]:
    found = made.judge(Request(object=backend("10.0.0.1"), **request))
    return [each.message for each in found]


def checks(*expressions: str, **more: str) -> list[dict[str, str]]:
    return [{"expression": each, **more} for each in expressions]


def test_a_rule_that_does_not_hold_denies_with_the_best_message_there_is() -> None:
    assert said(judge()) == ["failed expression: has(object.metadata.labels)"]
    plain = checks("false", message=" why ")
    assert said(judge(validations=plain)) == ["why"]
    computed = checks("false", message="why", messageExpression="'of ' + object.kind")
    assert said(judge(validations=computed)) == ["of Backend"]
    for useless in (
        "' '",
        "'a\\nb'",
        "object.no",
        "1",
        "'aaaaaaaaaa'.replace('a', 'b') + 1",
    ):
        broken = checks("false", message="why", messageExpression=f"dyn({useless})")
        if "+ 1" not in useless:
            assert said(judge(validations=broken)) == ["why"], useless


def test_an_expression_without_a_value_denies_only_where_the_policy_fails_closed() -> (
    None
):
    broken = checks("object.no.no == 'x'")
    (found,) = said(judge(validations=broken))
    assert found.startswith("expression 'object.no.no == 'x'' resulted in error")
    assert said(judge(validations=broken, failurePolicy="Ignore")) == []
    condition = [{"name": "a", "expression": "object.no == 'x'"}]
    assert len(said(judge(matchConditions=condition))) == 1
    assert said(judge(matchConditions=condition, failurePolicy="Ignore")) == []


def test_a_variable_without_a_value_harms_only_who_reads_it() -> None:
    variables = [
        {"name": "broken", "expression": "object.no == 'x'"},
        {"name": "kind", "expression": "object.kind"},
    ]
    fine = checks("variables.kind == 'Backend'", "true || variables.broken")
    assert said(judge(variables=variables, validations=fine)) == []
    read = checks("variables.broken || variables.kind == ''")
    assert len(said(judge(variables=variables, validations=read))) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"apiGroups": [""]},
        {"apiGroups": ["gateway.networking.k8s.io"]},
        {"operations": ["UPDATE", "DELETE"]},
        {"resources": ["listenersets"]},
        {"resources": ["backends/status"]},
        {"scope": "Cluster"},
        {"resourceNames": ["other"]},
    ],
    ids=str,
)
def test_a_request_that_no_rule_names_is_not_judged(changed: dict[str, Any]) -> None:
    rule = POLICY["spec"]["matchConstraints"]["resourceRules"][0]
    match = {"resourceRules": [{**rule, **changed}]}
    assert said(judge(matchConstraints=match)) == []
    assert said(judge(matchConstraints={"resourceRules": [rule]})) != []


def test_excluded_resources_and_selectors_leave_objects_out() -> None:
    rule = POLICY["spec"]["matchConstraints"]["resourceRules"][0]
    rules = {"resourceRules": [rule]}
    assert said(judge(matchConstraints={**rules, "excludeResourceRules": [rule]})) == []
    for key, operator, values, holds in (
        ("team", "In", ["a", "b"], True),
        ("team", "In", ["b"], False),
        ("team", "NotIn", ["a"], False),
        ("other", "NotIn", ["a"], True),
        ("other", "In", ["a"], False),
        ("team", "Exists", [], True),
        ("other", "DoesNotExist", [], True),
        ("team", "DoesNotExist", [], False),
    ):
        wanted = {"key": key, "operator": operator, "values": values}
        selector = {"matchExpressions": [wanted]}
        made = judge(matchConstraints={**rules, "namespaceSelector": selector})
        found = said(made, namespace_labels={"team": "a"})
        assert bool(found) == holds, wanted
    unlabelled = {"matchLabels": {"team": "a"}}
    assert said(judge(matchConstraints={**rules, "objectSelector": unlabelled})) == []


def test_a_policy_counts_through_bindings_that_deny() -> None:
    warns = copy.deepcopy(BINDING)
    warns["spec"]["validationActions"] = ["Warn", "Audit"]
    made = judge(warns)
    assert said(made) == []
    assert made.unjudged() == (("team", "no binding makes it deny"),)
    narrow = copy.deepcopy(BINDING)
    selector = {"namespaceSelector": {"matchLabels": {"team": "a"}}}
    narrow["spec"]["matchResources"] = selector
    assert said(judge(narrow)) == []
    assert said(judge(narrow), namespace_labels={"team": "a"}) != []


def test_what_only_a_cluster_knows_is_told_and_not_judged() -> None:
    asks = checks("authorizer.group('').resource('pods').check('get').allowed()")
    assert judge(validations=asks).unjudged()[0][0] == "team"
    params = judge(paramKind={"apiVersion": "v1", "kind": "ConfigMap"})
    assert params.unjudged() == (("team", "its parameters are objects of the cluster"),)
    who = judge(validations=checks("request.userInfo.username == 'ada'"))
    assert said(who) == []
    assert len(who.unjudged()) == 1
    assert said(who, user="ada") == []
    assert len(said(who, user="bob")) == 1


def test_an_update_has_an_old_object() -> None:
    rule = POLICY["spec"]["matchConstraints"]["resourceRules"][0]
    match = {"resourceRules": [{**rule, "operations": ["*"]}]}
    same = checks("oldObject != null && oldObject.spec == object.spec", message="new")
    made = judge(matchConstraints=match, validations=same)
    assert said(made) == ["new"]
    assert said(made, old=backend("10.0.0.1")) == []
    assert said(made, old=backend("10.0.0.2")) == ["new"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"validations": checks("object.")}, "team.yaml:2: policy team: line 1"),
        (
            {"validations": checks("quantity('1')")},
            "undeclared reference to 'quantity'",
        ),
        (
            {"validations": checks("variables.no")},
            "there is no variable no before this",
        ),
        ({"validations": [{"expresion": "true"}]}, "unknown key 'expresion'"),
        ({"validations": {}}, "validations: expected a list"),
        ({"failurePolicy": "fail"}, "expected Fail or Ignore"),
        ({"matchConstraint": {}}, "unknown key 'matchConstraint'"),
        ({"matchConstraints": []}, "matchConstraints: expected a mapping"),
        ({"variables": [{"name": "a"}]}, "expression: expected a text"),
        (
            {"matchConstraints": {"objectSelector": {"matchLabels": {"a": 1}}}},
            "a: expected a text",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_fault_in_a_policy_is_an_error_with_its_place(
    change: dict[str, Any], words: str
) -> None:
    with pytest.raises(Usage) as error:
        judge(**change)
    assert words in str(error.value)
    assert str(error.value).startswith("team.yaml:2:")


def test_a_file_of_something_else_is_an_error() -> None:
    with pytest.raises(Usage, match="ConfigMap is neither"):
        parse_policies(
            "a.yaml",
            b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\nspec: {}\n",
        )
    with pytest.raises(Usage, match=r"a\.yaml:2"):
        parse_policies("a.yaml", b"a: 1\na: 2\n")
    with pytest.raises(Usage, match="the document: expected a mapping"):
        parse_policies("a.yaml", b"- a\n")


def test_a_folder_is_read_as_kubectl_reads_it(tmp_path: Path) -> None:
    with pytest.raises(Usage, match="no such folder"):
        policies_in(tmp_path / "no")
    (tmp_path / "README.md").write_text("- nothing")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "team.yaml").write_bytes(written(POLICY))
    with pytest.raises(Usage, match="no ValidatingAdmissionPolicy in it"):
        policies_in(tmp_path)
    (tmp_path / "team.yaml").write_bytes(written(POLICY))
    assert set(policies_in(tmp_path).policies) == {"team"}


def test_a_policy_of_the_same_name_replaces_ours(tmp_path: Path) -> None:
    own = copy.deepcopy(POLICY)
    own["metadata"]["name"] = "wharfinger-backend-addresses"
    own["spec"]["validations"] = checks("true")
    (tmp_path / "own.yaml").write_bytes(yamlio.dump(own).encode())
    request = Request(object=backend("127.0.0.1"))
    assert Judge.of(builtin_policies()).judge(request)
    assert not Judge.of(builtin_policies() | policies_in(tmp_path)).judge(request)


def test_without_the_library_nothing_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cel, "_cel", None)
    cel._environment.cache_clear()
    try:
        with pytest.raises(Usage, match="cel-expr-python is not installed"):
            Judge.of(builtin_policies())
    finally:
        monkeypatch.undo()
        cel._environment.cache_clear()


def test_resources_are_named_as_kubernetes_names_them() -> None:
    kinds = ("Backend", "SecurityPolicy", "Gateway", "ServiceEntry", "ListenerSet")
    assert [*map(plural, kinds)] == [
        *("backends", "securitypolicies", "gateways", "serviceentries"),
        "listenersets",
    ]
    assert plural("Ingress") == "ingresses"


def repository(**files: object) -> dict[str, File]:
    return {
        f"manifests/public/{name}.yaml": File(
            blob=BlobId("0" * 40),
            data=value if isinstance(value, bytes) else yamlio.dump(value).encode(),
        )
        for name, value in files.items()
    }


def test_manifests_are_judged_with_path_and_line() -> None:
    two = yamlio.dump_all([backend("10.0.0.1"), listener_set(15021)]).encode()
    listed = {
        "apiVersion": "v1",
        "kind": "List",
        "items": [backend("10.0.0.1"), backend("127.0.0.1")],
    }
    files = repository(two=two, listed=listed, broken=b"a: [", text=b"just text\n")
    made = Judge.of(builtin_policies())
    found = judge_manifests(files, settings(renderer="envoy-gateway"), made)
    line = two.decode().splitlines().index("kind: ListenerSet") + 1
    where = {(each.path.rpartition("/")[2], each.policy) for each in found}
    assert where == {
        ("two.yaml", "wharfinger-listeners"),
        ("listed.yaml", "wharfinger-backend-addresses"),
    }
    assert found[1] == Denied(
        path="manifests/public/two.yaml",
        line=line,
        policy="wharfinger-listeners",
        message="must not open a port that the proxies need (10080, 10443, 15000-15090, 19000-19003)",
    )
    assert judge_manifests(files, settings(renderer="envoy"), made) == ()


HOSTILE: tuple[dict[str, Any], ...] = (
    {"spec": {"endpoints": [{"ip": {"address": "\ud800", "port": 1}}]}},
    {"spec": {"endpoints": [{"ip": {"address": 10**30, "port": 1}}]}},
    {"spec": {"endpoints": [{"ip": {"address": "10.0.0.1\0", "port": 1}}]}},
    {"spec": {"endpoints": [{"ip": {"address": ".inf", "port": 1}}]}},
    {"spec": {"endpoints": [{"ip": {"address": float("nan")}}]}},
    {"spec": {"endpoints": {"a": "b"}}},
    {"spec": {"endpoints": [1, None, "a"]}, "metadata": []},
    {"spec": None, "metadata": {"name": 1, "labels": ["a"]}},
    {"metadata": {"labels": {"a": ["b"]}, "namespace": {"a": "b"}}},
)


@pytest.mark.parametrize("changes", HOSTILE, ids=str)
def test_what_no_server_would_take_is_a_denial_and_no_crash(
    changes: dict[str, Any],
) -> None:
    made = Judge.of(builtin_policies())
    found = made.judge(Request(object={**backend("127.0.0.1"), **changes}))
    assert {each.policy for each in found} == {"wharfinger-backend-addresses"}
    assert all(each.message.isprintable() for each in found)


def test_labels_of_the_gateways_namespace_are_those_of_the_manual() -> None:
    page = Path(__file__).parents[2] / "docs" / "policies.md"
    (key, value), *_ = LABELS.items()
    assert f"{key}={value}" in page.read_text()

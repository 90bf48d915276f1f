"""`check` judges a repository by admission policies: ours, a team's, or none, knowingly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reconciler import yamlio
from tests.ingress import Done, Ingress

BACKENDS = "manifests/public/eu1/shop/vs-orders.endpoints.yaml"
GATEWAYS = [
    {
        "name": "public",
        "renderer": "envoy-gateway",
        "namespace": "ingress",
        "ports": {"range": "20000-20099"},
    }
]
TEAM = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: team-ports}
spec:
  matchConstraints:
    resourceRules:
      - {apiGroups: [gateway.envoyproxy.io], apiVersions: ["*"], operations: [CREATE], resources: [backends]}
  validations:
    - expression: object.spec.endpoints.all(e, e.ip.port != 31000)
      message: port 31000 is the team's own
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: team-ports}
spec: {policyName: team-ports, validationActions: [Deny]}
"""


@pytest.fixture
def ingress(tmp_path: Path) -> Ingress:
    return Ingress(root=tmp_path / "place")


@pytest.fixture
def served(ingress: Ingress) -> Ingress:
    """One exposure on Envoy Gateway, reconciled."""
    ingress.start(gateways=GATEWAYS)
    assert ingress.run("reconcile", "-o", "json").code == 0
    ingress.pull()
    return ingress


@pytest.fixture
def team(tmp_path: Path) -> Path:
    folder = tmp_path / "team"
    folder.mkdir()
    (folder / "ports.yaml").write_text(TEAM)
    return folder


def about(done: Done, policy: str) -> list[str]:
    return [line for line in done.out.splitlines() if policy in line]


def aim_at(served: Ingress, address: str) -> int:
    """A person's edit of the addresses; the line of the object."""
    path = served.work / BACKENDS
    text = path.read_text().replace("10.20.0.1", address)
    served.commit({BACKENDS: text.encode()}, "Aim elsewhere")
    return text.splitlines().index("kind: Backend") + 1


def test_what_a_pass_wrote_offends_no_policy(served: Ingress) -> None:
    done = served.run("check")
    assert (done.code, done.err) == (0, "")


def test_an_edit_that_the_cluster_would_refuse_is_a_finding(served: Ingress) -> None:
    line = aim_at(served, "169.254.169.254")
    done = served.run("check")
    assert done.code == 5
    (found,) = about(done, "wharfinger-backend-addresses")
    assert found.startswith(f"{BACKENDS}:{line}:")
    assert "must not point at 169.254.169.254," in found
    assert not about(served.run("check", "--no-policies"), "must not point at")
    (log,) = json.loads(served.run("check", "-o", "sarif").out)["runs"]
    results = [
        e for e in log["results"] if e["ruleId"] == "wharfinger-backend-addresses"
    ]
    (place,) = results[0]["locations"]
    assert place["physicalLocation"]["region"]["startLine"] == line


def test_a_team_judges_by_its_own_policies_too(served: Ingress, team: Path) -> None:
    done = served.run("check", "--policies", str(team))
    assert done.code == 5
    (found,) = about(done, "team-ports")
    assert "port 31000 is the team's own" in found
    served.environment["WHARFINGER_POLICIES"] = str(team)
    assert about(served.run("check"), "team-ports")


def test_a_policy_that_cannot_be_judged_is_told(served: Ingress, team: Path) -> None:
    asking = TEAM.replace(
        "object.spec", "request.userInfo.username == '' || object.spec"
    )
    (team / "ports.yaml").write_text(asking)
    done = served.run("check", "--policies", str(team))
    assert done.code == 0
    assert "policy team-ports is not judged: it asks who writes" in done.err


def test_a_faulty_policy_is_exit_code_2_and_no_pass(
    served: Ingress, team: Path
) -> None:
    for broken, words in (
        (TEAM.replace("e.ip.port", "e.ip."), "ports.yaml:3: policy team-ports: line 1"),
        (TEAM.replace("spec:\n", "spec:\n  rules: []\n"), "unknown key 'rules'"),
        ("kind: [", "ports.yaml:"),
        ("", "there is no ValidatingAdmissionPolicy in it"),
    ):
        (team / "ports.yaml").write_text(broken)
        done = served.run("check", "--policies", str(team))
        assert done.code == 2
        assert words in done.err


def test_policies_and_no_policies_contradict(served: Ingress, team: Path) -> None:
    done = served.run("check", "--policies", str(team), "--no-policies")
    assert done.code == 2
    assert served.run("check", "--policies", str(team / "no")).code == 2


def test_without_the_library_the_gate_does_not_pass(
    served: Ingress, tmp_path: Path
) -> None:
    hidden = tmp_path / "hidden" / "cel_expr_python"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ImportError('not here')\n")
    served.environment["PYTHONPATH"] = str(hidden.parent)
    done = served.run("check")
    assert done.code == 2
    assert "cel-expr-python is not installed" in done.err
    assert "--no-policies" in done.err
    assert served.run("check", "--no-policies").code == 0


def test_every_renderer_writes_what_the_policies_permit(ingress: Ingress) -> None:
    ingress.start(
        gateways=[
            {**GATEWAYS[0], "name": name, "renderer": name, "namespace": name}
            for name in ("envoy-gateway", "istio", "istio-classic")
        ],
        tenants=[
            {
                "clusters": ["*"],
                "gateways": ["envoy-gateway", "istio", "istio-classic"],
                "endpoints": ["10.20.0.0/16"],
            }
        ],
    )
    for name in ("istio", "istio-classic"):
        annotations = {"wharfinger.dev/gateway": name}
        ingress.expose("eu1", name, annotations=annotations)
    assert ingress.run("reconcile", "-o", "json").code == 0
    ingress.pull()
    written = [
        document.data
        for path in (ingress.work / "manifests").rglob("vs-*.yaml")
        for document in yamlio.load_all(path.read_bytes())
    ]
    kinds = {each["kind"] for each in written if isinstance(each, dict)}
    assert kinds >= {"Backend", "ServiceEntry", "VirtualService"}
    done = ingress.run("check")
    assert (done.code, done.err) == (0, "")

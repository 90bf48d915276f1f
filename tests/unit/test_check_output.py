"""Findings in every format: whole, valid, and with nothing in them that a stranger can steer."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from reconciler.check.findings import HELP, Finding, finding
from reconciler.cli.check_output import code_quality, sarif, show, workflow_command
from reconciler.cli.explain import page
from reconciler.codes import Code

WISH = "manifests/public/eu1/shop/vs-orders.yaml"
PLAIN = finding(Code.NOT_RENDERED, WISH, "is not what its head renders to", (9, 3))
HOSTILE = Finding(
    path="holds/a\r\n::error file=x::b,c:d%0A\u202e.yaml",
    code=Code.UNSAFE_NAME,
    message="one\n::set-output name=x::y%25\x1b[2J",
    help="two\r\n##[group]",
)
POLICY = Finding(path=WISH, line=3, code="wharfinger-listeners/0", message="too many")
ALL = (PLAIN, HOSTILE, POLICY, PLAIN)
# Of the schema of SARIF 2.1.0: what an object must have, and what it may have of what we write.
REQUIRED: dict[str, set[str]] = {
    "log": {"version", "runs"},
    "run": {"tool"},
    "tool": {"driver"},
    "driver": {"name"},
    "rule": {"id"},
    "result": {"message"},
}


def test_sarif_has_the_structure_of_its_schema() -> None:
    log = sarif(ALL)
    assert set(log) == REQUIRED["log"] | {"$schema"}
    assert log["version"] == "2.1.0"
    assert re.fullmatch(r"https://\S+sarif\S*2\.1\.0\S*", log["$schema"])
    (run,) = log["runs"]
    assert set(run) == {"tool", "results", "columnKind"}
    assert run["columnKind"] in ("utf16CodeUnits", "unicodeCodePoints")
    driver = run["tool"]["driver"]
    assert REQUIRED["driver"] <= set(driver)
    assert re.fullmatch(r"https://\S+", driver["informationUri"])
    for rule in driver["rules"]:
        _is_rule(rule)
    assert len(run["results"]) == len(ALL)
    for result in run["results"]:
        _is_result(result, driver["rules"])


def _is_rule(rule: dict[str, Any]) -> None:
    assert REQUIRED["rule"] <= set(rule)
    assert all(rule[key]["text"] for key in ("shortDescription", "help"))
    assert rule["defaultConfiguration"]["level"] in ("none", "note", "warning", "error")
    if rule["id"] in set(Code):
        assert re.fullmatch(r"https://[a-z./]+/WHF6\d\d", rule["helpUri"])


def _is_result(result: dict[str, Any], rules: list[dict[str, Any]]) -> None:
    assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    assert result["message"]["text"]
    assert result["level"] == "error"
    (location,) = result["locations"]
    place = location["physicalLocation"]
    assert re.fullmatch(r"[A-Za-z0-9._~/%-]+", place["artifactLocation"]["uri"])
    assert min(place["region"].values()) >= 1
    assert all(place["region"].keys() & {"startLine", "startColumn"})
    assert re.fullmatch(r"[0-9a-f]{32}", result["partialFingerprints"]["wharfinger/v1"])


def test_sarif_of_nothing_is_a_run_without_results() -> None:
    (run,) = sarif(())["runs"]
    assert (run["results"], run["tool"]["driver"]["rules"]) == ([], [])


def test_two_findings_never_share_a_fingerprint_and_a_moved_line_keeps_it() -> None:
    prints = [each["fingerprint"] for each in code_quality(ALL)]
    assert len(set(prints)) == len(ALL)
    moved = finding(Code.NOT_RENDERED, WISH, PLAIN.message, (99, 1))
    assert code_quality((moved,))[0]["fingerprint"] == prints[0]


def test_code_quality_has_what_gitlab_needs() -> None:
    for each in code_quality(ALL, "apps/ingress/"):
        assert set(each) == {
            "description",
            "check_name",
            "fingerprint",
            "severity",
            "location",
        }
        assert each["severity"] in ("info", "minor", "major", "critical", "blocker")
        assert each["location"]["path"].startswith("apps/ingress/")
        assert each["location"]["lines"]["begin"] >= 1
        assert each["description"].isprintable()


def test_a_workflow_command_points_at_the_line() -> None:
    line = workflow_command(PLAIN, "apps/")
    assert line.startswith(
        f"::error file=apps/{WISH},line=9,col=3,title=WHF619 Not rendered::is not"
    )


@pytest.mark.parametrize("where", ["path", "message", "help", "code"])
@pytest.mark.parametrize(
    "text",
    [
        "a\n::error::b",
        "a\r::stop-commands::x",
        "a\r\n::add-mask::b",
        "x::y",
        "a,title=b",
        "a%0A::error::b",
        "\u2028::error::b",
        "\x85::error::b",
        "a]]::b",
        "\ud800",
    ],
)
def test_nothing_in_a_finding_starts_another_command(where: str, text: str) -> None:
    values = {"path": "p", "message": "m", "help": "h", "code": "c", where: text}
    line = workflow_command(Finding(**values))  # type: ignore[arg-type]
    assert len(line.splitlines()) == 1
    assert line.isprintable()
    properties, _, data = line.removeprefix("::error ").partition("::")
    keys = [each.partition("=")[0] for each in properties.split(",")]
    assert keys == ["file", "line", "col", "title"]
    assert not re.search(r"%(?!25|0A|0D|3A|2C)", line)
    assert data


@pytest.mark.parametrize(
    "output", ["text", "json", "markdown", "sarif", "github", "gitlab"]
)
def test_every_format_tells_every_finding_in_plain_text(
    output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show(ALL, output)
    said = capsys.readouterr().out
    assert all(each == "\n" or each.isprintable() for each in said)
    for code in (PLAIN.code, HOSTILE.code, POLICY.code):
        assert code in said
    if output in ("json", "sarif", "gitlab"):
        json.loads(said)
    show((), output)
    assert bool(capsys.readouterr().out) == (output != "github")


def test_text_says_what_to_do_once(capsys: pytest.CaptureFixture[str]) -> None:
    show((PLAIN, PLAIN), "text")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{WISH}:9:3: is not what its head renders to [WHF619]"
    assert lines.count(f"  {PLAIN.help}") == 1
    assert lines[-1] == "2 findings"


def test_every_rule_has_help_and_a_page() -> None:
    rules = {code for code in Code if "WHF601" <= code <= "WHF639"}
    assert set(HELP) == rules
    for code in rules:
        assert page(code).startswith(f"# {code}: ")

"""What GitHub and GitLab read of this repository: zizmor finds nothing, and the parts fit."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.ci_jobs import ACTION, ROOT, documents, interpolated, load

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
REUSABLE = [each for each in WORKFLOWS if each.name.startswith("wharfinger-")]
COMPONENTS = ("plan", "reconcile", "check")
ZIZMOR = Path(sys.executable).with_name("zizmor")
SHA = "0" * 40
OURS = "$/.github/actions/wharfinger"
INJECTION = """\
on: pull_request
permissions: {}
jobs:
  a:
    runs-on: ubuntu-latest
    steps:
      - run: echo "${{ github.event.pull_request.title }}"
"""


def zizmor(*paths: Path) -> subprocess.CompletedProcess[str]:
    argv = [str(ZIZMOR), "--offline", "--no-config", "--persona=pedantic"]
    return subprocess.run(
        [*argv, "--no-ignores", "--strict-collection", *map(str, paths)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def steps(path: Path) -> list[dict[str, Any]]:
    doc = load(path)[0]
    jobs = [doc["runs"]] if "runs" in doc else list(doc["jobs"].values())
    return [step for job in jobs for step in job["steps"]]


def test_zizmor_finds_nothing() -> None:
    found = zizmor(ROOT / ".github")
    assert found.returncode == 0, found.stdout + found.stderr
    for path in (*WORKFLOWS, ACTION / "action.yml"):
        assert f"completed {path}" in found.stderr, path


def test_zizmor_would_find_an_injection(tmp_path: Path) -> None:
    bad = tmp_path / ".github" / "workflows" / "bad.yml"
    bad.parent.mkdir(parents=True)
    bad.write_text(INJECTION)
    found = zizmor(bad)
    assert found.returncode != 0
    assert "template-injection" in found.stdout


@pytest.mark.parametrize("path", [*WORKFLOWS, ACTION / "action.yml"])
def test_no_expression_becomes_text_of_a_script(path: Path) -> None:
    for step in steps(path):
        assert "${{" not in step.get("run", "")


@pytest.mark.parametrize("path", REUSABLE)
def test_a_workflow_is_only_called_and_asks_for_little(path: Path) -> None:
    doc = load(path)[0]
    assert list(doc["on"]) == ["workflow_call"]
    assert doc["permissions"] == {}
    for job in doc["jobs"].values():
        writes = {key for key, each in job["permissions"].items() if each == "write"}
        assert writes <= {"pull-requests", "security-events"}
        assert job["timeout-minutes"] <= 60


def test_only_a_plan_may_comment_and_nothing_may_push() -> None:
    granted = {
        (path.name, key)
        for path in REUSABLE
        for job in load(path)[0]["jobs"].values()
        for key, each in job["permissions"].items()
        if each == "write"
    }
    assert ("wharfinger-plan.yml", "pull-requests") in granted
    assert not [each for each in granted if each[1] == "contents"]
    assert {name for name, key in granted if key == "pull-requests"} == {
        "wharfinger-plan.yml"
    }


def test_a_pass_is_not_cut_off_and_an_old_plan_is() -> None:
    concurrency = {
        path.name: job["concurrency"]["cancel-in-progress"]
        for path in REUSABLE
        for job in load(path)[0]["jobs"].values()
        if "concurrency" in job
    }
    assert concurrency == {
        "wharfinger-plan.yml": True,
        "wharfinger-reconcile.yml": False,
    }


@pytest.mark.parametrize("path", REUSABLE)
def test_a_workflow_gives_the_action_what_it_takes(path: Path) -> None:
    doc, action = load(path)[0], load(ACTION / "action.yml")[0]
    call = doc["on"]["workflow_call"]
    used = [step for step in steps(path) if str(step.get("uses", "")) == OURS]
    assert len(used) == 1
    assert set(used[0]["with"]) <= set(action["inputs"])
    assert used[0]["with"]["command"] == path.stem.removeprefix("wharfinger-")
    text = path.read_text()
    for name in call["inputs"]:
        assert f"inputs.{name} " in text, name
    for name in call.get("secrets", {}):
        assert f"secrets.{name} " in text, name
    for found in re.findall(r"steps\.[a-z]+\.outputs\.([a-z-]+)", text):
        assert found in action["outputs"], found


@pytest.mark.parametrize("path", REUSABLE)
def test_checkouts_keep_no_credentials(path: Path) -> None:
    checkouts = [
        step
        for step in steps(path)
        if str(step.get("uses")).startswith("actions/checkout@")
    ]
    assert checkouts
    assert all(each["with"]["persist-credentials"] is False for each in checkouts)


def test_check_has_the_whole_history() -> None:
    path = ROOT / ".github" / "workflows" / "wharfinger-check.yml"
    assert steps(path)[0]["with"]["fetch-depth"] == 0
    assert (
        interpolated("check", source="s", revision=SHA)["variables"]["GIT_DEPTH"] == "0"
    )


def test_a_pass_that_is_run_again_reads_the_branch_as_it_is_now() -> None:
    path = ROOT / ".github" / "workflows" / "wharfinger-reconcile.yml"
    assert steps(path)[0]["with"]["ref"] == "${{ github.ref }}"


def test_actions_of_others_are_pinned_alike_everywhere() -> None:
    pins: dict[str, set[str]] = {}
    for path in (*WORKFLOWS, ACTION / "action.yml"):
        for step in steps(path):
            name, _, pin = str(step.get("uses", "")).partition("@")
            if name and name != OURS:
                assert re.fullmatch(r"[0-9a-f]{40}", pin), f"{path.name}: {name}"
                pins.setdefault("/".join(name.split("/")[:2]), set()).add(pin)
    assert pins
    assert {name: pin for name, pin in pins.items() if len(pin) > 1} == {}


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_uses_every_input_and_no_other(name: str) -> None:
    text = (ROOT / "templates" / f"{name}.yml").read_text()
    head, _, body = text.partition("\n---\n")
    spec = documents(head)[0]
    assert set(spec) == {"spec"}
    used = set(re.findall(r"\$\[\[ inputs\.([a-z-]+) \]\]", body))
    assert used == set(spec["spec"]["inputs"])
    for each in spec["spec"]["inputs"].values():
        assert each["description"]
        assert each["regex"]
        assert re.search(each["regex"], each.get("default", SHA))


@pytest.mark.parametrize("name", COMPONENTS)
def test_no_input_becomes_text_of_a_components_script(name: str) -> None:
    body = (ROOT / "templates" / f"{name}.yml").read_text().partition("\n---\n")[2]
    job = documents(body)[0]["$[[ inputs.job-name ]]"]
    assert "$[[" not in "\n".join(job["script"])
    assert job["artifacts"]["when"] == "always"


@pytest.mark.parametrize("name", COMPONENTS)
@pytest.mark.parametrize("value", ['x"\nscript: [evil]', 'x" #', "x\\", "x\ny"])
def test_no_input_becomes_yaml(name: str, value: str) -> None:
    given = {"source": "s", "revision": SHA}
    given |= {"repo": "r"} if name != "check" else {}
    with pytest.raises(ValueError, match="is refused"):
        interpolated(name, **{**given, "path": value})


def test_a_component_is_pinned_to_a_commit() -> None:
    for revision in ("main", "v1.0.0", SHA[1:], f"{SHA}\n"):
        with pytest.raises(ValueError, match="revision is refused"):
            interpolated("check", source="s", revision=revision)


def test_passes_of_gitlab_wait_for_each_other() -> None:
    job = interpolated("reconcile", source="s", revision=SHA, repo="r")
    assert job["resource_group"] == "wharfinger-reconcile"
    assert job["interruptible"] is False


@pytest.mark.parametrize("package", ["uv", "click"])
def test_a_package_with_another_hash_is_not_installed(
    tmp_path: Path, package: str
) -> None:
    checkout = tmp_path / "checkout"
    action = checkout / ".github" / "actions" / "wharfinger"
    action.mkdir(parents=True)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout / name)
    shutil.copy(ACTION / "install.py", action / "install.py")
    head, own, rest = (ROOT / "uv.lock").read_text().partition(f'name = "{package}"\n')
    entry, end, others = rest.partition("[[package]]")
    forged = re.sub(r"sha256:[0-9a-f]{64}", f"sha256:{'0' * 64}", entry)
    (checkout / "uv.lock").write_text(head + own + forged + end + others)
    done = subprocess.run(
        [sys.executable, "-I", str(action / "install.py"), str(tmp_path / "out")],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode != 0
    assert "hash" in done.stderr.lower()
    assert not (tmp_path / "out" / "venv" / "bin" / "wharfinger").exists()

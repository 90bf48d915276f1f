"""The action's steps, run as a runner runs them, on clusters in a directory and a bare repository."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import documents, forges
from tests.ci_jobs import ACTION, GitHub, Ran, load
from tests.ingress import Ingress

HOSTILE = (
    "$(touch pwned)",
    "`touch pwned`",
    "x\ntouch pwned\n",
    "'; touch pwned; '",
    '"; touch pwned; "',
    "${{ github.token }}",
    "--output=/etc/passwd",
    "-h",
    "::set-output name=exit-code::0",
)


@dataclass
class World:
    """A cluster repository's checkout, an ingress repository, and a runner."""

    ingress: Ingress
    github: GitHub

    def run(self, command: str, **inputs: str) -> Ran:
        """The action on the ingress repository."""
        return self.github.action(
            command=command, repo=str(self.ingress.remote), **inputs
        )

    def pull_request(self, *, fork: bool = False) -> None:
        """The next job runs for a pull request."""
        origin = "mallory/clusters" if fork else "team/clusters"
        head = {"sha": "abcdef1" + "0" * 33, "repo": {"full_name": origin}}
        self.github.event = {"pull_request": {"number": 7, "head": head}}


@pytest.fixture
def world(tmp_path: Path, installed: Path) -> World:
    checkout = tmp_path / "checkout"
    ingress = Ingress(root=checkout).start(
        inventories=[{"name": "lab", "directory": {"path": "clusters"}}]
    )
    github = GitHub(
        root=tmp_path / "runner",
        workspace=checkout,
        installed=installed,
        environment={"XDG_CACHE_HOME": str(tmp_path / "cache")},
    )
    return World(ingress=ingress, github=github)


@pytest.fixture
def forge(world: World) -> Iterator[forges.Comments]:
    with forges.serving(forges.Comments()) as forge:
        world.github.environment["GITHUB_API_URL"] = forge.api
        world.pull_request()
        yield forge


def test_a_plan_with_changes_is_green_and_changes_nothing(world: World) -> None:
    before = world.ingress.tip()
    ran = world.run("plan")
    assert ran.code == 0, ran.log
    assert ran.outputs["exit-code"] == "10"
    assert (ran.outputs["create"], ran.outputs["changes"]) == ("1", "1")
    assert ran.outputs["digest"] == ran.plan["digest"] != ""
    assert ran.summary.startswith("**wharfinger plan: 1 change**\n")
    assert "shop/orders" in ran.summary
    assert Path(ran.outputs["summary-file"]).read_text() == ran.summary
    assert world.ingress.tip() == before


def test_reconcile_commits_and_the_next_plan_has_no_changes(world: World) -> None:
    ran = world.run("reconcile")
    assert ran.code == 0, ran.log
    assert ran.outputs["commit"] == world.ingress.tip()
    assert ran.summary.startswith("**wharfinger reconcile: committed")
    again = world.run("plan")
    assert again.code == 0
    assert (again.outputs["exit-code"], again.outputs["changes"]) == ("0", "0")
    assert "no changes" in again.summary.splitlines()[0]


def test_reconcile_does_not_write_into_the_checkout(world: World) -> None:
    files = sorted(world.ingress.clusters.rglob("*.yaml"))
    before = [each.read_bytes() for each in files]
    world.ingress.git("init", "-q", str(world.ingress.root), at=world.ingress.root)
    assert world.run("reconcile").code == 0
    assert [each.read_bytes() for each in files] == before


def test_a_plan_that_cannot_be_whole_is_red_with_the_reason_first(world: World) -> None:
    (world.ingress.cluster("eu2") / "kube-system.yaml").write_text("half: [")
    ran = world.run("plan")
    assert ran.code == 3, ran.log
    assert ran.outputs["exit-code"] == "3"
    first = ran.summary.splitlines()[0]
    assert "incomplete" in first
    assert "kube-system.yaml" in first.replace("\\", "")
    assert "::error title=wharfinger::" in ran.log
    assert ran.outputs["create"] == "1"  # the other cluster is planned all the same


def test_a_frozen_plan_is_red_with_the_reason_first(world: World) -> None:
    ran = world.run("plan", options=f"--last-seen={'1' * 40}")
    assert ran.code == 5, ran.log
    assert "no longer contains 1111111111" in ran.summary.splitlines()[0]
    assert (ran.outputs["digest"], ran.outputs["changes"]) == ("", "0")


def test_a_repository_that_is_not_there_is_red(world: World) -> None:
    ran = world.github.action(command="plan", repo=str(world.ingress.root / "none"))
    assert ran.code not in (0, 10)
    assert f"(exit code {ran.code})" in ran.summary.splitlines()[0]
    assert json.loads(Path(ran.outputs["report-file"]).read_text())["kind"] == "Plan"


def test_withheld_deletions_are_red_and_say_how_they_pass(world: World) -> None:
    for number in range(6):
        world.ingress.expose("eu1", f"app{number}")
    assert world.run("reconcile").code == 0
    for number in range(6):
        (world.ingress.clusters / "eu1" / f"app{number}.yaml").unlink()
    ran = world.run("plan")
    assert ran.code == 5, ran.log
    assert "> [!CAUTION]" in ran.summary
    digest = ran.plan["withheld"]["digest"]
    accepted = world.run("plan", options=f"--accept-deletions={digest}\n")
    assert accepted.code == 0, accepted.log
    assert accepted.outputs["delete"] == "6"


def test_options_are_one_a_line(world: World) -> None:
    world.ingress.cluster("eu2")
    world.ingress.expose("eu2", "orders")
    ran = world.run("plan", options="--cluster=eu2\n\n  --fail-on-held\n")
    assert ran.code == 0, ran.log
    assert {row["cluster"] for row in ran.plan["changes"]} == {"eu2"}


@pytest.mark.parametrize(
    "options",
    ["eu1", "--output=text", "--", "--cluster eu1; touch pwned", "--help", "-o\ntext"],
)
def test_what_is_no_option_is_refused(world: World, options: str) -> None:
    assert world.run("plan", options=options).code == 2
    assert not [*world.ingress.root.rglob("pwned")]


@pytest.mark.parametrize("name", ["command", "repo", "branch", "path", "options"])
@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_inputs_are_one_word_or_an_error(
    world: World, name: str, value: str
) -> None:
    tip = world.ingress.tip()
    inputs = {"command": "plan", "repo": str(world.ingress.remote), name: value}
    ran = world.github.action(**inputs)
    assert ran.code not in (0, 10), ran.log
    assert not [*world.github.workspace.parent.rglob("pwned")]
    assert ran.outputs["exit-code"] != "0"
    assert not [line for line in ran.log.splitlines() if line.startswith("::set-")]
    assert world.ingress.tip() == tip


def test_hostile_files_of_a_pull_request_reach_nothing(
    world: World, forge: forges.Comments
) -> None:
    """Names, annotations and whole files that a stranger wrote, in a job with secrets."""
    eu1 = world.ingress.clusters / "eu1"
    (eu1 / "::set-output name=exit-code::0.yaml").write_text("half: [")
    (eu1 / "a\n::error::b\n##[add-mask]c.yaml").write_text("half: [")
    (eu1 / "secrets.yaml").symlink_to("/proc/self/environ")
    evil = "](javascript:x) @everyone <script> | ``` $(touch pwned)"
    vs = documents.virtual_service("evil")
    vs["metadata"]["annotations"]["wharfinger.dev/request-port"] = evil
    world.ingress.write("eu1/evil.yaml", vs)
    (world.ingress.root / "reconciler").mkdir()
    for name in ("reconciler/__init__.py", "click.py", "sitecustomize.py", "venv.py"):
        (world.ingress.root / name).write_text("open('pwned', 'w').write('x')\n")
    ran = world.run("plan", git_token="git-canary", comment_token=forge.token)
    assert ran.code == 3, ran.log
    assert not [*world.github.workspace.parent.rglob("pwned")]
    commands = [line for line in ran.log.splitlines() if line.startswith("::")]
    assert {each.split(" ")[0] for each in commands} <= {"::error", "::warning"}
    assert "##[" not in ran.log
    said = ran.log + ran.summary + "".join(each["body"] for each in forge.comments)
    assert "git-canary" not in said
    assert forge.token not in said
    assert ran.outputs["exit-code"] == "3"


def test_the_plan_is_one_comment_that_is_edited(
    world: World, forge: forges.Comments
) -> None:
    assert world.run("plan", comment_token=forge.token).code == 0
    world.ingress.expose("eu1", "billing")
    assert world.run("plan", comment_token=forge.token).code == 0
    assert len(forge.comments) == 1
    body = forge.comments[0]["body"]
    assert "shop/billing" in body
    assert "For abcdef1000." in body
    assert "https://github.example/team/clusters/actions/runs/4711" in body
    assert world.run("reconcile").code == 0
    assert world.run("plan", comment_token=forge.token).code == 0
    assert len(forge.comments) == 1
    assert "no changes" in forge.comments[0]["body"]


def test_no_changes_at_first_are_no_comment(
    world: World, forge: forges.Comments
) -> None:
    assert world.run("reconcile", comment_token=forge.token).code == 0
    assert world.run("plan", comment_token=forge.token).code == 0
    assert forge.comments == []


def test_a_plan_that_failed_replaces_the_comment(
    world: World, forge: forges.Comments
) -> None:
    assert world.run("plan", comment_token=forge.token).code == 0
    (world.ingress.clusters / "eu1" / "kube-system.yaml").write_text("half: [")
    assert world.run("plan", comment_token=forge.token).code == 3
    assert "incomplete" in forge.comments[0]["body"].splitlines()[1]


@pytest.mark.parametrize("status", [403, 404])
def test_a_fork_has_no_comment_and_no_failure(
    world: World, forge: forges.Comments, status: int
) -> None:
    world.pull_request(fork=True)
    forge.refused = status
    ran = world.run("plan", comment_token=forge.token)
    assert ran.code == 0, ran.log
    assert forge.comments == []
    assert "not shown as a comment" in ran.summary
    assert "fork" in ran.summary


def test_without_a_token_it_says_so(world: World, forge: forges.Comments) -> None:
    ran = world.run("plan")
    assert ran.code == 0
    assert "no token to comment with" in ran.summary
    assert forge.asked == []


def test_a_comment_can_be_switched_off(world: World, forge: forges.Comments) -> None:
    ran = world.run("plan", comment="off", comment_token=forge.token)
    assert ran.code == 0
    assert forge.asked == []
    assert "not shown" not in ran.summary


def test_a_comment_that_stays_old_is_red(world: World, forge: forges.Comments) -> None:
    forge.refused = 422
    ran = world.run("plan", comment_token=forge.token)
    assert ran.code == 3
    assert "could not be written" in ran.summary
    assert ran.outputs["exit-code"] == "10"


def test_a_plan_of_thousands_fits_into_a_comment(
    world: World, forge: forges.Comments
) -> None:
    long = "x" * 180
    for number in range(1200):
        vs = documents.virtual_service(f"app-{number:04}")
        vs["metadata"]["annotations"]["wharfinger.dev/request-port"] = f"<&@{long}"
        world.ingress.write(f"eu1/app-{number:04}.yaml", vs)
    ran = world.run("plan", comment_token=forge.token)
    assert ran.code == 0, ran.log
    body = forge.comments[0]["body"]
    assert len(body.encode()) <= 61_000
    assert "more routes are not shown here" in body
    assert body.splitlines()[1].startswith("**wharfinger plan: 1 change**")
    assert len(ran.summary.encode()) <= 1_000_000
    assert ran.summary.count("app-") > body.count("app-")
    assert len(ran.plan["changes"]) == 1201
    assert ran.log.count("::warning") == 10


def test_a_rewound_branch_is_noticed_from_run_to_run(world: World) -> None:
    seen = world.github.root / "last-seen" / "commit"
    first = world.ingress.tip()
    ran = world.run("reconcile", last_seen_file=str(seen))
    assert ran.code == 0, ran.log
    assert seen.read_text().strip() == ran.outputs["last-seen"] == world.ingress.tip()
    assert world.run("reconcile", last_seen_file=str(seen)).code == 0
    kept = seen.read_text()
    world.ingress.git("push", "-q", "-f", "origin", f"{first}:main")
    frozen = world.run("reconcile", last_seen_file=str(seen))
    assert frozen.code == 5, frozen.log
    assert world.ingress.tip() == first
    assert seen.read_text() == kept


def test_a_last_seen_file_with_something_else_is_refused(world: World) -> None:
    seen = world.github.root / "seen"
    seen.parent.mkdir(exist_ok=True)
    seen.write_text("--accept-deletions=1")
    ran = world.run("reconcile", last_seen_file=str(seen))
    assert ran.code == 2
    assert "commit id" in ran.log


def test_check_judges_what_is_checked_out(world: World) -> None:
    assert world.run("reconcile").code == 0
    world.ingress.pull()
    work = world.ingress.work
    world.github.workspace = work
    world.ingress.git("checkout", "-q", "--detach")
    ran = world.github.action(command="check")
    assert ran.code == 0, ran.log
    assert ran.outputs["findings"] == "0"
    assert ran.summary.startswith("**wharfinger check: no findings**")
    port = next((work / "ports" / "public").iterdir())
    port.write_text(port.read_text().replace("active", "free"))
    world.ingress.git("commit", "-q", "-a", "-m", "by hand")
    ran = world.github.action(command="check")
    assert ran.code == 5, ran.log
    assert int(ran.outputs["findings"]) >= 1
    where = f"file={port.relative_to(work)}"
    assert any(
        line.startswith("::error ") and where in line for line in ran.log.splitlines()
    )
    assert port.name in ran.summary


def test_check_judges_a_pull_request_as_a_change(world: World) -> None:
    assert world.run("reconcile").code == 0
    world.ingress.pull()
    work = world.github.workspace = world.ingress.work
    world.ingress.git("checkout", "-q", "-b", "theirs")
    evil = work / ".github" / "workflows" / "evil.yml"
    evil.parent.mkdir(parents=True)
    evil.write_text("on: push")
    port = next((work / "ports" / "public").iterdir())
    port.write_text(port.read_text().replace("active", "free"))
    world.ingress.git("add", "-A")
    world.ingress.git("commit", "-q", "-m", "Only a comment")
    world.pull_request(fork=True)
    world.github.environment["GITHUB_BASE_REF"] = "main"
    ran = world.github.action(command="check")
    assert ran.code == 5, ran.log
    assert "evil.yml" in ran.summary.replace("\\", "")
    reports = Path(ran.outputs["reports"])
    log = json.loads((reports / "check.sarif").read_text())
    assert log["version"] == "2.1.0"
    found = log["runs"][0]["results"]
    assert len(found) == int(ran.outputs["findings"]) >= 1
    quality = json.loads((reports / "gl-code-quality.json").read_text())
    assert {each["location"]["path"] for each in quality} >= {
        ".github/workflows/evil.yml",
        f"ports/public/{port.name}",
    }


def test_check_judges_a_push_as_a_change_of_the_commit_before(world: World) -> None:
    assert world.run("reconcile").code == 0
    world.ingress.pull()
    world.github.workspace = world.ingress.work
    before = world.ingress.tip()
    world.github.event = {"before": before, "forced": False}
    port = next((world.ingress.work / "ports" / "public").iterdir())
    port.write_text(port.read_text().replace("name: orders", "name: stolen"))
    world.ingress.git("commit", "-q", "-a", "-m", "Take a port")
    ran = world.github.action(command="check")
    assert ran.code == 5, ran.log
    assert f"ports/public/{port.name}" in ran.log
    world.github.event = {"before": "f" * 40, "forced": True}
    assert world.github.action(command="check").code == 5


def test_every_input_is_used_and_every_output_is_made(world: World) -> None:
    doc = load(ACTION / "action.yml")[0]
    text = (ACTION / "action.yml").read_text()
    for name in doc["inputs"]:
        assert f"${{{{ inputs.{name} }}}}" in text, name
    made = set(world.run("plan").outputs)
    assert made == set(doc["outputs"])


def test_the_environment_of_the_job_is_not_installed_into(world: World) -> None:
    before = sorted(os.listdir(world.github.workspace))
    world.run("plan")
    assert sorted(os.listdir(world.github.workspace)) == before

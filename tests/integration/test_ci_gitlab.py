"""The scripts of the GitLab components, run as a runner runs them, with Wharfinger from a clone."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import forges
from tests.ci_jobs import ROOT, GitLab, Ran
from tests.ingress import Ingress
from tests.integration.remotes import git

SHIPPED = ("pyproject.toml", "uv.lock", "README.md", "LICENSE")
FOLDERS = ("reconciler", "docs", "manifests", "policies", ".github")
BOT = forges.PROJECT_BOT
PYTHON = """#!/bin/sh
case "$2" in */.github/actions/wharfinger/install.py) exec ln -s "{installed}" "$3" ;; esac
exec "{python}" "$@"
"""


@dataclass(frozen=True, slots=True)
class Source:
    """A clone of this project as a component's users name it."""

    url: str
    revision: str


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    folder = tmp_path_factory.mktemp("source")
    for name in SHIPPED:
        shutil.copy(ROOT / name, folder / name)
    for name in FOLDERS:
        unwanted = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=unwanted)
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "Release")
    return Source(str(folder), git(folder, "rev-parse", "HEAD"))


@dataclass
class World:
    """A cluster project's checkout, the ingress repository, and a runner."""

    ingress: Ingress
    gitlab: GitLab
    source: Source

    def run(self, component: str, **inputs: str) -> Ran:
        if component != "check":
            inputs.setdefault("repo", str(self.ingress.remote))
        source = self.source
        return self.gitlab.job(
            component, source=source.url, revision=source.revision, **inputs
        )


@pytest.fixture
def world(tmp_path: Path, source: Source, installed: Path) -> World:
    """With what the install step makes put in its place, which spares half a minute of tests."""
    made = world_at(tmp_path, source)
    programs = tmp_path / "programs"
    programs.mkdir()
    python = programs / "python3"
    python.write_text(PYTHON.format(installed=installed, python=sys.executable))
    python.chmod(0o755)
    made.gitlab.variables["PATH"] = f"{programs}:{os.environ['PATH']}"
    return made


@pytest.fixture
def bare_world(tmp_path: Path, source: Source) -> World:
    """In which each job installs Wharfinger for itself."""
    return world_at(tmp_path, source)


def world_at(tmp_path: Path, source: Source) -> World:
    upstream = tmp_path / "clusters.git"
    git(tmp_path, "init", "-q", "--bare", "-b", "main", str(upstream))
    git(tmp_path, "clone", "-q", str(upstream), "project")
    project = tmp_path / "project"
    inventory = {"name": "lab", "directory": {"path": "clusters"}}
    ingress = Ingress(root=tmp_path / "outside").start(inventories=[inventory])
    shutil.copytree(ingress.clusters, project / "clusters")
    git(project, "checkout", "-q", "-B", "main")
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "Clusters")
    git(project, "push", "-q", "origin", "main")
    variables = {
        "CI_COMMIT_BRANCH": "main",
        "CI_COMMIT_SHA": git(project, "rev-parse", "HEAD"),
        "CI_JOB_URL": "https://gitlab.example/team/clusters/-/jobs/1",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "UV_CACHE_DIR": str(Path.home() / ".cache" / "uv"),  # as make setup filled it
        "TMPDIR": str(tmp_path),
    }
    gitlab = GitLab(project=project, variables=variables)
    return World(ingress=ingress, gitlab=gitlab, source=source)


@pytest.fixture
def forge(world: World) -> Iterator[forges.Comments]:
    made = forges.Comments(gitlab=True, me=dict(BOT), author=dict(BOT))
    with forges.serving(made) as forge:
        world.gitlab.variables |= {
            "CI_API_V4_URL": forge.api,
            "CI_MERGE_REQUEST_IID": "7",
            "CI_MERGE_REQUEST_PROJECT_ID": "12",
            "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "12",
            "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": "abcdef1" + "0" * 33,
            "WHARFINGER_COMMENT_TOKEN": forge.token,
        }
        yield forge


def test_plan_comments_once_and_edits(world: World, forge: forges.Comments) -> None:
    ran = world.run("plan")
    assert ran.code == 0, ran.log
    assert (ran.outputs["exit-code"], ran.outputs["create"]) == ("10", "1")
    (world.gitlab.project / "clusters" / "eu1" / "kube-system.yaml").write_text("[")
    ran = world.run("plan")
    assert ran.code == 3, ran.log
    assert ran.outputs["exit-code"] == "3"
    assert "incomplete" in ran.summary.splitlines()[0]
    assert len(forge.comments) == 1
    assert "incomplete" in forge.comments[0]["body"]
    assert "For abcdef1000." in forge.comments[0]["body"]


def test_reconcile_commits_reads_the_branch_and_notices_a_rewind(world: World) -> None:
    first = world.ingress.tip()
    project = world.gitlab.project
    old = git(project, "rev-parse", "HEAD")
    shutil.copy(
        project / "clusters" / "eu1" / "svc-orders.yaml", project / "unrelated.yaml"
    )
    git(project, "rm", "-q", "clusters/eu1/orders.yaml")
    git(project, "commit", "-q", "-m", "Gone")
    git(project, "push", "-q", "origin", "HEAD:main")
    git(project, "checkout", "-q", "--detach", old)  # a job that is run again
    ran = world.run("reconcile")
    assert ran.code == 0, ran.log
    assert world.ingress.files("ports") == []
    git(project, "checkout", "-q", "-B", "main", old)
    git(project, "push", "-q", "-f", "origin", "main")
    ran = world.run("reconcile")
    assert ran.code == 0, ran.log
    assert ran.outputs["commit"] == world.ingress.tip() != first
    world.ingress.git("push", "-q", "-f", "origin", f"{first}:main")
    frozen = world.run("reconcile")
    assert frozen.code == 5, frozen.log
    assert world.ingress.tip() == first


def test_check_judges_what_is_checked_out(world: World) -> None:
    assert world.ingress.reconcile().code == 0
    world.ingress.pull()
    world.ingress.git("checkout", "-q", "--detach")
    world.gitlab.project = world.ingress.work
    ran = world.run("check")
    assert ran.code == 0, ran.log
    port = next((world.ingress.work / "ports" / "public").iterdir())
    port.write_text(port.read_text().replace("active", "free"))
    world.ingress.git("commit", "-q", "-a", "-m", "by hand")
    ran = world.run("check")
    assert ran.code == 5, ran.log
    assert port.name in ran.summary


def test_hostile_inputs_are_words(bare_world: World) -> None:
    world = bare_world
    evil = "$(touch pwned)`touch pwned`'; touch pwned #"
    ran = world.run("plan", repo=evil, branch=evil, path=evil)
    assert ran.code not in (0, 10), ran.log
    assert not [*world.ingress.root.parent.rglob("pwned")]


def test_another_commit_than_the_pinned_one_does_not_run(world: World) -> None:
    world.source = Source(world.source.url, "1" * 40)
    ran = world.run("plan")
    assert ran.code not in (0, 10)
    assert ran.outputs == {}

"""Runs the steps of the action and of the GitLab components as their runners would.

No more of the expression language than the files use is understood, and anything else fails: a
value that would reach a shell as part of its text is found here too.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler import yamlio

ROOT = Path(__file__).parents[1]
ACTION = ROOT / ".github" / "actions" / "wharfinger"
_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}", re.DOTALL)
_INPUT = re.compile(r"\$\[\[\s*inputs\.([a-z-]+)\s*\]\]")
Doc = dict[str, Any]


def load(path: Path) -> list[Doc]:
    """All documents of a YAML file, with `on:` as the word that it is."""
    return documents(path.read_text())


def documents(text: str) -> list[Doc]:
    """The same of a text."""
    return [dict(each.data) for each in yamlio.load_all(text.encode())]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a job ended."""

    code: int
    log: str
    outputs: dict[str, str]
    summary: str

    @property
    def plan(self) -> Doc:
        """The JSON object among the reports."""
        body = json.loads(Path(self.outputs["report-file"]).read_text())
        assert isinstance(body, dict)
        return body


def evaluate(text: str, values: Mapping[str, str]) -> str:
    """Text with its expressions, which may only be names, replaced once."""
    return _EXPRESSION.sub(lambda found: values[found[1]], str(text))


@dataclass(slots=True)
class GitHub:
    """One runner: a workspace, its temporary folder, the files of a step, an event.

    `installed` is what the first step makes; with it that step is not run again.
    """

    root: Path
    workspace: Path
    installed: Path | None = None
    event: Doc = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    def action(self, **inputs: str) -> Ran:
        """Run the composite action's steps in order, until one fails."""
        doc = load(ACTION / "action.yml")[0]
        given = {name.replace("_", "-"): text for name, text in inputs.items()}
        assert set(given) <= set(doc["inputs"]), given
        values = {
            f"inputs.{name}": given.get(name, str(each.get("default", "")))
            for name, each in doc["inputs"].items()
        }
        self.root.mkdir(parents=True, exist_ok=True)
        summary, log, code = self.root / "summary", "", 0
        summary.write_text("")
        outputs: dict[str, str] = {}
        steps = list(enumerate(doc["runs"]["steps"]))
        if self.installed is not None:
            (self.root / "temp").mkdir(exist_ok=True)
            if not (self.root / "temp" / "wharfinger").exists():
                (self.root / "temp" / "wharfinger").symlink_to(self.installed)
            steps = steps[1:]
        for index, step in steps:
            done, found = self._step(step, values, self.root / f"step-{index}")
            log, code = log + done.stdout, done.returncode
            if "id" in step:
                outputs = found
                values |= {
                    f"steps.{step['id']}.outputs.{k}": v for k, v in found.items()
                }
            if code != 0:
                break
        told = {
            name: evaluate(each["value"], _Lenient(values))
            for name, each in doc["outputs"].items()
        }
        assert set(outputs) <= set(told), "an output that the action does not hand on"
        return Ran(code=code, log=log, outputs=told, summary=summary.read_text())

    def _step(
        self, step: Doc, values: Mapping[str, str], files: Path
    ) -> tuple[subprocess.CompletedProcess[str], dict[str, str]]:
        assert "${{" not in step["run"], "an expression becomes text of a script"
        assert step["shell"] == "bash"
        files.mkdir(parents=True, exist_ok=True)
        script = files / "script.sh"
        script.write_text(step["run"])
        for name in ("output", "env", "path", "state"):
            (files / name).touch()
        event = files / "event.json"
        event.write_text(json.dumps(self.event))
        folder = evaluate(step.get("working-directory", "."), values)
        env = {
            **_machine(),
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTION_PATH": str(ACTION),
            "GITHUB_WORKSPACE": str(self.workspace),
            "GITHUB_REPOSITORY": "team/clusters",
            "GITHUB_RUN_ID": "4711",
            "GITHUB_SERVER_URL": "https://github.example",
            "GITHUB_SHA": "5" * 40,
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_OUTPUT": str(files / "output"),
            "GITHUB_ENV": str(files / "env"),
            "GITHUB_PATH": str(files / "path"),
            "GITHUB_STATE": str(files / "state"),
            "GITHUB_STEP_SUMMARY": str(self.root / "summary"),
            "RUNNER_TEMP": str(self.root / "temp"),
            **self.environment,
            **{
                name: evaluate(text, values)
                for name, text in step.get("env", {}).items()
            },
        }
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=self.workspace / folder,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
            check=False,
        )
        assert not (files / "env").read_text(), "a step sets variables of later steps"
        assert not (files / "path").read_text(), (
            "a step changes the path of later steps"
        )
        return done, _outputs(files / "output")


def _machine() -> dict[str, str]:
    """How this machine reaches package registries, and where programs are."""
    names = ("PIP_", "UV_", "SSL_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
    kept = {key: text for key, text in os.environ.items() if key.startswith(names)}
    return kept | {key: os.environ[key] for key in ("PATH", "HOME")}


class _Lenient(dict[str, str]):
    """What a step that did not run would have told is empty, as on a runner."""

    def __missing__(self, name: str) -> str:
        assert name.startswith("steps."), name
        return ""


def _outputs(file: Path) -> dict[str, str]:
    lines = file.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


@dataclass(slots=True)
class GitLab:
    """One runner of GitLab: a project's folder and the variables of a job."""

    project: Path
    variables: dict[str, str]

    def job(self, component: str, **inputs: str) -> Ran:
        """Include a component with inputs and run its one job's script."""
        job = interpolated(component, **inputs)
        env = {
            **_machine(),
            "CI": "true",
            "GITLAB_CI": "true",
            "CI_PROJECT_DIR": str(self.project),
            **self.variables,
        }
        env |= {name: _expanded(text, env) for name, text in job["variables"].items()}
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", "\n".join(job["script"])],
            cwd=self.project,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
            check=False,
        )
        dotenv = self.project / job["artifacts"]["reports"]["dotenv"]
        outputs = {}
        for name, text in _outputs(dotenv).items() if dotenv.exists() else ():
            short = name.removeprefix("WHARFINGER_CI_").lower().replace("_", "-")
            outputs[short] = text
        summaries = [*dotenv.parent.glob("*.md")] if dotenv.exists() else []
        summary = "".join(each.read_text() for each in summaries)
        return Ran(
            code=done.returncode, log=done.stdout, outputs=outputs, summary=summary
        )


def interpolated(component: str, **inputs: str) -> Doc:
    """The one job of a component: inputs are checked, then put into its text."""
    text = (ROOT / "templates" / f"{component}.yml").read_text()
    head, _, body = text.partition("\n---\n")
    spec = documents(head)[0]["spec"]["inputs"]
    given = {name.replace("_", "-"): value for name, value in inputs.items()}
    assert set(given) <= set(spec), given
    values = {}
    for name, each in spec.items():
        values[name] = given.get(name, each.get("default"))
        pattern = each["regex"].removesuffix("$") + r"\Z"  # as RE2 has it
        if values[name] is None or not re.search(pattern, values[name]):
            raise ValueError(f"input {name} is refused")
    made = documents(_INPUT.sub(lambda found: values[found[1]], body))[0]
    assert list(made) == [values["job-name"]]
    job: Doc = made[values["job-name"]]
    return job


def _expanded(text: str, env: Mapping[str, str]) -> str:
    """`$NAME` as the runner expands it in variables, once."""
    return re.sub(r"\$([A-Z_]+)", lambda found: env.get(found[1], ""), str(text))

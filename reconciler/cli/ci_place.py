"""Where a CI job runs: GitHub (and what speaks its language), GitLab, or anywhere else (I/O).

Everything comes from the environment and the event's file, which the runner writes; nothing
of it is ever part of a command line.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from reconciler.cli.ci_report import Annotation
from reconciler.printable import printable

_SUMMARY_LIMIT = 1_000_000  # bytes; a runner drops a summary of more than 1 MiB
_COMMENT_LIMITS = {"github": 60_000, "gitlab": 500_000}
_EVENT_LIMIT = 32 << 20


class Forge(StrEnum):
    """Whose CI this is."""

    GITHUB = "github"
    GITLAB = "gitlab"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The pull or merge request that a job runs for.

    `api` is the root of the forge's API, `project` names the repository in its paths. `fork`:
    its branch is in another repository, so that tokens are weaker here.
    """

    api: str
    project: str
    number: int
    fork: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One job's surroundings; `summary`, `outputs` and `request` are `None` where there is none.

    `commit` is what people pushed, `job` the address of this job's page, `base` a revision that
    the change is a change of; each is empty when unknown.
    """

    forge: Forge
    summary: Path | None = None
    outputs: Path | None = None
    request: Request | None = None
    commit: str = ""
    job: str = ""
    base: str = ""

    @property
    def summary_limit(self) -> int:
        """Bytes that a summary may have."""
        return _SUMMARY_LIMIT

    @property
    def comment_limit(self) -> int:
        """Bytes that a comment may have, well below the forge's own limit."""
        return _COMMENT_LIMITS.get(self.forge, _SUMMARY_LIMIT)


def here(environ: Mapping[str, str]) -> Place:
    """The place that the environment tells of."""
    if environ.get("GITHUB_ACTIONS") == "true":
        return _github(environ)
    if environ.get("GITLAB_CI") == "true":
        return _gitlab(environ)
    return Place(forge=Forge.NONE)


def _github(environ: Mapping[str, str]) -> Place:
    event = _event(environ.get("GITHUB_EVENT_PATH", ""))
    pull = event.get("pull_request")
    head = pull.get("head", {}) if isinstance(pull, dict) else {}
    project = environ.get("GITHUB_REPOSITORY", "")
    request = None
    if isinstance(pull, dict) and isinstance(pull.get("number"), int):
        # The head's repository is null once a fork was deleted.
        origin = (head.get("repo") or {}).get("full_name")
        request = Request(
            api=environ.get("GITHUB_API_URL", "https://api.github.com"),
            project=project,
            number=pull["number"],
            fork=origin != project,
        )
    server = environ.get("GITHUB_SERVER_URL", "https://github.com")
    run = environ.get("GITHUB_RUN_ID", "")
    return Place(
        forge=Forge.GITHUB,
        summary=_path(environ.get("GITHUB_STEP_SUMMARY")),
        outputs=_path(environ.get("GITHUB_OUTPUT")),
        request=request,
        commit=str(head.get("sha") or environ.get("GITHUB_SHA", "")),
        job=f"{server}/{project}/actions/runs/{run}" if run and project else "",
        base=_base(environ.get("GITHUB_BASE_REF", ""), event),
    )


def _base(branch: str, event: Mapping[str, Any]) -> str:
    """Of a pull request its target, of a merge queue or a push the commit before."""
    if branch:
        return f"refs/remotes/origin/{branch}"
    queued = event.get("merge_group")
    if isinstance(queued, dict):
        return str(queued.get("base_sha") or "")
    # A forced push leaves the old commit behind: a checkout does not have it.
    before = "" if event.get("forced") else str(event.get("before") or "")
    return before if before.strip("0") else ""


def _gitlab(environ: Mapping[str, str]) -> Place:
    number = environ.get("CI_MERGE_REQUEST_IID", "")
    target = environ.get("CI_MERGE_REQUEST_PROJECT_ID", "")
    request = None
    if number.isdecimal() and target.isdecimal():
        request = Request(
            api=environ.get("CI_API_V4_URL", "https://gitlab.com/api/v4"),
            project=target,
            number=int(number),
            fork=environ.get("CI_MERGE_REQUEST_SOURCE_PROJECT_ID", target) != target,
        )
    return Place(
        forge=Forge.GITLAB,
        request=request,
        commit=environ.get("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", "")
        or environ.get("CI_COMMIT_SHA", ""),
        job=environ.get("CI_JOB_URL", ""),
        base=environ.get("CI_MERGE_REQUEST_DIFF_BASE_SHA", ""),
    )


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _event(path: str) -> dict[str, Any]:
    """The event as the forge told it; an unreadable one tells nothing."""
    if not path:
        return {}
    try:
        with open(path, "rb") as file:
            body = json.loads(file.read(_EVENT_LIMIT))
    except (OSError, ValueError):
        return {}
    return body if isinstance(body, dict) else {}


def append(path: Path, text: str) -> None:
    """Text at the end of a file that the runner collects."""
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def write_outputs(path: Path, values: Mapping[str, str]) -> None:
    """Outputs of a step; values are one line each, or later steps would read more than one."""
    for name, value in values.items():
        if "\n" in value or "\r" in value:
            raise ValueError(f"output {name} has a line break")
    append(path, "".join(f"{name}={value}\n" for name, value in values.items()))


def write_dotenv(path: Path, values: Mapping[str, str]) -> None:
    """The same for GitLab: `exit-code` is WHARFINGER_CI_EXIT_CODE for later jobs."""
    named = {
        f"WHARFINGER_CI_{name.replace('-', '_').upper()}": value
        for name, value in values.items()
    }
    path.write_text("", encoding="utf-8")
    write_outputs(path, named)


def harmless(line: str) -> str:
    """A line of a log in which a runner finds no command, whoever wrote it.

    Runners obey `::name::` at the start of a line and `##[name]` anywhere in it; terminals obey
    control characters.
    """
    safe = printable(line).replace("##[", "## [")
    return f"| {safe}" if safe.lstrip().startswith("::") else safe


def annotation(each: Annotation) -> str:
    """A workflow command that shows a remark beside the change."""
    fields = {"title": each.title}
    if each.path:
        fields |= {"file": each.path, "line": str(max(each.line, 1))}
    told = ",".join(f"{name}={_property(value)}" for name, value in fields.items())
    return f"::{each.level} {told}::{_data(each.message)}"


def _data(text: str) -> str:
    escaped = printable(text).replace("%", "%25")
    return escaped.replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def environment_of_command(environ: Mapping[str, str]) -> dict[str, str]:
    """What the command may see: our own variables, but nothing that writes to the forge."""
    ours = ("GITHUB_", "ACTIONS_", "INPUT_", "RUNNER_", "CI_", "GITLAB_", "GITEA_")
    return {
        name: value
        for name, value in environ.items()
        if not name.startswith(ours) and name != "WHARFINGER_COMMENT_TOKEN"
    }


def relative_folder(folder: str, root: Path) -> str:
    """A folder of the checkout as annotations name it, empty for the checkout itself."""
    clean = os.path.normpath(os.path.join(os.path.abspath(folder)))
    inner = os.path.relpath(clean, root)
    return "" if inner == "." or inner.startswith("..") else inner

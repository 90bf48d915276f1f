"""`wharfinger ci`: a command as a CI job: summary, annotations, outputs, one comment."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import click

from reconciler.cli import ci_place as places
from reconciler.cli.check_output import code_quality, sarif
from reconciler.cli.ci_comment import Comments, NotPermitted
from reconciler.cli.ci_report import Report, headline, markdown, outputs, remarks
from reconciler.cli.options import Target, option, repository_options
from reconciler.errors import Exit, Unavailable, Usage, worst
from reconciler.printable import one_line, without_secrets

_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
_KEPT = 200_000  # characters of stderr


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to run, for which repository, and where its reports go."""

    command: str
    target: Target
    arguments: tuple[str, ...]
    reports: Path
    last_seen: Path | None = None

    @property
    def document(self) -> Path:
        """The JSON object that the command printed."""
        return self.reports / f"{self.command}.json"

    @property
    def summary(self) -> Path:
        """The whole report for people."""
        return self.reports / f"{self.command}.md"

    @property
    def marker(self) -> str:
        """Marks our comment: one for each ingress repository, branch and folder."""
        target = self.target
        name = (without_secrets(target.repo), target.branch, target.path)
        digest = hashlib.sha256("\0".join(name).encode()).hexdigest()[:16]
        return f"<!-- wharfinger:{self.command} {digest} -->"


@click.command("ci")
@repository_options
@click.argument("which", type=click.Choice(["plan", "reconcile", "check"]))
@option(
    "--options",
    default="",
    metavar="LINES",
    help="Further options of that command, one a line, such as --cluster=eu1.",
)
@option(
    "--reports",
    default="wharfinger-reports",
    show_default=True,
    metavar="FOLDER",
    help="Where report files go.",
)
@option(
    "--comment",
    type=click.Choice(["auto", "off"]),
    default="auto",
    show_default=True,
    help="Show a plan on the pull request, with WHARFINGER_COMMENT_TOKEN.",
)
@option(
    "--last-seen-file",
    default="",
    metavar="FILE",
    help="Where reconcile keeps the last commit it saw, for --last-seen.",
)
def command(target: Target, which: str, comment: str, **given: str) -> None:
    """Run plan, reconcile or check as a CI job: green also when a plan finds changes."""
    seen = given["last_seen_file"]
    job = Job(
        command=which,
        target=target,
        arguments=tuple(filter(None, map(str.strip, given["options"].splitlines()))),
        reports=Path(given["reports"]).absolute(),
        last_seen=Path(seen).absolute() if seen else None,
    )
    _refuse(job.arguments)
    place = places.here(os.environ)
    report = _run(job, place)
    codes = [Exit.DONE if report.succeeded else _exit(report.code)]
    note = ""
    if which == "plan" and comment == "auto":
        note, code = _comment(job, report, place)
        codes.append(code)
    _publish(job, report, place, note)
    sys.stdout.flush()
    raise click.exceptions.Exit(worst(codes))


def _exit(code: int) -> Exit:
    """The contract's code; a command that a signal ended did something unexpected."""
    return Exit(code) if code in set(Exit) else Exit.ERROR


def _refuse(arguments: Sequence[str]) -> None:
    """Options only, and none that this command decides; a value belongs behind its `=`."""
    for each in arguments:
        name = each.partition("=")[0]
        if not each.startswith("--") or name in ("--", "--output", "--help"):
            raise Usage(
                f"{one_line(each, 80)!r} is no option that can be given here",
                where="--options",
                hint="one option a line, as --name or --name=value",
            )


def _run(job: Job, place: places.Place) -> Report:
    """Run the command as a child: its JSON into a file, its stderr onto ours, made harmless."""
    job.reports.mkdir(parents=True, exist_ok=True)
    target = job.target
    where = {"repo": target.repo, "branch": target.branch, "path": target.path}
    argv = [
        # Isolated: the working directory is a stranger's, nothing is imported from it.
        *(sys.executable, "-I", "-m", "reconciler", job.command),
        *(f"--{name}={value}" for name, value in where.items()),
        *(["--exit-code"] if job.command == "plan" else []),
        *_last_seen(job),
        *_change(job, place),
        *job.arguments,
        "--output=json",
    ]
    with (
        job.document.open("wb") as out,
        subprocess.Popen(
            argv,
            env=places.environment_of_command(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            errors="backslashreplace",
        ) as child,
    ):
        assert child.stderr is not None
        said = _relay(child.stderr)
    report = Report(
        command=job.command,
        code=child.returncode,
        document=_read(job.document),
        said=without_secrets(said),
        folder=places.relative_folder(_checkout(target), Path.cwd()),
        commit=place.commit,
    )
    _remember(job, report)
    return report


def _change(job: Job, place: places.Place) -> list[str]:
    """What `check` judges in a checkout: what is checked out, and the change that it is."""
    if job.command != "check" or not Path(job.target.repo).is_dir():
        return []
    return ["--head=HEAD", *([f"--base={place.base}"] if place.base else [])]


def _checkout(target: Target) -> str:
    """Where the files of the ingress repository are, when it is a folder here."""
    return os.path.join(target.repo, target.path) if Path(target.repo).is_dir() else "."


def _relay(stream: IO[str]) -> str:
    """Show what a command says while it says it; the end of it is returned."""
    kept = ""
    for line in stream:
        click.echo(places.harmless(line.rstrip("\n")), err=True)
        kept = (kept + line)[-_KEPT:]
    return kept


def _read(path: Path) -> dict[str, Any] | None:
    try:
        body = json.loads(path.read_bytes())
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _last_seen(job: Job) -> list[str]:
    """The commit that the job before this one saw, if its file is there."""
    found = _seen(job.last_seen)
    if not found:
        return []
    if not _SHA.match(found):
        raise Usage(
            "it does not hold a commit id",
            where=str(job.last_seen),
            hint="remove it; this pass then has nothing to compare the branch with",
        )
    return [f"--last-seen={found}"]


def _seen(file: Path | None) -> str:
    if file is None or not file.is_file():
        return ""
    return one_line(file.read_text(encoding="ascii", errors="replace").strip())


def _remember(job: Job, report: Report) -> None:
    """Keep what was seen, but never the tip of a branch that was rewound."""
    if job.last_seen is None or report.plan is None or report.document is None:
        return
    seen = str(report.document.get("commit") or report.plan.base)
    if _SHA.match(seen):
        job.last_seen.parent.mkdir(parents=True, exist_ok=True)
        job.last_seen.write_text(f"{seen}\n", encoding="ascii")


def _comment(job: Job, report: Report, place: places.Place) -> tuple[str, Exit]:
    """Put the plan on the request; a note for the summary, and what it means for the job."""
    if place.request is None:
        return "", Exit.DONE
    token = os.environ.get("WHARFINGER_COMMENT_TOKEN", "")
    if not token:
        return _not_permitted(place, "no token to comment with"), Exit.DONE
    whole = "The whole plan is in the job's summary and its report files"
    whole += f": {place.job}" if place.job else "."
    comments = Comments.of(place.forge, place.request, token)
    body = markdown(report, place.comment_limit, whole)
    try:
        done = comments.put(job.marker, body, only_if_there=report.is_quiet)
    except NotPermitted as exc:
        return _not_permitted(place, exc.what), Exit.DONE
    except Unavailable as exc:
        # A comment that stays as it was would show an old plan as if it were this one.
        click.echo(places.harmless(f"error: {exc}"), err=True)
        return f"The comment could not be written: {exc.what}.", exc.exit
    click.echo(f"note: comment: {done}", err=True)
    return "", Exit.DONE


def _not_permitted(place: places.Place, what: str) -> str:
    fork = place.request is not None and place.request.fork
    why = ", as usual for a request from a fork" if fork else ""
    note = f"The plan is not shown as a comment: {what}{why}."
    click.echo(f"note: {note}", err=True)
    return note


def _publish(job: Job, report: Report, place: places.Place, note: str) -> None:
    """Summary, annotations and outputs, as far as the place has them."""
    files = f"The report files have all of it as `{job.document.name}`."
    whole = " ".join(filter(None, (note, files)))
    text = markdown(report, place.summary_limit, whole)
    job.summary.write_text(text, encoding="utf-8")
    values = {
        **outputs(report),
        "report-file": str(job.document),
        "summary-file": str(job.summary),
        "reports": str(job.reports),
        "last-seen": _seen(job.last_seen),
    }
    if place.forge is places.Forge.GITHUB:
        for each in remarks(report):
            click.echo(places.annotation(each))
    if report.command == "check":
        _write(job.reports / "check.sarif", sarif(report.findings, report.folder))
        name = job.reports / "gl-code-quality.json"
        _write(name, code_quality(report.findings, report.folder))
    if place.forge is places.Forge.GITLAB:
        places.write_dotenv(job.reports / "wharfinger.env", values)
    if place.summary is not None:
        places.append(place.summary, text)
    if place.outputs is not None:
        places.write_outputs(place.outputs, values)
    click.echo(places.harmless(headline(report)), err=True)


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="ascii")

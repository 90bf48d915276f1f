"""Options that commands share; each has a `WHARFINGER_*` twin in the environment."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from reconciler.repo import Repository
    from reconciler.repo.side_branch import SideBranch

NO_COLOR = "reconciler.no_color"
OUTPUTS = ("text", "json", "markdown")
REPORTS = ("sarif", "github", "gitlab")
F = TypeVar("F", bound=Callable[..., Any])
R = TypeVar("R", bound="Repository")


def option(*names: str, **attributes: Any) -> Callable[[F], F]:
    """An option with its twin: `--last-seen` reads `WHARFINGER_LAST_SEEN`."""
    long = next(name for name in names if name.startswith("--")).split("/")[0]
    attributes.setdefault("envvar", "WHARFINGER_" + long[2:].replace("-", "_").upper())
    attributes.setdefault("show_envvar", False)
    return click.option(*names, **attributes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Which repository a command is about."""

    repo: str
    branch: str
    path: str

    def open(self, *, author: tuple[str, str] | None = None) -> Repository:
        """The repository, fetched."""
        repository = self.reach(author)
        trust(repository)
        return repository

    def reach(self, author: tuple[str, str] | None = None) -> Repository:
        """The repository, fetched; its history is to be read after `trust` alone."""
        # Loaded here, so that commands without a repository start without libgit2.
        from reconciler.repo import Repository

        return self._opened(
            Repository, author or ("wharfinger", "wharfinger@localhost")
        )

    def open_side(self, author: tuple[str, str]) -> SideBranch:
        """The repository, fetched, for commits that people look at first."""
        from reconciler.repo.side_branch import SideBranch

        side = self._opened(SideBranch, author)
        trust(side)
        return side

    def _opened(self, kind: type[R], author: tuple[str, str]) -> R:
        from reconciler.repo import Remote, default_cache
        from reconciler.versions import RENDERER_VERSION

        name, email = author
        remote = Remote(
            url=self.repo,
            branch=self.branch,
            path=self.path,
            author_name=name,
            author_email=email,
        )
        repository = kind.open(remote, default_cache(), RENDERER_VERSION)
        repository.fetch()
        return repository


def trust(repository: Repository) -> None:
    """Judge history by the settings' signing keys; commands that need valid settings say so."""
    from reconciler.errors import Usage
    from reconciler.settings_file import parse

    data = repository.paths.file("wharfinger.yaml")
    try:
        repository.trust(parse(data).signing.keys if data is not None else ())
    except Usage:
        return


def global_options(function: F) -> F:
    """`--debug --log-format --no-color`, which every command has."""

    @functools.wraps(function)  # carries over the options that are there already
    def wrapped(
        *args: Any, debug: bool, log_format: str, no_color: bool, **rest: Any
    ) -> Any:
        from reconciler import log

        as_json = None if log_format == "auto" else log_format == "json"
        log.configure(verbose=debug, json_lines=as_json)
        click.get_current_context().find_root().meta[NO_COLOR] = no_color
        return function(*args, **rest)

    decorated: Any = wrapped
    for decorate in (
        option("--no-color", is_flag=True, help="No colours; NO_COLOR does the same."),
        option(
            "--log-format",
            type=click.Choice(["auto", "text", "json"]),
            default="auto",
            help="Logs on stderr; auto is text on a terminal, JSON elsewhere.",
        ),
        option(
            "--debug", is_flag=True, help="Show more, and where an error came from."
        ),
    ):
        decorated = decorate(decorated)
    result: F = decorated
    return result


def repository_options(function: F) -> F:
    """`--repo --branch --path` and the global ones; the command gets `target`."""

    @functools.wraps(function)
    def wrapped(*args: Any, repo: str, branch: str, path: str, **rest: Any) -> Any:
        target = Target(repo=repo, branch=branch, path=path)
        return function(*args, target=target, **rest)

    decorated: Any = global_options(wrapped)
    for decorate in (
        option(
            "--path", default=".", metavar="FOLDER", help="Folder of the repository."
        ),
        option(
            "--branch",
            default="main",
            show_default=True,
            help="Branch to read and write.",
        ),
        option(
            "--repo",
            default=".",
            metavar="URL|PATH",
            help="The ingress repository [default: the one here].",
        ),
    ):
        decorated = decorate(decorated)
    result: F = decorated
    return result


def output_option(function: F) -> F:
    """`-o`: every command takes every format, so that its twin fits all of them."""
    return _output(OUTPUTS)(function)


def findings_option(function: F) -> F:
    """`-o` with the formats of scanners and forges besides; only findings have those."""
    return _output((*OUTPUTS, *REPORTS))(function)


def _output(formats: tuple[str, ...]) -> Callable[[F], F]:
    return option(
        "-o",
        "--output",
        type=click.Choice(formats),
        default=OUTPUTS[0],
        show_default=True,
        help="Format of the result on stdout.",
    )


def pass_options(function: F) -> F:
    """What `plan` and `reconcile` share besides the repository."""
    decorated: Any = function
    for decorate in (
        option("--fail-on-held", is_flag=True, help="Exit code 5 when a unit is held."),
        option(
            "--last-seen",
            default="",
            metavar="SHA",
            help="Freeze unless the branch contains it.",
        ),
        option(
            "--accept-arrivals",
            default="",
            metavar="DIGEST",
            help="Take these withheld new clusters.",
        ),
        option(
            "--accept-rewrites",
            default="",
            metavar="DIGEST",
            help="Pass these withheld rewrites.",
        ),
        option(
            "--accept-deletions",
            default="",
            metavar="DIGEST",
            help="Pass these withheld deletions.",
        ),
        option(
            "--gateway",
            "gateways",
            multiple=True,
            metavar="NAME",
            help="Write only what is at home on this gateway (repeatable): a shard.",
        ),
        option(
            "--cluster",
            "clusters",
            multiple=True,
            metavar="NAME",
            help="Only this cluster (repeatable).",
        ),
    ):
        decorated = decorate(decorated)
    result: F = decorated
    return result

"""Options that commands share; each has a `WHARFINGER_*` twin in the environment."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from reconciler import log
from reconciler.render import RENDERER_VERSION
from reconciler.repo import Remote, Repository, default_cache

F = TypeVar("F", bound=Callable[..., Any])


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
        name, email = author or ("wharfinger", "wharfinger@localhost")
        remote = Remote(
            url=self.repo,
            branch=self.branch,
            path=self.path,
            author_name=name,
            author_email=email,
        )
        repository = Repository.open(remote, default_cache(), RENDERER_VERSION)
        repository.fetch()
        return repository


def repository_options(function: F) -> F:
    """`--repo --branch --path --debug`; the command gets `target`."""

    @functools.wraps(function)  # carries over the options that are there already
    def wrapped(
        *args: Any, repo: str, branch: str, path: str, debug: bool, **rest: Any
    ) -> Any:
        log.configure(verbose=debug)
        return function(
            *args, target=Target(repo=repo, branch=branch, path=path), **rest
        )

    decorated: Any = wrapped
    for decorate in (
        option(
            "--debug", is_flag=True, help="Show more, and where an error came from."
        ),
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
            "--repo", default=".", metavar="URL|PATH", help="The ingress repository."
        ),
    ):
        decorated = decorate(decorated)
    result: F = decorated
    return result


def output_option(*formats: str) -> Callable[[F], F]:
    """`-o`; the first format is the default."""
    return option(
        "-o",
        "--output",
        type=click.Choice(formats),
        default=formats[0],
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

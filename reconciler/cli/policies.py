"""The policies of `check`: its options, and what they deny (reads folders, tells on stderr)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from reconciler.cli.options import option
from reconciler.errors import InvalidSettings, Usage
from reconciler.model.repository import File
from reconciler.policies.judge import Judge
from reconciler.policies.manifests import Denied, judge_manifests
from reconciler.policies.sources import builtin_policies, policies_in
from reconciler.printable import printable
from reconciler.settings_file import parse

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """What a person chose: folders beside ours, or none at all."""

    folders: tuple[str, ...] = ()
    none: bool = False

    def denied(self, files: Mapping[str, File]) -> tuple[Denied, ...]:
        """What the policies deny of the files at a commit. Raises Usage for a faulty policy.

        Without valid settings nothing is known of gateways, which is `check`'s own finding.
        """
        if self.none and self.folders:
            raise Usage("--policies and --no-policies contradict each other")
        if self.none:
            return ()
        found = builtin_policies()
        for folder in self.folders:
            found |= policies_in(Path(folder))
        judge = Judge.of(found)
        for name, why in judge.unjudged():
            click.echo(printable(f"policy {name} is not judged: {why}"), err=True)
        file = files.get("wharfinger.yaml")
        try:
            settings = parse(file.data) if file is not None else None
        except InvalidSettings:
            settings = None
        return judge_manifests(files, settings, judge) if settings is not None else ()


def policy_options(function: F) -> F:
    """`--policies DIR` (repeatable) and `--no-policies`; the command gets `policies`."""

    @functools.wraps(function)
    def wrapped(
        *args: Any, policies: tuple[str, ...], no_policies: bool, **rest: Any
    ) -> Any:
        chosen = Policies(folders=policies, none=no_policies)
        return function(*args, policies=chosen, **rest)

    decorated: Any = wrapped
    for decorate in (
        option(
            "--no-policies", is_flag=True, help="Judge by no admission policy at all."
        ),
        option(
            "--policies",
            multiple=True,
            metavar="DIR",
            help="Judge by the admission policies in this folder too (repeatable).",
        ),
    ):
        decorated = decorate(decorated)
    result: F = decorated
    return result

"""Commands as a whole: each is one line of help, each option has its twin."""

from __future__ import annotations

import click
import pytest

from reconciler.cli import COMMANDS, cli

CONTEXT = click.Context(cli)


def command(name: str) -> click.Command:
    found = cli.get_command(CONTEXT, name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_has_a_twin_in_the_environment(name: str) -> None:
    for each in _options(command(name)):
        long = next((opt for opt in each.opts if opt.startswith("--")), "")
        assert long, f"{name}: {each.opts} has no long name"
        wanted = "WHARFINGER_" + long[2:].replace("-", "_").upper()
        assert each.envvar == wanted, f"{name} {long}"


def _options(found: click.Command) -> list[click.Option]:
    own = [each for each in found.params if isinstance(each, click.Option)]
    if isinstance(found, click.Group):
        for inner in found.commands.values():
            own += _options(inner)
    return own


@pytest.mark.parametrize("name", ["plan", "reconcile"])
def test_passes_have_the_flags_of_the_contract(name: str) -> None:
    names = {opt for each in _options(command(name)) for opt in each.opts}
    assert {
        *("--repo", "--branch", "--path", "--cluster", "-o", "--output"),
        *("--last-seen", "--fail-on-held", "--accept-deletions", "--accept-rewrites"),
    } <= names


def test_the_defaults_are_those_of_the_contract() -> None:
    found = {each.name: each.default for each in _options(command("reconcile"))}
    assert (found["branch"], found["path"], found["output"]) == ("main", ".", "text")
    assert found["write_back"] == "auto"

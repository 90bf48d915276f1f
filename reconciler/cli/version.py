"""`wharfinger version`."""

from __future__ import annotations

from importlib.metadata import version

import click

from reconciler.cli.options import global_options, output_option
from reconciler.cli.output import print_json
from reconciler.render import RENDERER_VERSION


@click.command("version")
@global_options
@output_option
def command(output: str) -> None:
    """Print the version."""
    found = version("wharfinger")
    if output == "json":
        print_json({"version": found, "renderer": RENDERER_VERSION})
    else:
        click.echo(f"wharfinger {found}")

"""`wharfinger schema`."""

from __future__ import annotations

import click

from reconciler.cli.options import global_options
from reconciler.cli.output import print_json
from reconciler.settings_file import json_schema


@click.command("schema")
@global_options
def command() -> None:
    """Print the JSON Schema of wharfinger.yaml, for editors and CI."""
    print_json(json_schema())

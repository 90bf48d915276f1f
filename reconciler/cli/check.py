"""`wharfinger check`: the offline gate for a repository or a change of it."""

from __future__ import annotations

from dataclasses import asdict

import click

from reconciler.check import Finding, check
from reconciler.cli.options import Target, output_option, repository_options
from reconciler.cli.output import print_list, print_table
from reconciler.errors import Exit
from reconciler.printable import printable


@click.command("check")
@repository_options
@output_option
def command(target: Target, output: str) -> None:
    """Check an ingress repository offline: all findings at once, exit code 5 when there are any."""
    findings = check(target.open().head().files)
    if output == "json":
        print_list("Findings", [asdict(each) for each in findings])
    elif output == "markdown":
        rows = [(each.path, each.line, each.message) for each in findings]
        print_table(("FILE", "LINE", "FINDING"), rows, output)
    else:
        for each in findings:
            click.echo(printable(str(each)))
        click.echo(f"{len(findings)} findings" if findings else "No findings.")
    raise click.exceptions.Exit(_code(findings))


def _code(findings: tuple[Finding, ...]) -> Exit:
    if any(each.path == "wharfinger.yaml" for each in findings):
        return Exit.USAGE
    return Exit.BLOCKED if findings else Exit.DONE

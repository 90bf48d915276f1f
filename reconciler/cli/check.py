"""`wharfinger check`: the offline gate for a repository or a change of it."""

from __future__ import annotations

import click

from reconciler.check import Finding, check
from reconciler.cli import printable
from reconciler.cli.options import Target, output_option, repository_options
from reconciler.cli.output import print_json
from reconciler.errors import Exit


@click.command("check")
@repository_options
@output_option("text", "json")
def command(target: Target, output: str) -> None:
    """Check an ingress repository offline: all findings at once, exit code 5 when there are any."""
    findings = check(target.open().head().files)
    if output == "json":
        print_json(
            {
                "apiVersion": "wharfinger.dev/v1alpha1",
                "kind": "Findings",
                "items": [
                    {"path": each.path, "line": each.line, "message": each.message}
                    for each in findings
                ],
            }
        )
    else:
        for each in findings:
            click.echo(printable(str(each)))
        click.echo(f"{len(findings)} findings" if findings else "No findings.")
    raise click.exceptions.Exit(_code(findings))


def _code(findings: tuple[Finding, ...]) -> Exit:
    if any(each.path == "wharfinger.yaml" for each in findings):
        return Exit.USAGE
    return Exit.BLOCKED if findings else Exit.DONE

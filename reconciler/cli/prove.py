"""`wharfinger prove`: the last two arrows alone, where the gateways can be reached."""

from __future__ import annotations

import asyncio

import click

from reconciler.cli.options import Target, option, output_option, repository_options
from reconciler.cli.output import print_list, print_table
from reconciler.cli.report_output import tell
from reconciler.errors import worst
from reconciler.report import Report, prove_and_write_back
from reconciler.run import Memory, PassOptions, PassResult, one_pass


@click.command("prove")
@repository_options
@option(
    "--cluster", "clusters", multiple=True, metavar="NAME", help="Only this cluster."
)
@option(
    "--write-back",
    type=click.Choice(["auto", "on", "off"]),
    default="auto",
    show_default=True,
    help="Patch VirtualServices of a directory.",
)
@output_option
def command(
    target: Target, clusters: tuple[str, ...], write_back: str, output: str
) -> None:
    """Prove what is served and write it back; commit nothing."""
    only = frozenset(clusters) or None
    result, report = asyncio.run(_prove(target, only, write_back))
    tell(report, write_back, result.settings)
    _show(report, output)
    raise click.exceptions.Exit(worst(result.exits))


async def _prove(
    target: Target, only: frozenset[str] | None, write_back: str
) -> tuple[PassResult, Report]:
    repository = target.open()
    memory = Memory()
    result = await one_pass(repository, PassOptions(only=only, commit=False), memory)

    return result, await prove_and_write_back(repository, result, memory, write_back)


def _show(report: Report, output: str) -> None:
    if output == "json":
        items = [
            {
                "unit": str(proof.unit),
                "gateway": proof.gateway,
                "stage": str(proof.stage),
                "message": proof.message,
                "commit": proof.commit,
            }
            for proof in report.proofs
        ]
        print_list("Proofs", items)
        return
    print_table(
        ("UNIT", "GATEWAY", "STAGE", "MESSAGE"),
        [
            (proof.unit, proof.gateway, proof.stage, proof.message)
            for proof in report.proofs
        ],
        output,
    )

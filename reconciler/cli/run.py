"""`wharfinger run`: passes until stopped."""

from __future__ import annotations

import asyncio
import signal

import click

from reconciler import metrics
from reconciler.cli.options import Target, option, pass_options, repository_options
from reconciler.cli.passes import PassFlags
from reconciler.cli.reconcile import whole_pass
from reconciler.cli.report_output import tell
from reconciler.errors import Exit, ReconcileError, worst
from reconciler.log import log
from reconciler.run import Memory, PassOptions


@click.command("run")
@repository_options
@pass_options
@option(
    "--interval",
    type=click.FloatRange(min=0.5),
    default=15.0,
    show_default=True,
    help="Seconds between passes.",
)
@option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Serve Prometheus metrics on this port; 0 means none.",
)
@option(
    "--passes",
    type=click.IntRange(min=0),
    default=0,
    help="Stop after so many; 0 means never.",
)
@option(
    "--write-back",
    type=click.Choice(["auto", "on", "off"]),
    default="auto",
    show_default=True,
    help="Patch VirtualServices of a directory.",
)
def command(
    target: Target, interval: float, passes: int, write_back: str, **flags: object
) -> None:
    """Make passes until stopped; a failed pass is reported and the next one tries again."""
    options = PassFlags.of(flags).options(commit=True, wait=False)
    if flags["metrics_port"]:
        metrics.serve(int(str(flags["metrics_port"])))
    code = asyncio.run(_run(target, options, write_back, (interval, passes)))
    raise click.exceptions.Exit(code)


async def _run(
    target: Target, options: PassOptions, write_back: str, pace: tuple[float, int]
) -> Exit:
    interval, passes = pace
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    repository = target.open()
    memory = Memory()
    done = 0
    code = Exit.DONE
    while not stop.is_set():
        try:
            result, report = await whole_pass(repository, options, memory, write_back)
            tell(report, write_back, result.settings)
            code = worst(result.exits)
            metrics.note_pass(result.plan, code, pushed=result.commit is not None)
            metrics.note_requests(result.reviewed.outcomes)
            log.info(
                "pass done",
                exit=int(code),
                rows=len(result.plan.rows),
                commit=result.commit,
            )
        except ReconcileError as exc:
            code = exc.exit
            metrics.note_pass(None, code, pushed=False)
            log.error("pass failed", error=str(exc), exit=int(code))
        done += 1
        if passes and done >= passes:
            break
        try:
            await asyncio.wait_for(stop.wait(), interval)
        except TimeoutError:
            continue
    return code

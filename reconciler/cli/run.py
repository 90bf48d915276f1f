"""`wharfinger run`: passes until stopped."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping

import click

from reconciler import metrics
from reconciler.cli.flags import PassFlags
from reconciler.cli.leading import leading, lease_options
from reconciler.cli.options import Target, option, pass_options, repository_options
from reconciler.cli.report_output import Telling
from reconciler.errors import Exit
from reconciler.live.lookout import Watching
from reconciler.live.loop import Loop
from reconciler.live.means import Means, Orders
from reconciler.live.worker import Worker
from reconciler.observe.watching import Watcher
from reconciler.prove.watched import Watched
from reconciler.settings import Settings


@click.command("run")
@repository_options
@pass_options
@lease_options
@option(
    "--interval",
    type=click.FloatRange(min=0.5),
    default=15.0,
    show_default=True,
    help="Seconds between fetches, and between proofs of what is quiet.",
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
    """Watch clusters and the branch, and make a pass whenever something changed.

    A failed pass is reported and tried again; SIGTERM ends it after the push that runs.
    """
    orders = Orders(
        options=PassFlags.of(flags).options(commit=True, wait=False),
        write_back=write_back,
        interval=interval,
        passes=passes,
        tell=Telling(write_back).tell,
    )
    if flags["metrics_port"]:
        metrics.serve(int(str(flags["metrics_port"])))
    raise click.exceptions.Exit(asyncio.run(_run(target, orders, flags)))


async def _run(target: Target, orders: Orders, flags: Mapping[str, object]) -> Exit:
    def watch(settings: Settings) -> Watching:
        return Watcher(settings, only=orders.options.only)

    def news() -> None:
        loop.news()

    repository, platform = target.open(), Watched(news)
    means = Means(
        repository=repository,
        proving=target.open(),
        watch=watch,
        passes=Worker("passes"),
        proofs=Worker("proofs"),
        look=platform.look,
        lead=leading(target, repository, orders.options.gateways or (), flags),
    )
    loop = Loop(means, orders)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, loop.stop)
    try:
        return await loop.run()
    finally:
        await platform.close()

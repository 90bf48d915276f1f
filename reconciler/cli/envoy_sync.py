"""`wharfinger envoy-sync`: follow the branch and feed Envoy."""

from __future__ import annotations

import time
from pathlib import Path

import click

from reconciler.cli.options import Target, option, repository_options
from reconciler.envoysync import SyncOptions, envoy_binary, prepare, sync
from reconciler.errors import ReconcileError, Usage
from reconciler.log import log
from reconciler.repo import Repository
from reconciler.run import settings_at
from reconciler.settings import Gateway, Renderer


@click.command("envoy-sync")
@repository_options
@option(
    "--gateway",
    "name",
    default="",
    help="Which gateway [default: the only one of plain Envoy].",
)
@option(
    "--out",
    default="envoy",
    show_default=True,
    metavar="FOLDER",
    help="Where Envoy's files go.",
)
@option(
    "--status",
    default="",
    metavar="FILE",
    help="Status file for proof.envoySync [default: OUT/status.json].",
)
@option(
    "--admin",
    default="127.0.0.1:9901",
    show_default=True,
    help="Envoy's admin address.",
)
@option(
    "--bind", default="0.0.0.0", show_default=True, help="Address of all listeners."
)
@option(
    "--interval",
    type=click.FloatRange(min=0.2),
    default=5.0,
    show_default=True,
    help="Seconds between fetches.",
)
@option("--once", is_flag=True, help="Sync once and end.")
@option(
    "--bootstrap-only",
    is_flag=True,
    help="Only write bootstrap.json, to start Envoy with.",
)
def command(
    target: Target,
    name: str,
    once: bool,
    bootstrap_only: bool,
    interval: float,
    **flags: str,
) -> None:
    """Join the units of a gateway into the files that Envoy watches, and note what it took."""
    options = _options(flags)
    if bootstrap_only:
        click.echo(str(prepare(options)))
        return
    repository = target.open()
    done = ""
    while True:
        try:
            done = _sync(repository, name, options, done)
        except ReconcileError as exc:
            if once:
                raise
            log.error("sync failed", error=str(exc))
        if once:
            return
        time.sleep(interval)
        _fetch(repository)


def _fetch(repository: Repository) -> None:
    try:
        repository.fetch()
    except ReconcileError as exc:
        log.error("fetch failed", error=str(exc))


def _options(flags: dict[str, str]) -> SyncOptions:
    folder = Path(flags["out"]).absolute()
    host, _, port = flags["admin"].rpartition(":")
    if not host or not port.isdecimal():
        raise Usage(
            f"--admin {flags['admin']} is no address", hint="write 127.0.0.1:9901"
        )
    return SyncOptions(
        folder=folder,
        status=Path(flags["status"]).absolute()
        if flags["status"]
        else folder / "status.json",
        bind=flags["bind"],
        admin=flags["admin"],
        envoy=envoy_binary(),
    )


def _sync(repository: Repository, name: str, options: SyncOptions, done: str) -> str:
    head = repository.head()
    if head.commit == done:
        return done
    gateway = _gateway(repository, name)
    files = {path: file.data for path, file in head.files.items()}
    result = sync(files, head.commit, gateway, options)
    for path, reason in result.refused.items():
        log.warning("unit refused, its last good state stays", path=path, reason=reason)
    log.info(
        "envoy follows",
        commit=head.commit,
        listeners=result.listeners,
        clusters=result.clusters,
    )
    return head.commit


def _gateway(repository: Repository, name: str) -> Gateway:
    settings = settings_at(repository.head())
    plain = [each for each in settings.gateways if each.renderer is Renderer.ENVOY]
    found = [each for each in plain if not name or each.name == name]
    if len(found) != 1:
        names = ", ".join(each.name for each in plain) or "none"
        raise Usage(f"name one gateway of plain Envoy with --gateway ({names})")
    return found[0]

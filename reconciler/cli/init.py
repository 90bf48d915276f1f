"""`wharfinger init`: a working ingress repository to start from."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from reconciler import scaffold
from reconciler.cli.options import Target, option, repository_options
from reconciler.cli.people import author
from reconciler.errors import Usage
from reconciler.model.repository import CommitDraft, FileWrite
from reconciler.printable import printable
from reconciler.repo import Repository, create_bare
from reconciler.run import SETTINGS_FILE
from reconciler.settings_file import parse
from reconciler.settings_inventories import HUBS


@click.command("init")
@repository_options
@option(
    "--domain",
    required=True,
    help="The wildcard name that was set up once, such as ingress.example.com.",
)
@option(
    "--renderer",
    type=click.Choice(["envoy-gateway", "istio", "istio-classic", "envoy"]),
    default="envoy-gateway",
    show_default=True,
    help="What the gateway's manifests are for.",
)
@option(
    "--engine",
    type=click.Choice(["argocd", "flux", "none"]),
    default="argocd",
    show_default=True,
    help="What applies the manifests.",
)
@option(
    "--inventory",
    default="",
    metavar="PATH|KIND",
    help="A directory of clusters, a kubeconfig, or a kind: clusterApi, argocd, ...",
)
@option(
    "--create",
    is_flag=True,
    help="Make a bare repository at --repo when there is none.",
)
@option("--dry-run", is_flag=True, help="Print the files instead of committing them.")
def command(target: Target, create: bool, dry_run: bool, **flags: str) -> None:
    """Write settings and the engine's objects as one commit; nothing that is there is replaced."""
    wishes = scaffold.Wishes(
        domain=flags["domain"],
        renderer=flags["renderer"],
        engine=flags["engine"],
        inventory=flags["inventory"],
        inventory_is_folder=Path(flags["inventory"]).is_dir(),
        repo_url=target.repo,
        branch=target.branch,
        path=target.path,
    )
    is_kind = wishes.inventory in HUBS
    if wishes.inventory and not is_kind and not Path(wishes.inventory).exists():
        said = (
            f"note: {wishes.inventory} is not there yet and was taken for a kubeconfig"
        )
        click.echo(f"{printable(said)}; for a folder write `directory:`", err=True)
    files = scaffold.files(wishes)
    parse(files[SETTINGS_FILE])
    if dry_run:
        for path, data in files.items():
            click.echo(f"# {path}\n{data.decode()}")
        return
    if create and not Path(target.repo).exists():
        create_bare(Path(target.repo), target.branch)
    repository = target.open(author=author())
    if SETTINGS_FILE in repository.head().files:
        raise Usage(
            f"{SETTINGS_FILE} is there already",
            hint="edit it; `wharfinger plan` shows what that does",
        )
    files = _missing(files, repository)
    draft = CommitDraft(
        subject="Set up Wharfinger",
        body="",
        units=(),
        writes=tuple(FileWrite(path=path, data=data) for path, data in files.items()),
    )
    made = repository.push([draft], repository.head().commit, "", datetime.now(UTC))
    click.echo(f"Committed {made[:10]}: {', '.join(files)}")
    click.echo("Next: clone it, edit wharfinger.yaml and push; then `wharfinger plan`.")


def _missing(files: dict[str, bytes], repository: Repository) -> dict[str, bytes]:
    """Those files that people do not have yet; for owners any place of theirs counts."""

    def is_there(path: str) -> bool:
        places = scaffold.OWNERS_PLACES if path == scaffold.OWNERS else (path,)
        return any(repository.paths.file(each) is not None for each in places)

    return {path: data for path, data in files.items() if not is_there(path)}

"""`wharfinger import`: ports that are served already, adopted into the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click

from reconciler import yamlio
from reconciler.adopt import Adopted, Adoption, Refusal, adopt, ports_of_routes
from reconciler.adopt.gateways import open_ports
from reconciler.adopt.listed import read_list
from reconciler.adopt.services import Lookup, lookup, node_ports
from reconciler.adopt.unchanged import Comparison, compare
from reconciler.cli.options import Target, option, output_option, repository_options
from reconciler.cli.output import print_list, print_table
from reconciler.cli.people import author, commit
from reconciler.directory import contents
from reconciler.errors import Blocked, ReconcileError, Usage
from reconciler.model.repository import FileWrite, Head, History
from reconciler.model.units import UnitId
from reconciler.plan import Inputs
from reconciler.plan.pins import HeadPins
from reconciler.printable import printable
from reconciler.run import RENDERING, Memory, PassOptions, PassResult, one_pass
from reconciler.settings import Gateway, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sources:
    """Where ports come from: a list, the clusters' NodePorts, manifests of gateways."""

    ports: Path | None
    nodeports: bool
    gateways: Path | None


@click.command("import")
@repository_options
@option(
    "--ports",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A CSV or YAML list: port, cluster, namespace, name, route.",
)
@option("--nodeports", is_flag=True, help="The NodePorts of all Services.")
@option(
    "--gateways",
    type=click.Path(path_type=Path),
    metavar="FILE|FOLDER",
    help="Hand-made gateways, as `kubectl get -o yaml` prints them.",
)
@option("--gateway", default="", metavar="NAME", help="Into this gateway's ledger.")
@option("--dry-run", is_flag=True, help="Show what would be adopted; write nothing.")
@output_option
def command(
    target: Target, gateway: str, dry_run: bool, output: str, **sources: object
) -> None:
    """Adopt ports of lists, NodePorts and hand-made gateways; prove that nothing changes.

    An adopted port is reserved for its exposure alone, which gets exactly that port when its
    VirtualService is annotated. A port that leads to nobody whom we know is reserved for nobody.
    """
    wanted = _Sources(**sources)  # type: ignore[arg-type]
    repository = target.open()
    seen = asyncio.run(one_pass(repository, PassOptions(commit=False), Memory()))
    head, history, settings = _known(seen)
    into = _gateway(settings, gateway)
    has = ports_of_routes(into, head.files)
    adoptions = _adoptions(wanted, into, lookup(seen.claims), has)
    ids = _ids(seen, head, history)
    made = adopt(adoptions, into, ids, head.files)
    proof = _proven(seen, made)
    _show(adoptions, made, output)
    _tell(made, proof)
    if dry_run or not made.writes:
        return
    _commit(target, into, adoptions, ids)


def _known(seen: PassResult) -> tuple[Head, History, Settings]:
    if seen.failure is not None:
        raise seen.failure
    if seen.head is None or seen.history is None or seen.settings is None:
        raise AssertionError("a pass without a failure has a HEAD")
    return seen.head, seen.history, seen.settings


def _gateway(settings: Settings, name: str) -> Gateway:
    found = settings.gateway(name) if name else settings.gateways[0]
    if found is None:
        names = ", ".join(each.name for each in settings.gateways)
        raise Usage(f"there is no gateway {name[:80]!r}", hint=f"there are {names}")
    return found


def _adoptions(
    wanted: _Sources,
    gateway: Gateway,
    found: Lookup,
    has: Mapping[tuple[UnitId, str], int],
) -> tuple[Adoption, ...]:
    """All ports of all sources. Raises Usage when one of them cannot be understood.

    A route that `has` another port keeps that: its NodePort is left out, and what a hand-made
    gateway still has open for it is reserved for nobody.
    """
    if not (wanted.ports or wanted.nodeports or wanted.gateways):
        raise Usage("nothing to import", hint="name --ports, --nodeports or --gateways")
    adoptions: list[Adoption] = []
    if wanted.ports is not None:
        listed, refusals = read_list(_bytes(wanted.ports), str(wanted.ports))
        _refuse(refusals)
        adoptions += listed
    if wanted.gateways is not None:
        opened = open_ports(_documents(wanted.gateways), found)
        adoptions += [
            Adoption(port=each.port, where=each.where) if _moved(each, has) else each
            for each in opened
        ]
    if wanted.nodeports:
        ranges = gateway.ports.range
        every = [each for each in node_ports(found) if not _moved(each, has)]
        adoptions += [e for e in every if any(e.port in each for each in ranges)]
        left = len(every) - len([e for e in adoptions if e in every])
        if left:
            ports = "NodePort is" if left == 1 else "NodePorts are"
            text = f"{left} {ports} outside of ports.range and left out"
            click.echo(text, err=True)
    return tuple(dict.fromkeys(adoptions))


def _moved(each: Adoption, has: Mapping[tuple[UnitId, str], int]) -> bool:
    """Whether a route has another port here already."""
    if each.unit is None:
        return False
    return has.get((each.unit, each.route), each.port) != each.port


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise Usage(exc.strerror or "it cannot be read", where=str(path)) from None


def _documents(path: Path) -> list[Mapping[str, object]]:
    files = [(path, _bytes(path))] if path.is_file() else list(contents(path))
    found: list[Mapping[str, object]] = []
    for file, data in files:
        try:
            bodies = [each.data for each in yamlio.load_all(data)]
        except yamlio.Unreadable as exc:
            where = f"{file}:{exc.line}:{exc.column}"
            raise Usage(exc.what, where=where) from None
        for body in bodies:
            listed = body.get("items") if isinstance(body, Mapping) else None
            every = listed if isinstance(listed, list) else [body]
            found += [each for each in every if isinstance(each, Mapping)]
    return found


def _ids(seen: PassResult, head: Head, history: History) -> dict[str, str]:
    """Ids of clusters: what Git knows, else what was observed."""
    views = [each.view.entry for each in seen.claims]
    found = {each.name: each.cluster_id for each in views if each.cluster_id}
    pins = HeadPins(head, lambda: history).ready()
    return found | {n: pin.cluster_id for n, pin in pins.items() if pin.cluster_id}


def _proven(seen: PassResult, made: Adopted) -> Comparison:
    """Raises Blocked when the import would change anything that is served."""
    _refuse(made.refusals)
    head, history, settings = _known(seen)
    inputs = Inputs(
        settings=settings,
        head=head,
        history=history,
        claims=seen.claims,
        now=datetime.now(UTC),
        assume_confirmed=True,
    )
    proof = compare(inputs, made.writes, RENDERING)
    if proof.different:
        shown = "\n  ".join(proof.different[:20])
        raise Blocked(
            f"the import would change what is served:\n  {shown}",
            hint="nothing was written",
        )
    return proof


def _refuse(refusals: tuple[Refusal, ...] | list[Refusal]) -> None:
    if refusals:
        lines = [f"{each.where}: {each.what}" for each in refusals]
        more = [f"and {len(lines) - 50} more"] if len(lines) > 50 else []
        raise Usage("\n".join([*lines[:50], *more]), hint="nothing was written")


def _show(adoptions: tuple[Adoption, ...], made: Adopted, output: str) -> None:
    there = set(made.there)
    rows = [
        (
            each.port,
            str(each.unit or ""),
            each.route,
            "there" if each in there else "adopted",
            each.where,
        )
        for each in sorted(adoptions)
    ]
    columns = ("PORT", "UNIT", "ROUTE", "STATE", "FOUND")
    if output == "json":
        keys = [each.lower() for each in columns]
        print_list("Adoptions", [dict(zip(keys, row, strict=True)) for row in rows])
    else:
        print_table(columns, rows, output)


def _tell(made: Adopted, proof: Comparison) -> None:
    text = (
        f"{len(made.writes)} to adopt, {len(made.there)} there already; nothing that is served "
        f"changes (manifests {proof.digest} before and after)"
    )
    click.echo(text, err=True)
    for each in proof.settled:
        click.echo(f"the next pass gives what was adopted: {printable(each)}", err=True)


def _commit(
    target: Target,
    gateway: Gateway,
    adoptions: tuple[Adoption, ...],
    ids: dict[str, str],
) -> None:
    def writes(head: Head) -> tuple[FileWrite, ...]:
        made = adopt(adoptions, gateway, ids, head.files)
        _refuse(made.refusals)
        return made.writes

    try:
        done = commit(
            target.open_side(author()),
            f"Adopt ports of gateway {gateway.name}",
            writes,
        )
    except ReconcileError:
        click.echo("nothing was adopted", err=True)
        raise
    click.echo(f"adopted {done}" if done else "everything is there already", err=True)

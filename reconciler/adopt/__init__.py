"""What is served already comes into the ledger: ports of lists, NodePorts, hand-made gateways; pure.

An adopted port is reserved for the exposure that shall have it: nobody else can get it, and the
exposure gets exactly that port when its VirtualService is annotated. What serves nobody whom we
know is reserved for nobody, so that we never open a port that something else has open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reconciler.ledger_file import Entry, Malformed, format_entry, parse_entry
from reconciler.model.repository import File, FileWrite
from reconciler.model.units import Owner, PortState, UnitId
from reconciler.names import port_path
from reconciler.ports import contains, never_allocatable
from reconciler.settings import Gateway

__all__ = ["Adopted", "Adoption", "Refusal", "adopt", "ports_of_routes"]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Adoption:
    """One port and whose it shall be; no `unit`: nobody's. `where` is where it was found."""

    port: int
    unit: UnitId | None = None
    route: str = ""
    where: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a port cannot be adopted, where that was said, and what to do."""

    where: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """What an import would write, what is there already, and why some of it cannot be."""

    writes: tuple[FileWrite, ...]
    there: tuple[Adoption, ...]
    refusals: tuple[Refusal, ...]


def adopt(
    wanted: Sequence[Adoption],
    gateway: Gateway,
    ids: Mapping[str, str],
    files: Mapping[str, File],
) -> Adopted:
    """The ledger files of these ports. `ids` are clusters' ids by name, `files` those of HEAD.

    Everything or nothing: with one refusal nothing is to be written.
    """
    writes: list[FileWrite] = []
    there: list[Adoption] = []
    refusals = _doubled(wanted)
    has = ports_of_routes(gateway, files)
    for each in sorted(wanted):
        reason = (
            _not_allowed(each.port, gateway)
            or _no_cluster(each, ids)
            or _has_another(each, has)
        )
        if reason:
            refusals.append(Refusal(where=each.where, what=reason))
            continue
        entry = Entry(
            gateway=gateway.name,
            key=each.port,
            state=PortState.RESERVED,
            owner=_owner(each, ids),
        )
        held = _held(entry, files)
        if isinstance(held, str):
            refusals.append(Refusal(where=each.where, what=held))
        elif held:
            there.append(each)
        else:
            writes.append(FileWrite(path=entry.path, data=format_entry(entry)))
    return Adopted(writes=tuple(writes), there=tuple(there), refusals=tuple(refusals))


def ports_of_routes(
    gateway: Gateway, files: Mapping[str, File]
) -> dict[tuple[UnitId, str], int]:
    """The ports of a gateway that routes have now."""
    found: dict[tuple[UnitId, str], int] = {}
    for path, file in files.items():
        if not path.startswith(f"ports/{gateway.name}/"):
            continue
        try:
            entry = parse_entry(path, file.data)
        except Malformed:
            continue  # the planner reports it and freezes its unit
        if entry.state is PortState.ACTIVE and entry.owner is not None:
            found[entry.owner.unit, entry.owner.route] = int(entry.key)
    return found


def _has_another(each: Adoption, has: Mapping[tuple[UnitId, str], int]) -> str:
    if each.unit is None:
        return ""
    port = has.get((each.unit, each.route), each.port)
    if port == each.port:
        return ""
    return (
        f"route {each.route} of {each.unit} has port {port} already; it moves when its "
        "VirtualService asks for another one with request-port"
    )


def _owner(each: Adoption, ids: Mapping[str, str]) -> Owner | None:
    if each.unit is None:
        return None
    return Owner(
        cluster=each.unit.cluster,
        cluster_id=ids[each.unit.cluster],
        namespace=each.unit.namespace,
        name=each.unit.name,
        route=each.route,
    )


def _doubled(wanted: Sequence[Adoption]) -> list[Refusal]:
    """Ports and routes that are named twice."""
    found: list[Refusal] = []
    ports: dict[int, Adoption] = {}
    routes: dict[tuple[UnitId, str], Adoption] = {}
    for each in sorted(wanted):
        other = ports.setdefault(each.port, each)
        if other is not each:
            what = f"port {each.port} is also in {other.where}; it can be one route's"
            found.append(Refusal(where=each.where, what=what))
        if each.unit is None:
            continue
        first = routes.setdefault((each.unit, each.route), each)
        if first is not each:
            what = (
                f"route {each.route} of {each.unit} has port {first.port} in "
                f"{first.where}; one route has one port of a gateway"
            )
            found.append(Refusal(where=each.where, what=what))
    return found


def _not_allowed(port: int, gateway: Gateway) -> str:
    if port in never_allocatable(gateway.tls_port):
        return f"port {port} is needed by the proxies; let its clients use another one"
    if not contains(gateway.ports.range, port):
        where = ", ".join(map(str, gateway.ports.range))
        return (
            f"port {port} is outside of ports.range of gateway {gateway.name} ({where}); "
            "widen it first"
        )
    if contains(gateway.ports.exclude, port):
        return f"port {port} is in ports.exclude of gateway {gateway.name}"
    return ""


def _no_cluster(each: Adoption, ids: Mapping[str, str]) -> str:
    if each.unit is None or each.unit.cluster in ids:
        return ""
    return (
        f"cluster {each.unit.cluster} is not known: no inventory names it, or it cannot "
        "be read now"
    )


def _held(entry: Entry, files: Mapping[str, File]) -> str | bool:
    """Whether the ledger says the same already, or why it says something else."""
    path = port_path(entry.gateway, int(entry.key))
    file = files.get(path)
    if file is None:
        return False
    try:
        found = parse_entry(path, file.data)
    except Malformed as exc:
        return f"{path} cannot be read: {exc}"
    mine = found.owner is not None and found.owner == entry.owner
    if mine or (found.owner is None and entry.owner is None):
        return True
    whose = f"of {found.owner.unit}" if found.owner is not None else "for nobody"
    if found.state is PortState.RELEASED:
        return f"port {entry.key} was released and is still {whose}: see {path}"
    return f"port {entry.key} is {found.state} {whose}: see {path}"

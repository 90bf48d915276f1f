"""Units below `manifests/`: heads that agree with paths, and both files of each; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from reconciler.check.file_rules import GATEWAY_FILES
from reconciler.check.findings import Finding, finding
from reconciler.check.subject import Subject
from reconciler.codes import Code
from reconciler.headers import WishHeader, parse_addresses, parse_wish_header
from reconciler.model.changes import REGULAR
from reconciler.model.repository import File
from reconciler.model.units import Placement, UnitAddresses
from reconciler.names import endpoints_path, wish_path
from reconciler.wishes import parse_wish


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitAt:
    """One unit on one gateway. `placement` is `None` where the head does not say all of it."""

    gateway: str
    path: str
    file: File
    header: WishHeader
    placement: Placement | None
    addresses: UnitAddresses | None = None

    @property
    def addresses_path(self) -> str:
        return endpoints_path(self.gateway, self.header.unit)


def read_units(files: Mapping[str, File]) -> dict[str, UnitAt]:
    """Units by the path of their wish file, of those whose first line is one of that path."""
    found = {}
    for path, file in files.items():
        parts = path.split("/")
        if not _is_of_unit(path, file) or path.endswith(".endpoints.yaml"):
            continue
        header = parse_wish_header(file.data)
        if header is None or wish_path(parts[1], header.unit) != path:
            continue
        below = files.get(endpoints_path(parts[1], header.unit))
        found[path] = UnitAt(
            gateway=parts[1],
            path=path,
            file=file,
            header=header,
            placement=parse_wish(file.data),
            addresses=parse_addresses(below.data) if below is not None else None,
        )
    return found


def _is_of_unit(path: str, file: File) -> bool:
    parts = path.split("/")
    if parts[0] != "manifests" or file.mode != REGULAR or not path.endswith(".yaml"):
        return False
    return len(parts) > 3


def manifests(subject: Subject) -> tuple[list[UnitAt], list[Finding]]:
    """All units that can be read, and what is wrong with files of units."""
    units = read_units(subject.files)
    findings = []
    for path, file in subject.files.items():
        parts = path.split("/")
        if parts[0] != "manifests" or file.mode != REGULAR or len(parts) < 3:
            continue
        if subject.settings is not None and subject.settings.gateway(parts[1]) is None:
            what = f"there is no gateway {parts[1]}"
            findings.append(finding(Code.UNKNOWN_GATEWAY, path, what))
        if len(parts) == 3 and parts[2] in GATEWAY_FILES:
            continue
        if path.endswith(".endpoints.yaml"):
            findings += _addresses(path, file, units)
        elif path.endswith(".yaml") and len(parts) > 3:
            findings += _wish(path, units.get(path), subject.files)
    return list(units.values()), findings


def _wish(
    path: str, unit: UnitAt | None, files: Mapping[str, File]
) -> Iterator[Finding]:
    if unit is None:
        what = "the first line is no wish header of this path"
        yield finding(Code.HEAD_MISMATCH, path, what)
    elif unit.addresses_path not in files:
        yield finding(Code.HALF_A_UNIT, path, "has no addresses file")
    elif unit.addresses is not None and unit.placement is not None:
        strange = sorted(_located(unit.addresses) ^ _wished(unit.placement))
        if strange:
            route, key = strange[0]
            what = f"{unit.path} and its addresses do not name the same destinations: {key} of route {route}"
            yield finding(Code.ADDRESSES_OF_OTHERS, unit.addresses_path, what)


def _located(addresses: UnitAddresses) -> set[tuple[str, str]]:
    return {
        (route.name, located.destination.key)
        for route in addresses.routes
        for located in route.located
    }


def _wished(placement: Placement) -> set[tuple[str, str]]:
    return {
        (route.name, destination.key)
        for route in placement.wish.routes
        for destination in route.destinations
    }


def _addresses(path: str, file: File, units: Mapping[str, UnitAt]) -> Iterator[Finding]:
    addresses = parse_addresses(file.data)
    gateway = path.split("/")[1]
    if addresses is None or endpoints_path(gateway, addresses.unit) != path:
        what = "the first lines are no addresses header of this path"
        yield finding(Code.HEAD_MISMATCH, path, what)
    elif wish_path(gateway, addresses.unit) not in units:
        yield finding(Code.HALF_A_UNIT, path, "has no wish file that can be read")

"""Units at HEAD by their wish files, kept up to date file by file; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.headers import WishHeader, parse_addresses, parse_wish_header
from reconciler.model.repository import File
from reconciler.model.units import UnitAddresses, UnitId
from reconciler.names import endpoints_path, file_prefix, wish_path

_FOLLOWS = ".endpoints.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadUnit:
    """One unit on one gateway as HEAD has it. `header` is `None` where a person broke it."""

    unit: UnitId
    gateway: str
    wish: File
    header: WishHeader | None
    endpoints: File | None

    @property
    def path(self) -> str:
        return wish_path(self.gateway, self.unit)

    @property
    def addresses(self) -> UnitAddresses | None:
        """Its addresses; `None` where its other file is missing, broken or of another unit."""
        found = parse_addresses(self.endpoints.data) if self.endpoints else None
        return found if found is not None and found.unit == self.unit else None


class HeadsIndex:
    """Every wish file whose first line says whose it is; `broken` are the paths of the others.

    `wishes` counts files by gateway, `exposures` units by cluster, without APIs. `gateways` are
    the gateways' own files by gateway.
    """

    def __init__(self) -> None:
        self.heads: dict[UnitId, tuple[HeadUnit, ...]] = {}
        self.units: dict[str, set[UnitId]] = {}
        self.wishes: Counter[str] = Counter()
        self.exposures: Counter[str] = Counter()
        self.broken: set[str] = set()
        self.gateways: dict[str, set[str]] = {}
        self._by_path: dict[str, HeadUnit] = {}

    def put(self, path: str, files: Mapping[str, File]) -> UnitId | None:
        """Look at a file below `manifests/` again; returns the unit that it is about."""
        if path.count("/") == 2:
            own = self.gateways.setdefault(path.split("/")[1], set())
            (own.add if path in files else own.discard)(path)
            return None
        if path.endswith(_FOLLOWS):
            wish = f"{path.removesuffix(_FOLLOWS)}.yaml"
            if wish not in self._by_path and wish not in files:
                return None
            return self.put(wish, files)
        if not is_wish(path):
            return None
        before = self._by_path.pop(path, None)
        self.broken.discard(path)
        head = None
        file = files.get(path)
        if file is not None and file.mode == 0o100644:
            head = head_unit(path, file, files)
            if head is None:
                self.broken.add(path)
        if before is not None:
            self._take(before)
        if head is not None:
            self._by_path[path] = head
            self._add(head)
        about = head or before
        return about.unit if about is not None else None

    def at(self, path: str) -> HeadUnit | None:
        """The unit whose wish file lies at a path."""
        return self._by_path.get(path)

    def _add(self, head: HeadUnit) -> None:
        unit = head.unit
        mine = self.heads.get(unit, ())
        if not mine:
            self.units.setdefault(unit.cluster, set()).add(unit)
            self.exposures[unit.cluster] += not unit.is_api
        self.heads[unit] = tuple(sorted((*mine, head), key=lambda each: each.gateway))
        self.wishes[head.gateway] += 1

    def _take(self, head: HeadUnit) -> None:
        unit = head.unit
        mine = tuple(each for each in self.heads[unit] if each is not head)
        self.wishes[head.gateway] -= 1
        if mine:
            self.heads[unit] = mine
            return
        del self.heads[unit]
        self.units[unit.cluster].discard(unit)
        self.exposures[unit.cluster] -= not unit.is_api


def is_wish(path: str) -> bool:
    """Whether a path is one of a wish file."""
    parts = path.split("/")
    if parts[0] != "manifests" or path.endswith(_FOLLOWS):
        return False
    if len(parts) == 5:
        return parts[4].startswith(file_prefix(parts[3])) and path.endswith(".yaml")
    return len(parts) == 4 and parts[3] == "api.yaml"


def head_unit(
    path: str, file: File, files: Mapping[str, File], expected: UnitId | None = None
) -> HeadUnit | None:
    """The unit of a wish file: whom its first line names, else who is expected at its path."""
    header = parse_wish_header(file.data)
    gateway = path.split("/")[1]
    unit = header.unit if header is not None else None
    if unit is None or wish_path(gateway, unit) != path:
        unit, header = expected, None
    if unit is None:
        return None
    endpoints = files.get(endpoints_path(gateway, unit))
    return HeadUnit(
        unit=unit, gateway=gateway, wish=file, header=header, endpoints=endpoints
    )

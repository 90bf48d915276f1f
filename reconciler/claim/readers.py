"""Which units read what of a cluster; pure."""

from __future__ import annotations

from collections.abc import Set

from reconciler.claim.index import Key
from reconciler.model.units import UnitId


class Readers:
    """What the claim of each unit has read, both ways."""

    def __init__(self) -> None:
        self._reads: dict[UnitId, tuple[Key, ...]] = {}
        self._readers: dict[Key, set[UnitId]] = {}

    def of(self, key: Key) -> Set[UnitId]:
        """The units that read this; a view, not a copy."""
        return self._readers.get(key, frozenset())

    def put(self, unit: UnitId, keys: Set[Key]) -> None:
        """The unit reads these, and nothing else any more."""
        before = self._reads.pop(unit, ())
        for key in before:
            if key not in keys:
                self._forget(unit, key)
        for key in keys:
            if key not in before:
                self._readers.setdefault(key, set()).add(unit)
        if keys:
            self._reads[unit] = tuple(keys)

    def _forget(self, unit: UnitId, key: Key) -> None:
        units = self._readers[key]
        units.discard(unit)
        if not units:
            del self._readers[key]

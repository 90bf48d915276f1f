"""Which units read what of a cluster; pure."""

from __future__ import annotations

from collections.abc import Collection, Set

from reconciler.claim.index import Key
from reconciler.model.units import UnitId


class Readers:
    """What the claim of each unit has read, both ways.

    Most of what is read has one reader, which then stands for itself: a set of one is bigger
    than all the rest that is kept of a unit here.
    """

    def __init__(self) -> None:
        self._reads: dict[UnitId, tuple[Key, ...]] = {}
        self._readers: dict[Key, UnitId | set[UnitId]] = {}

    def of(self, key: Key) -> Collection[UnitId]:
        """The units that read this; a view, not a copy."""
        found = self._readers.get(key)
        if found is None:
            return ()
        return (found,) if isinstance(found, UnitId) else found

    def put(self, unit: UnitId, keys: Set[Key]) -> None:
        """The unit reads these, and nothing else any more."""
        before = self._reads.pop(unit, ())
        for key in before:
            if key not in keys:
                self._forget(unit, key)
        for key in keys:
            if key not in before:
                self._add(unit, key)
        if keys:
            self._reads[unit] = tuple(keys)

    def _add(self, unit: UnitId, key: Key) -> None:
        found = self._readers.get(key)
        if found is None:
            self._readers[key] = unit
        elif isinstance(found, UnitId):
            self._readers[key] = {found, unit}
        else:
            found.add(unit)

    def _forget(self, unit: UnitId, key: Key) -> None:
        found = self._readers[key]
        if isinstance(found, set):
            found.discard(unit)
            if found:
                return
        del self._readers[key]

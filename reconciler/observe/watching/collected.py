"""All objects of a hub as lists and watches said them; pure.

What was seen with a `deletionTimestamp` and then went away is remembered for a while: the object
is the inventory's word that its cluster was deleted, and a list has nothing to say of it any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from reconciler.observe import parse
from reconciler.observe.inventories.source import Json, Key, Kind, Objects
from reconciler.observe.watching.store import Overfull, Row
from reconciler.weight import weight

REMEMBERED = 1000
"""Objects that were deleted and are remembered, at most."""
SECONDS = 3600.0
"""For how long; by then the deletion stands in Git, or waits there for people."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of an object: nothing where it says nothing to its inventory."""

    value: Json | None
    deleting: bool


def converted(body: Json, kind: Kind) -> Row:
    """An object as a row. Raises ValueError for one without identity."""
    key = parse.identity(body, namespaced=kind.namespaced)
    metadata = parse.mapping(body.get("metadata"))
    deleting = metadata.get("deletionTimestamp") is not None
    return Row(key, Kept(kind.keep(body), deleting))


@dataclass(slots=True)
class Collection:
    """The objects of one path; `called` is the name of their kind in `Objects`."""

    called: str
    kept: dict[Key, Kept] = field(default_factory=dict)
    sizes: dict[Key, int] = field(default_factory=dict)

    @classmethod
    def of(cls, called: str, rows: Iterable[Row]) -> Collection:
        """From a whole list."""
        made = cls(called)
        for each in rows:
            made.put(each)
        return made

    @property
    def total(self) -> int:
        """Bytes of memory, about."""
        return sum(self.sizes.values())

    def put(self, each: Row) -> None:
        """What says nothing is not kept."""
        if each.value.value is None:
            self.drop(each.key)
            return
        self.kept[each.key], self.sizes[each.key] = each.value, weight(each)

    def drop(self, key: Key) -> None:
        """The object is gone."""
        self.kept.pop(key, None)
        self.sizes.pop(key, None)


class Collected:
    """The objects of one hub. `items` bounds each collection, `size` the memory of all."""

    def __init__(self, *, items: int, size: int) -> None:
        self._items = items
        self._size = size
        self._total = 0
        self._collections: dict[str, Collection] = {}
        self._gone: dict[tuple[str, Key], tuple[float, Json]] = {}
        self._objects: Objects | None = None

    def begin(self, collections: Mapping[str, Collection], now: float) -> None:
        """New lists of everything, by path, in place of what was known."""
        before, self._collections = self._collections, dict(collections)
        for path, collection in before.items():
            fresh = self._collections.get(path, Collection(collection.called))
            self._compare(collection, fresh, now)
        self._count()

    def listed(self, path: str, rows: Iterable[Row], now: float) -> None:
        """A new list of one collection."""
        old = self._collections[path]
        fresh = self._collections[path] = Collection.of(old.called, rows)
        self._compare(old, fresh, now)
        self._count()

    def put(self, path: str, each: Row) -> bool:
        """An object is there; whether that is news. Raises Overfull, and then nothing changed."""
        collection = self._collections[path]
        old = collection.kept.get(each.key)
        if old == each.value or (old is None and each.value.value is None):
            return False
        if len(collection.kept) >= self._items and old is None:
            raise Overfull(f"more than {self._items} {collection.called}")
        grown = weight(each) - collection.sizes.get(each.key, 0)
        if self._total + grown > self._size:
            raise Overfull(f"its objects take more than {self._size} bytes of memory")
        collection.put(each)
        self._gone.pop((collection.called, each.key), None)
        self._total += grown
        self._objects = None
        return True

    def drop(self, path: str, each: Row, now: float) -> bool:
        """An object is gone; whether anything was known of it."""
        collection = self._collections[path]
        old = collection.kept.get(each.key)
        if old is None:
            return False
        self._total -= collection.sizes[each.key]
        collection.drop(each.key)
        last = each.value if each.value.value is not None else old
        self._bury(collection.called, each.key, last, now)
        self._objects = None
        return True

    def kept(self, *, without: str) -> int:
        """Bytes of memory of all collections but one."""
        return sum(
            each.total for path, each in self._collections.items() if path != without
        )

    def objects(self) -> Objects:
        """Everything; the same value while nothing changes."""
        if self._objects is None:
            found: dict[str, dict[Key, Json]] = {}
            for each in self._collections.values():
                into = found.setdefault(each.called, {})
                into.update(_values(each))
            self._objects = Objects(of=found)
        return self._objects

    def gone(self, now: float) -> Objects:
        """What was being deleted when it went away, not long ago."""
        found: dict[str, dict[Key, Json]] = {}
        for (called, key), (since, value) in list(self._gone.items()):
            if now - since > SECONDS:
                del self._gone[called, key]
            else:
                found.setdefault(called, {})[key] = value
        return Objects(of=found)

    def _compare(self, old: Collection, fresh: Collection, now: float) -> None:
        for key, kept in old.kept.items():
            if key not in fresh.kept:
                self._bury(old.called, key, kept, now)
        for key in fresh.kept:
            self._gone.pop((fresh.called, key), None)

    def _bury(self, called: str, key: Key, last: Kept, now: float) -> None:
        if last.deleting and last.value is not None:
            self._gone[called, key] = (now, last.value)
            while len(self._gone) > REMEMBERED:
                del self._gone[next(iter(self._gone))]

    def _count(self) -> None:
        self._total = sum(each.total for each in self._collections.values())
        self._objects = None


def _values(collection: Collection) -> dict[Key, Json]:
    return {
        key: kept.value
        for key, kept in collection.kept.items()
        if kept.value is not None
    }

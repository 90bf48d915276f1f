"""A mapping with a few changes laid over it, for a price that knows only the changes; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Overlay(Mapping[K, V]):
    """`base` with `changes`; a change to `None` takes a key away. Neither is copied or written."""

    __slots__ = ("base", "changes")

    def __init__(self, base: Mapping[K, V], changes: Mapping[K, V | None]) -> None:
        self.base = base
        self.changes = changes

    def __getitem__(self, key: K) -> V:
        if key not in self.changes:
            return self.base[key]
        found = self.changes[key]
        if found is None:
            raise KeyError(key)
        return found

    def __iter__(self) -> Iterator[K]:
        yield from (key for key in self.base if key not in self.changes)
        yield from (key for key, value in self.changes.items() if value is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def over(base: Mapping[K, V], changes: Mapping[K, V | None]) -> Mapping[K, V]:
    """The mapping with these changes; layers do not pile up."""
    if not changes:
        return base
    if isinstance(base, Overlay):
        return Overlay(base.base, {**base.changes, **changes})
    return Overlay(base, changes)


def changes_of(mapping: Mapping[K, V]) -> Mapping[K, V | None]:
    """What is laid over; nothing for a plain mapping."""
    return mapping.changes if isinstance(mapping, Overlay) else {}

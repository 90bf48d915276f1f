"""All objects of one cluster as lists and watches said them, and what each change was; pure.

`resourceVersion` is never looked at here: after a reconnect a server that lags may send an older
object again, and what came last counts, as it would in a list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from reconciler.model.clusters import ClusterObjects, EndpointSlice
from reconciler.model.updates import Delta, Object
from reconciler.observe import parse
from reconciler.weight import weight

Key = tuple[str, str]
"""Namespace (empty for a Node) and name."""
ChangeKey = tuple[str, object]
"""The kind of an object, and what tells it from others of its kind."""
Changes = Mapping[ChangeKey, Delta]
Labels = tuple[tuple[str, str], ...]


class Kind(StrEnum):
    """What is watched."""

    VIRTUAL_SERVICES = "virtualservices"
    SERVICES = "services"
    NODES = "nodes"
    ENDPOINT_SLICES = "endpointslices"
    DESTINATION_RULES = "destinationrules"
    PODS = "pods"


@dataclass(frozen=True, slots=True)
class Row:
    """One object: a typed value, for a Pod its labels, for an EndpointSlice also its pods."""

    key: Key
    value: Any
    pods: tuple[str, ...] = ()


class Overfull(ValueError):
    """More objects, or bytes of objects, than one cluster may have."""


@dataclass(slots=True)
class _Table:
    """The objects of one kind; `sizes` and their `total` are bytes in memory."""

    rows: dict[Key, Row]
    sizes: dict[Key, int]
    total: int
    ordered: tuple[Any, ...] | None = None

    def put(self, row: Row, size: int) -> Row | None:
        old = self.rows.get(row.key)
        self.total += size - self.sizes.get(row.key, 0)
        self.rows[row.key], self.sizes[row.key] = row, size
        self.ordered = None
        return old

    def drop(self, key: Key) -> Row | None:
        old = self.rows.pop(key, None)
        self.total -= self.sizes.pop(key, 0)
        self.ordered = None
        return old


def _table(rows: Iterable[Row], total: int) -> _Table:
    """Of a list the bytes of each object are not known, only their mean."""
    listed = list(rows)
    found = {row.key: row for row in listed}
    if len(found) != len(listed):
        raise ValueError("a list has an object twice")
    mean = total // max(1, len(found))
    return _Table(found, dict.fromkeys(found, mean), mean * len(found))


class Store:
    """The objects of one cluster. `items` bounds each kind, `size` the memory of all of them."""

    def __init__(self, *, items: int, size: int) -> None:
        self._items = items
        self._size = size
        self._tables: dict[Kind, _Table] = {}
        self._needy: set[Key] = set()
        self._joined: dict[Key, EndpointSlice] = {}
        self._slices_of: dict[Key, set[Key]] = {}
        self._objects: ClusterObjects | None = None

    @property
    def needs_pods(self) -> bool:
        """Whether some VirtualService asks for pods of a subset."""
        return bool(self._needy)

    def kept(self, *, without: Kind) -> int:
        """Bytes of memory of all kinds but one."""
        return sum(
            table.total for kind, table in self._tables.items() if kind is not without
        )

    def listed(self, kind: Kind, rows: Iterable[Row], kept: int) -> Changes:
        """A whole list replaces what was known. Raises ValueError for an object twice."""
        table = _table(rows, kept)
        before = self._tables.get(kind)
        old = before.rows if before else {}
        self._tables[kind] = table
        if kind is Kind.PODS and before is None:
            return self._join(self._rows(Kind.ENDPOINT_SLICES))
        keys = old.keys() | table.rows.keys()
        return self._changed(
            kind, {key: (old.get(key), table.rows.get(key)) for key in keys}
        )

    def put(self, kind: Kind, row: Row) -> Changes:
        """An object is there, as it is now. Raises Overfull, and then knows what it knew."""
        table, size = self._tables[kind], weight(row)
        if len(table.rows) >= self._items and row.key not in table.rows:
            raise Overfull(f"more than {self._items} {kind}")
        total = sum(each.total for each in self._tables.values())
        if total + size - table.sizes.get(row.key, 0) > self._size:
            raise Overfull(f"its objects take more than {self._size} bytes of memory")
        old = table.put(row, size)
        return self._changed(kind, {row.key: (old, row)})

    def drop(self, kind: Kind, key: Key) -> Changes:
        """An object is gone."""
        old = self._tables[kind].drop(key)
        return self._changed(kind, {key: (old, None)})

    def forget_pods(self) -> Changes:
        """Pods are not looked at."""
        if self._tables.pop(Kind.PODS, None) is None:
            return {}
        return self._join(self._rows(Kind.ENDPOINT_SLICES))

    def forget(self, kind: Kind) -> Changes:
        """A kind is not served any more."""
        return self.listed(kind, (), 0) if kind in self._tables else {}

    def objects(self) -> ClusterObjects:
        """Everything, in the order of a list; the same value while nothing changes."""
        if self._objects is None:
            self._objects = ClusterObjects(
                virtual_services=self._ordered(Kind.VIRTUAL_SERVICES),
                services=self._ordered(Kind.SERVICES),
                nodes=self._ordered(Kind.NODES),
                endpoint_slices=self._ordered(Kind.ENDPOINT_SLICES),
                destination_rules=self._ordered(Kind.DESTINATION_RULES),
            )
        return self._objects

    def _rows(self, kind: Kind) -> Mapping[Key, Row]:
        table = self._tables.get(kind)
        return table.rows if table else {}

    def _ordered(self, kind: Kind) -> tuple[Any, ...]:
        table = self._tables.get(kind)
        if table is None:
            return ()
        if table.ordered is None:
            keys = sorted(table.rows)
            if kind is Kind.ENDPOINT_SLICES:
                # A Service has several slices: their own names are not kept.
                values = [self._joined[key] for key in keys]
                values.sort(key=lambda each: (each.namespace, each.service, each.ports))
                table.ordered = tuple(values)
            else:
                table.ordered = tuple(table.rows[key].value for key in keys)
        return table.ordered

    def _changed(
        self, kind: Kind, pairs: Mapping[Key, tuple[Row | None, Row | None]]
    ) -> Changes:
        self._objects = None
        match kind:
            case Kind.PODS:
                return self._relabelled(pairs)
            case Kind.ENDPOINT_SLICES:
                self._refer(pairs)
                return self._join(pairs)
            case Kind.VIRTUAL_SERVICES:
                self._note_needs(pairs)
        return {
            (kind, key): Delta(old=_value(old), new=_value(new))
            for key, (old, new) in pairs.items()
            if _value(old) != _value(new)
        }

    def _note_needs(self, pairs: Mapping[Key, tuple[Row | None, Row | None]]) -> None:
        for key, (_, new) in pairs.items():
            if new is not None and parse.needs_pods((new.value,)):
                self._needy.add(key)
            else:
                self._needy.discard(key)

    def _relabelled(
        self, pairs: Mapping[Key, tuple[Row | None, Row | None]]
    ) -> Changes:
        touched: set[Key] = set()
        for key, (old, new) in pairs.items():
            if _value(old) != _value(new):
                touched |= self._slices_of.get(key, set())
        return self._join(touched)

    def _refer(self, pairs: Mapping[Key, tuple[Row | None, Row | None]]) -> None:
        for key, (old, new) in pairs.items():
            for name in old.pods if old else ():
                slices = self._slices_of.get((key[0], name), set())
                slices.discard(key)
                if not slices:
                    self._slices_of.pop((key[0], name), None)
            for name in new.pods if new else ():
                self._slices_of.setdefault((key[0], name), set()).add(key)

    def _join(self, keys: Collection[Key]) -> Changes:
        """Give slices the labels of their pods."""
        rows = self._rows(Kind.ENDPOINT_SLICES)
        changes: dict[ChangeKey, Delta] = {}
        pods = self._rows(Kind.PODS) if Kind.PODS in self._tables else None
        for key in keys:
            old, row = self._joined.get(key), rows.get(key)
            new = None if row is None else _with_labels(row, pods)
            if new is None:
                self._joined.pop(key, None)
            else:
                self._joined[key] = new
            if old != new:
                changes[Kind.ENDPOINT_SLICES, key] = Delta(old=old, new=new)
        if changes and (table := self._tables.get(Kind.ENDPOINT_SLICES)):
            table.ordered, self._objects = None, None
        return changes


def _value(row: Row | None) -> Object | None:
    return None if row is None else row.value


def _with_labels(row: Row, pods: Mapping[Key, Row] | None) -> EndpointSlice:
    bare: EndpointSlice = row.value
    if pods is None:
        return bare
    endpoints = tuple(
        replace(endpoint, pod_labels=_labels(pods.get((bare.namespace, name))))
        for endpoint, name in zip(bare.endpoints, row.pods, strict=True)
    )
    return replace(bare, endpoints=endpoints)


def _labels(pod: Row | None) -> Labels:
    return () if pod is None else pod.value


def difference(old: ClusterObjects, new: ClusterObjects) -> Changes:
    """What two complete reads of a folder differ in. Slices have no names: content names them."""
    changes: dict[ChangeKey, Delta] = {}
    for kind in Kind:
        if kind is Kind.PODS:
            continue
        before, after = _by_key(kind, old), _by_key(kind, new)
        for key in before.keys() | after.keys():
            delta = Delta(old=before.get(key), new=after.get(key))
            if delta.old != delta.new:
                changes[kind, key] = delta
    return changes


_FIELDS = {
    Kind.VIRTUAL_SERVICES: "virtual_services",
    Kind.SERVICES: "services",
    Kind.NODES: "nodes",
    Kind.ENDPOINT_SLICES: "endpoint_slices",
    Kind.DESTINATION_RULES: "destination_rules",
}


def _by_key(kind: Kind, objects: ClusterObjects) -> Mapping[object, Object]:
    values = getattr(objects, _FIELDS[kind])
    if kind is Kind.ENDPOINT_SLICES:
        # Equal ones are several all the same: each goes by itself.
        seen: Counter[EndpointSlice] = Counter()
        found: dict[object, Object] = {}
        for each in values:
            found[each, seen[each]] = each
            seen[each] += 1
        return found
    return {(getattr(each, "namespace", ""), each.name): each for each in values}

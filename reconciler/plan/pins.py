"""What Git has pinned of clusters: their files at HEAD, judged as the planner judges them; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property

from reconciler.ledger import Touch
from reconciler.model.pins import Pin, Pins
from reconciler.model.repository import File, Head, History
from reconciler.plan.records import ClusterRecord, read_record

_FOLDER = "clusters/"


def pin_of(record: ClusterRecord) -> Pin:
    """What is pinned by a cluster's record."""
    return Pin(
        cluster_id=record.cluster_id,
        inventory=record.inventory,
        inventory_id=record.inventory_id,
        uid=record.known_uid,
        ca_bundle=record.ca_bundle,
        trust=record.trust,
        accept=record.accept,
    )


def _pinned(record: ClusterRecord) -> Pin:
    """The same; whoever comes after one that its inventory called deleted begins anew."""
    found = pin_of(record)
    return replace(found, ca_bundle="", trust=()) if record.deleted else found


class KnownPins(Mapping[str, Pin]):
    """Of records that were read."""

    def __init__(self, records: Mapping[str, ClusterRecord]) -> None:
        self._records = dict(records)

    def __getitem__(self, name: str) -> Pin:
        return _pinned(self._records[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)


class HeadPins(Mapping[str, Pin]):
    """Of HEAD and its history, read when somebody asks: most passes ask for few, or for none."""

    def __init__(self, head: Head, history: Callable[[], History]) -> None:
        self._files: Mapping[str, File] = head.files
        self._history = history
        self._known: dict[str, Pin | None] = {}

    def ready(self) -> Pins:
        """All of them, read now: for whoever asks in another thread."""
        return {name: self[name] for name in self}

    def __getitem__(self, name: str) -> Pin:
        if name not in self._known:
            past, touched = self._past
            record = read_record(name, self._files, touched, past.read)
            self._known[name] = _pinned(record) if record is not None else None
        found = self._known[name]
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        _, touched = self._past
        paths = {*self._files, *touched}
        named = (each for each in paths if each.startswith(_FOLDER))
        names = sorted(
            each.removeprefix(_FOLDER).removesuffix(".yaml") for each in named
        )
        return (name for name in names if "/" not in name and name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    @cached_property
    def _past(self) -> tuple[History, Mapping[str, list[Touch]]]:
        history = self._history()
        touched: dict[str, list[Touch]] = {}
        for commit in history.commits:
            for change in commit.changes:
                if change.path.startswith(_FOLDER):
                    touch = Touch(commit=commit, change=change)
                    touched.setdefault(change.path, []).append(touch)
        return history, touched

"""What became known and nobody has taken yet: at most one update a cluster (asyncio, no I/O).

However slow the taker is, what waits is bounded by what exists: changes of one object become one
change, a change and its opposite become none, and for a cluster that must be looked at as a whole
no single change is kept.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

from reconciler.model.clusters import VirtualService
from reconciler.model.updates import Delta, Object, Update
from reconciler.observe.watching.flapping import Damping
from reconciler.observe.watching.pace import Pace
from reconciler.observe.watching.store import ChangeKey, Changes


@dataclass(slots=True)
class _Pending:
    """What is to be told of one cluster; `late` waits for its time.

    `owed` is the timer of a `whole` that waits: nothing else is told of the cluster before.
    """

    whole: bool = False
    owed: asyncio.TimerHandle | None = None
    deltas: dict[ChangeKey, Delta] = field(default_factory=dict)
    late: dict[ChangeKey, Delta] = field(default_factory=dict)


class Updates(asyncio.Queue[Update]):
    """A queue of updates that are put together until they are taken."""

    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self._pace = pace
        self._wholes = Damping(pace)
        self._objects: dict[str, Damping] = {}
        self._pending: dict[str, _Pending] = {}
        self._queued: set[str] = set()

    def whole(self, cluster: str, change: tuple[int, int] | None = None) -> None:
        """A cluster must be looked at as a whole.

        `change` are fingerprints of what it was and is (known or not), for what flaps.
        """
        loop = asyncio.get_running_loop()
        delay = 0.0
        if change is not None:
            delay = self._wholes.delay(cluster, change, loop.time())
        pending = self._pending.setdefault(cluster, _Pending())
        if not delay or cluster in self._queued:
            # What is queued already is taken with the view of then: it must be the whole one.
            self._whole(cluster)
        elif pending.owed is None:
            # Changes that are late are part of it, and later ones go on from what it tells.
            timer = loop.call_later(delay, self._whole, cluster)
            self._pending[cluster] = _Pending(owed=timer)

    def untold(self, cluster: str) -> bool:
        """Whether changes of a cluster, which are seen already, are still to be told."""
        return cluster in self._pending

    def changed(self, cluster: str, changes: Changes) -> None:
        """Objects of a cluster changed."""
        loop = asyncio.get_running_loop()
        pending = self._pending.setdefault(cluster, _Pending())
        if pending.whole:
            return
        damping = self._objects.setdefault(cluster, Damping(self._pace))
        for key, delta in changes.items():
            prints = (_fingerprint(delta.old), _fingerprint(delta.new))
            delay = damping.delay(key, prints, loop.time())
            if pending.owed is not None:
                if not delay:
                    self._whole(cluster)
                    return
            elif key in pending.late:
                _merge(pending.late, key, delta)
            elif delay:
                self._postpone(cluster, key, delta, delay)
            else:
                _merge(pending.deltas, key, delta)
        if pending.deltas:
            self._queue_up(cluster)

    def _postpone(
        self, cluster: str, key: ChangeKey, delta: Delta, delay: float
    ) -> None:
        self._pending[cluster].late[key] = delta
        loop = asyncio.get_running_loop()
        loop.call_later(delay, self._release, cluster, key)

    def _release(self, cluster: str, key: ChangeKey) -> None:
        pending = self._pending.get(cluster)
        delta = pending.late.pop(key, None) if pending else None
        if pending is not None and delta is not None:
            _merge(pending.deltas, key, delta)
            if pending.deltas:
                self._queue_up(cluster)

    def _whole(self, cluster: str) -> None:
        pending = self._pending.get(cluster)
        if pending is not None and pending.owed is not None:
            pending.owed.cancel()
        self._pending[cluster] = _Pending(whole=True)
        self._queue_up(cluster)

    def _queue_up(self, cluster: str) -> None:
        if cluster not in self._queued:
            self._queued.add(cluster)
            self.put_nowait(Update(cluster=cluster, deltas=()))

    def _get(self) -> Update:
        """The queue holds names; what there is to say is read when one is taken."""
        taken = super()._get()
        self._queued.discard(taken.cluster)
        pending = self._pending.pop(taken.cluster, _Pending())
        if pending.late:
            self._pending[taken.cluster] = _Pending(late=pending.late)
        deltas = None if pending.whole else tuple(pending.deltas.values())
        return replace(taken, deltas=deltas)


def _merge(into: dict[ChangeKey, Delta], key: ChangeKey, delta: Delta) -> None:
    earlier = into.pop(key, None)
    old = delta.old if earlier is None else earlier.old
    if old != delta.new:
        into[key] = Delta(old=old, new=delta.new)


def _fingerprint(each: Object | None) -> int:
    """Equal for equal content: a server gives each revision of a VirtualService new numbers."""
    if isinstance(each, VirtualService):
        each = replace(each, resource_version="", generation=0)
    return hash(repr(each))

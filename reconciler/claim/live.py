"""Claims of one cluster, kept up to date by what changes, so that a change costs its units; pure.

Every claim leaves behind what it read (`index.Key`), and a change of that finds the unit again.
What HEAD serves is known from the last `claims` of a unit: whoever changes HEAD claims the units
whose files were touched anew. One thread at a time: nothing here is locked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from reconciler.claim.annotations import is_written_back
from reconciler.claim.apis import claim_api
from reconciler.claim.decoding import Decoder, Decoding, asks, is_elsewhere, judged
from reconciler.claim.foundations import FoundationDecoder, foundation_of
from reconciler.claim.index import NODES, Index, read_as, source_name
from reconciler.claim.pools import Pools, left_of_grace
from reconciler.claim.readers import Readers
from reconciler.model.claims import (
    ApiClaim,
    Claim,
    ClusterClaims,
    Rejection,
    Source,
    Wanted,
)
from reconciler.model.clusters import (
    ClusterObjects,
    ClusterView,
    Node,
    Unknown,
    VirtualService,
)
from reconciler.model.units import UnitAddresses, UnitId
from reconciler.model.updates import Delta, Object
from reconciler.settings import Settings

_TICK = timedelta.resolution
_DAY = timedelta(days=1)  # the farthest wake: a node's clock may say any year


@dataclass(frozen=True, slots=True, kw_only=True)
class Wake:
    """A moment at which time alone can change claims, and the units of these claims."""

    at: datetime
    units: frozenset[UnitId]


class LiveClaims:
    """The claims of one cluster whose objects are known, under settings that stay as they are."""

    def __init__(self, view: ClusterView, settings: Settings) -> None:
        objects = view.objects
        if isinstance(objects, Unknown):
            raise AssertionError("nothing is claimed of a cluster that is not known")
        flags = ClusterObjects(one_look_is_proof=objects.one_look_is_proof)
        self._shown = ClusterView(entry=view.entry, objects=flags)
        self._proof = objects.one_look_is_proof
        self._entry = view.entry
        self._settings = settings
        self._tenant = settings.tenant(view.entry.name)
        self._foundation = foundation_of(view.entry, settings)
        self._index = Index(objects)
        self._readers = Readers()

    def apply(self, deltas: Iterable[Delta]) -> frozenset[UnitId]:
        """Take in what changed, in order; every unit whose claim may be another one now.

        Units that were never claimed, or that a former call returned and that were not claimed
        since, are the caller's to remember.
        """
        changed: set[UnitId] = set()
        for delta in deltas:
            if delta.old is not None:
                self._index.drop(delta.old)
            if delta.new is not None:
                self._index.put(delta.new)
            if _matters(delta):
                for each in (delta.old, delta.new):
                    changed.update(self._concerned(each))
        return frozenset(changed)

    def claims(
        self,
        units: frozenset[UnitId] | None,
        head: Mapping[UnitId, UnitAddresses],
        now: datetime,
    ) -> ClusterClaims:
        """What these units of the cluster ask for (`None`: all), and always its API.

        `head` are the addresses that HEAD has, at least of these units and of the API. The
        `view` of the result has the entry and the flags of the cluster but no objects: `view()`
        has them.
        """
        cluster = self._entry.name
        decoder = self._decoder(head, now)
        found = _Found(settings=self._settings, head=head, decoder=decoder)
        for unit in self._ordered(units, head):
            found.add(unit, self._index.sources.get((unit.namespace, unit.name)))
            if decoder is not None:
                self._readers.put(unit, decoder.reads_taken())
        api = claim_api(self._entry, self._settings, head.get(UnitId(cluster=cluster)))
        claimed = found.claimed(self._shown, api)
        return replace(claimed, empty=next(self._index.sources.names(), None) is None)

    def wake(self, now: datetime) -> Wake | None:
        """When time alone may change a claim for the first time after `now`; `None`: never.

        That is when an unready node has been unready for longer than the grace.
        """
        units = self._readers.of(NODES)
        grace = self._settings.guards.grace
        left = (
            left_of_grace(node, now, grace)
            for name in self._index.unready
            for node in self._index.nodes.get(name)
            if not node.ready
        )
        first = min((each for each in left if each is not None), default=None)
        if first is None or not units:
            return None
        return Wake(at=now + min(first + _TICK, _DAY), units=frozenset(units))

    def view(self) -> ClusterView:
        """The whole cluster as it is known now; as much work as there are objects."""
        objects = self._index.objects(self._proof)
        return ClusterView(entry=self._entry, objects=objects)

    def _ordered(
        self, units: frozenset[UnitId] | None, head: Mapping[UnitId, UnitAddresses]
    ) -> list[UnitId]:
        """Units of this cluster, sorted. All of them are a new beginning for what they read."""
        cluster = self._entry.name
        if units is None:
            self._readers = Readers()
            units = frozenset(head) | frozenset(
                UnitId(cluster=cluster, namespace=namespace, name=name)
                for namespace, name in self._index.sources.names()
            )
        mine = (each for each in units if each.cluster == cluster and not each.is_api)
        return sorted(mine, key=lambda each: (each.namespace, each.name))

    def _decoder(
        self, head: Mapping[UnitId, UnitAddresses], now: datetime
    ) -> Decoding | None:
        if self._tenant is None:
            return None
        if self._foundation is not None:
            return FoundationDecoder(
                settings=self._settings,
                tenant=self._tenant,
                inventory=self._foundation,
                head=head,
            )
        pools = Pools(
            look=self._index,
            tenant=self._tenant,
            now=now,
            grace=self._settings.guards.grace,
        )
        return Decoder(
            settings=self._settings, tenant=self._tenant, pools=pools, head=head
        )

    def _concerned(self, value: Object | None) -> Iterable[UnitId]:
        match value:
            case None:
                return ()
            case VirtualService():
                namespace, name = source_name(value)
                unit = UnitId(cluster=self._entry.name, namespace=namespace, name=name)
                return (unit,)
            case _:
                return self._readers.of(read_as(value))


@dataclass(slots=True, kw_only=True)
class _Found:
    """What was found of units so far, in their order."""

    settings: Settings
    head: Mapping[UnitId, UnitAddresses]
    decoder: Decoding | None
    claims: list[Claim] = field(default_factory=list)
    unexposed: list[Source] = field(default_factory=list)
    elsewhere: list[UnitId] = field(default_factory=list)
    follow: list[UnitAddresses] = field(default_factory=list)

    def add(self, unit: UnitId, listed: Sequence[VirtualService]) -> None:
        """One unit more, with all that is listed under its name."""
        outcome = self._judged(unit, listed) if listed else None
        if self.decoder is not None:
            follow = self.decoder.followed(unit, outcome)
            if follow is not None:
                self.follow.append(follow)

    def _judged(
        self, unit: UnitId, listed: Sequence[VirtualService]
    ) -> Wanted | Rejection | None:
        others = (is_elsewhere(each, self.settings) for each in listed)
        if all(others) or (self.decoder and self.decoder.is_left(unit, listed[0])):
            self.elsewhere.append(unit)
            return None
        source = _source(unit, listed[0])
        if not any(asks(each, unit in self.head) for each in listed):
            self.unexposed.append(source)
            return None
        outcome = judged(unit, listed, self.decoder)
        self.claims.append(Claim(unit=unit, source=source, outcome=outcome))
        return outcome

    def claimed(
        self, view: ClusterView, api: ApiClaim | Rejection | None
    ) -> ClusterClaims:
        """All of it together."""
        sources = self.unexposed
        return ClusterClaims(
            view=view,
            claims=tuple(self.claims),
            api=api,
            unexposed=tuple(each.unit for each in sources),
            unexposed_sources=tuple(
                each for each in sources if is_written_back(each.annotations)
            ),
            follow=tuple(self.follow),
            elsewhere=tuple(self.elsewhere),
        )


def _matters(delta: Delta) -> bool:
    """Whether a claim can tell the two sides apart: since when a node is ready it cannot."""
    old, new = delta.old, delta.new
    if isinstance(old, Node) and isinstance(new, Node) and old.ready and new.ready:
        return (old.name, old.internal_ips) != (new.name, new.internal_ips)
    return old != new


def _source(unit: UnitId, source: VirtualService) -> Source:
    return Source(
        unit=unit,
        uid=source.uid,
        resource_version=source.resource_version,
        generation=source.generation,
        annotations=source.annotations,
    )

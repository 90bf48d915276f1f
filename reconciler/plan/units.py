"""Goes through all clusters and units and decides each; pure. The order is by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reconciler.codes import Code
from reconciler.errors import Exit
from reconciler.ledger_file import Key
from reconciler.model.claims import ApiClaim, Claim, ClusterClaims, Rejection, Wanted
from reconciler.model.clusters import ClusterObjects
from reconciler.model.plans import Op, State
from reconciler.model.repository import FileWrite
from reconciler.model.units import UnitAddresses, UnitId
from reconciler.names import cluster_path
from reconciler.plan.apis import api_mode, api_wanted, certificate_note, with_api
from reconciler.plan.choice import Chooser
from reconciler.plan.decisions import NOWHERE, Decisions, row
from reconciler.plan.departed import staying
from reconciler.plan.place import Asking, Placed, Placer
from reconciler.plan.quota import over_quota
from reconciler.plan.records import ClusterRecord, format_record
from reconciler.plan.removal import Removal, Remover, forbidden_now
from reconciler.plan.standing import Standing, Stands
from reconciler.plan.wanted import Candidate, Writer
from reconciler.plan.world import World
from reconciler.settings import ApiMode, under_review

_OF_NOTHING = "nothing at all is listed, which is believed when everything was missing for long enough"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Want:
    """A wish that may be granted, before it has a place."""

    wanted: Wanted
    asking: Asking
    follow: UnitAddresses | None
    api: ApiClaim | None = None
    record: ClusterRecord | None = None

    @property
    def asked(self) -> set[Key]:
        """Ports and hosts that it asks for by name."""
        hosts = (host for each in self.wanted.wish.routes for host in each.hosts)
        return {*self.asking.requests.values(), *hosts}


def plan_units(
    world: World, stand: Iterable[Standing], writer: Writer, out: Decisions
) -> None:
    """Decide every unit of every cluster."""
    remover = Remover(world, writer, out)
    chooser = Chooser(world)
    wants: list[_Want] = []
    for standing in stand:
        _warn(standing, out)
        match standing.stands:
            case Stands.SKIPPED:
                _skip(world, standing, remover, out)
            case Stands.DELETED:
                _remove_cluster(world, standing, remover)
            case Stands.API:
                _say(standing, out)
                walk = _Walk(world, standing, (writer, remover, chooser))
                wants.extend(walk.api())
            case Stands.KNOWN:
                walk = _Walk(world, standing, (writer, remover, chooser))
                wants.extend(walk.wants())
    _grant(world, wants, writer, remover)


def _skip(world: World, standing: Standing, remover: Remover, out: Decisions) -> None:
    """Nothing follows from unknown; what a person gives away goes all the same."""
    for leaving in sorted(world.units_of(standing.cluster)):
        if world.leaves(leaving):
            remover.depart(leaving)
    _say(standing, out)


def _warn(standing: Standing, out: Decisions) -> None:
    """Who else has the cluster's name and is not believed."""
    claims = standing.claims
    for message in claims.view.entry.against if claims is not None else ():
        unit = UnitId(cluster=standing.cluster)
        out.say([row(Op.SKIP, unit, NOWHERE, Code.DUPLICATE_CLUSTER, message)])
        out.exits.append(Exit.INCOMPLETE)


def _say(standing: Standing, out: Decisions) -> None:
    """Why not all of a cluster is followed; whoever waits with it is told, too."""
    unit = UnitId(cluster=standing.cluster)
    out.say([row(standing.op, unit, NOWHERE, standing.code, standing.message)])
    out.exits.append(standing.exit)
    waiting = standing.waiting.claims if standing.waiting is not None else ()
    for claim in waiting:
        out.state(claim.unit, State.PENDING, f"{standing.code}: {standing.message}")


def _remove_cluster(world: World, standing: Standing, remover: Remover) -> None:
    """Remove all units of a deleted cluster; its file goes with the last of them."""
    why = standing.message
    for unit in sorted(world.units_of(standing.cluster)):
        if world.gives(unit):
            remover.depart(unit)
        else:
            removal = Removal(unit=unit, code=Code.CLUSTER_DELETED, detail=why)
            remover.remove(removal)
    path = cluster_path(standing.cluster)
    if standing.record is None or world.data(path) is None:
        return
    remover.remove_record(standing.cluster, format_record(standing.record))


class _Walk:
    """One known cluster: sorts its units into wants and settled ones."""

    def __init__(
        self,
        world: World,
        standing: Standing,
        tools: tuple[Writer, Remover, Chooser],
    ) -> None:
        if standing.claims is None or standing.record is None:
            raise AssertionError("a known cluster has claims and a record")
        self._world = world
        self._settings = world.inputs.settings
        self._claims: ClusterClaims = standing.claims
        self._record: ClusterRecord = standing.record
        self._writer, self._remover, self._chooser = tools
        self._follow = {each.unit: each for each in standing.claims.follow}
        self._believed: bool | None = None

    def wants(self) -> list[_Want]:
        found = []
        claimed = {claim.unit: claim for claim in self._claims.claims}
        api = UnitId(cluster=self._record.cluster)
        for unit in sorted({*claimed, *self._world.units_of(self._record.cluster)}):
            if unit == api:
                continue
            want = self._one(unit, claimed.get(unit))
            if want is not None:
                found.append(want)
        return [*found, *self.api()]

    def api(self) -> list[_Want]:
        """The API route alone, and what else is said of the cluster as a whole."""
        unit = UnitId(cluster=self._record.cluster)
        want = self._api(unit)
        return [want] if want is not None else []

    def _one(self, unit: UnitId, claim: Claim | None) -> _Want | None:
        if unit in self._world.frozen:
            self._writer.frozen(unit, self._world.frozen[unit])
            return None
        outcome = claim.outcome if claim is not None else None
        if isinstance(outcome, Wanted):
            return self._wanted(unit, outcome)
        if self._world.leaves(unit):
            self._remover.depart(unit)
        elif outcome is None:
            self._absent(unit)
        else:
            self._rejected(unit, outcome)
        return None

    def _wanted(self, unit: UnitId, whole: Wanted) -> _Want | None:
        """What is to be placed of a wish: all but what went to other units."""
        found = staying(self._world, whole, self._record)
        if found.departures:
            self._writer.departed(unit, found)
        outcome = found.wanted
        if outcome is None:
            if self._world.gives(unit):
                self._remover.depart(unit)
            else:
                self._remover.remove(Removal(unit=unit, code=Code.TRANSFERRED))
            return None
        gateway, *instead = self._gateways(outcome)
        return _Want(
            wanted=outcome,
            asking=Asking(
                wish=outcome.wish,
                gateway=gateway,
                cluster_id=self._record.cluster_id,
                requests=dict(outcome.requests),
                preferred=dict(outcome.preferred),
                instead=tuple(instead),
            ),
            follow=self._follow.get(unit),
        )

    def _absent(self, unit: UnitId) -> None:
        if unit in self._claims.elsewhere:
            self._remove(unit, Code.ELSEWHERE)
            return
        if unit in self._claims.unexposed:
            self._remove(unit, Code.UNEXPOSED)
            return
        objects = self._claims.view.objects
        one_look = isinstance(objects, ClusterObjects) and objects.one_look_is_proof
        is_confirmed = self._remover.confirmed(unit, one_look)
        if is_confirmed and not one_look and not self._is_believed():
            self._remover.wait(unit, _OF_NOTHING)
        elif is_confirmed:
            self._remove(unit, Code.GONE)
        else:
            self._remover.wait(unit)

    def _is_believed(self) -> bool:
        """Whether the cluster's list proves anything: one of nothing does as a whole or not at all."""
        if self._believed is None:
            cluster, empty = self._record.cluster, self._claims.empty
            self._believed = not empty or self._remover.all_confirmed(cluster)
        return self._believed

    def _remove(self, unit: UnitId, code: Code) -> None:
        """Remove a unit; what else it has goes with what a person gives away of it."""
        if self._world.gives(unit):
            self._remover.depart(unit)
        else:
            follow = self._follow.get(unit)
            self._remover.remove(Removal(unit=unit, code=code, follow=follow))

    def _rejected(self, unit: UnitId, rejection: Rejection) -> None:
        hold = self._writer.explicitly_held(unit)
        if hold is not None:
            self._writer.held(unit, hold, self._follow.get(unit))
            return
        heads = self._world.heads.get(unit, ())
        reasons = [forbidden_now(self._world, head) for head in heads]
        if self._world.gives(unit) and all(reasons):
            self._remover.depart(unit)
            return
        for head, why in zip(heads, reasons, strict=True):
            if why:
                self._remover.remove(
                    Removal(
                        unit=unit,
                        code=Code.NO_LONGER_PERMITTED,
                        gateways=(head.gateway,),
                        detail=why,
                    )
                )
        self._writer.rejected(unit, rejection, self._follow.get(unit))

    def _gateways(self, wanted: Wanted) -> tuple[str, ...]:
        """Where the wish may go: of several gateways those whose renderer can do it."""
        found = self._chooser.choices(wanted, self._record.cluster_id)
        if len(found) == 1:
            return found
        able = [
            name for name in found if not self._writer.unsupported(wanted.wish, name)
        ]
        return tuple(able) or found

    def _api(self, unit: UnitId) -> _Want | None:
        claim = self._claims.api
        off = self._settings.apis.mode is ApiMode.OFF
        if off and (unit in self._world.heads or unit in self._world.owned):
            self._remover.remove(Removal(unit=unit, code=Code.NO_LONGER_PERMITTED))
        if isinstance(claim, Rejection):
            self._writer.rejected(unit, claim, None)
        if off or not isinstance(claim, ApiClaim):
            self._remover.keep_record(self._record)
            return None
        mode = api_mode(claim, self._record, self._settings)
        self._writer.note(certificate_note(claim, self._record, self._world))
        wanted = api_wanted(claim, mode, self._settings)
        return _Want(
            wanted=wanted,
            asking=Asking(
                wish=wanted.wish,
                gateway=self._settings.api_gateway(),
                cluster_id=self._record.cluster_id,
                requests={},
            ),
            follow=claim.addresses,
            api=claim,
            record=self._record,
        )


def _grant(world: World, wants: list[_Want], writer: Writer, remover: Remover) -> None:
    refused = over_quota([want.asking for want in wants], world)
    refused.update(_unsupported(wants, writer))
    asking = [want.asking for want in wants if want.asking.wish.unit not in refused]
    wants = _not_delayed(world, wants, writer)
    outcomes: dict[UnitId, Placed | Rejection] = {
        **Placer(world).place_all(asking),
        **refused,
    }
    for want in wants:
        unit = want.asking.wish.unit
        outcome = outcomes[unit]
        if isinstance(outcome, Rejection):
            writer.rejected(unit, outcome, want.follow)
            if want.record is not None:
                remover.keep_record(want.record)
            continue
        at = outcome.entries[0].gateway
        writer.place(unit, at)
        left = _leave_forbidden(world, unit, outcome, remover)
        if not world.writes_to(at) and not world.handover(unit):
            writer.leave(unit, at)
            writer.follow(unit, want.follow)
            continue
        candidate = _candidate(want, outcome, world, left)
        granted = writer.decide(candidate)
        if left.intersection(each.entry.gateway for each in world.gives(unit)):
            writer.unsettled(unit)  # that deletion is guarded and may have to wait
        if want.record is not None:
            noted = granted and candidate.extra and not _is_new(world, want.record)
            if not noted:
                remover.keep_record(want.record)


def _not_delayed(world: World, wants: list[_Want], writer: Writer) -> list[_Want]:
    """Without the units that wait for a port of another unit; says what every one waits for.

    One that has a place goes on with it, unless it asks for the very port.
    """
    rest = {want.asking.wish.unit: want for want in wants}
    for each in world.delays:
        at = writer.at_entry(each.entry)
        writer.note([row(each.op, each.unit, at, each.code, each.told)])
        want = rest.get(each.unit) if each.meant else None
        if want is None:
            continue
        has_place = each.unit in world.owned or world.gives(each.unit)
        if each.entry.key in want.asked or not has_place:
            writer.waits(each, want.follow)
            del rest[each.unit]
    return list(rest.values())


def _is_new(world: World, record: ClusterRecord) -> bool:
    """Under review the record of a new cluster does not wait for its API's request."""
    before = world.records.get(record.cluster)
    is_known = before is not None and before.cluster_id
    return under_review(world.inputs.settings) and not is_known


def _unsupported(wants: list[_Want], writer: Writer) -> dict[UnitId, Rejection]:
    found = {}
    for want in wants:
        reason = writer.unsupported(want.wanted.wish, want.asking.gateway)
        if reason:
            found[want.asking.wish.unit] = Rejection(
                code=Code.POLICY_UNSUPPORTED, reason=reason
            )
    return found


def _leave_forbidden(
    world: World, unit: UnitId, placed: Placed, remover: Remover
) -> frozenset[str]:
    """Gateways that the settings took away from the tenant: a guarded deletion, no move."""
    kept = {placement.gateway for placement in placed.placements}
    left = set()
    for head in world.heads.get(unit, ()):
        why = forbidden_now(world, head) if head.gateway not in kept else ""
        if why:
            remover.remove(
                Removal(
                    unit=unit,
                    code=Code.NO_LONGER_PERMITTED,
                    gateways=(head.gateway,),
                    detail=why,
                )
            )
            left.add(head.gateway)
    return frozenset(left)


def _candidate(
    want: _Want, placed: Placed, world: World, left: frozenset[str]
) -> Candidate:
    extra: tuple[FileWrite, ...] = ()
    if want.api is not None and want.record is not None:
        active = next(
            each for each in placed.placements if each.gateway == want.asking.gateway
        )
        record = with_api(want.record, want.api, active, world.inputs.settings)
        before = world.records.get(record.cluster)
        if before is None or before.api != record.api:
            path = cluster_path(record.cluster)
            extra = (FileWrite(path=path, data=format_record(record)),)
    return Candidate(
        wanted=want.wanted,
        placed=placed,
        follow=want.follow,
        extra=extra,
        left=left,
    )

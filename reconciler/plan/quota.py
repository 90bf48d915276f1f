"""Quotas: who of the new routes may come in; existing ones always stay. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from reconciler.allocate import identity_hash
from reconciler.codes import Code
from reconciler.model.claims import Rejection
from reconciler.model.units import UnitId
from reconciler.plan.ledger_index import routes_of
from reconciler.plan.overlay import changes_of
from reconciler.plan.place import Asking
from reconciler.plan.world import World
from reconciler.settings import Quota, Settings, Tenant


def over_quota(asking: Sequence[Asking], world: World) -> dict[UnitId, Rejection]:
    """The exposures whose new routes do not fit, in order of their identity hash.

    A tenant is an entry of the settings: its routes count over all of its clusters, also those
    that cannot be seen now. `perNamespace` counts per cluster and namespace.
    """
    settings = world.inputs.settings
    if all(each.quota == Quota() for each in settings.tenants):
        return {}
    routes: Counter[int] = Counter()
    spaces: Counter[tuple[str, str]] = Counter()
    for place, count in _by_namespace(world).items():
        index = _tenant_index(settings, place[0])
        if index is not None:
            routes[index] += count
            spaces[place] += count
    refused: dict[UnitId, Rejection] = {}
    for each in sorted(asking, key=lambda each: identity_hash(each.owner(""))):
        unit = each.wish.unit
        index = _tenant_index(settings, unit.cluster)
        if index is None or unit.is_api:
            continue
        new = len(each.wish.routes) - _existing(world, unit)
        if new <= 0:
            continue
        tenant = settings.tenants[index]
        at = (unit.cluster, unit.namespace)
        reason = _reason(tenant, routes[index] + new, spaces[at] + new, unit)
        if reason:
            refused[unit] = Rejection(code=Code.QUOTA_EXCEEDED, reason=reason)
            continue
        routes[index] += new
        spaces[at] += new
    return refused


def _by_namespace(world: World) -> Counter[tuple[str, str]]:
    """Routes by cluster and namespace, with what transfers change."""
    found = Counter(world.index.ledger.routes)
    before = world.index.ledger.owned
    for unit in {*changes_of(world.owned), *(each.to.unit for each in world.transfers)}:
        if not unit.is_api:
            place = (unit.cluster, unit.namespace)
            found[place] += _existing(world, unit) - routes_of(before.get(unit, ()))
    return found


def _existing(world: World, unit: UnitId) -> int:
    """Routes that the unit has; one that it gets from another unit now is new."""
    new = {each.at for each in world.gets(unit)}
    entries = (
        entry
        for entry in world.owned.get(unit, ())
        if (entry.gateway, entry.key) not in new
    )
    return len({entry.owner.route for entry in entries if entry.owner})


def _tenant_index(settings: Settings, cluster: str) -> int | None:
    tenant = settings.tenant(cluster)
    return settings.tenants.index(tenant) if tenant is not None else None


def _reason(tenant: Tenant, routes: int, in_namespace: int, unit: UnitId) -> str:
    quota = tenant.quota
    if quota.routes is not None and routes > quota.routes:
        return f"the tenant of cluster {unit.cluster} may have {quota.routes} routes, this would be route {routes}"
    if quota.per_namespace is not None and in_namespace > quota.per_namespace:
        return f"namespace {unit.namespace} may have {quota.per_namespace} routes, this would be route {in_namespace}"
    return ""

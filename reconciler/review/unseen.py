"""What a pass did not observe: nothing of it is closed or taken out of a request; pure."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.model.plans import Op, Plan
from reconciler.model.units import UnitId


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """What a pass did not observe: nothing of it is closed or taken out of a request."""

    scope: frozenset[str] | None = None
    clusters: frozenset[str] = frozenset()
    units: frozenset[UnitId] = frozenset()

    def cluster(self, name: str) -> bool:
        """Whether nothing final is known of a cluster."""
        return name in self.clusters or (
            self.scope is not None and name not in self.scope
        )

    def unit(self, unit: UnitId) -> bool:
        """Whether nothing final is known of a unit."""
        return unit in self.units


def unseen_by(plan: Plan, scope: frozenset[str] | None) -> Unseen:
    """What a plan says nothing final about."""
    rows = [row for row in plan.rows if row.op is Op.SKIP]
    return Unseen(
        scope=scope,
        clusters=frozenset(row.cluster for row in rows if row.name is None),
        units=frozenset(
            UnitId(cluster=row.cluster, namespace=row.namespace or "", name=row.name)
            for row in rows
            if row.name is not None
        ),
    )

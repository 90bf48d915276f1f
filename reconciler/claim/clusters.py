"""All claims of one cluster; pure. A fault in one object never changes another one's claim."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from reconciler.claim.apis import claim_api
from reconciler.claim.live import LiveClaims
from reconciler.model.claims import ClusterClaims
from reconciler.model.clusters import ClusterView, Unknown
from reconciler.model.units import UnitAddresses, UnitId
from reconciler.settings import Settings


def claim(
    view: ClusterView,
    settings: Settings,
    head: Mapping[UnitId, UnitAddresses],
    now: datetime,
) -> ClusterClaims:
    """What one cluster asks for. `head` are the addresses that HEAD has, by unit.

    Of a cluster that could not be read nothing is claimed, but for its API servers, which its
    inventory knows.
    """
    if isinstance(view.objects, Unknown):
        unit = UnitId(cluster=view.entry.name)
        api = claim_api(view.entry, settings, head.get(unit))
        return ClusterClaims(view=view, api=api)
    return replace(LiveClaims(view, settings).claims(None, head, now), view=view)
